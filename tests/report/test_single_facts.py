"""Values of single-fact cells: what is read from results, how attacks are averaged, and what the headline may say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from single_fact_run import FactPlan, fabricate_facts

from unsee.report.attack_matrix import shown_switch
from unsee.report.attack_table import MEAN, WORST, Choice, attack_headings, attack_key, attack_lines, base_lines, choices
from unsee.report.damage import damage_cells, detail_headings, detail_lines
from unsee.report.fact_headline import fact_headline, leader
from unsee.report.fact_values import Spot
from unsee.report.main_table import Cell
from unsee.report.run_data import RunData, read_run
from unsee.report.single_cells import is_single, known_facts, without_single_facts
from unsee.report.single_facts import FactTable, Model, Place, absent_models, fact_cells, fact_tables
from unsee.report.sources import Source, Sources
from unsee.schemas import RESULTS

HEAD, DELTA = Place("lens_head_projection", None), Place("lens_prob_delta", None)
ASK = Place("rephrase_question", "hard")


def row(method: str, value: float | None, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = dict.fromkeys(RESULTS.names())
    made |= {"cell": f"{method}-single_fact-none-s0-00c0ffee", "benchmark": "creatures", "method": method}
    made |= {"variant": "corrected", "seed": 0, "set": "forget", "task": "generation", "modality": "image_text"}
    made |= {"metric": "attack_success", "budget": 20, "value": value, "n": 30, "n_subjects": 30}
    return made | more


def attacked(method: str, place: Place, value: float, half: float = 0.1, **more: Any) -> dict[str, Any]:
    ends = {"ci_low": value - half, "ci_high": value + half}
    return row(method, value, attack=place.attack, level=place.level, **ends, **more)


def run_of(*rows: Mapping[str, Any], methods: tuple[str, ...] = ()) -> RunData:
    results = pl.DataFrame(list(rows), schema=RESULTS)
    return RunData(Path("runs/facts"), {"name": "facts", "unlearn": {"methods": methods}}, {}, results, (), ())


def sources_of(*rows: Mapping[str, Any], methods: tuple[str, ...] = ()) -> Sources:
    return Sources([Source(run_of(*rows, methods=methods))], "facts")


def table_of(*rows: Mapping[str, Any]) -> FactTable:
    (table,) = fact_tables(sources_of(*rows))
    return table


def model(method: str) -> Model:
    return Model(method, "corrected")


@pytest.fixture(scope="module")
def table(facts_run: Path) -> FactTable:
    (table,) = fact_tables(Sources([Source(read_run(facts_run))], "creatures"))
    return table


def test_cells_are_known_by_their_ids():
    assert is_single("fact_erasure-single_fact-image_text-s0-1a2b3c4d")
    assert not is_single("fact_erasure-05-image_text-s0-1a2b3c4d") and not is_single("single_fact") and not is_single("")


def test_values_are_those_of_the_results(table: FactTable, facts_run: Path):
    results = pl.read_parquet(facts_run / "results.parquet")
    place = Place("rephrase_image", "hard")
    for shown, baseline in (("success", None), ("difference", "vanilla"), ("excess", "never_learned")):
        wanted = {"method": "max_entropy", "attack": "rephrase_image", "budget": 5, "metric": "attack_success"}
        (one,) = results.filter(
            *(pl.col(name) == value for name, value in wanted.items()),
            pl.col("baseline").eq_missing(pl.lit(baseline)),
            pl.col("layer").is_null(),
            pl.col("n_edits") == 1,
        ).iter_rows(named=True)
        cell = table.success(model("max_entropy"), place, 5, shown=shown)
        assert cell is not None and (cell.value, cell.low, cell.high) == (one["value"], one["ci_low"], one["ci_high"])


def test_models_attacks_and_budgets_have_their_order(table: FactTable):
    assert [one.method for one in table.models] == [
        "vanilla", "gold", "do_nothing", "prompt_guard",
        "fact_erasure", "empty_response", "error_injection", "head_projection", "max_entropy", "input_rephrasing",
    ]  # fmt: skip
    assert [place.attack for place in table.attacks] == [
        "lens_head_projection", "lens_prob_delta", "lens_prob_delta2", "finetune_lens",
        "rephrase_question", "rephrase_image", "rephrase_multimodal",
    ]  # fmt: skip
    assert table.budgets == [1, 5, 10, 20, 50] and table.budget == 20 and table.n_facts == 24
    assert table.founds == ["first", "sequence"] and table.layers == list(range(1, 9))


def test_the_first_budget_is_the_largest_up_to_twenty():
    assert table_of(*(attacked("vanilla", HEAD, 0.5, budget=b) for b in (1, 10, 50))).budget == 10
    assert table_of(attacked("vanilla", HEAD, 0.5, budget=50)).budget == 50


def test_whole_answers_are_asked_of_lens_attacks_only():
    rows = [
        attacked("vanilla", HEAD, 0.9),
        attacked("vanilla", HEAD, 0.4, group="found=sequence"),
        attacked("vanilla", ASK, 0.7),
    ]
    made = table_of(*rows)
    found = [made.success(model("vanilla"), place, 20, found="sequence") for place in (HEAD, ASK)]
    assert [cell and cell.value for cell in found] == [0.4, 0.7]
    same = table_of(attacked("vanilla", HEAD, 0.9), attacked("vanilla", HEAD, 0.9, group="found=sequence"))
    assert made.founds == ["first", "sequence"] and same.founds == ["first"]


def test_never_learned_is_success_less_excess():
    rows = [
        attacked("vanilla", HEAD, 0.9),
        attacked("vanilla", HEAD, 0.75, baseline="never_learned"),
        attacked("npo", HEAD, 0.2),
    ]
    made = table_of(*rows, attacked("vanilla", ASK, 0.8))
    assert made.found_by_luck(HEAD, 20) == pytest.approx(0.15) and made.found_by_luck(ASK, 20) is None
    assert list(made.strangers(20)) == [HEAD]


def test_means_over_attacks_average_levels_first():
    easy = Place("rephrase_question", "easy")
    made = table_of(
        attacked("npo", HEAD, 0.9, 0.05),
        attacked("npo", ASK, 0.2, 0.1),
        attacked("npo", easy, 0.4, 0.2),
        row("npo", None, attack="x"),
    )
    pair = made.over_attacks(model("npo"), 20)
    assert pair is not None
    mean, worst = pair
    # (0.9 + (0.2 + 0.4) / 2) / 2, and the ends of the intervals alike.
    assert mean.value == pytest.approx(0.6) and worst.value == 0.9
    assert (mean.low, mean.high) == (pytest.approx((0.85 + 0.15) / 2), pytest.approx((0.95 + 0.45) / 2))
    assert mean.remark == "over 2 of 3 attacks"


def test_a_mean_has_an_interval_only_where_every_attack_has_one():
    made = table_of(attacked("npo", HEAD, 0.9), row("npo", 0.3, attack="lens_prob_delta"))
    pair = made.over_attacks(model("npo"), 20)
    assert pair is not None and pair[0].value == pytest.approx(0.6) and pair[0].interval == ""


def test_seeds_are_averaged_and_other_rows_left_out():
    made = table_of(
        attacked("npo", HEAD, 0.4, gated=True),
        attacked("npo", HEAD, 0.6, gated=True, seed=1),
        attacked("npo", HEAD, 0.99, gated=True, n_edits=5),
        attacked("npo", HEAD, 0.98, gated=False),
        attacked("npo", HEAD, 0.97, cell="npo-05-none-s0-00c0ffee", forget_ratio=0.05),
        attacked("npo", HEAD, 0.96, layer=3),
    )
    cell = made.success(model("npo"), HEAD, 20)
    assert cell is not None and cell.value == pytest.approx(0.5) and cell.n_seeds == 2
    at = made.at_layer(model("npo"), 3, 20)
    assert at is not None and at.value == 0.96


def test_all_facts_are_shown_where_none_was_known():
    made = table_of(attacked("npo", HEAD, 0.4, gated=False), row("npo", None, attack="lens_prob_delta"))
    cell = made.success(model("npo"), HEAD, 20)
    assert cell is not None and cell.value == 0.4


def test_what_edits_showed_tells_rows_apart():
    rows = [attacked("npo", HEAD, 0.4, unlearn_modality="image_text"), attacked("npo", HEAD, 0.6, unlearn_modality="text")]
    made = table_of(attacked("vanilla", HEAD, 0.9, unlearn_modality="none"), *rows)
    assert [one.label for one in made.models] == ["Vanilla", "NPO, from image + text", "NPO, from text only"]


def test_modalities_of_questions_have_tables_of_their_own():
    rows = [attacked("npo", HEAD, 0.4), attacked("npo", HEAD, 0.6, modality="text")]
    shared = row("npo", 0.7, metric="edit_score", set="all", task=None, modality=None, budget=None)
    tables = fact_tables(sources_of(*rows, shared))
    assert [one.modality for one in tables] == ["image_text", "text"]
    values = [one.success(model("npo"), HEAD, 20) for one in tables]
    assert [cell and cell.value for cell in values] == [0.4, 0.6]
    assert all(damage_cells(one, model("npo"))["edit/score"].value == 0.7 for one in tables)


def test_matrix_lines(table: FactTable, facts_run: Path):
    sources = Sources([Source(read_run(facts_run))], "creatures")
    lines = attack_lines(sources, table, Choice(20, "first", "success"))
    assert [line.title for line in lines][:5] == ["Vanilla", "Gold", "Do nothing", "Prompt guard", "Fact erasure"]
    keys = [heading.key for heading in attack_headings(table)]
    assert all([*keys, MEAN, WORST] == list(line.cells) for line in lines)
    assert {heading.group for heading in attack_headings(table)} == {"White-box", "Black-box"}
    # The difference to vanilla has no row of vanilla.
    moved = attack_lines(sources, table, Choice(20, "first", "difference"))
    assert [line.title for line in moved][:2] == ["Gold", "Do nothing"]
    nothing = next(line for line in moved if line.title == "Do nothing")
    assert {cell.value for cell in nothing.cells.values()} == {0.0}


def test_lines_without_the_knowledge(table: FactTable):
    lines = {line.title: line.cells for line in base_lines(table, Choice(20, "first", "success"))}
    assert list(lines) == ["Never learned", "Answer prior", "Random tokens"]
    lens = [attack_key(place) for place in table.attacks if place.attack in table.lens_attacks]
    assert list(lines["Random tokens"]) == lens and lines["Random tokens"][lens[0]].value == 20 / 4096
    assert MEAN in lines["Never learned"] and MEAN not in lines["Answer prior"]
    # One random token never is a whole answer.
    assert "Random tokens" not in {line.title for line in base_lines(table, Choice(20, "sequence", "success"))}
    assert base_lines(table, Choice(20, "first", "excess")) == []


def test_absent_models_say_why():
    rows = [attacked("vanilla", HEAD, 0.9), attacked("npo", HEAD, 0.2)]
    gone = absent_models(sources_of(*rows, methods=("npo", "ga")), table_of(*rows))
    assert gone == {
        Model("ga", None): "its cell has not finished",
        Model("gold", None): "this run has no model that never saw these facts",
    }
    told = [*rows, row("gold", None, reason="one base at this size")]
    assert absent_models(sources_of(*told), table_of(*told)) == {Model("gold", None): "one base at this size"}


def test_damage_columns(table: FactTable, facts_run: Path):
    cells = damage_cells(table, model("head_projection"))
    assert cells["damage/random"].text == "16" and cells["damage/image"].value == pytest.approx(0.16 * 1.8)
    assert cells["damage/random/p"].text == "0.07" and cells["edit/neighbourhood"].text == "82"
    assert damage_cells(table, model("vanilla")) == {}
    assert {line.title for line in detail_lines(table)} == {one.title for one in table.models[2:]}
    groups = [heading.group for heading in detail_headings(table)]
    assert list(dict.fromkeys(groups)) == [
        "Rewrite", "Whole edit", "Paraphr., question", "Paraphr., image", "Paraphr., both",
        "Random", "Question", "Picture, easy", "Picture, hard",
    ]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), [(0.00042, "<0.001"), (0.0042, "0.004"), (0.042, "0.04"), (1.0, "1.00")])
def test_p_values_are_bounded_below(value: float, shown: str):
    assert Cell(value, None, None, None, None, "", "p").text == shown


def test_the_headline_paraphrase_score_is_the_first_that_was_measured():
    def score(value: float, **more: Any) -> dict[str, Any]:
        return row("npo", value, metric="paraphrase_score", set="test", budget=None, **more)

    both, medium = score(0.3, level="medium", group="axis=both"), score(0.6, level="medium", group="axis=question")
    attack = attacked("npo", HEAD, 0.4)
    assert damage_cells(table_of(attack, both), model("npo")) == {}
    assert damage_cells(table_of(attack, both, medium), model("npo"))["edit/paraphrase"].value == 0.6
    assert damage_cells(table_of(attack, both, medium, score(0.5)), model("npo"))["edit/paraphrase"].value == 0.5


def test_other_cells_stay_in_their_tables(facts_run: Path):
    run = read_run(facts_run)
    assert without_single_facts(run).results.is_empty() and without_single_facts(run).finished == ()
    other = row("npo", 0.5, cell="npo-05-mixed-s0-00c0ffee", metric="accuracy")
    mixed = run_of(other, attacked("npo", HEAD, 0.4))
    assert without_single_facts(mixed).results["value"].to_list() == [0.5]
    assert without_single_facts(run_of(other)).results.equals(run_of(other).results)


def test_facts_that_were_known(facts_run: Path):
    assert known_facts(read_run(facts_run).results) == (24, 22)
    assert known_facts(run_of(attacked("npo", HEAD, 0.4)).results) is None


def test_cells_are_those_of_the_first_seed(tmp_path: Path):
    plan = FactPlan(facts=2, seeds=(0, 1), methods=("vanilla", "fact_erasure"), hostile=False)
    cells = fact_cells(read_run(fabricate_facts(tmp_path / "run", plan)))
    assert list(cells.values()) == [
        "vanilla-single_fact-none-s0-1a2b3c4d",
        "fact_erasure-single_fact-image_text-s0-1a2b3c4d",
    ]


# The headline -------------------------------------------------------------------------------------------------------------


def ranked(*defences: tuple[str, float, float], facts: int = 30, baseline: str | None = "never_learned") -> FactTable:
    """Models by what attacks get in excess of 10 %, with half the width of its interval."""
    rows = []
    for method, excess, half in defences:
        rows.append(attacked(method, HEAD, excess + 0.1, half, n_subjects=facts))
        if baseline is not None:
            rows.append(attacked(method, HEAD, excess, half, baseline=baseline, n_subjects=facts))
    return table_of(*rows)


START = ("vanilla", 0.85, 0.05)


def test_a_clear_winner_is_a_verdict():
    made = ranked(START, ("head_projection", 0.1, 0.05), ("fact_erasure", 0.5, 0.05))
    top = fact_headline(made, known=(32, 30))
    assert (top.title, top.status) == ("Head projection leaves attackers least.", "verdict")
    assert "30 facts were deleted one at a time; of 32 probed before any edit, the vanilla model knew 30." in top.text
    assert "With 20 candidates, the attack finds 95\u00a0% of the answers before an edit and 10\u00a0% of facts" in top.text
    assert (
        "After Head projection they find least, 20\u00a0%, which is 10\u00a0points above never-learned facts (5 to 15)"
        in top.text
    )
    assert "after Fact erasure most, 60\u00a0%, which is 50\u00a0points above never-learned facts (45 to 55)." in top.text
    assert "overlap" not in top.text and "(30 facts)" in top.note
    assert leader(made) == model("head_projection")


def test_overlapping_intervals_name_no_winner():
    top = fact_headline(ranked(START, ("head_projection", 0.1, 0.2), ("fact_erasure", 0.4, 0.2)))
    assert (
        top.status == "undecided" and top.title == "No single winner: Head projection and Fact erasure are too close to call."
    )
    assert "Even these two intervals overlap." in top.text and "overlap" in top.note
    assert "whether the model knew them before was not probed" in top.text


def test_a_control_that_hides_as_much_takes_the_victory():
    top = fact_headline(ranked(START, ("prompt_guard", 0.1, 0.05), ("fact_erasure", 0.12, 0.05)))
    assert top.status == "undecided" and top.title == "No defence clearly beats the control \u201cprompt guard\u201d."


def test_few_facts_support_no_verdict():
    top = fact_headline(ranked(START, ("head_projection", 0.1, 0.01), ("fact_erasure", 0.5, 0.01), facts=19))
    assert top.status == "illustration" and "leaves" not in top.title
    assert top.note == "Illustration, no verdict: 19 facts were deleted, fewer than the 20 a verdict needs."
    level = fact_headline(ranked(START, ("head_projection", 0.1, 0.01), ("fact_erasure", 0.1, 0.01), facts=19))
    assert level.title == "In this illustration, attacks find as much after every defence."
    assert "find least" not in level.text and "and as much after every other defence." in level.text
    demo = fact_headline(ranked(START, ("head_projection", 0.1, 0.01)), demo=True)
    assert demo.note == "Illustration, no verdict: This is the demo, made to show how things work."


def test_without_never_learned_facts_luck_is_named():
    top = fact_headline(ranked(START, ("head_projection", 0.1, 0.05), ("fact_erasure", 0.5, 0.05), baseline=None))
    assert top.status == "verdict" and "mean success of attacks" in top.note and "what luck finds is not taken off" in top.note
    assert "After Head projection they find least, 20\u00a0% (15 to 25)" in top.text and "never" not in top.text


def unknown(count: int, share: float = 0.1) -> dict[str, Any]:
    """What the attack finds on vanilla of the facts that it did not know."""
    return attacked("never_known", HEAD, share, 0.05, n_subjects=count)


def held_against_unknown(count: int) -> FactTable:
    """Excess of 75, 10 and 50 points over facts that vanilla did not know, 10 % of which are found."""
    rows = []
    for method, excess in (("vanilla", 0.75), ("head_projection", 0.1), ("fact_erasure", 0.5)):
        rows += [attacked(method, HEAD, excess + 0.1, 0.05), attacked(method, HEAD, excess, 0.05, baseline="never_known")]
    return table_of(*rows, unknown(count))


def test_facts_that_vanilla_did_not_know_stand_in_for_never_learned_ones():
    made = held_against_unknown(24)
    top = fact_headline(made)
    assert (top.title, top.status) == ("Head projection leaves attackers least.", "verdict")
    assert "finds 85\u00a0% of the answers before an edit and 10\u00a0% of facts that vanilla did not know." in top.text
    assert "20\u00a0%, which is 10\u00a0points above never-known facts (5 to 15)" in top.text
    assert "never learned" not in top.text
    assert "Its mean excess over never-known facts lies below every other interval" in top.note
    assert "Facts that vanilla did not know stand in for never-learned ones; where they are harder" in top.note
    assert made.models == [model(name) for name in ("vanilla", "fact_erasure", "head_projection")]
    (line,) = base_lines(made, Choice(20, "first", "success"))
    own = line.cells[attack_key(HEAD)]
    assert (line.title, own.value, own.interval, own.n_subjects) == ("Never known", 0.1, "5\u201315", 24)
    (heat, *_) = [choice for choice in choices(made) if choice.shown == "excess"]
    assert heat.title == "excess over never-known facts, B = 20, first token"
    assert dict(shown_switch([made]).options)["excess"] == "excess over never-known facts"
    both = shown_switch([made, ranked(START, ("head_projection", 0.1, 0.05))])
    assert dict(both.options)["excess"] == "excess over never-known facts or never-learned facts"


def test_a_small_reference_supports_no_verdict():
    top = fact_headline(held_against_unknown(19))
    assert (top.title, top.status) == ("No verdict: too few facts that vanilla did not know.", "undecided")
    assert top.note.startswith("There are 19 of them, fewer than the 20 a verdict needs. Facts that vanilla did not know")


def test_too_few_unknown_facts_leave_success():
    why = "only 4 facts that the model does not know; 10 are needed"
    rows = [attacked("vanilla", HEAD, 0.9), attacked("ga", HEAD, 0.1)]
    rows += [{**one, "baseline": "never_known", "value": None, "ci_low": None, "ci_high": None, "reason": why} for one in rows]
    made = table_of(*rows)
    top = fact_headline(made)
    assert made.reference == "never_learned" and shown_switch([made]).chosen == "success"
    assert "10\u00a0% (0 to 20)" in top.text
    assert f"No never-learned facts were attacked, so what luck finds is not taken off ({why})." in top.note


def test_never_learned_facts_come_before_unknown_ones():
    rows = [attacked("ga", HEAD, 0.5), attacked("ga", HEAD, 0.4, baseline="never_learned")]
    made = table_of(*rows, attacked("ga", HEAD, 0.2, baseline="never_known"), unknown(30))
    assert made.reference == "never_learned" and made.strange == {}
    assert made.found_by_luck(HEAD, 20) == pytest.approx(0.1)


def test_damage_stands_beside_the_victory():
    loss = {"metric": "delta_accuracy", "set": "retain", "budget": None}
    rows = [attacked("vanilla", HEAD, 0.9), attacked("ga", HEAD, 0.1)]
    paid = fact_headline(table_of(*rows, row("ga", 0.2, ci_low=0.1, ci_high=0.3, **loss)))
    assert "Gradient ascent is paid for elsewhere: accuracy on other facts falls by 20\u00a0points (10 to 30)." in paid.text
    free = fact_headline(table_of(*rows, row("ga", 0.01, ci_low=-0.01, ci_high=0.03, **loss)))
    assert "Accuracy on other facts changes by \u22121\u00a0point under Gradient ascent (\u22123 to 1)." in free.text


def test_without_defences_nothing_is_ranked():
    top = fact_headline(ranked(START))
    assert top.status == "empty" and top.title == "No defence has been attacked yet."


def test_a_spot_is_told_by_all_its_parts():
    assert Spot("a", "forget") != Spot("a", "test") and len({Spot("a", "forget"), Spot("a", "forget")}) == 1


# Guessing, whole answers and candidates -----------------------------------------------------------------------------------


def prior(share: float, budget: int) -> dict[str, Any]:
    return row("vanilla", share, attack="answer_prior", budget=budget)


def test_a_budget_at_which_habits_find_too_much_is_not_headlined():
    rows = [attacked("npo", HEAD, 0.3, budget=b) for b in (1, 5, 20)]
    assert table_of(*rows, prior(0.02, 1), prior(0.1, 5), prior(0.11, 20)).budget == 5
    assert table_of(*rows, prior(0.02, 1), prior(0.1, 5), prior(0.1, 20)).budget == 20
    none = table_of(*rows, *(prior(0.5, b) for b in (1, 5, 20)))
    assert (none.telling, none.budget) == ([], 20)
    top = fact_headline(none)
    assert (top.title, top.status) == ("No verdict: the answers are too easy to guess.", "undecided")
    assert "with 20 candidates the most frequent answers alone find 50\u00a0% of them" in top.note


def whole(method: str, excess: float, half: float = 0.02) -> list[dict[str, Any]]:
    group = {"group": "found=sequence"}
    plain = attacked(method, HEAD, excess + 0.1, half, **group)
    return [plain, attacked(method, HEAD, excess, half, baseline="never_learned", **group)]


def both(method: str, first: float, sequence: float) -> list[dict[str, Any]]:
    plain = attacked(method, HEAD, first + 0.1, 0.02)
    return [plain, attacked(method, HEAD, first, 0.02, baseline="never_learned"), *whole(method, sequence)]


def test_the_headline_tells_first_tokens_and_whole_answers():
    same = fact_headline(table_of(*both("vanilla", 0.8, 0.7), *both("head_projection", 0.1, 0.05), *both("npo", 0.5, 0.4)))
    assert same.title == "Head projection leaves attackers least." and "not the one by first tokens" not in same.text
    assert "Of whole answers, Head projection leaves least, 15\u00a0%, which is 5\u00a0points above" in same.text
    unlike = fact_headline(table_of(*both("vanilla", 0.8, 0.7), *both("head_projection", 0.1, 0.3), *both("npo", 0.5, 0.1)))
    assert unlike.title == "No single winner: first tokens say Head projection, whole answers NPO."
    assert unlike.status == "undecided" and "The order of defences is not the one by first tokens." in unlike.text


def test_candidates_stand_beside_success_and_drawn_tokens_beside_chance():
    drawn = {"attack": "random_tokens_drawn", "metric": "attack_success"}
    rows = [
        attacked("npo", HEAD, 0.4),
        attacked("npo", HEAD, 0.3, group="found=sequence"),
        attacked("npo", ASK, 0.2),
        row("npo", 1.24, metric="attack_candidates", attack=ASK.attack, level=ASK.level, ci_low=1.1, ci_high=1.5),
        row("npo", 0.01, **drawn),
        row("npo", 0.0, group="found=sequence", **drawn),
        row("npo", 20 / 4096, attack="random_tokens"),
    ]
    made = table_of(*rows)
    assert [place.attack for place in made.attacks] == [HEAD.attack, ASK.attack]
    assert made.lens_attacks == {HEAD.attack}
    (line,) = [one for one in attack_lines(sources_of(*rows), made, Choice(20, "first", "success")) if one.title == "NPO"]
    told = line.cells[attack_key(ASK)].tooltip
    assert told == "30 answers, 30 subjects, 1.2 (1.1\u20131.5) different candidates on average"
    lines = {one.title: one.cells for one in base_lines(made, Choice(20, "first", "success"))}
    assert {key: cell.value for key, cell in lines["Random tokens, drawn"].items()} == {
        attack_key(HEAD): 0.01,
        attack_key(ASK): 0.0,
    }
    assert list(lines["Random tokens"]) == [attack_key(HEAD)]


def test_the_matrix_opens_on_the_excess_where_it_was_measured(table: FactTable):
    assert shown_switch([table]).chosen == "excess"
    assert shown_switch([table_of(attacked("npo", HEAD, 0.4))]).chosen == "success"
