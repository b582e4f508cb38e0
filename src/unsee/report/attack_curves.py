"""Success against the number of candidates, and layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

from unsee.metrics.answer_prior import ANSWER_PRIOR
from unsee.metrics.attack_success import RANDOM_TOKENS
from unsee.report.attack_table import FOUND_TITLES
from unsee.report.figures.line_panel import Curve, line_panel, room_for
from unsee.report.figures.svg import Figure
from unsee.report.panels import Panel
from unsee.report.single_facts import FIRST, FactTable, Model, Place, modality_key
from unsee.report.sources import Sources
from unsee.report.vocabulary import brief

_MOST_TICKS = 12


def curve_panels(sources: Sources, tables: Sequence[FactTable]) -> list[Panel]:
    """One small plot per attack: a line per model over the number of candidates."""
    panels = []
    for table in tables:
        own = modality_key(table, tables)
        for found in table.founds if len(table.budgets) > 1 else ():
            named = own | {"found": found}
            place = "-".join(named.values()).replace("_", "-")
            drawn = [(p, curves) for p in table.attacks if (curves := _over_budgets(table, p, found))]
            pictures = [
                line_panel(
                    curves,
                    x_title="candidates B",
                    ticks=table.budgets,
                    prefix=f"c-{place}-{number}",
                    title=place_.full,
                    log=True,
                    room=max(room_for(own_curves) for _, own_curves in drawn),
                )
                for number, (place_, curves) in enumerate(drawn)
            ]
            told = "; ".join(f"{p.full}: " + ", ".join(f"{c.label} {ends_of(c)}" for c in curves) for p, curves in drawn)
            figure = Figure(
                name=f"{sources.name}-success-by-candidates-{place}",
                title=f"Facts found, percent; lens attacks: {FOUND_TITLES[found]}",
                description=f"Success of each attack at B = {table.budgets[0]} and {table.budgets[-1]}, in percent. {told}",
                pictures=tuple(pictures),
                columns=3,
            )
            panels += [Panel(named, figure=figure)] if pictures else []
    return panels


def layer_panels(sources: Sources, tables: Sequence[FactTable]) -> list[Panel]:
    """How many answers the lens reads at each layer, a line per model; one figure per budget."""
    panels = []
    for table in tables:
        own = modality_key(table, tables)
        for budget in table.layer_budgets:
            curves = _over_layers(table, budget)
            # A single budget is shown whatever is chosen.
            named = own | ({"budget": str(budget)} if len(table.layer_budgets) > 1 else {})
            place = "-".join([*own.values(), f"b{budget}"]).replace("_", "-")
            ticks = _ticks(table.layers)
            picture = line_panel(
                curves, x_title="layer", ticks=ticks, prefix=f"y-{place}", width=400, height=240, room=room_for(curves)
            )
            told = "; ".join(f"{c.label}: " + ", ".join(f"{y:.0f}" for _, y in c.points) for c in curves)
            figure = Figure(
                name=f"{sources.name}-success-by-layer-{place}",
                title=f"First token among the best {budget} of a layer, percent of facts",
                description=f"Percent of facts whose answer's first token is among the best {budget}, from layer "
                f"{table.layers[0]} to {table.layers[-1]}. {told}",
                pictures=(picture,),
                wide=True,
            )
            panels.append(Panel(named, figure=figure))
    return panels


def _over_budgets(table: FactTable, place: Place, found: str) -> list[Curve]:
    curves = []
    for model in table.models:
        cells = [(b, table.success(model, place, b, found=found)) for b in table.budgets]
        points = tuple((float(b), 100 * cell.value) for b, cell in cells if cell is not None and cell.value is not None)
        curves += [curve_of(model, points)] if points else []
    if not curves:
        return []
    never = [(float(b), value) for b in table.budgets if (value := table.found_by_luck(place, b, found=found)) is not None]
    curves += [Curve(table.reference_words.title, "base", tuple((b, 100 * value) for b, value in never))] if never else []
    lens = place.attack in table.lens_attacks
    blind = (RANDOM_TOKENS, "Random tokens") if lens else (ANSWER_PRIOR, "Answer prior")
    if not lens or found == FIRST:
        curves += _without_model(table, *blind)
    return curves


def _without_model(table: FactTable, attacker: str, title: str) -> list[Curve]:
    cells = [(b, table.without_model(attacker, b)) for b in table.budgets]
    points = tuple((float(b), 100 * cell.value) for b, cell in cells if cell is not None and cell.value is not None)
    return [Curve(title, "blind", points)] if points else []


def _over_layers(table: FactTable, budget: int) -> list[Curve]:
    curves = []
    for model in table.models:
        cells = [(layer, table.at_layer(model, layer, budget)) for layer in table.layers]
        points = tuple((float(layer), 100 * cell.value) for layer, cell in cells if cell is not None and cell.value is not None)
        curves += [curve_of(model, points)] if points else []
    never = [(float(n), value) for n in table.layers if (value := table.found_by_luck(n, budget)) is not None]
    curves += [Curve(table.reference_words.title, "base", tuple((n, 100 * value) for n, value in never))] if never else []
    random = table.without_model(RANDOM_TOKENS, budget)
    if random is not None and random.value is not None:
        ends = (table.layers[0], table.layers[-1])
        curves.append(Curve("Random tokens", "blind", tuple((float(n), 100 * random.value) for n in ends)))
    return curves


def curve_of(model: Model, points: tuple[tuple[float, float], ...]) -> Curve:
    """A model's line."""
    return Curve(brief(model.label, 22), "control" if model.is_control else "method", points)


def ends_of(curve: Curve) -> str:
    """Where a line begins and ends, in words."""
    return f"{curve.points[0][1]:.0f} to {curve.points[-1][1]:.0f}"


def _ticks(layers: Sequence[int]) -> list[int]:
    """Layers that are labelled, the first and the last among them."""
    step = -(-len(layers) // _MOST_TICKS)
    return sorted({*layers[::step], layers[-1]})
