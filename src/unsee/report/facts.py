"""Which facts of which person are still told, per model."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from unsee.report.answered import Answered, Answers, Key
from unsee.report.figures.matrix import fact_matrix
from unsee.report.figures.svg import Figure
from unsee.report.gallery import person_name
from unsee.report.panels import Panel
from unsee.report.sources import Switch, file_stem
from unsee.report.vocabulary import attribute_title, brief

MAX_PEOPLE = 80


def fact_panels(answers: Answers, *, name: str) -> list[Panel]:
    """One matrix per model over the people to forget, all tasks and modalities of the forget set together.

    People stand in the order of their ids, facts by name, so that matrices of two models can be laid on each other.
    """
    questions = [question for question in answers.questions if question.set_name == "forget" and question.fact]
    subjects = sorted({question.subject for question in questions})[:MAX_PEOPLE]
    facts = sorted({question.fact for question in questions})
    if not subjects:
        return []
    titles = _titles(questions, subjects)
    gold = next((key for key in answers.models if key in (("gold", None), ("gold", "corrected"))), None)

    def drawn(key: Key, title: str, prefix: str) -> Markup:
        return fact_matrix(
            {(titles[s], attribute_title(f)): share for (s, f), share in _shares(questions, key).items() if s in titles},
            people=list(titles.values()),
            facts=[attribute_title(fact) for fact in facts],
            title=title,
            prefix=prefix,
        )

    panels = []
    for number, (key, title) in enumerate(answers.models.items()):
        shares = _shares(questions, key)
        told = sum(right for right, _ in shares.values())
        asked = sum(asked for _, asked in shares.values())
        pictures = [drawn(key, title, f"m{number}")]
        if gold is not None and key != gold:
            pictures.append(drawn(gold, f"{answers.models[gold]}, for comparison", f"m{number}g"))
        worst = "; ".join(f"{titles[s]}: {', '.join(_told(shares, s)) or 'nothing'}" for s in subjects)
        figure = Figure(
            name=f"{name}-still-told-{number}-{file_stem(title)}",
            title=f"{title}: {told} of {asked} answers right",
            description=f"Facts that {title} still tells at least once. {worst}",
            pictures=tuple(pictures),
            columns=2,
        )
        panels.append(Panel({"model": str(number)}, figure=figure))
    return panels


def model_switch(answers: Answers, focus: Key | None) -> Switch:
    """The selector of the model."""
    options = [(str(number), title) for number, title in enumerate(answers.models.values())]
    chosen = list(answers.models).index(focus) if focus is not None and focus in answers.models else len(options) - 1
    return Switch("Model", "model", [*options, ("", "all, side by side")], "select", str(max(chosen, 0)))


def _shares(questions: Sequence[Answered], key: Key) -> dict[tuple[str, str], tuple[int, int]]:
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for question in questions:
        if key in question.replies:
            place = (question.subject, question.fact)
            right, asked = found.get(place, (0, 0))
            found[place] = (right + question.replies[key].right, asked + 1)
    return found


def _told(shares: dict[tuple[str, str], tuple[int, int]], subject: str) -> list[str]:
    return [attribute_title(fact) for (s, fact), (right, _) in sorted(shares.items()) if s == subject and right]


def _titles(questions: Sequence[Answered], subjects: Sequence[str]) -> dict[str, str]:
    """Subject -> short name; namesakes get their id."""
    names = {s: brief(person_name([q for q in questions if q.subject == s], s), 22) for s in subjects}
    taken = list(names.values())
    return {s: name if taken.count(name) == 1 else f"{name} ({s})" for s, name in names.items()}
