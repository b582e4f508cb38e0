"""Every question, what it was about, and what every model said: data that `gallery.js` searches and shows.

Nothing is picked by its outcome: forgotten people come first, then the others by their ids until the page would grow too large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unsee.report.answered import Answered, Answers, Key, cut
from unsee.report.columns import rank
from unsee.report.pictures import PictureStore
from unsee.report.vocabulary import MODALITY_TITLES, SETS, TASK_TITLES, TASKS, attribute_title, set_title
from unsee.sample import ImageRef

MAX_QUESTIONS = 12_000
_PERSON_SETS = ("forget", "near_retain", "retain", "celebrity")


class Words:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self.listed)
            self.listed.append(text)
        return self._numbers[text]


def gallery_data(answers: Answers, *, focus: Key | None = None, most: int = MAX_QUESTIONS) -> dict[str, Any]:
    """The gallery as JSON.

    Args:
        answers: of one forget request.
        focus: the model that is looked at first.
        most: questions, beyond which people who were to stay are left out.

    Returns:
        `models` (titles), `vanilla`, `gold`, `focus` (numbers of models, -1 where absent), `sets`, `tasks`, `modalities`
        (name, title), `forgotten` (numbers of sets that should be forgotten), `texts`, `pictures`, `people`
        (name, set, picture, questions), `left_out` (number of people). A question is (text, truth, set, task, modality, fact,
        level, picture, [text per model, -1 for none], "1" right, "0" wrong or "-" per model).
    """
    models = list(answers.models)
    sets = sorted({question.set_name for question in answers.questions}, key=lambda name: rank(name, SETS))
    tasks = sorted({question.sample.task for question in answers.questions}, key=lambda name: rank(name, TASKS))
    modalities = sorted({question.sample.modality for question in answers.questions})
    words, pictures = Words(), PictureStore()
    people: dict[str, list[Answered]] = {}
    for question in answers.questions:
        people.setdefault(question.subject, []).append(question)
    listed: list[list[Any]] = []
    shown = 0
    ordered = sorted(people, key=lambda subject: (rank(_set_of(people[subject]), _PERSON_SETS), subject))
    for subject in ordered:
        questions = people[subject]
        home = _set_of(questions)
        if home != "forget" and shown + len(questions) > most:
            continue
        shown += len(questions)
        portrait = _portrait([question for question in questions if question.set_name == home])
        rows = [
            [
                words(cut(question.sample.question)),
                words(question.truth),
                sets.index(question.set_name),
                tasks.index(question.sample.task),
                modalities.index(question.sample.modality),
                words(attribute_title(question.fact)),
                words(str(question.sample.metadata.get("level", ""))),
                _picture(question, pictures),
                [words(question.replies[key].text) if key in question.replies else -1 for key in models],
                "".join("-" if key not in question.replies else str(int(question.replies[key].right)) for key in models),
            ]
            for question in sorted(questions, key=lambda item: (rank(item.set_name, SETS), item.sample.id))
        ]
        face = None if portrait is None else pictures.number(portrait)
        listed.append([words(person_name(questions, subject)), sets.index(home), -1 if face is None else face, rows])
    return {
        "models": [answers.models[key] for key in models],
        "vanilla": _place(models, "vanilla"),
        "gold": _place(models, "gold"),
        "focus": models.index(focus) if focus in models else len(models) - 1,
        "sets": [[name, set_title(name)] for name in sets],
        "tasks": [[name, TASK_TITLES.get(name, name.replace("_", " "))] for name in tasks],
        "modalities": [[name, MODALITY_TITLES.get(name, name)] for name in modalities],
        "forgotten": [number for number, name in enumerate(sets) if name in ("forget", "test")],
        "texts": words.listed,
        "pictures": pictures.addresses,
        "people": listed,
        "left_out": len(people) - len(listed),
    }


def person_name(questions: Sequence[Answered], subject: str) -> str:
    """What a subject is called."""
    return next((cut(str(q.sample.metadata["name"])) for q in questions if "name" in q.sample.metadata), subject)


def _place(models: Sequence[Key], method: str) -> int:
    found = [number for number, (name, variant) in enumerate(models) if name == method and variant in (None, "corrected")]
    return found[0] if found else -1


def _set_of(questions: Sequence[Answered]) -> str:
    return min((question.set_name for question in questions), key=lambda name: rank(name, _PERSON_SETS))


def _portrait(questions: Sequence[Answered]) -> ImageRef | None:
    return next((question.sample.images[0] for question in questions if question.sample.images), None)


def _picture(question: Answered, pictures: PictureStore) -> int:
    images: Sequence[ImageRef] = question.sample.images
    number = pictures.number(images[0]) if images else None
    return -1 if number is None else number


def counts(data: Mapping[str, Any]) -> tuple[int, int]:
    """People and questions of a gallery."""
    return len(data["people"]), sum(len(person[3]) for person in data["people"])
