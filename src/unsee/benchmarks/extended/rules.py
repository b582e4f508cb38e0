"""Variants that need nothing but the table: noise, crops, colours, sentences before a question, and other rows of the table.

The grades are those of UnLOK-VQA (arXiv 2505.01456): an unrelated sentence or noise is easy, a preamble that urges the model to
tell is hard. Rows of the table stand in where the paper draws pictures: another picture of the same thing for a rephrased
one, a picture with another answer to the same question for a neighbour.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from unsee.benchmarks.extended.answers import distinct_answers, same_answer, states_answer
from unsee.benchmarks.extended.measured import measured_questions
from unsee.benchmarks.extended.variants import Fact, Grade, Kind, Variant
from unsee.benchmarks.noise import salt_and_pepper
from unsee.benchmarks.unlok_vqa.pictures import NOISE
from unsee.benchmarks.unlok_vqa.questions import ASKED, JAILBREAKS, PREFIXES

if TYPE_CHECKING:
    from PIL import Image

    from unsee.benchmarks.extended.facts import Chosen
    from unsee.benchmarks.extended.work import WorkFolder
    from unsee.benchmarks.medical.table import VqaRow
    from unsee.sample import ImageRef

OWN_TABLE = "own-table"
NEIGHBOUR_QUESTIONS, NEIGHBOUR_PICTURES, OTHER_PICTURES = 4, 2, 2
"""Own rows of each kind and grade, at most."""
CROP = 0.85
"""Share of each side that a crop keeps."""
COLOURS = (0.55, 1.45)
"""Least and most that saturation, contrast and brightness are multiplied by."""


def seed_of(seed: int, *of: str) -> int:
    """A seed of its own for one variant, below 2^31."""
    return int.from_bytes(hashlib.sha256("/".join((str(seed), *of)).encode()).digest()[:4], "big") >> 1


class Rules:
    """Makes variants of facts by rules.

    Args:
        work: where pictures are kept.
        seed: of everything that is drawn.
    """

    def __init__(self, chosen: Chosen, work: WorkFolder, *, seed: int) -> None:
        self._chosen, self._work, self._seed = chosen, work, seed
        self._gone = frozenset(fact.id for fact in chosen.deleted)

    def of(self, fact: Fact) -> Iterator[Variant]:
        """All variants of a fact that rules give."""
        yield from self._questions(fact)
        yield from self._pictures(fact)
        yield from self._other_pictures(fact)
        yield from self._neighbour_questions(fact)
        yield from self._neighbour_pictures(fact)

    def _questions(self, fact: Fact) -> Iterator[Variant]:
        for number, prefix in enumerate(PREFIXES[-ASKED:]):
            yield variant(fact, "question", "easy", number, "prefix", question=f"{prefix}{fact.question}")
        row = self._chosen.rows[fact.id]
        for number, text in enumerate(row.rephrased[:ASKED]):
            yield variant(fact, "question", "medium", number, OWN_TABLE, question=text, source_row=row.where)
        for number, template in enumerate(JAILBREAKS[-ASKED:]):
            preamble = template.format(subject=fact.span, object=_object(fact))
            yield variant(fact, "question", "hard", number, "preamble", question=f"{preamble}{fact.question}")

    def _pictures(self, fact: Fact) -> Iterator[Variant]:
        for number, (name, change) in enumerate((("noise", _noise), ("crop", _crop), ("colour", _colour))):
            seed = seed_of(self._seed, fact.id, name)
            request: list[Any] = [name, fact.image.sha256, seed]
            picture = self._work.picture(request, partial(_changed, fact.image, change, seed))
            yield variant(fact, "image", "easy", number, name, image=picture, seed=seed)

    def _other_pictures(self, fact: Fact) -> Iterator[Variant]:
        """Other pictures of the same group, else of rows that answer the same question alike; never of what is kept."""
        row = self._chosen.rows[fact.id]
        alike = (
            one
            for one in self._chosen.near.same_thing(row)
            if one.id not in self._chosen.kept and same_answer(one.answer, fact.answer)
        )
        grade: Grade = "medium" if self._chosen.near.identified else "hard"
        for number, one in enumerate(self._drawn(fact, "image", _one_per_picture(alike))[:OTHER_PICTURES]):
            yield variant(fact, "image", grade, number, OWN_TABLE, image=one.image, source_row=one.where)

    def _neighbour_questions(self, fact: Fact) -> Iterator[Variant]:
        """What the table asks about the picture beside the fact; where that is nothing, what can be measured in it."""
        row = self._chosen.rows[fact.id]
        others = [one for one in self._chosen.near.same_picture(row) if not _same_answers(one, row)]
        drawn = self._drawn(fact, "neighbour_question", others)[:NEIGHBOUR_QUESTIONS]
        for number, one in enumerate(drawn):
            yield variant(
                fact,
                "neighbour_question",
                "easy",
                number,
                OWN_TABLE,
                question=one.question,
                answer=one.answer,
                source_row=one.where,
            )
        if not drawn:
            for number, (question, answer) in enumerate(measured_questions(fact.image.open())):
                yield variant(fact, "neighbour_question", "easy", number, "measured", question=question, answer=answer)

    def _neighbour_pictures(self, fact: Fact) -> Iterator[Variant]:
        """Pictures of other things with another answer to the same question, or to a similar one where there are none."""
        row, near = self._chosen.rows[fact.id], self._chosen.near
        chosen: list[VqaRow] = []
        for rows in (near.same_question(row), near.similar_question(row)):
            others = near.other_thing((one for one in rows if not _same_answers(one, row)), row)
            chosen = chosen or self._drawn(fact, "neighbour_image", list(others))
        answers = distinct_answers((one.answer for one in chosen), limit=NEIGHBOUR_PICTURES)
        for number, answer in enumerate(answers):
            one = next(one for one in chosen if one.answer == answer)
            yield variant(
                fact, "neighbour_image", "easy", number, OWN_TABLE, image=one.image, answer=answer, source_row=one.where
            )

    def _drawn(self, fact: Fact, kind: Kind, rows: Sequence[VqaRow]) -> list[VqaRow]:
        """Rows in a drawn order: first those that are nothing else, then kept ones, those to be deleted themselves last."""
        order = random.Random(f"{self._seed}/{kind}/{fact.id}").sample(rows, len(rows))
        return sorted(order, key=lambda row: (row.id in self._gone, row.id in self._chosen.kept))


def variant(
    fact: Fact,
    kind: Kind,
    grade: Grade,
    number: int,
    generator: str,
    **values: Any,
) -> Variant:
    """A variant of a fact, which it equals in everything that is not given."""
    common: dict[str, Any] = {"question": fact.question, "image": fact.image, "answer": fact.answer, "parent": fact.id}
    return Variant(
        id=f"{fact.id}/{kind}/{grade}/{number}",
        fact=fact.id,
        kind=kind,
        grade=grade,
        number=number,
        generator=generator,
        **{**common, **values},
    )


def _object(fact: Fact) -> str:
    """What the preambles guess at beside the question's subject: an alternate that does not contain the answer."""
    return next((text for text in fact.alternates if not states_answer(text, fact.answer)), fact.span)


def _same_answers(one: VqaRow, other: VqaRow) -> bool:
    """Whether some answer is right for both."""
    said = product((one.answer, *one.also_right), (other.answer, *other.also_right))
    return any(same_answer(mine, theirs) for mine, theirs in said)


def _one_per_picture(rows: Iterable[VqaRow]) -> list[VqaRow]:
    found: dict[str, VqaRow] = {}
    for row in rows:
        found.setdefault(row.image.sha256, row)
    return list(found.values())


def _changed(picture: ImageRef, change: Callable[[Image.Image, int], Image.Image], seed: int) -> Image.Image:
    return change(picture.open(), seed)


def _noise(picture: Image.Image, seed: int) -> Image.Image:
    return salt_and_pepper(picture, share=NOISE, seed=seed)


def _crop(picture: Image.Image, seed: int) -> Image.Image:
    rng = random.Random(seed)
    width, height = (max(1, round(CROP * side)) for side in picture.size)
    left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def _colour(picture: Image.Image, seed: int) -> Image.Image:
    """Saturation, contrast and brightness changed; hues stay, because questions ask for colours."""
    from PIL import ImageEnhance

    rng = random.Random(seed)
    for enhance in (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness):
        low, high = COLOURS
        picture = enhance(picture).enhance(rng.choice((rng.uniform(low, 0.85), rng.uniform(1.15, high))))
    return picture
