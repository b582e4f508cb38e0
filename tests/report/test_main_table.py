from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from unsee.report.main_table import Cell, Scope, Slice, main_table, rows, scopes, slices
from unsee.schemas import RESULTS

HERE = Scope(0.05, "mixed")
PICTURES = Slice("strict", "image_text", False)


def result(method: str, value: float | None, **more: Any) -> dict[str, Any]:
    control = method in ("vanilla", "gold", "do_nothing", "prompt_guard")
    row: dict[str, Any] = dict.fromkeys(RESULTS.names())
    row |= {"cell": f"{method}-cell", "method": method, "variant": "corrected", "seed": 0, "forget_ratio": 0.05, "n": 10}
    row |= {"unlearn_modality": None if control else "mixed", "set": "forget", "task": "classification"}
    row |= {"modality": "image_text", "protocol": "strict", "view": "options", "metric": "accuracy", "gated": False}
    return row | {"value": value, "n_subjects": 30} | more


def table_of(*made: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(made), schema=RESULTS)


def row_of(results: pl.DataFrame, method: str, scope: Scope = HERE, which: Slice = PICTURES, variant: str | None = "corrected"):
    return next(r for r in rows(main_table(results), scope, which) if r.method == method and r.variant == variant)


def test_seeds_are_averaged_and_their_range_is_kept():
    results = table_of(
        result("ga", 0.2, ci_low=0.1, ci_high=0.3, seed=0),
        result("ga", 0.4, ci_low=0.2, ci_high=0.6, seed=1, n=30, n_subjects=25),
    )
    cell = row_of(results, "ga").cells["forget/classification"]
    assert (cell.value, cell.low, cell.high) == pytest.approx((0.3, 0.15, 0.45))
    assert (cell.n, cell.n_subjects, cell.n_seeds, cell.seed_low, cell.seed_high) == (40, 25, 2, 0.2, 0.4)
    assert (cell.text, cell.interval) == ("30", "15\u201345")
    assert "mean of 2 seeds, 20 to 40" in cell.tooltip


def test_differences_groups_levels_and_other_views_stay_out():
    results = table_of(
        result("ga", 0.2),
        result("ga", 0.9, baseline="vanilla"),
        result("ga", 0.9, group="attribute=job"),
        result("ga", 0.9, level="near"),
        result("ga", 0.9, view="letter"),
    )
    assert row_of(results, "ga").value("forget/classification") == 0.2


def test_gated_and_modality_select():
    results = table_of(
        result("ga", 0.2), result("ga", 0.3, gated=True), result("ga", 0.4, modality="text"),
        result("npo", 0.4, modality="text", gated=True),
    )  # fmt: skip
    assert slices(main_table(results)) == [
        Slice("strict", "image_text", False),
        Slice("strict", "image_text", True),
        Slice("strict", "text", False),
        Slice("strict", "text", True),
    ]
    for which, value in ((PICTURES, 0.2), (PICTURES._replace(gated=True), 0.3), (PICTURES._replace(modality="text"), 0.4)):
        assert row_of(results, "ga", which=which).value("forget/classification") == value


def test_scores_are_those_over_both_modalities():
    score = {"set": "all", "task": None, "view": None, "metric": "unlearning_score"}
    results = table_of(result("ga", 0.9, **score), result("ga", 0.5, **(score | {"modality": None})))
    assert row_of(results, "ga").value("unlearning_score") == 0.5


def test_unparsable_is_pooled_by_number_of_answers():
    bad = {"metric": "unparsable_rate", "view": "generate", "task": "generation"}
    results = table_of(
        result("ga", 0.5, n=10, **bad),
        result("ga", 0.0, n=30, set="retain", **bad),
        result("ga", 1.0, n=99, **(bad | {"view": "options"})),
        result("ga", None, n=50, reason="no answers", **(bad | {"modality": "text"})),
    )
    cell = row_of(results, "ga").cells["unparsable"]
    assert cell.value == pytest.approx(0.125)
    assert (cell.n, cell.low) == (40, None)


def test_a_missing_value_keeps_its_reason():
    results = table_of(result("ga", None, reason="no fact passed the knowledge gate here"))
    cell = row_of(results, "ga").cells["forget/classification"]
    assert cell.value is None and cell.text == ""
    assert cell.tooltip == "no fact passed the knowledge gate here"


def test_controls_come_first_and_absent_ones_say_why():
    results = table_of(
        result("zeta", 0.1),
        result("ga", 0.2),
        result("vanilla", 0.9),
        result("ga", None, baseline="gold", reason="no gold model"),
    )
    listed = rows(main_table(results), HERE, PICTURES, absent={("npo", None): "failed: out of memory"})
    assert [r.method for r in listed] == ["vanilla", "gold", "do_nothing", "prompt_guard", "ga", "npo", "zeta"]
    absent = {r.method: r.absent for r in listed}
    assert absent["vanilla"] is None and absent["ga"] is None
    assert absent["npo"] == "failed: out of memory"
    assert absent["gold"] == "no gold model was trained for this request"


def test_official_variant_is_a_row_of_its_own():
    results = table_of(result("ga", 0.2), result("ga", 0.3, variant="official"))
    listed = [r for r in rows(main_table(results), HERE, PICTURES, absent={("ga", "official"): "x"}) if r.method == "ga"]
    assert [(r.title, r.absent) for r in listed] == [("Gradient ascent", None), ("Gradient ascent (official)", None)]


def test_second_gold_is_a_row_of_its_own():
    results = table_of(result("gold", 0.2), result("gold", 0.4, seed=1000))
    values = {
        r.variant: r.value("forget/classification") for r in rows(main_table(results), HERE, PICTURES) if r.method == "gold"
    }
    assert values == {"corrected": 0.2, "second seed": 0.4}


def test_guessing_is_a_row_from_the_prior():
    prior = {"metric": "prior_only_accuracy", "protocol": None, "view": None, "gated": None}
    results = table_of(result("ga", 0.5), result("ga", 0.26, **prior), result("npo", 0.26, **prior))
    row = row_of(results, "prior_only", variant=None)
    assert row.value("forget/classification") == 0.26 and row.is_control and row.title == "Guessing"


def test_collapsed_cells_are_marked():
    flag = {"metric": "collapsed", "set": "all", "task": None, "modality": None, "protocol": None, "view": None, "gated": None}
    results = table_of(
        result("ga", 0.5), result("ga", 1.0, reason="collapsed: all the same", **flag), result("npo", 0.0, **flag)
    )
    assert row_of(results, "ga").collapsed == "collapsed: all the same"
    assert all(r.collapsed is None for r in rows(main_table(results), HERE, PICTURES) if r.method != "ga")


def test_scopes_put_most_evidence_first_and_controls_serve_all():
    results = table_of(
        result("vanilla", 0.9),
        result("vanilla", 0.9, forget_ratio=0.15),
        result("ga", 0.1),
        result("ga", 0.1, unlearn_modality="text"),
        result("ga", 0.2, forget_ratio=0.15),
        result("prompt_guard", 0.2, forget_ratio=0.15, unlearn_modality="none"),
    )
    assert scopes(results) == [Scope(0.15, "mixed"), Scope(0.05, "mixed"), Scope(0.05, "text")]
    assert row_of(results, "vanilla", Scope(0.05, "text")).value("forget/classification") == 0.9
    assert row_of(results, "prompt_guard", Scope(0.15, "mixed")).value("forget/classification") == 0.2


def test_nothing_measured_gives_an_empty_table():
    empty = pl.DataFrame(schema=RESULTS)
    assert main_table(empty).is_empty() and scopes(empty) == []
    assert all(row.absent for row in rows(main_table(empty), HERE, PICTURES))


@pytest.mark.parametrize(("subjects", "few"), [(19, True), (20, False), (None, False)])
def test_intervals_from_few_subjects_are_marked(subjects: int | None, few: bool):
    assert Cell(0.5, 0.4, 0.6, 10, subjects, "", "percent").few is few


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(-0.001, "percent", "0"), (0.125, "score", "0.12"), (-0.5, "score", "\u22120.50"), (1, "percent", "100")],
)
def test_numbers(value: float, unit: str, text: str):
    assert Cell(value, None, None, None, None, "", unit).text == text
