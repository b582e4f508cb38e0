"""What a run of single facts says in a sentence or two, no stronger than its intervals allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unsee.attacks.base import NEVER_KNOWN
from unsee.metrics.bootstrap import FEW_SUBJECTS
from unsee.report.damage import RANDOM, damage_cells
from unsee.report.headline import Headline
from unsee.report.main_table import Cell
from unsee.report.notes import join
from unsee.report.numbers import MINUS
from unsee.report.single_facts import FIRST, WHOLE, FactTable, Model, Shown

_NBSP = "\u00a0"
_DAMAGE = 0.1
"""Accuracy lost elsewhere from which a headline warns, as a share."""


class _Ranked(NamedTuple):
    """A model by what attacks get on average, beyond the reference where there is one."""

    model: Model
    mean: Cell

    def below(self, other: _Ranked) -> bool:
        """Whether its whole interval lies below the other's; without intervals nothing is supported."""
        return self.mean.high is not None and other.mean.low is not None and self.mean.high < other.mean.low

    def ties(self, other: _Ranked) -> bool:
        """Whether another defence leaves attackers exactly as much."""
        return self is not other and self.mean.value == other.mean.value


def _unlike(first: Sequence[_Ranked], whole: Sequence[_Ranked]) -> bool:
    """Whether another defence clearly leads when whole answers count."""
    if not whole or whole[0].model == first[0].model:
        return False
    return any(one.model == first[0].model and whole[0].below(one) for one in whole)


def fact_headline(table: FactTable, *, known: tuple[int, int] | None = None, demo: bool = False) -> Headline:
    """Say after which defence attacks find least, and after which most.

    A defence leads only when its interval of the mean excess lies wholly below that of every other defence and control, which
    is stricter than a paired test at 5 % and needs no correction for the number of defences. First tokens decide, as in the
    paper; where another defence clearly leads by whole answers there is no verdict, and none where the answer prior finds too
    much at every number of candidates, or the reference holds too few facts.

    Args:
        known: facts that were probed before any edit, and those of them that vanilla knew.
        demo: the run is an illustration whatever its size.
    """
    shown = _judged_by(table)
    ranked = _ranked(table, shown)
    defences = [one for one in ranked if not one.model.is_control]
    asked = _asked(table, known)
    if not defences:
        title = "No defence has been attacked yet."
        return Headline(title, asked, "empty", "The tables below show what is there.")
    best, worst = defences[0], defences[-1]
    tied = [one for one in defences[1:] if not best.below(one)]
    rivals = [
        one for one in ranked if one.model.is_control and one.model.method not in ("vanilla", "gold") and not best.below(one)
    ]
    whole = [one for one in _ranked(table, shown, WHOLE) if not one.model.is_control] if WHOLE in table.founds else []
    story = _story(table, best, worst, shown)
    text = " ".join(filter(None, (asked, _before(table), story, _whole(table, defences, whole, shown), _cost(table, best))))
    missing = _about_luck(table, shown)
    if table.n_facts < FEW_SUBJECTS or demo:
        few = f"{table.n_facts} fact{' was' if table.n_facts == 1 else 's were'} deleted"
        reason = few if table.n_facts < FEW_SUBJECTS else "This is the demo"
        need = (
            f"fewer than the {FEW_SUBJECTS} a verdict needs" if table.n_facts < FEW_SUBJECTS else "made to show how things work"
        )
        note = f"Illustration, no verdict: {reason}, {need}.{missing}"
        least = f"attacks find least after {best.model.label}"
        title = f"In this illustration, {'attacks find as much after every defence' if best.ties(worst) else least}."
        return Headline(title, text, "illustration", note)
    if not table.telling:
        title = "No verdict: the answers are too easy to guess."
        habit = f"with {table.budget} candidate{'' if table.budget == 1 else 's'} the most frequent answers alone find "
        return Headline(
            title, text, "undecided", f"Even {habit}{100 * table.prior(table.budget):.0f}{_NBSP}% of them.{missing}"
        )
    counts = [cell.n_subjects for cell in table.strangers(table.budget).values() if cell.n_subjects is not None]
    if table.reference == NEVER_KNOWN and min(counts, default=FEW_SUBJECTS) < FEW_SUBJECTS:
        note = f"There are {min(counts)} of them, fewer than the {FEW_SUBJECTS} a verdict needs.{missing}"
        return Headline(f"No verdict: too few {table.reference_words.facts}.", text, "undecided", note)
    overlap = f"The 95{_NBSP}% intervals of their means over attacks overlap.{missing}"
    if rivals:
        title = f"No defence clearly beats the control \u201c{rivals[0].model.title.lower()}\u201d."
        return Headline(title, text, "undecided", overlap)
    if tied:
        names = join([one.model.label for one in (best, *tied)])
        return Headline(f"No single winner: {names} are too close to call.", text, "undecided", overlap)
    if _unlike(defences, whole):
        title = f"No single winner: first tokens say {best.model.label}, whole answers {whole[0].model.label}."
        return Headline(title, text, "undecided", f"Which of the two counts is for the reader to say.{missing}")
    title = f"{best.model.label} leaves attackers least."
    beyond = f"mean excess over {table.reference_words.about}" if shown == "excess" else "mean success of attacks"
    note = f"Its {beyond} lies below every other interval ({table.n_facts} facts).{missing}"
    return Headline(title, text, "verdict", note)


def leader(table: FactTable) -> Model | None:
    """The defence a newcomer looks at first."""
    return next((one.model for one in _ranked(table, _judged_by(table)) if not one.model.is_control), None)


def _about_luck(table: FactTable, shown: Shown) -> str:
    """What is to be said of the reference, or of there being none."""
    if shown != "excess":
        why = f" ({table.no_reference})" if table.no_reference else ""
        return f" No never-learned facts were attacked, so what luck finds is not taken off{why}."
    if table.reference != NEVER_KNOWN:
        return ""
    facts = table.reference_words.facts
    return f" {facts[0].upper()}{facts[1:]} stand in for never-learned ones; where they are harder, the excess is too large."


def _judged_by(table: FactTable) -> Shown:
    """Excess over the reference, or success itself where there is none."""
    return "excess" if any(table.over_attacks(model, table.budget, shown="excess") for model in table.models) else "success"


def _ranked(table: FactTable, shown: Shown, found_as: str = FIRST) -> list[_Ranked]:
    """Models from the one that attackers get least of."""
    found = [(model, table.over_attacks(model, table.budget, shown=shown, found=found_as)) for model in table.models]
    return sorted((_Ranked(model, pair[0]) for model, pair in found if pair), key=lambda one: one.mean.value or 0.0)


def _asked(table: FactTable, known: tuple[int, int] | None) -> str:
    plural = "fact was" if table.n_facts == 1 else "facts were"
    deleted = f"{table.n_facts} {plural} deleted {'in one edit' if table.batch else 'one at a time'}"
    if known is None:
        return f"{deleted}; whether the model knew them before was not probed."
    raw, knew = known
    return f"{deleted}; of {raw} probed before any edit, the vanilla model knew {knew}."


def _before(table: FactTable) -> str:
    """What attacks find before an edit, and where there is nothing to find."""
    vanilla = next((model for model in table.models if model.method == "vanilla"), None)
    pair = table.over_attacks(vanilla, table.budget) if vanilla is not None else None
    never = table.over(table.strangers(table.budget))
    found = [f"{_percent(pair[0])} of the answers before an edit"] if pair else []
    found += [f"{_percent(never[0])} of {table.reference_words.facts}"] if never else []
    kinds = len({place.attack for place in table.attacks})
    attacks = "the attack finds" if kinds == 1 else f"{kinds} attacks find on average"
    return f"With {table.budget} candidates, {attacks} {' and '.join(found)}." if found else ""


def _story(table: FactTable, best: _Ranked, worst: _Ranked, shown: Shown) -> str:
    if best.ties(worst):
        return f"After {_result(table, best, 'they find', shown)}, and as much after every other defence."
    story = f"After {_result(table, best, 'they find least', shown)}"
    if worst is not best:
        story += f"; after {_result(table, worst, 'most', shown)}"
    return f"{story}. Even these two intervals overlap." if worst is not best and not best.below(worst) else f"{story}."


def _whole(table: FactTable, first: Sequence[_Ranked], whole: Sequence[_Ranked], shown: Shown) -> str:
    """The same where whole answers count, and whether that changes the order."""
    if not whole:
        return ""
    best, worst = whole[0], whole[-1]
    story = f"Of whole answers, {_result(table, best, 'leaves least', shown, WHOLE)}"
    if not best.ties(worst):
        story += f"; {_result(table, worst, 'most', shown, WHOLE)}"
    same = [one.model for one in first] == [one.model for one in whole]
    return f"{story}." if same else f"{story}. The order of defences is not the one by first tokens."


def _result(table: FactTable, one: _Ranked, words: str, shown: Shown, found: str = FIRST) -> str:
    pair = table.over_attacks(one.model, table.budget, found=found)
    plain = f"{one.model.label} {words}, {_percent(pair[0]) if pair else 'an unknown share'}"
    if shown == "success":
        return f"{plain}{_interval(one.mean)}"
    return f"{plain}, which is {_points(one.mean)} above {table.reference_words.about}{_interval(one.mean)}"


def _cost(table: FactTable, best: _Ranked) -> str:
    lost = damage_cells(table, best.model).get(RANDOM)
    if lost is None or lost.value is None:
        return ""
    label = best.model.label
    if lost.value >= _DAMAGE:
        return f"{label} is paid for elsewhere: accuracy on other facts falls by {_points(lost)}{_interval(lost)}."
    return f"Accuracy on other facts changes by {_points(lost, sign=-1)} under {label}{_interval(lost, sign=-1)}."


def _percent(cell: Cell) -> str:
    return f"{cell.text}{_NBSP}%"


def _points(cell: Cell, *, sign: int = 1) -> str:
    number = _round(sign * (cell.value or 0.0))
    return f"{number}{_NBSP}point{'' if number in ('1', f'{MINUS}1') else 's'}"


def _interval(cell: Cell, *, sign: int = 1) -> str:
    if cell.low is None or cell.high is None:
        return ""
    low, high = sorted((sign * cell.low, sign * cell.high))
    return f" ({_round(low)} to {_round(high)})"


def _round(share: float) -> str:
    text = f"{100 * share:.0f}"
    return "0" if text == "-0" else text.replace("-", MINUS)
