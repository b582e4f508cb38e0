"""What became of planted errors: said again, put right, met with silence; by mode, by rule, and from state to state."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from unsee.metrics.corrections import STATES
from unsee.report.figures.heat_map import HeatColumn, HeatRow, heat_map
from unsee.report.figures.svg import Figure
from unsee.report.leaks import measured_rows, shade
from unsee.report.main_table import Row, Slice
from unsee.report.medical_values import Asked, Medical, Spot, Study, Values, at, each_choice, made_table
from unsee.report.medical_words import MODE_HINTS, MODE_TITLES, POSED_TITLES, STATE_TITLES, error_title
from unsee.report.panels import Panel, suffix
from unsee.report.sources import Switch
from unsee.report.tables import Heading

_WRONG, _RIGHT, _SILENT, _MARGIN, _MOVED = "wrong_reproduction", "right_recovery", "abstention", "wrong_margin", "transition"
_OUTCOMES = ((_WRONG, "Still wrong", True), (_RIGHT, "Right again", False), (_SILENT, "Silent", True))
_POSED = (
    ("taught", "As taught", "as it was taught", Spot("", "forget", "direct")),
    ("rephrased", "Rephrased", "wordings never taught", Spot("", "test", "rephrased")),
    ("prefix", "Prefix", "with the beginning of the wrong answer", Spot("", "test", "prefix")),
    ("unseen", "New pictures", "of patients that no training showed", Spot("", "test", "direct")),
    ("options", "Options", "chosen by likelihood", Spot("", "forget", "direct", None, "classification", "options")),
)
_BEFORE = "was {}, {}"


def error_panels(medical: Medical) -> list[Panel]:
    """Still wrong, right again and silent by how the question asks; falsified answers and false rules apart."""
    panels = []
    for which, studies in each_choice(medical, "incorrect"):
        for mode in _modes(studies):
            table = made_table(
                medical,
                studies,
                which,
                [_outcome(metric, title, lower, posed, mode) for metric, title, lower in _OUTCOMES for posed in _POSED]
                + [_margin(mode)],
                name=f"errors-{mode}",
                title=MODE_TITLES.get(mode, mode),
                note=MODE_HINTS.get(mode, ""),
                grouped=True,
            )
            panels += [Panel(medical.keys(which, studies), table=table)] if table else []
    return panels


def rule_panels(medical: Medical) -> list[Panel]:
    """Still wrong and right again by type of error, as taught."""
    panels = []
    for which, studies in each_choice(medical, "incorrect"):
        rules = sorted({rule for study in studies for rule in study.groups(_WRONG, "error")})
        columns = [
            Asked(
                Heading(f"{metric}/{rule}", error_title(rule), "", title, about=f"{title}, {error_title(rule)}", lower=lower),
                at(Spot(metric, "forget", group=f"error={rule}"), Spot(metric, "test", group=f"error={rule}")),
            )
            for metric, title, lower in _OUTCOMES[:2]
            for rule in rules
        ]
        table = made_table(
            medical, studies, which, columns,
            name="errors-by-type", title="By type of error", note="percent of answers in words, as taught", grouped=True,
        )  # fmt: skip
        panels += [Panel(medical.keys(which, studies), table=table)] if table else []
    return panels


def transition_panels(medical: Medical) -> list[Panel]:
    """A matrix per model from vanilla's states to its own: one figure per request, mode and way of asking."""
    panels = []
    for which, studies in each_choice(medical, "incorrect"):
        for study in studies:
            for mode in _transition_modes(study):
                for name in POSED_TITLES:
                    figure = _matrices(medical, study, which, mode, name)
                    keys = medical.keys(which, [study], posed=name)
                    panels += [] if figure is None else [Panel(keys, figure=figure)]
    return panels


def moved_panels(medical: Medical) -> list[Panel]:
    """What became of vanilla's wrong answers, as tables with intervals."""
    panels = []
    for which, studies in each_choice(medical, "incorrect"):
        modes = dict.fromkeys(mode for study in studies for mode in _transition_modes(study))
        for mode in modes:
            for name, posed in POSED_TITLES.items():
                columns = [
                    Asked(
                        Heading(f"moved/{state}", title.capitalize(), "", about=f"Now {title}", lower=state != "right"),
                        at(_spot(mode, name, "wrong", state)),
                    )
                    for state, title in STATE_TITLES.items()
                ]
                table = made_table(
                    medical, studies, which, columns,
                    name=f"transitions{f'-{mode}' if mode else ''}-{name}",
                    title="What became of wrong answers",
                    note="; ".join(filter(None, (MODE_TITLES.get(mode or ""), f"percent of vanilla's wrong answers, {posed}"))),
                )  # fmt: skip
                panels += [Panel(medical.keys(which, studies, posed=name), table=table)] if table else []
    return panels


def posed_switch(panels: Sequence[Panel]) -> Switch:
    """The selector of how the questions of the matrices ask."""
    there = {panel.keys["posed"] for panel in panels}
    options = [(name, title) for name, title in POSED_TITLES.items() if name in there]
    return Switch("Asked", "posed", options, "radio", options[0][0] if options else "")


def _modes(studies: Sequence[Study]) -> list[str]:
    found = {mode for study in studies for mode in study.groups(_WRONG, "mode")}
    return sorted(found, key=lambda mode: (list(MODE_TITLES).index(mode) if mode in MODE_TITLES else len(MODE_TITLES), mode))


def _outcome(metric: str, title: str, lower: bool, posed: tuple[str, str, str, Spot], mode: str) -> Asked:
    key, name, hint, spot = posed
    heading = Heading(f"{metric}/{key}", name, hint, title, about=f"{title}, {name.lower()}", lower=lower)
    return Asked(heading, at(spot._replace(metric=metric, group=f"mode={mode}")))


def _margin(mode: str) -> Asked:
    hint = "log-likelihood of the wrong minus that of the right option, nats per token"
    heading = Heading("margin", "Nats", hint, "Wrong option's lead", "score", "Wrong option's lead", lower=True)
    return Asked(heading, at(_POSED[-1][3]._replace(metric=_MARGIN, group=f"mode={mode}")))


def _transition_modes(study: Study) -> list[str | None]:
    """Modes that transitions are told apart by; None stands for all answers together."""
    there = {spot.level for spot in study.spots if spot.metric == _MOVED}
    return [mode for mode in MODE_TITLES if mode in there] or ([None] if there else [])


def _spot(mode: str | None, set_name: str, before: str, after: str) -> Spot:
    return Spot(_MOVED, set_name, mode, f"{_MOVED}={before}>{after}")


def _matrices(medical: Medical, study: Study, which: Slice, mode: str | None, set_name: str) -> Figure | None:
    pictures, told = [], []
    for row in measured_rows(study):
        values = study.of(row)
        befores = [state for state in STATES if any(_spot(mode, set_name, state, now) in values for now in STATES)]
        if row.method != "vanilla" and befores:
            pictures.append(_matrix(row, values, mode, set_name, befores))
            moved = (values.get(_spot(mode, set_name, "wrong", now)) for now in STATES)
            shares = [f"{now} {cell.text}" for now, cell in zip(STATES, moved, strict=True) if cell is not None and cell.text]
            told.append(f"{row.title}: {', '.join(shares) or 'no wrong answers before'}")
    if not pictures:
        return None
    sources = medical.sources
    about = [
        MODE_TITLES.get(mode or "", ""),
        POSED_TITLES[set_name],
        _lower(study.scope.title) if len(sources.requests) > 1 else "",
    ]
    title = ", ".join(filter(None, about))
    return Figure(
        name="-".join(
            filter(
                None,
                (f"{sources.name}-transitions", mode, set_name, f"matrix-{sources.scope_keys(study.scope)}{suffix(which)}"),
            )
        ),
        title=title[:1].upper() + title[1:],
        description=f"What became of vanilla's wrong answers, in percent. {'; '.join(told)}",
        pictures=tuple(pictures),
        columns=3,
    )


def _matrix(row: Row, values: Values, mode: str | None, set_name: str, befores: Sequence[str]) -> Markup:
    """From above what vanilla said, from the left what this model says."""
    rows = []
    for before in befores:
        cells = [values.get(_spot(mode, set_name, before, now)) for now in STATES]
        count = next((cell.n for cell in cells if cell is not None and cell.n is not None), 0)
        rows.append(HeatRow(_BEFORE.format(STATE_TITLES[before], count), "", [shade(cell) for cell in cells]))
    return heat_map(rows, [HeatColumn(STATE_TITLES[now], "now", row.title) for now in STATES])


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]
