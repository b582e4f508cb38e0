"""What a benchmark is: subjects, a nested split into forget and retain, and samples for training and evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Literal, Protocol, TypeVar

from unsee.errors import ConfigError, nearest
from unsee.sample import MODALITIES, SETS, TASKS, Modality, Sample, SetName, Task

TrainingModality = Literal["image_text", "text", "both"]
STOP_PROBES = 60
"""So many questions watch an unlearning run."""
_Word = TypeVar("_Word", bound=str)


@dataclass(frozen=True)
class Split:
    """Subjects of one forget request; `retain` includes `near_retain`."""

    forget: tuple[str, ...]
    near_retain: tuple[str, ...]
    retain: tuple[str, ...]


class Benchmark(Protocol):
    """Every benchmark, embedded or official.

    Attributes:
        name: its name in results.
        subjects: ids of everything that can be forgotten.
        fingerprint: SHA-256 over its data, part of every cache key.
    """

    name: str
    subjects: tuple[str, ...]

    @property
    def fingerprint(self) -> str: ...

    def split(self, ratio: float, seed: int = 0) -> Split:
        """Subjects to forget at `ratio` (0.05 = 5 %); larger ratios contain smaller ones, seeds give disjoint draws.

        Raises:
            ConfigError: the ratio selects nobody or everybody.
        """
        ...

    def samples(
        self,
        *,
        set: SetName | None = None,
        task: Task | None = None,
        modality: Modality | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> list[Sample]:
        """Evaluation samples; without `ratio` every subject counts as `retain` and `test` holds every subject."""
        ...

    def training(
        self, *, set: SetName | None = None, modality: TrainingModality = "both", ratio: float | None = None, seed: int = 0
    ) -> list[Sample]:
        """What the vanilla model is taught about the subjects of a set."""
        ...

    def gate_probes(self, *, set: SetName | None = None, ratio: float | None = None, seed: int = 0) -> list[Sample]:
        """Questions that decide whether a fact is known; never scored."""
        ...

    def stop_probes(self, *, set: SetName, ratio: float, seed: int = 0) -> list[Sample]:
        """A few questions for the path of an unlearning run and its stop rule; never scored."""
        ...

    def replay(self) -> list[Sample]:
        """General data that keeps other abilities alive during learning; holds nothing that is evaluated."""
        ...


def never_learned(benchmark: Benchmark) -> Benchmark | None:
    """The same questions about facts that no model was taught, where a benchmark has some (its method `never_learned`)."""
    made: Callable[[], Benchmark] | None = getattr(benchmark, "never_learned", None)
    return made() if made else None


def taught_facts(benchmark: Benchmark, asked: Sequence[Sample]) -> list[Sample]:
    """A question per fact that the start model was taught, for attackers who try the most frequent answers.

    Args:
        asked: the benchmark's questions, whose forgotten and retained facts stand for all where it does not list them (its
            method `taught_facts`).
    """
    made: Callable[[], list[Sample]] | None = getattr(benchmark, "taught_facts", None)
    return made() if made else [one for one in asked if one.set in ("forget", "retain") and one.task == "generation"]


def about(benchmark: Benchmark, scenario: str | None) -> Benchmark:
    """The benchmark as a request about one kind of harm sees it (its method `of`); itself where no scenario is named.

    Raises:
        ConfigError: it has no such scenario, or none at all.
    """
    if scenario is None:
        return benchmark
    made: Callable[[str], Benchmark] | None = getattr(benchmark, "of", None)
    if made is None:
        raise ConfigError(f"benchmark {benchmark.name} has no scenarios; leave unlearn.scenarios = [{scenario!r}, ...] out")
    return made(scenario)


def known_word(kind: str, value: _Word, known: tuple[_Word, ...]) -> _Word:
    """The value itself.

    Raises:
        ConfigError: it is none of those known.
    """
    if value not in known:
        raise ConfigError(f"there is no {kind} {value!r}; {nearest(value, known)}")
    return value


def wanted(task: Task | None, modality: Modality | None) -> tuple[tuple[Task, ...], tuple[Modality, ...]]:
    """Tasks and modalities of a call of `samples`; all where none is named.

    Raises:
        ConfigError: there is no such task or modality.
    """
    return (
        TASKS if task is None else (known_word("task", task, TASKS),),
        MODALITIES if modality is None else (known_word("modality", modality, MODALITIES),),
    )


def check_set(name: SetName, allowed: tuple[SetName, ...], *, benchmark: str, ratio: float | None) -> None:
    """Raises ConfigError for a set that there is not, that has no such questions, or that needs a forget ratio."""
    known_word("set", name, SETS)
    if name not in allowed:
        raise ConfigError(f"set {name!r} of benchmark {benchmark} has no such questions; it has them for {', '.join(allowed)}")
    if name in ("forget", "near_retain") and ratio is None:
        raise ConfigError(f"set {name!r} depends on who is forgotten; give a forget ratio as well")


def asked_both_ways(samples: Iterable[Sample]) -> list[Sample]:
    """Samples about what is asked as often with the picture as by name, so that both ways teach or forget the same answers.

    Of a fact and answer that one way has more questions about, the first ones are kept.
    """
    given = list(samples)
    keys = [(sample.subject, sample.metadata.get("attribute"), sample.answer) for sample in given]
    counts = Counter((sample.modality, key) for sample, key in zip(given, keys, strict=True))
    room = {(modality, key): min(counts[other, key] for other in MODALITIES) for modality, key in counts}
    kept = []
    for sample, key in zip(given, keys, strict=True):
        room[sample.modality, key] -= 1
        if room[sample.modality, key] >= 0:
            kept.append(sample)
    return kept


def in_turns(subjects: Iterable[Iterable[Sample]], limit: int) -> list[Sample]:
    """The first sample of every subject, then the second of every subject, up to `limit`."""
    rounds = zip_longest(*subjects)
    return list(islice((sample for one_each in rounds for sample in one_each if sample is not None), limit))
