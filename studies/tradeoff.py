"""Forgetting against what it costs, at three forget ratios, unlearned from pictures or by name.

    python studies/tradeoff.py runs/tradeoff

Reads a run of examples/tradeoff.toml and writes figures, tables and CSV of docs/studies/trade-off.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import altair as alt
import numpy as np
import polars as pl
from answers import METHOD_TITLES, SHOWN_TITLES, Array, Column, Study, interval, markdown, percent
from pages import SHAPES, SHOWN, save

from unsee.files import fill

PAPER = {"accuracy": "classification", "rouge_l": "ROUGE-L", "cloze_accuracy": "cloze"}
"""What the paper's figures show."""
PANELS = {
    "forget": "forget, difference to vanilla",
    "test": "test, difference to vanilla",
    "retain": "retain",
    "celebrity": "celebrity",
}
UTILITIES = {
    "retain": Column("retain", "accuracy", "image_text"),
    "celebrity": Column("celebrity", "accuracy", "image_text"),
    "general, closed choice": Column("general", "accuracy", "image_text"),
    "general, open description": Column("general", "factuality", "image_text"),
}

COLUMNS = {
    ("forget", "accuracy"): "forget - vanilla",
    ("test", "accuracy"): "test - vanilla",
    ("retain", "accuracy"): "retain",
    ("celebrity", "accuracy"): "celebrity",
    ("forget", "factuality"): "forget, fact told - vanilla",
    ("general", "accuracy"): "general closed",
    ("general", "factuality"): "general open",
}
"""Set and measure -> heading of the tables' columns."""


class Point(NamedTuple):
    """One model's number, averaged over seeds."""

    method: str
    shown: str
    ratio: float
    column: Column
    value: Array
    seeds: int
    per_seed: tuple[float, ...]


def points(study: Study) -> list[Point]:
    """Every number of every model; forget and test as difference to vanilla of the same seed."""
    found = []
    shared = study.experiment
    for ratio in shared.unlearn.forget_ratios:
        for method in ("gold", *shared.unlearn.methods):
            for shown in ("none",) if method == "gold" else SHOWN_TITLES:
                values: dict[Column, list[Array]] = {}
                for seed in shared.seeds:
                    start = next(study.cells("vanilla", seed=seed, ratio=ratio), None)
                    cell = next(study.cells(method, seed=seed, ratio=ratio, modality=shown), None)
                    if start is None or cell is None:
                        continue
                    before = study.asked(start).means
                    for column, value in study.asked(cell).means.items():
                        minus = before[column] if column.set in ("forget", "test") else 0.0
                        values.setdefault(column, []).append(value - minus)
                found += [
                    Point(method, shown, ratio, column, np.mean(each, axis=0), len(each), tuple(float(v[0]) for v in each))
                    for column, each in values.items()
                ]
    return found


def rows_of(found: list[Point]) -> list[dict[str, object]]:
    """Points as rows of a chart or CSV, in percent."""
    rows = []
    for point in found:
        low, high = interval(point.value)
        rows.append(
            {
                "method": "gold" if point.method == "gold" else METHOD_TITLES[point.method],
                "unlearned": SHOWN_TITLES.get(point.shown, "never taught"),
                "ratio": f"{round(100 * point.ratio)} %",
                **point.column._asdict(),
                "value": 100 * float(point.value[0]),
                "low": 100 * low,
                "high": 100 * high,
                "seeds": point.seeds,
                "per_seed": " ".join(f"{100 * value:.1f}" for value in point.per_seed),
            }
        )
    return rows


def difference_figure(rows: list[dict[str, object]], asked: str) -> alt.TopLevelMixin:
    """Twelve panels: four sets by three tasks; methods by ratio on the x axis, two marks per method for what it was shown."""
    shown = [row for row in rows if row["modality"] == asked and row["measure"] in PAPER and row["set"] in PANELS]
    shown = [row for row in shown if row["method"] != "gold"]
    lines = []
    for name, title in PANELS.items():
        charts = []
        for measure, task in PAPER.items():
            mine = [row for row in shown if row["set"] == name and row["measure"] == measure]
            # Facets divide the data of the whole layer only.
            base = alt.Chart().encode(
                x=alt.X("ratio:N", title=None, sort=["5 %", "10 %", "15 %"], axis=alt.Axis(labelAngle=0)),
                xOffset=alt.XOffset("unlearned:N", sort=list(SHOWN.domain)),
                color=alt.Color("unlearned:N", scale=SHOWN, title="unlearned", legend=alt.Legend(orient="top")),
            )
            bars = base.mark_rule(strokeWidth=1.2).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
            dots = base.mark_point(size=26, filled=True, opacity=1).encode(
                y=alt.Y("value:Q", title=title), shape=alt.Shape("unlearned:N", scale=SHAPES, title="unlearned")
            )
            zero = alt.Chart().mark_rule(color="#646b73", strokeDash=[2, 2]).encode(y=alt.datum(0))
            layers = [zero, bars, dots] if name in ("forget", "test") else [bars, dots]
            charts.append(
                alt.layer(*layers, data=alt.Data(values=mine))
                .properties(width=72, height=105)
                .facet(column=alt.Column("method:N", title=task, sort=list(METHOD_TITLES.values())), spacing=6)
            )
        lines.append(alt.hconcat(*charts, spacing=18))
    return alt.vconcat(*lines, spacing=14)


def trade_off_figure(rows: list[dict[str, object]]) -> alt.TopLevelMixin:
    """Forget classification difference against four utilities, a point per method, ratio and what was shown."""
    by_key = {(r["method"], r["unlearned"], r["ratio"], r["set"], r["measure"], r["modality"]): r for r in rows}
    charts = []
    for title, column in UTILITIES.items():
        dots = []
        for (method, unlearned, ratio, *rest), row in by_key.items():
            forget = by_key.get((method, unlearned, ratio, "forget", "accuracy", "image_text"))
            if tuple(rest) == tuple(column) and forget is not None:
                dots.append(
                    {
                        "method": method,
                        "unlearned": unlearned,
                        "ratio": ratio,
                        "x": -float(str(forget["value"])),
                        "y": row["value"],
                    }
                )
        base = alt.Chart(alt.Data(values=dots)).encode(
            x=alt.X("x:Q", title="forget classification, points below vanilla"),
            y=alt.Y("y:Q", title=f"{title}, %", scale=alt.Scale(zero=False)),
        )
        marks = base.mark_point(filled=True, opacity=0.9).encode(
            color=alt.Color(
                "unlearned:N",
                title="unlearned",
                scale=alt.Scale(domain=[*SHOWN.domain, "never taught"], range=[*SHOWN.range, "#1d2125"]),
            ),
            shape=alt.Shape("method:N", title="method", sort=[*METHOD_TITLES.values(), "gold"]),
            size=alt.Size("ratio:O", title="forget ratio", sort=["5 %", "10 %", "15 %"], scale=alt.Scale(range=[30, 120])),
        )
        charts.append(marks.properties(width=250, height=190))
    return alt.vconcat(alt.hconcat(*charts[:2]), alt.hconcat(*charts[2:]))


def table(found: list[Point], asked: str) -> str:
    """Forget and test as difference to vanilla, the others as value, in percent."""
    # General questions are about a picture, however the others are asked.
    order = [Column(name, measure, "image_text" if name == "general" else asked) for name, measure in COLUMNS]
    rows = []
    for ratio in dict.fromkeys(point.ratio for point in found):
        for method, shown in dict.fromkeys((point.method, point.shown) for point in found):
            mine = {p.column: p for p in found if (p.method, p.shown, p.ratio) == (method, shown, ratio)}
            if mine:
                title = "gold" if method == "gold" else f"{METHOD_TITLES[method]}, {SHOWN_TITLES[shown]}"
                seeds = str(max(p.seeds for p in mine.values()))
                cells = [percent(mine[c].value, signed=c.set in ("forget", "test")) if c in mine else "" for c in order]
                rows.append([f"{round(100 * ratio)} %", title, seeds, *cells])
    return markdown(["ratio", "unlearned", "seeds", *COLUMNS.values()], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--page", type=Path, default=Path("docs/studies/trade-off.md"))
    parser.add_argument("--name", default="", help="suffix of figures, tables and CSV, for a second run on the same page")
    arguments = parser.parse_args()
    found = points(Study(arguments.run))
    rows = rows_of(found)
    stem = arguments.page.with_suffix("").as_posix() + arguments.name
    for asked in SHOWN_TITLES:
        save(difference_figure(rows, asked), Path(f"{stem}-difference-{asked.replace('_', '-')}.png"))
    save(trade_off_figure(rows), Path(f"{stem}-points.png"))
    pl.DataFrame(rows).write_csv(f"{stem}.csv", float_precision=2)
    fill(arguments.page, {f"{asked}{arguments.name}": table(found, asked) for asked in SHOWN_TITLES})


if __name__ == "__main__":
    main()
