"""Numerics behind the study pages: values at a matched retain score, differences, and pages filled between markers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

STUDIES = Path(__file__).parent.parent / "studies"
sys.path.insert(0, str(STUDIES))

import answers  # noqa: E402
import bases  # noqa: E402
import modality  # noqa: E402
import survives  # noqa: E402
from matched import at_retain  # noqa: E402

from unsee.files import fill  # noqa: E402
from unsee.metrics.frames import truth_frame  # noqa: E402
from unsee.runs import Run  # noqa: E402
from unsee.sample_tables import read_samples  # noqa: E402

FORGET = answers.Column("forget", "accuracy", "text")


def point(kept: list[float], forget: list[float]) -> dict[answers.Column, np.ndarray]:
    """Means with two draws: every retain measure is `kept`."""
    retain = {column: np.array(kept) for column in answers.columns("retain")}
    return {**retain, FORGET: np.array(forget)}


def test_values_are_interpolated_where_retain_first_falls_to_the_level() -> None:
    path = [
        point([0.8, 0.5], [1.0, 1.0]),
        point([0.8, 0.45], [0.6, 0.5]),
        point([0.6, 0.6], [0.2, 0.1]),
        point([0.2, 0.2], [0, 0]),
    ]
    # Level 0.9 of 0.8 is 0.72, between 0.8 and 0.6: two fifths of the way from 0.6 to 0.2.
    # In the second draw 0.45 is 0.9 of 0.5 exactly: the second point itself, and what rises later does not matter.
    np.testing.assert_allclose(at_retain(path, 0.9)[FORGET], [0.6 - 0.4 * 0.4, 0.5])
    for column in answers.columns("retain", measures=answers.TOLD):
        np.testing.assert_allclose(at_retain(path, 0.9)[column], [0.72, 0.45])


def test_a_path_that_keeps_more_is_taken_at_its_end() -> None:
    path = [point([0.8, 0.8], [1.0, 1.0]), point([0.79, 0.6], [0.5, 0.5])]
    found = at_retain(path, 0.95)[FORGET]
    assert found[0] == 0.5
    assert found[1] == pytest.approx(1.0 - 0.5 * (0.04 / 0.2))


def test_differences_are_averaged_over_seeds_and_say_what_was_kept() -> None:
    def way(kept: float, told: float) -> list[answers.Asked]:
        ends = (point([1.0, 1.0], [1.0, 1.0]), point([kept, kept], [told, told]))
        filled = [dict.fromkeys(answers.columns(*modality.SETS), np.ones(2)) | end for end in ends]
        return [answers.Asked(cell=None, state="end", means=means) for means in filled]  # type: ignore[arg-type]

    ones, others = {0: way(0.9, 0.4), 1: way(0.99, 0.2)}, {0: way(0.9, 0.6), 1: way(0.9, 0.8), 2: way(0.5, 0.0)}
    found = [d for d in modality.differences("both", "npo", ones, others) if d.column == FORGET]
    assert [d.level for d in found] == [0.95, 0.9]
    # At 0.95 half-way to 0.9; the first arm of the second seed ends at 0.99 with 0.2.
    np.testing.assert_allclose(found[0].draws, np.mean([0.7 - 0.8, 0.2 - 0.9]) * np.ones(2))
    np.testing.assert_allclose(found[1].draws, np.mean([0.4 - 0.6, 0.2 - 0.8]) * np.ones(2))
    assert found[0].kept == pytest.approx(((0.95 + 0.99) / 2, 0.95))


def test_p_values_and_marks() -> None:
    draws = np.concatenate([[0.5], np.full(1000, 0.5)])
    assert answers.p_value(draws) == pytest.approx(2 / 1001)  # nothing on the other side, either way
    assert answers.p_value(np.concatenate([[0.0], np.linspace(-1, 1, 1000)])) == pytest.approx(1.0)
    # Draws without any difference speak for neither side.
    assert answers.p_value(np.zeros(1001)) == 1.0
    assert answers.p_value(np.array([-0.1, *np.zeros(500), *np.full(500, -0.2)])) == 1.0
    assert answers.percent(np.array([0.5, 0.4, 0.6]), signed=True).startswith("+50 (+40")


def test_means_of_a_run_are_those_of_its_results(finished: Run) -> None:
    import polars as pl

    study = answers.Study(finished.folder)
    (seed,), (ratio,) = study.experiment.seeds, study.experiment.unlearn.forget_ratios
    cell = next(study.cells("vanilla", seed=seed, ratio=ratio))
    means = study.asked(cell).means
    scored = finished.results.filter(
        (pl.col("cell") == cell.id)
        & (pl.col("task") == "classification")
        & (pl.col("metric") == "accuracy")
        & (pl.col("view") == "options")
        & (pl.col("protocol") == "strict")
        & pl.col("baseline").is_null()
        & ~pl.col("gated")
        & pl.col("group").is_null()
        & pl.col("level").is_null()
    )
    within = 0
    for column in (answers.Column(name, "accuracy", "text") for name in ("forget", "test", "retain")):
        row = scored.row(by_predicate=(pl.col("set") == column.set) & (pl.col("modality") == "text"), named=True)
        assert means[column][0] == pytest.approx(row["value"])
        # Results widen the interval of a proportion of 0 or 1, which percentiles of its draws cannot.
        if 0 < row["value"] < 1:
            assert answers.interval(means[column]) == pytest.approx((row["ci_low"], row["ci_high"]), abs=0.15)
            within += 1
    assert within
    # Other seeds forget other people, but what they keep is asked of the same ones, who count once in a mean over seeds.
    # Every other person is remembered, because a model this small may know nobody, and then all draws are alike.
    records = study.folder.records(cell)
    assert records is not None
    answered = records.join(truth_frame(read_samples(study.folder.samples_file)).select("sample_id", "answer"), on="sample_id")
    says = pl.when(pl.col("subject").rank("dense").over("set") % 2 == 0).then(pl.col("answer")).otherwise(pl.lit(""))
    said = pl.when(pl.col("response").is_not_null()).then(says)
    remembered = answered.with_columns(response=said, parsed=said).select(records.columns)
    one, other = (study.means(remembered, seed=n) for n in (seed, seed + 1))
    kept, forgotten = (answers.Column(name, "rouge_l", "image_text") for name in ("retain", "forget"))
    assert (other[kept] == one[kept]).all() and (other[forgotten][1:] != one[forgotten][1:]).any()
    npo = next(study.cells("npo", seed=seed, ratio=ratio, modality="mixed"))
    assert [asked.state for asked in study.way(npo)] == ["step-00000002"]


def test_what_is_told_averages_the_measures_that_a_guess_does_not_raise() -> None:
    means = {column: np.array([0.9]) for column in answers.columns("forget")}
    for number, column in enumerate(answers.columns("forget", measures=answers.TOLD)):
        means[column] = np.array([number / 10])
    # Choice, fact and cloze, each with the picture (0, .2, .4) and by name (.1, .3, .5).
    assert survives.told(means)[0] == pytest.approx(0.25)
    assert survives.told(means, "text")[0] == pytest.approx(0.3)


def test_pages_are_filled_between_markers_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Before\n<!-- table -->\nold\n<!-- end table -->\nAfter\n")
    fill(page, {"table": "| new \\1 |"})
    assert page.read_text() == "Before\n<!-- table -->\n| new \\1 |\n<!-- end table -->\nAfter\n"
    with pytest.raises(ValueError, match="no markers <!-- other -->"):
        fill(page, {"other": "x"})


def test_what_holds_on_both_bases(tmp_path: Path) -> None:
    """The direction has to be the same and apart from 0 on both; models are ordered by what they lost."""
    heading = "learned_from,method,retain_score,set,measure,modality,first,difference,ci_low,ci_high,after_holm"
    found = {
        "llava": [
            ("accuracy", -0.2, "true"),
            ("rouge_l", 0.1, "true"),
            ("cloze_accuracy", 0.1, "true"),
            ("factuality", 0.0, "false"),
        ],
        "other": [
            ("accuracy", -0.1, "true"),
            ("rouge_l", -0.1, "true"),
            ("cloze_accuracy", 0.2, "false"),
            ("factuality", 0.1, "false"),
        ],
    }
    files = {}
    for base, rows in found.items():
        files[base] = tmp_path / f"{base}.csv"
        told = [f"both,npo,0.95,forget,{name},text,image_text,{value},{value},{value},{star}" for name, value, star in rows]
        elsewhere = [
            "both,npo,0.9,forget,accuracy,text,image_text,1,1,1,true",
            "both,npo,0.95,retain,accuracy,text,image_text,1,1,1,true",
        ]
        files[base].write_text("\n".join([heading, *told, *elsewhere]))
    lines = bases.modality_table(files).splitlines()
    assert [line.split(" | ")[-1] for line in lines[2:5]] == ["yes |", "**opposite** |", "direction alone |"]
    assert "| -20 (-20 to -20) \\* | -10 (-10 to -10) \\* |" in lines[2]
    assert lines[-1] == "The other 1 of 4 comparisons are apart from 0 on neither base."

    for base, values in {"llava": (-50, -1, -30, -10), "other": (-60, -3, -2, -20)}.items():
        told = [
            f"{method},by name,5 %,forget,accuracy,text,{value},{value},{value}"
            for method, value in zip(("gold", "GA", "KL", "NPO"), values, strict=True)
        ]
        files[base].write_text("\n".join(["method,unlearned,ratio,set,measure,modality,value,low,high", *told]))
    table = bases.trade_off_tables(files)
    assert "| 5 % | KL | by name | -30 / -2 |" in table
    # Ranks 3, 1, 2 and 2, 3, 1 of the three unlearned models: 1 - 6 (1 + 4 + 1) / (3 (9 - 1)) = -0.5.
    assert "| by name | forget - vanilla | -0.50 | 3 |" in table
