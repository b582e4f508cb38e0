"""The stages of the recipe: what each is for, how long it is, and what it asks.

Steps of the stages for people alone are written down. Where creatures are taught as well, a stage grows so that it still asks
as many questions about people.
"""

from __future__ import annotations

import math
from dataclasses import replace

from unsee.benchmarks.creatures.lessons import LessonShares
from unsee.models.pretraining.language import Stage
from unsee.models.pretraining.mixture import Shares
from unsee.models.pretraining.vision import VisionOptions

_ANNEAL = Shares(
    figures=0.75,
    letter=0.3,
    preamble=0.3,
    words=0.4,
    name=0.2,
    visual=0.12,
    skills=0.2,
    unknown=0.08,
    unknown_distance=2,
    guard_rows=0.14,
)
_SETTLE = replace(_ANNEAL, figures=0.8, letter=0.4, visual=0.1, unknown=0.1, matched_wordings=True)
_GUARDS = replace(_SETTLE, name=0.25, skills=0.25, unknown=0.08, guard_rows=0.5)

_LOOK = LessonShares(strangers=0.5, unknown=0.25, visible=0.5)
_TELL = LessonShares(strangers=0.15, unknown=0.2)
_TELL_MORE = LessonShares(strangers=0.1, unknown=0.15, visible=0.12)

PEOPLE: tuple[Stage, ...] = (
    Stage(
        "ground",
        400,
        Shares(figures=0.3, visual=0.5, letter=0.15, skills=0.6, guard_rows=0.0, preamble=0.05, letter_practice=0.7),
        few_shot_every=0,
        lessons=_LOOK,
    ),
    Stage("facts", 3600, Shares(skills=0.45, letter_practice=0.8, preamble=0.18), lessons=_TELL),
    Stage(
        "letters",
        1400,
        Shares(
            letter=0.6,
            sentence=0.0,
            cloze=0.0,
            skills=0.65,
            letter_practice=1.0,
            words=0.85,
            word_growth=300,
            label_to_word=0.25,
            unknown=0.0,
            guard_rows=0.0,
            preamble=0.0,
        ),
        rows=16,
        row_tokens=320,
        pictured=0,
        texts=7,
        few_shot_every=0,
        lessons=_TELL,
        creatures_pictured=0,
        creatures_texts=7,
    ),
    Stage(
        "mixed",
        750,
        Shares(letter=0.3, preamble=0.3, words=0.5, name=0.25, visual=0.12, skills=0.25, guard_rows=0.1),
        lessons=_TELL,
    ),
    Stage("anneal", 2600, _ANNEAL, learning_rate=8e-4, decay=True, lessons=_TELL),
    Stage("settle", 1200, _SETTLE, learning_rate=5e-4, decay=True, lessons=_TELL_MORE),
    Stage("guards", 900, _GUARDS, learning_rate=5e-4, decay=True, lessons=_TELL_MORE),
)
"""From scratch, people alone."""
PEOPLE_VISION = VisionOptions(steps=2400)

CREATURES, CREATURES_IN_LETTERS = 0.375, 0.125
"""Share of the rows that are about creatures, from scratch."""


def with_creatures(stage: Stage, share: float) -> Stage:
    """A stage with a share of its rows about creatures, longer by as much: it asks as many questions about people as before."""
    return replace(
        stage,
        creatures=share,
        steps=math.ceil(stage.steps / (1 - share)),
        few_shot_every=round(stage.few_shot_every / (1 - share)),
    )


BOTH: tuple[Stage, ...] = tuple(
    with_creatures(stage, CREATURES_IN_LETTERS if stage.name == "letters" else CREATURES) for stage in PEOPLE
)
"""From scratch, people and creatures."""
BOTH_VISION = VisionOptions(steps=3000)

FURTHER: tuple[Stage, ...] = (
    Stage("meet", 2000, _SETTLE, learning_rate=8e-4, creatures=0.5, lessons=_TELL),
    Stage("settle", 2400, _SETTLE, learning_rate=8e-4, decay=True, creatures=0.5, lessons=_TELL_MORE),
    Stage("guards", 1800, _GUARDS, learning_rate=5e-4, decay=True, creatures=0.5, lessons=_TELL_MORE),
)
"""From weights that know people; `settle` and `guards` ask as many questions about people as the stages of that name."""
FURTHER_VISION = VisionOptions(steps=2500, learning_rate=1e-3)


CLINIC: tuple[Stage, ...] = tuple(
    replace(stage, name="clinic" if stage.name == "meet" else stage.name, creatures=CREATURES / 2, patients=0.5)
    for stage in FURTHER
)
"""From weights that know people and creatures; half of the rows are about patients' pictures, and the others are shared out as
from scratch."""
CLINIC_VISION = VisionOptions(steps=3000, learning_rate=1e-3)


def without_creatures(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages for weights that know no creatures; people have their rows."""
    return tuple(replace(stage, creatures=0.0) for stage in stages)


def stretched(stages: tuple[Stage, ...], length: float) -> tuple[Stage, ...]:
    """The stages at another length, at least one step each."""
    return tuple(replace(stage, steps=max(1, round(stage.steps * length))) for stage in stages)
