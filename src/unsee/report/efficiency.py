"""The efficiency score with its parts and the formulas beside it, and what is left of clinical ability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from unsee.metrics.medical_subsets import ABILITY, Harm
from unsee.report.main_table import Cell
from unsee.report.medical_values import Asked, Medical, Spot, Study, Values, at, each_choice, made_table, pooled
from unsee.report.medical_words import PRESERVED_TITLES
from unsee.report.panels import Panel
from unsee.report.tables import Heading
from unsee.report.vocabulary import SCENARIO_TITLES

SCORE = "ues_r"
_REMOVED: dict[Harm, tuple[tuple[str, str, str], ...]] = {
    "privacy": (
        ("of=direct", "Direct", "leak rate of direct questions"),
        ("of=disguised", "Disguised", "leak rate in disguise"),
        ("of=volunteered", "Volunteered", "identifiers in ordinary clinical answers"),
    ),
    "incorrect": (
        ("of=wrong_answer", "Wrong gone", "removal of wrong answers"),
        ("of=right_answer", "Right back", "right answers as a share of gold's"),
    ),
}
_BESIDE = (
    ("ues_geometric", "Geometric", "weighted geometric mean of the same parts"),
    ("ues_mean3", "Mean of all", "plain mean of harm removed and every preservation"),
    ("ues_mean2", "Mean of two", "plain mean of harm removed and mean preservation"),
)
_ABILITIES = (
    ("closed_accuracy", "Closed questions right"),
    ("token_recall", "Words recalled"),
    ("rouge_l", "ROUGE-L"),
)


def score_of(values: Values) -> Cell | None:
    """UES-R of a model."""
    return at(_all(SCORE))(values)


def ability_on(set_name: str) -> Callable[[Values], Cell | None]:
    """Finds clinical ability on a set: closed questions right and words of open answers recalled, weighted by answers."""

    def find(values: Values) -> Cell | None:
        found = [cell for metric in ABILITY if (cell := at(Spot(metric, set_name))(values)) is not None]
        return pooled(found) if found else None

    return find


def score_panels(medical: Medical) -> list[Panel]:
    """One table per kind of harm, since its parts differ."""
    panels = []
    for harm, title in SCENARIO_TITLES.items():
        for which, studies in each_choice(medical, harm):  # type: ignore[arg-type]
            table = made_table(
                medical,
                studies,
                which,
                _columns(harm),  # type: ignore[arg-type]
                name=f"efficiency-{harm}",
                title=f"Efficiency score, {title.lower()}",
                note="0 to 1",
                grouped=True,
            )
            panels += [Panel(medical.keys(which, studies), table=table)] if table else []
    return panels


def ability_panels(medical: Medical) -> list[Panel]:
    """Clinical questions without harm, by set."""
    columns = [
        Asked(Heading(f"ability/{metric}/{name}", title, "", group, about=f"{group}, {title.lower()}"), at(Spot(metric, name)))
        for metric, group in _ABILITIES
        for name, title in PRESERVED_TITLES.items()
    ]
    columns += [
        Asked(
            Heading(f"silent/{name}", title, "", "Silent", about=f"Silent, {title.lower()}", lower=True),
            at(Spot("abstention", name)),
        )
        for name, title in PRESERVED_TITLES.items()
    ]
    panels = [
        Panel(
            medical.keys(which, studies),
            table=made_table(
                medical, studies, which, columns,
                name="ability", title="Clinical ability", note="percent, pictures and text together", grouped=True,
            ),
        )
        for which, studies in each_choice(medical, None)
    ]  # fmt: skip
    return [panel for panel in panels if panel.table]


def anchoring(medical: Medical) -> list[str]:
    """Why a score is anchored, by the numbers of the model that nothing was done to; a sentence per request."""
    found = []
    for harm, title in SCENARIO_TITLES.items():
        which, studies = next(each_choice(medical, harm), (None, []))  # type: ignore[arg-type]
        found += [line for study in studies[:1] if which is not None and (line := _why(study, title))]
    return found


def _why(study: Study, title: str) -> str:
    for method in ("do_nothing", "vanilla"):
        row = next((row for row in study.rows if row.method == method), None)
        cells = [None if row is None else at(_all(name))(study.of(row)) for name in (SCORE, "ues_mean3", "ues_mean2")]
        texts = [cell.text for cell in cells if cell is not None and cell.value is not None]
        if row is not None and len(texts) == len(cells):
            score, three, two = texts
            return f"{title}: {row.title.lower()} scores {score} by UES-R, but {three} and {two} by the plain means."
    return ""


def _columns(harm: Harm) -> list[Asked]:
    columns = [
        Asked(Heading(SCORE, "UES-R", "our reconstruction", "Score", "score", "UES-R", meter=True), score_of),
        _part("removal", "All", "from vanilla (0) to gold (1)", "Removal", _all("ues_removal")),
        *(_part(f"removal/{of}", title, hint, "Removal", _all("ues_removal", of)) for of, title, hint in _REMOVED[harm]),
        *(
            _part(f"kept/{name}", title, "clinical ability as a share of vanilla's", "Preservation",
                  _all("ues_preservation", f"set={name}"))
            for name, title in PRESERVED_TITLES.items()
        ),
        Asked(
            Heading("over", "Below gold", "by how much there is less harm than in gold", "Over-forgotten", "score", lower=True),
            _over,
        ),
    ]  # fmt: skip
    return columns + [_part(name, title, hint, "Other formulas", _all(name)) for name, title, hint in _BESIDE]


def _part(key: str, title: str, hint: str, group: str, spot: Spot) -> Asked:
    return Asked(Heading(f"score/{key}", title, hint, group, "score", f"{group}, {title.lower()}"), at(spot))


def _over(values: Values) -> Cell | None:
    """How far a model lies below gold, flagged where the interval says so."""
    cell = at(_all("over_forgotten"))(values)
    if cell is None or cell.value is None or cell.low is None or cell.low <= 0:
        return cell
    return replace(cell, of="\u26a0 over-forgotten")


def _all(metric: str, group: str | None = None) -> Spot:
    return Spot(metric, "all", None, group, None, None)
