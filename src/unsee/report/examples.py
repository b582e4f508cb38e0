"""One question from each set as a figure: what is asked, and what the models say before and after."""

from __future__ import annotations

from collections.abc import Sequence

from unsee.report.answered import Answered, Answers, Key
from unsee.report.columns import rank
from unsee.report.figures.question_cards import Card, Said, draw_card
from unsee.report.figures.svg import Figure
from unsee.report.pictures import data_address
from unsee.report.vocabulary import SET_HINTS, SETS, TASK_TITLES, set_title

_SHOWN = ("forget", "test", "retain", "celebrity", "general")
_TASKS = ("generation", "cloze", "classification")


def example_figure(answers: Answers, *, focus: Key | None, name: str) -> Figure | None:
    """A card per set; questions are taken by their id, never by their outcome. None without answers."""
    models: list[Key] = [key for key in answers.models if key in (("vanilla", None), ("vanilla", "corrected"))]
    models += [focus] if focus is not None and focus in answers.models else []
    models += [key for key in answers.models if key in (("gold", None), ("gold", "corrected"))]
    chosen = _chosen(answers.questions)
    cards = [_card(question, [(answers.models[key], key) for key in models]) for question in chosen]
    if not cards:
        return None
    told = " ".join(
        f"{card.title}: {card.question} Truth: {card.truth}. " + " ".join(f"{s.model}: {s.text} ({s.mark})." for s in card.said)
        for card in cards
    )
    pictures = tuple(draw_card(card, prefix=f"e{number}") for number, card in enumerate(cards))
    return Figure(
        f"{name}-examples", "One question from each set", told, pictures, columns=3 if len(pictures) > 4 else len(pictures)
    )


def _chosen(questions: Sequence[Answered]) -> list[Answered]:
    found: list[Answered] = []
    sets = sorted({question.set_name for question in questions}, key=lambda name: rank(name, SETS))
    for name in (name for name in sets if name in _SHOWN):
        here = [question for question in questions if question.set_name == name]
        # The disguise is seen best on the person of the forget card.
        same = [question for question in here if found and name == "test" and question.subject == found[0].subject]
        about = [question for question in same if question.fact == found[0].fact]
        found.append(min(about or same or here, key=_order))
    return found


def _order(question: Answered) -> tuple[bool, tuple[int, str], str]:
    return (not question.sample.images, rank(question.sample.task, _TASKS), question.sample.id)


def _card(question: Answered, models: Sequence[tuple[str, Key]]) -> Card:
    sample = question.sample
    return Card(
        title=set_title(question.set_name),
        hint=SET_HINTS.get(question.set_name, ""),
        kind=TASK_TITLES.get(sample.task, sample.task.replace("_", " ")),
        question=sample.question,
        options=tuple(f"{letter}: {text}" for letter, text in sample.options.items()),
        truth=question.truth,
        picture=data_address(sample.images[0], pixels=160, png=True) if sample.images else None,
        said=tuple(
            Said(title, question.replies[key].text, question.replies[key].right)
            for title, key in models
            if key in question.replies
        ),
    )
