"""AttackSuccess@B by hand, with its controls, differences and intervals."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from unsee.attacks.base import BUDGETS
from unsee.errors import DataError
from unsee.metrics import CellInfo
from unsee.metrics.attack_success import answer_key, attack_success, prior_success
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
    """Of 8 facts 1 is found first, 2 within 5, 3 within 10, 5 within 20, 6 within 50."""
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
    """Before: all but the last found first. After, at B = 1, one of them; at B = 20, five of which four were found before."""
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
