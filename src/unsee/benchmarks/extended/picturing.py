"""Variants that the user's own programs draw: an object edited out, the scene drawn anew, the picture of another answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from unsee.benchmarks.extended.answers import distinct_answers
from unsee.benchmarks.extended.picture_makers import PictureMaker
from unsee.benchmarks.extended.rules import NEIGHBOUR_PICTURES, seed_of, variant
from unsee.benchmarks.extended.variants import Fact, Grade, Kind, Variant
from unsee.benchmarks.extended.work import WorkFolder
from unsee.sample import ImageRef

EDIT = (
    "Remove one object that has nothing to do with this question, and change nothing else. Whoever sees the picture must still "
    "be able to answer: {question}"
)
ANEW = (
    "Draw the scene of this picture anew, from another side, in another place and style. Whoever sees it must still be able to "
    "answer: {question} Without any writing."
)
OTHER = (
    "Change this picture so that the right answer to the question {question} is: {answer}. Keep all else. Without any writing."
)
"""What programs are told; only the last one names an answer, and it is never the one that is deleted."""


class Drawer:
    """Makes pictures of facts by the user's programs.

    Attributes:
        counts: pictures that were not made, in words -> how often.
    """

    def __init__(
        self, work: WorkFolder, *, seed: int, editor: PictureMaker | None = None, generator: PictureMaker | None = None
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._work, self._seed = work, seed
        self._editor, self._generator = editor, generator

    @property
    def idle(self) -> bool:
        """Whether there is no program."""
        return self._editor is None and self._generator is None

    def of(self, fact: Fact, made: Sequence[Variant]) -> Iterator[Variant]:
        """All drawn variants of a fact.

        Args:
            made: its other variants; neighbours are drawn with the answers of those.
        """
        if self._editor is not None:
            yield from self._draw(self._editor, fact, "image", "medium", 0, EDIT.format(question=fact.question))
        if self._generator is None:
            return
        yield from self._draw(self._generator, fact, "image", "hard", 0, ANEW.format(question=fact.question))
        shown = [one.answer for one in made if one.kind == "neighbour_image"]
        answers = distinct_answers(shown or fact.alternates[:1], without=[fact.answer], limit=NEIGHBOUR_PICTURES)
        for number, answer in enumerate(answers):
            told = OTHER.format(question=fact.question, answer=answer)
            yield from self._draw(self._generator, fact, "neighbour_image", "hard", number, told, answer=answer)

    def _draw(
        self, maker: PictureMaker, fact: Fact, kind: Kind, grade: Grade, number: int, told: str, **values: Any
    ) -> Iterator[Variant]:
        seed = seed_of(self._seed, fact.id, kind, grade, str(number))
        picture = self._picture(maker, fact.image, told, seed)
        if picture is None:
            self.counts[f"{maker.role}: {maker.problem} ({kind}, {grade})"] += 1
            return
        yield variant(fact, kind, grade, number, maker.name, image=picture, prompt=told, seed=seed, **values)

    def _picture(self, maker: PictureMaker, shown: ImageRef, told: str, seed: int) -> ImageRef | None:
        request: list[Any] = [maker.role, maker.name, shown.sha256, told, seed]
        there = self._work.find(request)
        if there is not None:
            maker.worked()
            return there
        made = maker.make(shown, told, seed)
        return None if made is None else self._work.keep(request, made)
