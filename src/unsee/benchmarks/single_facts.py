"""What benchmarks of single facts share: who is forgotten is part of the benchmark, and all is asked with a picture."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Generic, NamedTuple, Protocol, TypeVar, get_args

from unsee.benchmarks.base import STOP_PROBES, Split, TrainingModality, check_set, in_turns, known_word, wanted
from unsee.benchmarks.splits import nested_split
from unsee.sample import Modality, Sample, SetName, Task

FactT = TypeVar("FactT")
FactIn = TypeVar("FactIn", contravariant=True)

TAUGHT: tuple[SetName, ...] = ("forget", "retain")
NEIGHBOURS: tuple[SetName, ...] = ("neighbour_image", "neighbour_question")
EVALUATED: tuple[SetName, ...] = ("forget", "test", "retain", *NEIGHBOURS)

GATE = ("{} Pick the right answer.", "Look closely and pick: {}", "Which answer is right? {}")
STOP = "{} Say it in a word."
"""Wordings of probes around questions of users and of official files, asked nowhere else."""
LETTERS = "ABCD"


class SingleFacts(ABC, Generic[FactT]):
    """A benchmark in which a subject is one fact; see `unsee.benchmarks.base.Benchmark`.

    A class that derives from it sets `subjects`, `_facts` (those to delete) and `_kept`, both by id.

    Attributes:
        subjects: the facts to delete.
    """

    name: str
    subjects: tuple[str, ...]
    _facts: Mapping[str, FactT]
    _kept: Mapping[str, FactT]

    def split(self, ratio: float, seed: int = 0) -> Split:
        """A part of the facts to delete, and the others of them together with the facts to keep.

        Raises:
            ConfigError: the ratio selects no fact or all of them.
        """
        return nested_split(self.subjects, ratio, seed, kept=tuple(self._kept))

    def samples(
        self,
        *,
        set: SetName | None = None,
        task: Task | None = None,
        modality: Modality | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> list[Sample]:
        """Evaluation samples, all with a picture; without `ratio` every fact to delete is in `forget`, and none in `retain`.

        Raises:
            ConfigError: a set, task or modality that there is not.
            DataError: a picture cannot be used.
        """
        tasks, modalities = wanted(task, modality)
        names = self._sets(set)
        if "generation" not in tasks or "image_text" not in modalities:
            return []
        found: list[Sample] = []
        for name in names:
            self._before(name, needed=set is not None)
            for fact in self._asked("retain" if name == "retain" else "forget", ratio, seed):
                found += self._evaluation(fact, name)
        return found

    def gate_probes(self, *, set: SetName | None = None, ratio: float | None = None, seed: int = 0) -> list[Sample]:
        """Questions in wordings that are asked nowhere else; facts that a benchmark cannot make them of have none."""
        names: list[SetName] = ["forget"] if set == "test" else [name for name in self._sets(set) if name in TAUGHT]
        return [probe for name in names for fact in self._asked(name, ratio, seed) for probe in self._gate(fact, name)]

    @abstractmethod
    def _evaluation(self, fact: FactT, name: SetName) -> Iterable[Sample]:
        """What one of the evaluated sets asks about a fact."""

    @abstractmethod
    def _gate(self, fact: FactT, name: SetName) -> Iterable[Sample]:
        """Probes that decide whether a fact is known."""

    def _before(self, name: SetName, *, needed: bool) -> None:
        """Called before the samples of a set are made; `needed` where the set was named."""

    def _sets(self, name: SetName | None, allowed: tuple[SetName, ...] = EVALUATED) -> tuple[SetName, ...]:
        if name is None:
            return allowed
        check_set(name, allowed, benchmark=self.name, ratio=1.0)  # the benchmark itself says what is forgotten
        return (name,)

    def _asked(self, name: SetName, ratio: float | None, seed: int) -> Iterator[FactT]:
        """Facts of one of the sets forget and retain."""
        forget = frozenset(self.subjects if ratio is None else self.split(ratio, seed).forget)
        for subject, fact in (*self._facts.items(), *self._kept.items()):
            if (subject in forget) == (name == "forget"):
                yield fact


class FactAsker(Protocol[FactIn]):
    """Makes the questions about a fact; one whose picture cannot be used has none."""

    def edited(self, fact: FactIn, label: SetName, /) -> Iterable[Sample]:
        """The question that is deleted or kept."""
        ...

    def disguised(self, fact: FactIn, /) -> Iterable[Sample]:
        """Rephrased questions, rephrased pictures, and both at once."""
        ...

    def neighbour_images(self, fact: FactIn, /) -> Iterable[Sample]:
        """The same question about pictures that show another answer."""
        ...

    def neighbour_questions(self, fact: FactIn, /) -> Iterable[Sample]:
        """Other questions about the same picture."""
        ...

    def gate(self, fact: FactIn, label: SetName, /) -> Iterable[Sample]:
        """Four-option questions in wordings that are asked nowhere else."""
        ...

    def stop(self, fact: FactIn, label: SetName, /) -> Iterable[Sample]:
        """One question in a wording that is asked nowhere else."""
        ...


class AskedFacts(SingleFacts[FactT]):
    """Single facts whose questions come from files; a class that derives from it also sets `_asker`."""

    _asker: FactAsker[FactT]

    def training(
        self, *, set: SetName | None = None, modality: TrainingModality = "both", ratio: float | None = None, seed: int = 0
    ) -> list[Sample]:
        """The edited questions: what a method unlearns, and what a model that does not know the facts would have to be taught.

        Raises:
            ConfigError: a set that is not taught.
        """
        known_word("modality", modality, get_args(TrainingModality))
        names = self._sets(set, TAUGHT)
        if modality == "text":
            return []
        asked = ((fact, name) for name in names for fact in self._asked(name, ratio, seed))
        return [sample for fact, name in asked for sample in self._asker.edited(fact, name)]

    def stop_probes(self, *, set: SetName, ratio: float | None = None, seed: int = 0, limit: int = STOP_PROBES) -> list[Sample]:
        """At most `limit` questions, one per fact."""
        (name,) = self._sets(set, TAUGHT)
        facts = islice(self._asked(name, ratio, seed), limit)
        return in_turns((self._asker.stop(fact, name) for fact in facts), limit)

    def replay(self) -> list[Sample]:
        """Nothing: the files have no general data."""
        return []

    def _evaluation(self, fact: FactT, name: SetName) -> Iterable[Sample]:
        if name == "test":
            return self._asker.disguised(fact)
        if name == "neighbour_image":
            return self._asker.neighbour_images(fact)
        return self._asker.neighbour_questions(fact) if name == "neighbour_question" else self._asker.edited(fact, name)

    def _gate(self, fact: FactT, name: SetName) -> Iterable[Sample]:
        return self._asker.gate(fact, name)


def spared(samples: Sequence[Sample], forgotten: Iterable[Sample]) -> list[Sample]:
    """The samples without neighbours that are forgotten questions themselves, which cannot survive."""
    gone = {sample.asks for sample in forgotten}
    return [one for one in samples if one.set not in NEIGHBOURS or one.asks not in gone]


class Choice(NamedTuple):
    """A four-option probe."""

    question: str
    options: Mapping[str, str]
    right: str


def four_options(question: str, answer: str, wrong: Sequence[str], *, rng: random.Random) -> Iterator[Choice]:
    """The gate probes of a question, the answer at another letter each time; none without three wrong answers."""
    if len(wrong) < len(LETTERS) - 1:
        return
    turn = rng.randrange(len(LETTERS))
    for number, wording in enumerate(GATE):
        at = (turn + number) % len(LETTERS)
        texts = [*wrong[:at], answer, *wrong[at : len(LETTERS) - 1]]
        yield Choice(wording.replace("{}", question), dict(zip(LETTERS, texts, strict=True)), LETTERS[at])
