"""AttackSuccess@B by hand, with its controls, differences and intervals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from unsee.attacks.base import BUDGETS
from unsee.errors import DataError
from unsee.metrics import CellInfo
from unsee.metrics.answer_prior import answer_key, prior_limit, prior_success
from unsee.metrics.attack_success import attack_success
from unsee.metrics.bootstrap import wilson
from unsee.sample import Sample, SetName
from unsee.schemas import ATTACKS, RESULTS

HITS = [1, 3, 12, None, 40, None, 6, 20]
"""Positions of eight facts."""


def facts(count: int = 8, *, set: SetName = "forget", answers: str = "abcdefgh") -> list[Sample]:
    return [
        Sample(
            id=f"{set}{i}",
            benchmark="b",
            subject=f"{set}-subject{i}",
            set=set,
            task="generation",
            modality="image_text",
            question="What?",
            answer=answers[i],
            metadata={"attribute": "food"},
        )
        for i in range(count)
    ]


def attacked(
    hits: list[int | None], *, set: str = "forget", attack: str = "lens_head_projection", **columns: Any
) -> pl.DataFrame:
    lens = attack.startswith("lens")
    rows = [
        {
            "sample_id": f"{set}{i}",
            "subject": f"{set}-subject{i}",
            "attack": attack,
            "hit_position": hit,
            "hit_all": hit,
            "hit_sequence": hit,
            "layers": 5 if lens else None,
            "k": 4 if lens else None,
        }
        | {name: values[i] if isinstance(values, list) else values for name, values in columns.items()}
        for i, hit in enumerate(hits)
    ]
    return pl.DataFrame(rows, schema=ATTACKS)


def results(attacks: pl.DataFrame, **options: Any) -> pl.DataFrame:
    return attack_success(attacks, options.pop("samples", facts()), cell=CellInfo(cell="c", method="npo"), **options)


def values(table: pl.DataFrame, **where: Any) -> list[float | None]:
    for name, value in where.items():
        table = table.filter(pl.col(name).eq_missing(pl.lit(value)))
    return table["value"].to_list()


PLAIN = {"metric": "attack_success", "baseline": None, "group": None, "attack": "lens_head_projection"}


def test_share_of_facts_found_by_hand() -> None:
    """E12: every rate has an interval. Of 8 facts 1 is found first, 2 within 5, 3 within 10, 5 within 20, 6 within 50."""
    table = results(attacked(HITS))
    assert table.schema == RESULTS
    assert values(table, **PLAIN) == [1 / 8, 2 / 8, 3 / 8, 5 / 8, 6 / 8]
    plain = table.filter(pl.col("group").is_null())
    assert plain["budget"].to_list() == list(BUDGETS)
    row = plain.row(3, named=True)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(wilson(5, 8)))
    assert (row["n"], row["n_subjects"], row["higher_is_better"], row["metric_version"]) == (8, 8, False, 1)
    assert (row["set"], row["task"], row["cell"], row["method"]) == ("forget", "generation", "c", "npo")
    assert row["reason"] == "fewer than 20 subjects: no verdict"


def test_every_way_to_count_as_found() -> None:
    table = results(attacked(HITS, hit_all=[None] * 8, hit_sequence=[2, *[None] * 7]))
    assert values(table, **PLAIN | {"group": "found=all"}) == [0, 0, 0, 0, 0]
    assert values(table, **PLAIN | {"group": "found=sequence"}) == [0, 1 / 8, 1 / 8, 1 / 8, 1 / 8]
    assert results(attacked(HITS, attack="rephrase_image"))["group"].null_count() == len(BUDGETS)


def test_two_questions_of_a_subject_stand_and_fall_together() -> None:
    one = facts(2)
    both = [*one, *(Sample(**{**vars(s), "id": f"again{i}"}) for i, s in enumerate(one))]  # type: ignore[arg-type]
    again = attacked([1, None]).with_columns(pl.col("sample_id").str.replace("forget", "again"))
    table = results(pl.concat([attacked([1, None]), again]), samples=both)
    row = table.filter(pl.col("budget") == 1, pl.col("group").is_null()).row(0, named=True)
    assert (row["value"], row["n"], row["n_subjects"]) == (0.5, 4, 2)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(wilson(1, 2)))


def test_differences_to_before_the_edit_are_paired() -> None:
    """E12: the same attack before the edit stands beside every rate.

    Before: all but the last found first. After, at B = 1, one of them; at B = 20, five of which four were found before.
    """
    table = results(attacked(HITS), before=attacked([1] * 7 + [None]))
    assert values(table, **PLAIN | {"baseline": "vanilla"}) == pytest.approx([n / 8 - 7 / 8 for n in (1, 2, 3, 5, 6)])
    left = values(table, metric="attack_success_left", group=None)
    assert left == pytest.approx([1 / 7, 2 / 7, 3 / 7, 4 / 7, 5 / 7])
    row = table.filter(pl.col("metric") == "attack_success_left", pl.col("budget") == 20, pl.col("group").is_null())
    assert row["n"].item() == 7
    same = results(attacked(HITS), before=attacked(HITS)).filter(pl.col("baseline") == "vanilla")
    assert set(same["value"]) == set(same["ci_low"]) == set(same["ci_high"]) == {0.0}


def test_nothing_found_before_leaves_no_share() -> None:
    table = results(attacked(HITS), before=attacked([None] * 8))
    left = table.filter(pl.col("metric") == "attack_success_left", pl.col("group").is_null())
    assert left["value"].null_count() == len(BUDGETS)
    assert set(left["reason"]) == {"the attack got no fact before the edit"}


def test_excess_over_facts_that_were_never_learned() -> None:
    never = attacked([5, None, None, 30], set="never")
    table = results(attacked(HITS), never_learned=never)
    excess = table.filter(pl.col("baseline") == "never_learned", pl.col("group").is_null())
    assert excess["value"].to_list() == pytest.approx([1 / 8, 2 / 8 - 1 / 4, 3 / 8 - 1 / 4, 5 / 8 - 1 / 4, 6 / 8 - 2 / 4])
    assert (excess["ci_low"] < excess["value"]).all() and (excess["ci_high"] > excess["value"]).all()
    assert set(excess["n_subjects"]) == {4}
    absent = results(attacked(HITS, attack="rephrase_image"), never_learned=never)
    none = absent.filter(pl.col("baseline") == "never_learned")
    assert set(none["reason"]) == {"no never-learned fact was attacked"} and none["value"].null_count() == len(BUDGETS)


def unknown(hits: list[int | None], **columns: Any) -> tuple[list[Sample], pl.DataFrame]:
    """Facts beside the eight known ones, and what attacks on the start model make of them."""
    made = [replace(facts(1)[0], id=f"unknown{i}", subject=f"unknown{i}") for i in range(len(hits))]
    return made, attacked(hits, set="unknown", **columns).with_columns(pl.col("sample_id").alias("subject"))


def test_excess_over_facts_that_the_model_does_not_know() -> None:
    """Of 8 facts 1, 2, 3, 5, 6 are found within 1, 5, 10, 20, 50; of 10 unknown ones 0, 2, 2, 2, 3, of which n tells."""
    strangers, tried = unknown([2, 5, 40, *[None] * 7])
    both = pl.concat([tried, attacked([1] * 10, set="unknown", attack="lens_prob_delta")])
    table = results(attacked(HITS), samples=[*facts(), *strangers], never_known=both)
    excess = table.filter(pl.col("baseline") == "never_known", pl.col("group").is_null())
    assert excess["value"].to_list() == pytest.approx([1 / 8, 2 / 8 - 0.2, 3 / 8 - 0.2, 5 / 8 - 0.2, 6 / 8 - 0.3])
    assert (excess["ci_low"] < excess["value"]).all() and (excess["ci_high"] > excess["value"]).all()
    assert set(excess["n"]) == {8} and set(excess["n_subjects"]) == {8} and set(excess["reason"]) == {FEW}
    assert "never_learned" not in table["baseline"]
    many, tried = unknown([1, *[None] * 9])
    whole = results(pl.concat([attacked(HITS), tried]), samples=[*facts(), *many], never_known=tried)
    assert set(whole.filter(pl.col("baseline") == "never_known")["n_subjects"]) == {10}


def test_too_few_unknown_facts_are_no_reference() -> None:
    """Only those of the same attack, level and modality count, and none whose every prompt held the answer."""

    def why(strangers: list[Sample], tried: pl.DataFrame) -> set[str | None]:
        table = results(attacked(HITS, level="hard"), samples=[*facts(), *strangers], never_known=tried)
        rows = table.filter(pl.col("baseline") == "never_known")
        assert rows["value"].null_count() == rows.height > 0
        return set(rows["reason"])

    few = "only {} that the model does not know; 10 are needed"
    assert why(*unknown([1] * 4, level="hard")) == {few.format("4 facts")}
    assert why(*unknown([1], level="hard")) == {few.format("1 fact")}
    assert why(*unknown([1] * 10, level="easy")) == {few.format("0 facts")}
    assert why(*unknown([1] * 10, level="hard", prompts=[4] * 7 + [0] * 3)) == {few.format("7 facts")}
    strangers, tried = unknown([1] * 10, level="hard")
    shown = [replace(one, modality="text") if i < 4 else one for i, one in enumerate(strangers)]
    assert why(shown, tried) == {few.format("6 facts")}


def test_random_tokens_stand_beside_lens_attacks() -> None:
    table = results(pl.concat([attacked(HITS), attacked(HITS, attack="rephrase_image")]), vocabulary=40)
    assert values(table, attack="random_tokens") == [1 / 40, 5 / 40, 10 / 40, 20 / 40, 1.0]
    assert set(table.filter(attack="random_tokens")["higher_is_better"]) == {None}
    prompts = results(attacked(HITS, attack="rephrase_image"), vocabulary=40)
    assert values(prompts, attack="random_tokens") == []


@pytest.mark.parametrize(
    ("answer", "budget", "chance"),
    [("tea", 1, 1.0), ("rice", 1, 0.0), ("rice", 2, 0.5), ("soup", 2, 0.5), ("rice", 3, 1.0), ("egg", 3, 0.0), ("egg", 4, 1.0)],
)
def test_frequent_answers_by_hand(answer: str, budget: int, chance: float) -> None:
    """Tea three times, rice and soup twice, egg once: equals come in random order."""
    counts = {answer_key(text): count for text, count in (("tea", 3), ("rice", 2), ("soup", 2), ("egg", 1))}
    assert prior_success(answer, counts, budget) == chance
    assert prior_success("The Tea", counts, 1) == 1.0
    assert prior_success("ham", counts, 50) == 0.0


def test_an_attacker_who_knows_habits_only() -> None:
    """Taught answers a a b c; of the facts a to h, 'a' is found first, 'b' and 'c' by half at B = 2."""
    taught = facts(4, set="retain", answers="aabc")
    table = results(attacked(HITS), prior=taught, budgets=(1, 2, 3))
    assert values(table, attack="answer_prior") == pytest.approx([1 / 8, (1 + 0.5 + 0.5) / 8, 3 / 8])
    assert values(results(attacked(HITS), prior=[]), attack="answer_prior") == []


def test_levels_and_sets_stand_apart() -> None:
    easy = attacked(HITS, attack="rephrase_image", level="easy")
    hard = attacked([1] * 8, attack="rephrase_image", level="hard")
    kept = attacked([None] * 2, set="retain", attack="rephrase_image", level="hard")
    table = results(pl.concat([easy, hard, kept]), samples=[*facts(), *facts(2, set="retain")], budgets=(1,))
    assert values(table, level="easy") == [1 / 8]
    assert values(table, level="hard", set="forget") == [1.0]
    row = table.filter(level="hard", set="retain").row(0, named=True)
    assert (row["value"], row["higher_is_better"]) == (0.0, True)


def test_the_seed_decides_the_interval() -> None:
    def intervals(seed: int) -> list[tuple[float, float]]:
        table = results(attacked(HITS), never_learned=attacked(HITS, set="never"), seed=seed, bootstrap=50)
        return table.filter(pl.col("baseline") == "never_learned").select("ci_low", "ci_high").rows()

    assert intervals(0) == intervals(0) != intervals(1)


def test_tables_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="sample 'forget7' is attacked but not among the samples"):
        results(attacked(HITS), samples=facts(7))
    with pytest.raises(DataError, match="sample 'forget0' is attacked twice by lens_head_projection"):
        results(pl.concat([attacked(HITS), attacked(HITS)]))
    with pytest.raises(DataError, match="attacks before the edit: sample 'forget0' is attacked twice"):
        results(attacked(HITS), before=pl.concat([attacked(HITS), attacked(HITS)]))


# What limits a value ------------------------------------------------------------------------------------------------------


def reasons(table: pl.DataFrame, **where: Any) -> list[str | None]:
    for name, value in where.items():
        table = table.filter(pl.col(name).eq_missing(pl.lit(value)))
    return table["reason"].to_list()


FEW = "fewer than 20 subjects: no verdict"


def test_a_budget_above_the_number_of_draws_says_so() -> None:
    """4 prompts x 5 responses are 20 draws: B = 50 has the value of B = 20, and says why."""
    asked = attacked(HITS, attack="rephrase_image", prompts=4, samples=5, tokens=36)
    table = results(asked, before=asked, never_learned=attacked(HITS, set="never", attack="rephrase_image"))
    for baseline in (None, "vanilla", "never_learned"):
        *small, large = reasons(table, metric="attack_success", baseline=baseline)
        assert small == [FEW] * 4 and large == f"{FEW}; at most 20 candidates were drawn"
    cut = attacked(HITS, candidates=[[str(i) for i in range(10)]] * 8)
    assert [reason is not None and "at most 10" in reason for reason in reasons(results(cut), **PLAIN)] == [False] * 3 + [
        True
    ] * 2


def test_different_candidates_by_hand() -> None:
    """Two facts, 3 and 8 different responses: within B = 1, 5, 10 that is 1, (3 + 5) / 2 and (3 + 8) / 2."""
    said = [["a"] * 3, ["b"] * 8]
    asked = attacked([1, None], attack="rephrase_image", prompts=4, samples=5, candidates=said)
    table = results(asked, samples=facts(2), budgets=(1, 5, 10))
    assert values(table, metric="attack_candidates") == [1, 4, 5.5]
    row = table.filter(pl.col("metric") == "attack_candidates", pl.col("budget") == 10).row(0, named=True)
    assert (row["ci_low"], row["ci_high"], row["n"], row["higher_is_better"]) == (3.0, 8.0, 2, None)
    assert values(results(attacked(HITS)), metric="attack_candidates") == []


def test_facts_whose_every_prompt_holds_the_answer_are_left_out() -> None:
    """Of four facts, one is found and two are missed; the fourth was never asked and is no miss."""
    asked = attacked([1, None, None, None], attack="rephrase_image", prompts=[4, 4, 1, 0], refused=[0, 0, 3, 4])
    table = results(asked, samples=facts(4), before=asked, budgets=(1,))
    row = table.filter(metric="attack_success").filter(pl.col("baseline").is_null()).row(0, named=True)
    assert (row["value"], row["n"]) == (pytest.approx(1 / 3), 3)
    assert row["reason"] == f"{FEW}; 1 of 4 facts left out: every prompt holds the answer"
    assert table.filter(baseline="vanilla")["n"].to_list() == [3]
    nobody = attacked([None, None], attack="rephrase_image", prompts=0, refused=4)
    table = results(nobody, samples=facts(2), before=nobody, never_learned=nobody, budgets=(1, 5))
    plain = table.filter(metric="attack_success")
    assert plain["value"].null_count() == plain.height == 4
    assert set(plain["reason"]) == {"2 of 2 facts left out: every prompt holds the answer"}


@pytest.mark.parametrize(("budget", "limit"), [(1, 0.1), (20, 0.1), (30, 0.15), (50, 0.25), (100, 0.5)])
def test_what_habits_may_find(budget: int, limit: float) -> None:
    assert prior_limit(budget) == pytest.approx(limit)


def test_budgets_at_which_habits_find_too_much_say_so() -> None:
    """Twenty equally frequent answers: B of them hold 5 B percent, which is within the limit at B = 1 and 2 only."""
    named = [chr(ord("a") + i) for i in range(20)]
    taught = [Sample(**{**vars(facts(1)[0]), "id": f"t{i}", "subject": f"t{i}", "answer": a}) for i, a in enumerate(named)]  # type: ignore[arg-type]
    table = results(attacked(HITS), before=attacked(HITS), prior=taught, budgets=(1, 2, 5))
    assert values(table, attack="answer_prior") == pytest.approx([0.05, 0.1, 0.25])
    told = "the answer prior alone finds 25 %, above the 10 % up to which B = 5 tells what a model holds"
    for baseline in (None, "vanilla"):
        assert reasons(table, **PLAIN | {"baseline": baseline}) == [FEW, FEW, f"{FEW}; {told}"]
    assert values(table, **PLAIN) == [1 / 8, 1 / 8, 2 / 8]


def test_drawn_tokens_stand_beside_their_chance() -> None:
    drawn = attacked([None] * 6 + [30, 4], attack="random_tokens_drawn", layers=1)
    table = results(pl.concat([attacked(HITS), drawn]), vocabulary=100, before=attacked(HITS), never_learned=attacked(HITS))
    own = table.filter(attack="random_tokens_drawn").filter(pl.col("group").is_null())
    assert own["value"].to_list() == [0, 1 / 8, 1 / 8, 1 / 8, 2 / 8]
    assert set(own["baseline"]) == {None} and set(own["higher_is_better"]) == {None} and own["ci_high"].null_count() == 0
    assert values(table, attack="random_tokens") == [0.01, 0.05, 0.1, 0.2, 0.5]
