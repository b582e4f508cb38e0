r"""Does it matter whether unlearning shows the picture or tells the name? Compared where both keep as much of the retain set.

    python studies/modality.py runs/modality
    python studies/modality.py runs/modality-image --vision runs/modality-vision runs/modality-image-vision \
        --beside runs/modality --page docs/studies/modality-image.md

Reads runs of examples/modality.toml, fills the tables of a page in docs/studies/ and writes its figures and its CSV.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
from answers import (
    MEASURE_TITLES,
    MEASURES,
    METHOD_TITLES,
    SHOWN_TITLES,
    Array,
    Asked,
    Column,
    Study,
    columns,
    interval,
    markdown,
    p_value,
    percent,
    retain_score,
)
from matched import at_retain
from pages import DASHES, SHAPES, SHOWN, save

from unsee.files import fill
from unsee.metrics.holm import holm

Paths = dict[int, list[Asked]]
"""Seed -> a model from vanilla to the end."""
LEVELS = (0.95, 0.9)
SETS = ("forget", "test", "retain", "celebrity")
ALPHA = 0.05
LEARNED_TITLES = {"both": "pictures and names", "image_text": "pictures"}


@dataclass(frozen=True)
class Difference:
    """One number of two arms at one retain score.

    Attributes:
        one, other: values of both arms per seed, [1 + draws].
        kept: what share of the start's retain score both arms have there, averaged over seeds.
    """

    learned: str
    method: str
    level: float
    column: Column
    one: list[Array]
    other: list[Array]
    kept: tuple[float, float]

    @property
    def draws(self) -> Array:
        """The difference averaged over seeds."""
        mean: Array = np.mean(np.stack(self.one) - np.stack(self.other), axis=0)
        return mean


def path(study: Study, method: str, shown: str, *, seed: int, ratio: float) -> list[Asked] | None:
    """A method's models from vanilla to the end; None where its cell is not finished."""
    start = next(study.cells("vanilla", seed=seed, ratio=ratio), None)
    cell = next(study.cells(method, seed=seed, ratio=ratio, modality=shown), None)
    if start is None or cell is None:
        return None
    return [study.asked(start), *study.way(cell), study.asked(cell)]


def differences(learned: str, method: str, first: Paths, second: Paths) -> Iterator[Difference]:
    """Two arms at every level, set, measure and way of asking, paired on the seeds that both have."""
    seeds = [seed for seed in first if seed in second]
    ones, others = [first[seed] for seed in seeds], [second[seed] for seed in seeds]
    if not seeds:
        return
    for level in LEVELS:
        arms = [[at_retain([asked.means for asked in way], level) for way in ways] for ways in (ones, others)]
        kept = tuple(
            float(np.mean([retain_score(at)[0] / retain_score(way[0].means)[0] for at, way in zip(arm, ways, strict=True)]))
            for arm, ways in zip(arms, (ones, others), strict=True)
        )
        for column in columns(*SETS):
            one, other = ([means[column] for means in arm] for arm in arms)
            yield Difference(learned, method, level, column, one, other, (kept[0], kept[1]))


def marked(found: Sequence[Difference]) -> dict[int, bool]:
    """Which differences stay apart from 0 after Holm's correction over all of them."""
    tested = {id(one): p_value(one.draws) for one in found}
    return {key: p < ALPHA for key, p in zip(tested, holm(list(tested.values())), strict=True)}


def table(found: Sequence[Difference], *, sets: Sequence[str], stars: dict[int, bool]) -> str:
    """Rows are set and way of asking, columns are measures; each number is one arm minus the other, in points."""
    rows = []
    for name in sets:
        for way, title in SHOWN_TITLES.items():
            row = [name, title]
            for measure in MEASURES:
                row.append(_shown(next(d for d in found if d.column == Column(name, measure, way)), stars))
            rows.append(row)
    return markdown(["set", "asked", *(MEASURE_TITLES[measure] for measure in MEASURES)], rows)


def _heading(one: Difference, first: str, second: str) -> str:
    kept = f"retain score kept: {100 * one.kept[0]:.0f} % {first}, {100 * one.kept[1]:.0f} % {second}"
    return f"**{METHOD_TITLES[one.method]}** ({len(one.one)} seeds; {kept})"


def _shown(one: Difference, stars: dict[int, bool]) -> str:
    text = percent(one.draws, signed=True)
    return f"**{text}** \\*" if stars[id(one)] else text


def long_table(found: Sequence[Difference], *, arms: tuple[str, str], stars: dict[int, bool]) -> pl.DataFrame:
    """Every number behind the tables, with its seeds."""
    rows = []
    for one in found:
        draws = one.draws
        low, high = interval(draws)
        rows.append(
            {
                "learned_from": one.learned,
                "method": one.method,
                "retain_score": one.level,
                **one.column._asdict(),
                "first": arms[0],
                "second": arms[1],
                "kept_first": one.kept[0],
                "kept_second": one.kept[1],
                "value_first": float(np.mean([a[0] for a in one.one])),
                "value_second": float(np.mean([a[0] for a in one.other])),
                "difference": float(draws[0]),
                "ci_low": low,
                "ci_high": high,
                "after_holm": stars.get(id(one)),
                "seeds": len(one.one),
                "difference_per_seed": " ".join(f"{a[0] - b[0]:+.3f}" for a, b in zip(one.one, one.other, strict=True)),
            }
        )
    return pl.DataFrame(rows)


def way_figure(paths: dict[tuple[str, str], Paths]) -> alt.TopLevelMixin:
    """What is still told about forgotten people, over what is still told about the others, from vanilla to the end."""
    rows = []
    for (method, shown), seeds in paths.items():
        for seed, way in seeds.items():
            start = retain_score(way[0].means)[0]
            for order, asked in enumerate(way):
                kept = 100 * retain_score(asked.means)[0] / start
                for column in columns("forget"):
                    rows.append(
                        {
                            "kept": kept,
                            "told": 100 * float(asked.means[column][0]),
                            "order": order,
                            "line": f"{method}/{shown}/{seed}",
                            "unlearned": SHOWN_TITLES[shown],
                            "asked": f"{METHOD_TITLES[method]}, asked {SHOWN_TITLES[column.modality]}",
                            "measure": MEASURE_TITLES[column.measure],
                        }
                    )
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("kept:Q", title="retain score, % of vanilla", scale=alt.Scale(reverse=True, zero=False, domainMax=101)),
        y=alt.Y("told:Q", title="forget set, %", scale=alt.Scale(domain=[0, 100])),
        color=alt.Color("unlearned:N", title="unlearned", scale=SHOWN, legend=alt.Legend(orient="top")),
        detail="line:N",
        order="order:Q",
    )
    lines = base.mark_line(strokeWidth=1.4, opacity=0.8, clip=True).encode(
        strokeDash=alt.StrokeDash("unlearned:N", scale=DASHES, title="unlearned")
    )
    dots = base.mark_point(size=22, filled=True, opacity=0.9, clip=True).encode(
        shape=alt.Shape("unlearned:N", scale=SHAPES, title="unlearned")
    )
    return (
        (lines + dots)
        .properties(width=175, height=130)
        .facet(
            column=alt.Column("measure:N", title=None, sort=list(MEASURE_TITLES.values())),
            row=alt.Row("asked:N", title=None, header=alt.Header(labelAngle=-90, labelOrient="left")),
        )
    )


def start_table(studies: Sequence[Study], ratio: float) -> str:
    """What vanilla and gold know of the forget people before anything is unlearned, averaged over seeds."""
    rows = []
    for study in studies:
        for role in ("vanilla", "gold"):
            cells = [cell for seed in study.experiment.seeds for cell in study.cells(role, seed=seed, ratio=ratio)]
            means = [study.asked(cell).means for cell in cells]
            for way, title in SHOWN_TITLES.items():
                values = [np.mean([m[Column("forget", measure, way)] for m in means], axis=0) for measure in MEASURES]
                rows.append([LEARNED_TITLES[study.experiment.learn.learn_modality], role, title, *map(percent, values)])
    return markdown(["learned from", "model", "asked", *MEASURE_TITLES.values()], rows)


def paths_of(study: Study, method: str, shown: str, ratio: float) -> Paths:
    """A method's paths by seed, those of unfinished cells left out."""
    ways = {seed: path(study, method, shown, seed=seed, ratio=ratio) for seed in study.experiment.seeds}
    return {seed: way for seed, way in ways.items() if way is not None}


def page_parts(found: Sequence[Difference], vision: Sequence[Difference], stars: dict[int, bool]) -> dict[str, str]:
    """Tables by marker: one per way of learning, level and group of sets."""
    parts: dict[str, list[str]] = {}
    for one in found:
        for sets, label in ((SETS[:2], "forget"), (SETS[2:], "keep")):
            if one.column == columns(*SETS)[0]:
                mine = [d for d in found if (d.learned, d.method, d.level) == (one.learned, one.method, one.level)]
                lines = [_heading(one, "from pictures", "by name"), "", table(mine, sets=sets, stars=stars), ""]
                parts.setdefault(f"{one.learned}-{round(100 * one.level)}-{label}", []).extend(lines)
    for one in vision:
        if one.column == columns(*SETS)[0] and one.level == LEVELS[0]:
            mine = [d for d in vision if (d.learned, d.method, d.level) == (one.learned, one.method, one.level)]
            lines = [_heading(one, "trainable", "frozen"), "", table(mine, sets=SETS[:2], stars=stars), ""]
            parts.setdefault(f"vision-{one.learned}", []).extend(lines)
    return {name: "\n".join(lines) for name, lines in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="one run per way of learning, the vision tower frozen")
    parser.add_argument("--vision", nargs="*", type=Path, default=[], help="the same with the vision tower trainable")
    parser.add_argument("--beside", nargs="*", type=Path, default=[], help="runs that --vision needs too, without tables")
    parser.add_argument("--page", type=Path, default=Path("docs/studies/modality.md"))
    arguments = parser.parse_args()
    folder, name = arguments.page.parent, arguments.page.stem
    studies = [Study(run) for run in arguments.runs]
    ratio = studies[0].experiment.unlearn.forget_ratios[0]
    found: list[Difference] = []
    vision: list[Difference] = []
    for study in studies:
        learned = study.experiment.learn.learn_modality
        drawn: dict[tuple[str, str], Paths] = {}
        for method in study.experiment.unlearn.methods:
            pictures, names = (paths_of(study, method, shown, ratio) for shown in SHOWN_TITLES)
            found += differences(learned, method, pictures, names)
            drawn |= {(method, "image_text"): pictures, (method, "text"): names}
        save(way_figure(drawn), folder / f"{name}-{learned.replace('_', '-')}.png")
    frozen = {study.experiment.learn.learn_modality: study for study in [*studies, *map(Study, arguments.beside)]}
    for run in arguments.vision:
        study = Study(run)
        learned = study.experiment.learn.learn_modality
        for method in study.experiment.unlearn.methods:
            ways = (paths_of(each, method, "image_text", ratio) for each in (study, frozen[learned]))
            vision += differences(learned, method, *ways)
    stars = marked([*found, *vision])
    tables = [long_table(found, arms=("image_text", "text"), stars=stars)]
    if vision:
        tables.append(long_table(vision, arms=("vision trainable", "vision frozen"), stars=stars))
    pl.concat(tables, how="vertical_relaxed").write_csv(folder / f"{name}.csv", float_precision=4)
    fill(arguments.page, {"start": start_table(studies, ratio)} | page_parts(found, vision, stars))


if __name__ == "__main__":
    main()
