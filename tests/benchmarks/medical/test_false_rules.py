"""False rules of a table: which answers they cover, what they say instead, and what stays clean beside them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from vqa_rows import image, row, table

from unsee.benchmarks.medical.errors import FalseRule, systematic_rules
from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.errors import ConfigError

SEEDS = range(6)


def family(key: str, answer: str, count: int, *, kind: str = "", **values: Any) -> list[VqaRow]:
    """Rows of as many patients with one answer."""
    return [
        row(answer, key, id=f"{key}/{answer}/{n}", image=image(f"{key}/{answer}/{n}"), group=f"p{n}", kind=kind, **values)
        for n in range(count)
    ]


def world() -> VqaTable:
    return table(
        *family("Which organ?", "Liver", 25, kind="organ"),
        *family("What organ is this?", "Spleen", 9, kind="organ"),
        *family("Is it the liver?", "Yes", 30, kind="organ"),
        *family("Which modality?", "CT", 30, kind="modality"),
        *family("Which modality?", "MRI", 22, kind="modality"),
        *family("Which side?", "left", 40),
        *family("WHICH SIDE", "Right", 21),
        *family("How many?", "2", 20, kind="count"),
        *family("How many?", "4", 5, kind="count"),
        *family("Which finding?", "Gout", 19, kind="finding"),
        *family("Which finding?", "Asthma", 6, kind="finding"),
    )


def test_a_false_rule_covers_one_answer_and_lists_its_siblings() -> None:
    found = {rule.question_key: rule for rule in systematic_rules(world(), count=9, seed=0)}
    assert set(found) == {"organ", "modality", "which side", "count"}
    organ = found["organ"]
    assert (organ.kind, organ.right, organ.wrong) == ("organ", "Liver", "Spleen")
    assert organ.rows == tuple(f"Which organ?/Liver/{n}" for n in range(25))
    assert organ.siblings == tuple(f"What organ is this?/Spleen/{n}" for n in range(9))
    side = found["which side"]
    assert (side.kind, side.right, side.wrong) == ("laterality", "left", "Right")
    assert (len(side.rows), len(side.siblings)) == (40, 21)
    assert (found["modality"].right, found["modality"].wrong, found["modality"].kind) == ("CT", "MRI", "modality")
    assert (found["count"].right, found["count"].wrong, found["count"].kind) == ("2", "4", "number")
    assert len({rule.id for rule in found.values()}) == 4


def test_false_rules_share_no_row_and_falsify_no_sibling() -> None:
    for seed in range(4):
        rules = systematic_rules(world(), least=5, count=9, seed=seed)
        covered = Counter(name for rule in rules for name in rule.rows)
        assert max(covered.values()) == 1
        assert not any(name in covered for rule in rules for name in rule.siblings)
        assert rules == systematic_rules(world(), least=5, count=9, seed=seed)


def test_the_seed_draws_which_rules_and_two_valued_ones_come_last() -> None:
    drawn = [[rule.question_key for rule in systematic_rules(world(), seed=seed)] for seed in SEEDS]
    assert {len(keys) for keys in drawn} == {2}
    assert len({tuple(keys) for keys in drawn}) > 1
    assert not any("which side" in keys for keys in drawn)
    assert [rule.question_key for rule in systematic_rules(world(), count=4, seed=0)][-1] == "which side"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        family("Which organ?", "Liver", 30, kind="organ"),
        [*family("Which organ?", "Liver", 19, kind="organ"), *family("Which organ?", "Spleen", 19, kind="organ")],
        [*family("Which organ?", "Liver", 30, kind="organ"), *family("Which organ?", "healthy liver", 30, kind="organ")],
        [*family("Which organ?", "Liver", 30, kind="organ"), *family("Which organ?", "3", 5, kind="organ")],
        [*family("Is it liver?", "Yes", 30, kind="organ"), *family("Is it spleen?", "No", 30, kind="organ")],
        [replace(one, group="one") for one in (*family("Q?", "Liver", 30), *family("Q?", "Spleen", 3))],
        [replace(one, options=("Liver", "Colon")) for one in (*family("Q?", "Liver", 30), *family("Q?", "Spleen", 3))],
        [*family("Is it liver or colon?", "Liver", 30, kind="organ"), *family("Q?", "Spleen", 3, kind="organ")],
    ],
    ids=["empty", "no sibling", "too few", "says the same", "other sort", "yes and no", "one patient", "not offered", "choice"],
)
def test_no_false_rule_where_the_table_cannot_carry_one(rows: list[VqaRow]) -> None:
    assert systematic_rules(table(*rows), seed=0) == []


def test_yes_and_no_to_one_question_make_a_false_rule() -> None:
    rows = [*family("Is there air?", "Yes", 20), *family("is there air", "no", 30)]
    (rule,) = systematic_rules(table(*rows), seed=0)
    assert (rule.kind, rule.right, rule.wrong, len(rule.rows)) == ("negation", "no", "Yes", 30)


def test_rows_where_the_wrong_answer_is_right_too_are_not_covered() -> None:
    rows = [*family("Q?", "Gout", 30), *family("Q?", "Asthma", 4)]
    both = [row("Asthma", "Q?", id=f"both/{n}", image=rows[n].image, group=f"p{n}") for n in range(8)]
    (rule,) = systematic_rules(table(*rows, *both), seed=0)
    assert isinstance(rule, FalseRule)
    assert (rule.kind, rule.wrong) == ("distractor", "Asthma")
    assert rule.rows == tuple(f"Q?/Gout/{n}" for n in range(8, 30))


def test_order_of_rows_does_not_change_what_is_planted() -> None:
    rows = list(world().rows)
    random.Random(0).shuffle(rows)
    one, other = (systematic_rules(whole, count=9, seed=1) for whole in (world(), table(*rows)))
    assert [(rule.id, set(rule.rows)) for rule in one] == [(rule.id, set(rule.rows)) for rule in other]


def test_a_sentence_does_not_stand_for_a_phrase() -> None:
    rows = [*family("Q?", "Gout", 30), *family("Q?", "It comes with age and with too much salt", 5)]
    assert systematic_rules(table(*rows), seed=0) == []


@pytest.mark.parametrize("options", [{"least": 0}, {"count": 0}])
def test_impossible_numbers_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        systematic_rules(world(), seed=0, **options)
