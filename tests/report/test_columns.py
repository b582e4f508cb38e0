from __future__ import annotations

from typing import Any

import polars as pl

from unsee.report.columns import set_columns
from unsee.report.main_table import Scope, Slice, main_table, rows, slices
from unsee.schemas import RESULTS


def result(set_name: str, task: str, metric: str, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(RESULTS.names())
    row |= {"cell": "ga-cell", "method": "ga", "seed": 0, "forget_ratio": 0.05, "unlearn_modality": "mixed", "n": 10}
    row |= {"set": set_name, "task": task, "modality": "image_text", "protocol": "strict", "metric": metric, "gated": False}
    return row | {"value": 0.5, "view": "options" if task == "classification" else "generate", "n_subjects": 30} | more


def table_of(*made: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(made), schema=RESULTS)


def test_columns_are_those_of_the_results_in_the_papers_order():
    results = table_of(
        result("near_retain", "classification", "accuracy"),
        result("celebrity", "cloze", "cloze_accuracy"),
        result("forget", "cloze", "cloze_accuracy"),
        result("forget", "generation", "factuality"),
        result("forget", "generation", "rouge_l"),
        result("forget", "classification", "accuracy"),
        result("retain", "generation", "bleu"),
        result("test", "classification", "accuracy", baseline="vanilla"),
    )
    assert [column.key for column in set_columns(results)] == [
        "forget/classification",
        "forget/generation",
        "forget/generation/factuality",
        "forget/cloze",
        "celebrity/cloze",
        "near_retain/classification",
    ]


def test_a_new_set_and_a_new_task_appear_by_themselves():
    results = table_of(
        result("general", "classification", "accuracy"),
        result("general", "generation", "rouge_l", value=0.25),
        result("zoo", "naming", "factuality"),
    )
    columns = set_columns(results)
    assert [(c.set, c.task, c.title) for c in columns] == [
        ("general", "classification", "Choice"),
        ("general", "generation", "ROUGE-L"),
        ("zoo", "naming", "Naming"),
    ]
    (row,) = [
        r for r in rows(main_table(results), Scope(0.05, "mixed"), Slice("strict", "image_text", False)) if r.method == "ga"
    ]
    assert row.value("general/generation") == 0.25 and row.value("zoo/naming") == 0.5


def test_the_judge_has_a_column_in_points_and_its_failures_are_counted():
    results = table_of(
        result("forget", "generation", "judge_factuality", value=7.25),
        result("forget", "generation", "judge_failures", value=3.0, n=40, reason="3 refusals"),
        result("retain", "generation", "judge_failures", value=1.0, n=60),
        result("all", "generation", "judge_agreement", value=0.8, modality=None, n=96),
    )
    listed = rows(main_table(results), Scope(0.05, "mixed"), Slice("strict", "image_text", False))
    cells = next(r for r in listed if r.method == "ga").cells
    assert cells["forget/generation"].text == "7.2"
    assert (cells["judge_failures"].value, cells["judge_failures"].n, cells["judge_failures"].text) == (4.0, 100, "4")
    assert cells["judge_agreement"].text == "0.80"


def test_the_official_protocol_counts_letters_and_the_strict_one_likelihoods():
    results = table_of(
        result("forget", "classification", "accuracy", value=0.9),
        result("forget", "classification", "accuracy", value=0.6, view="letter"),
        result("forget", "classification", "accuracy", value=0.3, view="letter", protocol="official"),
        result("forget", "classification", "unparsable_rate", value=0.2, view="letter", protocol="official"),
    )
    table = main_table(results)
    assert [which.protocol for which in slices(table)] == ["strict", "official"]
    values = {
        which.protocol: next(r for r in rows(table, Scope(0.05, "mixed"), which) if r.method == "ga").cells
        for which in slices(table)
    }
    assert values["strict"]["forget/classification"].value == 0.9
    assert values["official"]["forget/classification"].value == 0.3
    assert values["official"]["unparsable"].value == 0.2 and "unparsable" not in values["strict"]


def test_slices_without_values_are_no_choice():
    results = table_of(
        result("forget", "classification", "accuracy"),
        result("forget", "classification", "accuracy", gated=True),
        result("forget", "classification", "accuracy", view="letter", protocol="official"),
    )
    assert slices(main_table(results)) == [
        Slice("strict", "image_text", False),
        Slice("strict", "image_text", True),
        Slice("official", "image_text", False),
    ]
