"""Samples about one fact: the question as edited, its disguises, its neighbours, and probes that are never scored."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unsee.benchmarks.single_facts import LETTERS, STOP, four_options
from unsee.benchmarks.unlok_vqa.levels import LEVELS, NEIGHBOUR_LEVELS, Axis, Level, neighbour_name, original_name
from unsee.benchmarks.unlok_vqa.pictures import Pictures
from unsee.benchmarks.unlok_vqa.questions import PromptForm, Rephrasing, framed, rephrasings
from unsee.benchmarks.unlok_vqa.rows import FactRow, same
from unsee.sample import ImageRef, Sample, SetName, Task

NAME = "unlok-vqa"
SOURCE = "UnLOK-VQA (arXiv 2505.01456)"
LICENSE = "unknown; COCO pictures under their own terms"
ATTRIBUTE = "fact"
"""Attribute of every fact, as the files name none."""
NEIGHBOUR_ATTRIBUTE = "neighbour"
"""Attribute of other questions about the same picture."""

COMPUTED = "easy rephrased pictures made with noise"
SECRET_SHOWN = "neighbour pictures whose answer is the one to delete or blank, left out"
USELESS = "alternate answers that are blank, repeated or the answer itself, not used"


def question_key() -> str:
    """Name of the edited question within its fact."""
    return "question"


def disguise_key(axis: Axis, level: Level, number: int) -> str:
    return f"test/{axis}/{level}/{number}"


def neighbour_image_key(level: Level) -> str:
    return f"neighbour-image/{level}"


def neighbour_question_key(number: int) -> str:
    return f"neighbour-question/{number}"


class Asker:
    """Asks about facts whose pictures are in one folder.

    Attributes:
        counted: what was refused, computed or left out, in words -> how often; each fact counts once.

    Args:
        form: how questions are put; None takes the exporter's note of a row, and `published` without one.
        seed: of probes.
        everybody: facts whose answers fill up options of probes.
    """

    def __init__(self, pictures: Pictures, form: PromptForm | None, seed: int, everybody: Sequence[FactRow]) -> None:
        self.counted: Counter[str] = Counter()
        self._pictures = pictures
        self._form = form
        self._seed = seed
        self._answers = tuple(dict.fromkeys(row.answer for row in everybody))
        self._asked: dict[int, Mapping[Level, tuple[Rephrasing, ...]]] = {}

    def prepare(self, row: FactRow) -> None:
        """Draft the fact's rephrasings, count what is refused, and see that its pictures are there."""
        form = self._form_of(row)
        self._asked[row.id] = {level: tuple(rephrasings(row, level, form, self.counted)) for level in LEVELS}
        self.counted[USELESS] += len(row.alternates) - len(row.usable_alternates)
        shown = self.shown_levels(row)
        for level in shown:
            self._pictures.rephrased(row, level)
        self.counted[COMPUTED] += len(self.image_levels(row)) - len(shown)
        self.counted[SECRET_SHOWN] += row.neighbour_answer is None
        for level in self.neighbour_levels(row):
            self._pictures.neighbour(row, level)

    def image_levels(self, row: FactRow) -> tuple[Level, ...]:
        """Levels of rephrased pictures that the fact has or can be given."""
        if row.notes.levels is not None:
            return tuple(level for level in LEVELS if level in row.notes.levels.get("image", ()))
        return tuple(level for level in LEVELS if level == "easy" or level in self._pictures.rephrased_levels)

    def shown_levels(self, row: FactRow) -> tuple[Level, ...]:
        """Levels of rephrased pictures that must be in a folder."""
        made = row.notes.levels is None and "easy" not in self._pictures.rephrased_levels
        return tuple(level for level in self.image_levels(row) if not (made and level == "easy"))

    def neighbour_levels(self, row: FactRow) -> tuple[Level, ...]:
        """Levels of neighbour pictures that the fact has; none where they would show the answer that is deleted."""
        if row.neighbour_answer is None:
            return ()
        if row.notes.levels is not None:
            return tuple(level for level in NEIGHBOUR_LEVELS if level in row.notes.levels.get("neighbour", ()))
        return tuple(level for level in NEIGHBOUR_LEVELS if level in self._pictures.neighbour_levels)

    def edited(self, row: FactRow, label: SetName) -> Iterator[Sample]:
        """The question as edited, which is also what an unlearning method is given."""
        original = self._original(row)
        if original is not None:
            question = framed(row.question, self._form_of(row), "edit" if label == "forget" else "evaluation")
            yield self._sample(row, question_key(), label, question, original)

    def disguised(self, row: FactRow) -> Iterator[Sample]:
        """Rephrased questions, rephrased pictures, and both at once, level by level."""
        original, asked = self._original(row), self._asked[row.id]
        if original is None:
            return
        for level in LEVELS:
            for one in asked[level]:
                yield self._test(row, "question", level, one.number, one.text, original)
        edited = framed(row.question, self._form_of(row), "edit")
        for level in self.image_levels(row):
            picture = self._rephrased(row, level, original)
            if picture is None:
                continue
            for number, text in enumerate(row.notes.asked.get("image", {}).get(level, (edited,))):
                yield self._test(row, "image", level, number, text, picture)
            noted = row.notes.asked.get("both", {}).get(level)
            both = [(one.number, one.text) for one in asked[level]] if noted is None else list(enumerate(noted))
            for number, text in both:
                yield self._test(row, "both", level, number, text, picture)

    def neighbour_images(self, row: FactRow) -> Iterator[Sample]:
        """The same question about pictures that show another answer."""
        answer = row.neighbour_answer
        if answer is None:
            return
        wrong = (row.answer, *(text for text in row.usable_alternates if not same(text, answer)))
        question = framed(row.question, self._form_of(row), "evaluation")
        for level in self.neighbour_levels(row):
            path = self._pictures.neighbour(row, level)
            picture = self._pictures.picture(path, row) if path is not None else None
            if picture is not None:
                about = self._about(row, answer) | {
                    "entity": neighbour_name(row.id, row.neighbour),
                    "fact": row.subject,
                    "level": level,
                }
                key = neighbour_image_key(level)
                yield self._sample(row, key, "neighbour_image", question, picture, answer=answer, wrong=wrong, about=about)

    def neighbour_questions(self, row: FactRow) -> Iterator[Sample]:
        """Other questions about the same picture."""
        original = self._original(row)
        if original is None:
            return
        for number, text, answer in row.neighbours:
            question = framed(text, self._form_of(row), "evaluation")
            about = self._about(row, answer) | {"attribute": NEIGHBOUR_ATTRIBUTE, "fact": row.subject}
            key = neighbour_question_key(number)
            yield self._sample(row, key, "neighbour_question", question, original, answer=answer, wrong=(), about=about)

    def gate(self, row: FactRow, label: SetName) -> Iterator[Sample]:
        """Four-option questions in wordings that are asked nowhere else, the answer at another letter each time."""
        original, wrong = self._original(row), self._wrong(row)
        if original is None:
            return
        rng = random.Random(f"{self._seed}/gate/{row.id}")
        for number, choice in enumerate(four_options(row.question, row.answer, wrong, rng=rng)):
            yield self._sample(
                row,
                f"gate/{number}",
                label,
                choice.question,
                original,
                task="classification",
                wrong=wrong[: len(LETTERS) - 1],
                options=choice.options,
                correct_option=choice.right,
            )

    def stop(self, row: FactRow, label: SetName) -> Iterator[Sample]:
        """One question in a wording that is asked nowhere else."""
        original = self._original(row)
        if original is not None:
            yield self._sample(row, "stop", label, STOP.replace("{}", row.question), original)

    # Parts ---------------------------------------------------------------------------------------------------------------

    def _form_of(self, row: FactRow) -> PromptForm:
        noted: dict[str, PromptForm] = {"published": "published", "colon": "colon", "no_colon": "no_colon", "bare": "bare"}
        return self._form or noted.get(row.notes.prompt, "published")

    def _original(self, row: FactRow) -> ImageRef | None:
        path = self._pictures.original(row)
        return self._pictures.picture(path, row) if path is not None else None

    def _rephrased(self, row: FactRow, level: Level, original: ImageRef) -> ImageRef | None:
        if level not in self.shown_levels(row):
            return self._pictures.noisy(row, original)
        path = self._pictures.rephrased(row, level)
        return self._pictures.picture(path, row) if path is not None else None

    def _wrong(self, row: FactRow) -> list[str]:
        """Alternates in a drawn order, then other facts' answers."""
        rng = random.Random(f"{self._seed}/options/{row.id}")
        own = list(row.usable_alternates)
        rng.shuffle(own)
        others = [text for text in self._answers if not any(same(text, one) for one in (row.answer, *own))]
        return own + rng.sample(others, min(len(others), len(LETTERS)))

    def _about(self, row: FactRow, answer: str) -> dict[str, str | int | float]:
        return {"attribute": ATTRIBUTE, "entity": original_name(row.image_id), "value": answer}

    def _test(self, row: FactRow, axis: Axis, level: Level, number: int, question: str, picture: ImageRef) -> Sample:
        about = self._about(row, row.answer) | {"fact": row.subject, "axis": axis, "level": level}
        return self._sample(row, disguise_key(axis, level, number), "test", question, picture, about=about)

    def _sample(
        self,
        row: FactRow,
        key: str,
        label: SetName,
        question: str,
        picture: ImageRef,
        *,
        task: Task = "generation",
        answer: str | None = None,
        wrong: Sequence[str] | None = None,
        about: Mapping[str, str | int | float] | None = None,
        **options: Any,
    ) -> Sample:
        answer = row.answer if answer is None else answer
        noted = row.notes.samples.get(key, {})
        return Sample(
            id=f"{NAME}/{row.id}/{key}",
            benchmark=NAME,
            subject=row.subject,
            set=label,
            task=task,
            modality="image_text",
            images=(picture,),
            question=question,
            answer=answer,
            paraphrases=tuple(noted.get("paraphrases", ())),
            wrong_answers=tuple(noted.get("wrong_answers", row.usable_alternates if wrong is None else wrong)),
            metadata=dict(noted.get("metadata", self._about(row, answer) if about is None else about)),
            source=SOURCE,
            source_license=LICENSE,
            **options,
        )
