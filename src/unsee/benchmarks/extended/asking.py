"""Samples about one fact of an extension: the question itself, its variants that passed, and probes that are never scored."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unsee.benchmarks.extended.answers import distinct_answers, same_answer
from unsee.benchmarks.extended.variants import GRADES, Fact, Grade, Kind, Variant
from unsee.benchmarks.single_facts import LETTERS, STOP, four_options
from unsee.benchmarks.unlok_vqa.asking import NEIGHBOUR_ATTRIBUTE, disguise_key, neighbour_image_key, neighbour_question_key
from unsee.benchmarks.unlok_vqa.levels import LEVELS, Axis
from unsee.benchmarks.unlok_vqa.questions import ASKED
from unsee.sample import ImageRef, Sample, SetName, Task

_FURTHER = 20
"""Answers of other facts that are drawn to fill up the options of probes."""


class Asker:
    """Asks about the facts of one extension.

    Args:
        benchmark: its name.
        variants: all of them; those that failed a check are never asked.
        everybody: all facts, whose answers fill up options of probes.
        pictures: rephrased pictures of a grade that are asked, at most.
        seed: of probes.
    """

    def __init__(
        self, benchmark: str, variants: Sequence[Variant], everybody: Sequence[Fact], *, pictures: int, seed: int
    ) -> None:
        self._benchmark, self._pictures, self._seed = benchmark, pictures, seed
        self._answers = tuple(dict.fromkeys(fact.answer for fact in everybody))
        self._made: dict[tuple[str, Kind, Grade], list[Variant]] = defaultdict(list)
        for one in variants:
            if not one.failed:
                self._made[one.fact, one.kind, one.grade].append(one)

    def edited(self, fact: Fact, label: SetName) -> Iterator[Sample]:
        """The question as it is deleted or kept; of its wrong answers the neighbour pictures' comes last.

        Defences teach the first one, and what they teach would be counted as spared.
        """
        reworded = tuple(one.question for one in self._of(fact, "question", "medium"))
        near = self._neighbour_answer(fact)
        wrong = sorted(fact.alternates, key=lambda text: near is not None and same_answer(text, near))
        yield self._sample(fact, "question", label, fact.question, fact.image, paraphrases=reworded, wrong=wrong)

    def disguised(self, fact: Fact) -> Iterator[Sample]:
        """Rephrased questions, rephrased pictures, and both at once, grade by grade."""
        for level in LEVELS:
            questions = self._of(fact, "question", level)[:ASKED]
            pictures = self._of(fact, "image", level)[: self._pictures]
            for number, one in enumerate(questions):
                yield self._test(fact, "question", level, number, one.question, fact.image)
            for number, one in enumerate(pictures):
                yield self._test(fact, "image", level, number, fact.question, one.image)
            both = [(asked.question, shown.image) for shown in pictures for asked in questions]
            for number, (question, picture) in enumerate(both):
                yield self._test(fact, "both", level, number, question, picture)

    def neighbour_images(self, fact: Fact) -> Iterator[Sample]:
        """The same question about one picture per grade; all show the same other answer."""
        answer = self._neighbour_answer(fact)
        if answer is None:
            return
        wrong = (fact.answer, *distinct_answers(fact.alternates, without=[fact.answer, answer]))
        for grade in GRADES["neighbour_image"]:
            shown = self._of(fact, "neighbour_image", grade)
            one = next((one for one in shown if same_answer(one.answer, answer)), None)
            if one is not None:
                about = self._about(fact, answer) | {"entity": one.image.sha256[:12], "fact": fact.id, "level": grade}
                key = neighbour_image_key(grade)
                yield self._sample(
                    fact, key, "neighbour_image", fact.question, one.image, answer=answer, wrong=wrong, about=about
                )

    def _neighbour_answer(self, fact: Fact) -> str | None:
        """What neighbour pictures show: the answer that those of most grades show, of equals the first."""
        shown = [(grade, one) for grade in GRADES["neighbour_image"] for one in self._of(fact, "neighbour_image", grade)]
        answers = distinct_answers(one.answer for _, one in shown)
        grades = {answer: {grade for grade, one in shown if same_answer(one.answer, answer)} for answer in answers}
        return max(answers, key=lambda text: len(grades[text]), default=None)

    def neighbour_questions(self, fact: Fact) -> Iterator[Sample]:
        """Other questions about the same picture."""
        listed = [one for grade in GRADES["neighbour_question"] for one in self._of(fact, "neighbour_question", grade)]
        for number, one in enumerate(listed):
            about = self._about(fact, one.answer) | {"attribute": NEIGHBOUR_ATTRIBUTE, "fact": fact.id, "level": one.grade}
            key = neighbour_question_key(number)
            yield self._sample(
                fact, key, "neighbour_question", one.question, fact.image, answer=one.answer, wrong=(), about=about
            )

    def gate(self, fact: Fact, label: SetName) -> Iterator[Sample]:
        """Four-option questions in wordings that are asked nowhere else; none without three wrong answers in the table."""
        wrong = self._wrong(fact)
        rng = random.Random(f"{self._seed}/gate/{fact.id}")
        for number, choice in enumerate(four_options(fact.question, fact.answer, wrong, rng=rng)):
            yield self._sample(
                fact,
                f"gate/{number}",
                label,
                choice.question,
                fact.image,
                task="classification",
                wrong=wrong[: len(LETTERS) - 1],
                options=choice.options,
                correct_option=choice.right,
            )

    def stop(self, fact: Fact, label: SetName) -> Iterator[Sample]:
        """One question in a wording that is asked nowhere else."""
        yield self._sample(fact, "stop", label, STOP.replace("{}", fact.question), fact.image)

    def _of(self, fact: Fact, kind: Kind, grade: Grade) -> list[Variant]:
        return self._made.get((fact.id, kind, grade), [])

    def _wrong(self, fact: Fact) -> list[str]:
        """Alternates, then other facts' answers, both in a drawn order."""
        rng = random.Random(f"{self._seed}/options/{fact.id}")
        own = rng.sample(fact.alternates, len(fact.alternates))
        further = rng.sample(self._answers, min(len(self._answers), _FURTHER))
        return distinct_answers([*own, *further], without=[fact.answer, *fact.also_right], limit=max(len(own), len(LETTERS)))

    def _about(self, fact: Fact, answer: str) -> dict[str, str | int | float]:
        return {"attribute": fact.attribute, "entity": fact.image.sha256[:12], "value": answer}

    def _test(self, fact: Fact, axis: Axis, level: Grade, number: int, question: str, picture: ImageRef) -> Sample:
        about = self._about(fact, fact.answer) | {"fact": fact.id, "axis": axis, "level": level}
        return self._sample(fact, disguise_key(axis, level, number), "test", question, picture, about=about)

    def _sample(
        self,
        fact: Fact,
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
        answer = fact.answer if answer is None else answer
        return Sample(
            id=f"{self._benchmark}/{fact.id}/{key}",
            benchmark=self._benchmark,
            subject=fact.id,
            set=label,
            task=task,
            modality="image_text",
            images=(picture,),
            question=question,
            answer=answer,
            wrong_answers=tuple(fact.alternates if wrong is None else wrong),
            metadata=dict(self._about(fact, answer) if about is None else about),
            source=fact.source,
            source_license=fact.source_license,
            **options,
        )
