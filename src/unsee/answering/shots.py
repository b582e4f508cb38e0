"""Who is shown in the few-shot prompts of protocol `official`, drawn from the questions of a call and a seed alone.

    shots = draw_shots(benchmark.samples(ratio=0.05), seed=0)
    shots.of(sample), shots.skips(sample), shots.manifest()

No model takes part, so every model of a request is shown the same people and loses the same questions.
"""

from __future__ import annotations

import random
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from unsee.provenance import digest

if TYPE_CHECKING:
    from unsee.answering.views import ShotSource
    from unsee.sample import Sample

Mode = Literal["forget", "test", "retain_shared", "retain_celebrity"]

MODES: Mapping[str, Mode] = {
    "forget": "forget",
    "test": "test",
    "retain": "retain_shared",
    "near_retain": "retain_shared",
    "celebrity": "retain_celebrity",
}
"""Set -> what the published evaluation calls it; sets it does not know are asked without shots."""

_SETS: Mapping[Mode, str] = {
    "forget": "forget",
    "test": "test",
    "retain_shared": "retain",
    "retain_celebrity": "celebrity",
}

PEOPLE: Mapping[str, int] = {"classification": 1, "cloze": 2}
"""People shown per task; generation shows nobody."""
RETAIN_PEOPLE = 2
"""People shown per task, one question of each, where they come from the retain set."""


class _Place(NamedTuple):
    """Which question of a person: the test set asks each of the original ones in other words, in the same order."""

    subject: str
    task: str
    modality: str
    number: int


@dataclass(frozen=True)
class Draw:
    """Who is shown to the questions of one mode and task.

    Attributes:
        wanted: people the protocol would show; fewer are shown where too few would be left to score.
        subjects: people shown, in the order of the prompt.
        shown: modality -> their questions, in the order of the prompt.
        skipped: ids of samples that are not asked, because they or their originals are shown.
    """

    mode: Mode
    task: str
    wanted: int
    subjects: tuple[str, ...]
    shown: Mapping[str, tuple[Sample, ...]]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class Shots:
    """All draws of a call."""

    source: ShotSource
    seed: int
    draws: Mapping[tuple[str, str], Draw]

    def of(self, sample: Sample) -> tuple[Sample, ...]:
        """What is shown before a sample's question."""
        draw = self._draw(sample)
        return () if draw is None else draw.shown.get(sample.modality, ())

    def skips(self, sample: Sample) -> bool:
        """Whether a sample is not asked, because its answer is shown."""
        draw = self._draw(sample)
        return draw is not None and sample.id in draw.skipped

    def _draw(self, sample: Sample) -> Draw | None:
        return self.draws.get((MODES.get(sample.set, ""), sample.task))

    def manifest(self) -> dict[str, Any]:
        """The draws as plain values; `sha256` stands for the wording and pictures shown."""
        return {
            "shots": self.source,
            "seed": self.seed,
            "draws": [
                {
                    "mode": draw.mode,
                    "task": draw.task,
                    "wanted": draw.wanted,
                    "subjects": list(draw.subjects),
                    "shown": {modality: [sample.id for sample in shown] for modality, shown in draw.shown.items()},
                    "skipped": list(draw.skipped),
                    "sha256": digest([[_content(sample) for sample in shown] for shown in draw.shown.values()]),
                }
                for draw in self.draws.values()
            ],
        }


def draw_shots(
    samples: Sequence[Sample], *, shots: ShotSource = "evaluated", seed: int = 0, people: Mapping[str, int] = PEOPLE
) -> Shots:
    """Choose who is shown.

    Args:
        samples: every question of the call. Shots of the test set are the originals of its questions, found among the other
            sets.
        shots: `evaluated` shows all questions of people of the set that is asked, and nobody to public figures (published);
            `retain` shows one question of two people of the retain set in every mode (review-time version); `none` nobody.
        seed: decides who; the same people and seed give the same draw in whatever order the samples come.
        people: people shown per task where they come from the set that is asked.
    """
    places = _places(samples)
    originals: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if MODES.get(sample.set) in ("forget", "retain_shared"):
            originals[sample.task].append(sample)
    draws: dict[tuple[str, str], Draw] = {}
    for mode, task in sorted({(MODES[s.set], s.task) for s in samples if s.set in MODES and s.task in PEOPLE}):
        asked = [s for s in samples if MODES.get(s.set) == mode and s.task == task]
        if shots == "none" or (shots == "evaluated" and mode == "retain_celebrity"):
            continue
        pool = _pool(asked, originals[task], mode, shots)
        wanted = RETAIN_PEOPLE if shots == "retain" else people[task]
        count = min(wanted, len(pool) - (shots == "evaluated"))
        if count < wanted:
            _warn_few(mode, task, len(pool), wanted, max(0, count), shots)
        chosen = sorted(random.Random(f"shots/{seed}/{mode}/{task}").sample(sorted(pool), max(0, count)))
        shown: dict[str, tuple[Sample, ...]] = {
            modality: tuple(
                question
                for subject in chosen
                for question in [q for q in pool[subject] if q.modality == modality][: 1 if shots == "retain" else None]
            )
            for modality in sorted({s.modality for s in asked})
        }
        taken = {places[id(question)] for questions in shown.values() for question in questions}
        skipped = tuple(s.id for s in asked if places[id(s)] in taken)
        draws[mode, task] = Draw(mode, task, wanted, tuple(chosen), shown, skipped)
    return Shots(shots, seed, draws)


def _pool(asked: Sequence[Sample], originals: Sequence[Sample], mode: Mode, shots: ShotSource) -> dict[str, list[Sample]]:
    """People who may be shown -> their questions: those with a question in every modality that is asked."""
    subjects = {s.subject for s in asked}
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in originals:
        if MODES[sample.set] == "retain_shared" if shots == "retain" else sample.subject in subjects:
            found[sample.subject].append(sample)
    modalities = {s.modality for s in asked}
    return {who: questions for who, questions in found.items() if modalities <= {one.modality for one in questions}}


def _places(samples: Sequence[Sample]) -> dict[int, _Place]:
    """Place of every sample; samples that put one question to several pictures share a place."""
    numbers: dict[tuple[str, str, str, str], dict[tuple[str, str], int]] = defaultdict(dict)
    places = {}
    for sample in samples:
        group = numbers[MODES.get(sample.set, sample.set), sample.subject, sample.task, sample.modality]
        number = group.setdefault((sample.question, sample.answer), len(group))
        places[id(sample)] = _Place(sample.subject, sample.task, sample.modality, number)
    return places


def _warn_few(mode: Mode, task: str, there: int, wanted: int, shown: int, shots: ShotSource) -> None:
    set_name = "retain" if shots == "retain" else _SETS[mode]
    rest = "" if shots == "retain" else " and score others"
    warnings.warn(
        f"protocol official: set {set_name} has too few people with {task} questions in every modality asked ({there}) "
        f"to show {wanted}{rest}; shots of {_SETS[mode]} show {shown}",
        stacklevel=4,
    )


def _content(sample: Sample) -> list[Any]:
    return [sample.id, sample.question, sample.answer, sample.correct_option, sample.image_sha256, *sample.options.items()]
