"""The set `general` of `people`: what held-out pictures show to anybody, in two parts.

A closed part (task `classification`, four options) stands where MLLMU-Bench has MMMU, and an open part (task `generation`,
free text) where it has LLaVA-Bench. The pictures are those of the world's held-out figures, whom no model was ever shown, so
what is measured is sight and speech, not knowledge of anybody. Wordings occur in no training, replay or probe.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence

from unsee.benchmarks.interviews import LETTERS, WRONG_ANSWERS, lay_out
from unsee.benchmarks.portrait_art import IDENTITY, SCENE
from unsee.benchmarks.visual import GENERAL_QUESTIONS
from unsee.models.worlds import Figure, World, visible_values
from unsee.sample import Sample, Task

GENERAL_VERSION = 1
"""Raise when other questions are drawn from equal data; part of fingerprints."""

_VALUES = {**IDENTITY, **SCENE}
_PARTS: tuple[Task, ...] = ("classification", "classification", "generation", "generation")
"""What is asked about one picture."""
_CLOSED = _PARTS.count("classification")


def general_samples(
    world: World, figures: Sequence[Figure], *, benchmark: str, seed: int, tasks: Collection[Task]
) -> Iterator[Sample]:
    """Four questions about one picture of each figure: two closed, two open, about four different things.

    Over any five pictures in a row each of the ten visible things is asked once in each part; over each two pictures the
    four letters are right once each.

    Args:
        figures: held-out figures of the world.
        benchmark: name in samples and their ids.
        seed: draws pictures, options, letters and the order of what is asked.
        tasks: `classification` for the closed part, `generation` for the open one.
    """
    keys = random.Random(f"{seed}/general").sample(list(_VALUES), len(_VALUES))
    for number, figure in enumerate(figures):
        index = random.Random(f"{seed}/general/{figure.id}").choice(world.picture_indices(figure))
        shown = visible_values(figure, index)
        letters = random.Random(f"{seed}/general/letters/{number // 2}").sample(LETTERS, len(LETTERS))
        for place, task in enumerate(_PARTS):
            if task not in tasks:
                continue
            key = keys[(len(_PARTS) * number + place) % len(keys)]
            value = shown[key]
            rng = random.Random(f"{seed}/general/{figure.id}/{key}")
            wrong = [other for other in _VALUES[key] if other != value]
            wrong = rng.sample(wrong, min(WRONG_ANSWERS, len(wrong)))
            wordings = [wording.format(k=key) for wording in GENERAL_QUESTIONS["open" if task == "generation" else "closed"]]
            turn = (number + place) % len(wordings)
            letter, options = None, {}
            if task == "classification":
                letter = letters[number % 2 * _CLOSED + place]
                wrong = wrong[: len(LETTERS) - 1]
                options = lay_out(value, wrong, letter, rng)
            yield Sample(
                id=f"{benchmark}/{figure.id}/general/{task}/image_text/{key}",
                benchmark=benchmark,
                subject=figure.id,
                set="general",
                task=task,
                modality="image_text",
                question=wordings[turn],
                answer=value,
                images=(world.picture(figure, index),),
                options=options,
                correct_option=letter,
                paraphrases=(*wordings[:turn], *wordings[turn + 1 :]),
                wrong_answers=tuple(wrong),
                metadata={"attribute": key, "value": value},
                source=benchmark,
            )
