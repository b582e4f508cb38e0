"""An extension as a benchmark: facts of a user's own table, deleted one at a time and attacked in graded disguises.

    benchmark = load_benchmark("my-extension")
    facts = benchmark.samples(set="forget")
    attacks = benchmark.samples(set="test")

Who is forgotten is part of the folder, so that no forget ratio is needed; with one, a part of the facts to delete is forgotten
and the rest of them is retained. Variants that failed a check are never asked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path

from unsee.benchmarks.base import TrainingModality
from unsee.benchmarks.extended.asking import Asker
from unsee.benchmarks.extended.files import FACTS, VARIANTS, plain, read_extension, read_rows
from unsee.benchmarks.extended.variants import KIND_NAMES, Fact, Variant
from unsee.benchmarks.single_facts import NEIGHBOURS, AskedFacts, spared
from unsee.benchmarks.unlok_vqa.levels import LEVELS, Axis, Level
from unsee.errors import ConfigError, DataError
from unsee.provenance import digest
from unsee.sample import Modality, Sample, SetName, Task

VERSION = 2
"""Raise when other questions are asked of equal folders; part of fingerprints."""
PICTURES = 1
"""Rephrased pictures of a grade that are asked, as UnLOK-VQA has them; further ones stand by for those that are rejected."""

FORGOTTEN_TOO = "neighbours that are facts to delete themselves, not asked of models that lost both"


class ExtendedBenchmark(AskedFacts[Fact]):
    """A folder of `unsee data extend` or `unsee data filter`; see `unsee.benchmarks.base.Benchmark`.

    A subject is one fact.

    Args:
        path: the folder.
        facts: only the first so many facts to delete; all where None.
        pictures: rephrased pictures of a grade that are asked, at most; 1 where None.
        seed: of probes and of forget requests.

    Attributes:
        subjects: the facts to delete.
        path: the folder that is read.

    Raises:
        ConfigError: a number that cannot be.
        DataError: a file is missing or damaged, or there is no fact to delete.
    """

    def __init__(self, path: Path | str, *, facts: int | None = None, pictures: int | None = None, seed: int = 0) -> None:
        self.path = Path(path)
        extension = read_extension(self.path)
        self.name = extension.name
        chosen = [fact for fact in extension.facts if fact.role == "delete"]
        if not chosen:
            raise DataError(f"{self.path} has no fact to delete; make the folder again with `unsee data extend`")
        if facts is not None and not 1 <= facts <= len(chosen):
            raise ConfigError(f"facts = {facts}, but {self.path} has {len(chosen)} to delete; give 1 to {len(chosen)}")
        if pictures is not None and pictures < 1:
            raise ConfigError(f"pictures = {pictures} is too small; it must be at least 1")
        self._facts = {fact.id: fact for fact in chosen[:facts]}
        self._kept = {fact.id: fact for fact in extension.facts if fact.role == "keep"}
        self.subjects = tuple(self._facts)
        self._variants = [one for one in extension.variants if one.fact in self._facts]
        self._options = (PICTURES if pictures is None else pictures, seed)
        self._asker = Asker(self.name, self._variants, extension.facts, pictures=self._options[0], seed=seed)

    def samples(
        self,
        *,
        set: SetName | None = None,
        task: Task | None = None,
        modality: Modality | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> list[Sample]:
        """As in the base class; with a `ratio` no neighbour is a fact that is forgotten with its own."""
        found = super().samples(set=set, task=task, modality=modality, ratio=ratio, seed=seed)
        return found if ratio is None else spared(found, super().training(set="forget", ratio=ratio, seed=seed))

    def training(
        self, *, set: SetName | None = None, modality: TrainingModality = "both", ratio: float | None = None, seed: int = 0
    ) -> list[Sample]:
        """As in the base class; with a `ratio` nothing to retain is a neighbour, which must survive without being trained."""
        found = super().training(set=set, modality=modality, ratio=ratio, seed=seed)
        if ratio is None or set == "forget":
            return found
        samples = super().samples
        near = {sample.asks for name in NEIGHBOURS for sample in samples(set=name, ratio=ratio, seed=seed)}
        return [sample for sample in found if sample.set != "retain" or sample.asks not in near]

    @property
    def counted(self) -> Mapping[str, int]:
        """Variants that are not asked because of a check, by reason, and facts that have none left of a kind."""
        failed = Counter(code for one in self._variants for code in one.failed)
        counts = {f"variants left out: {code}": count for code, count in sorted(failed.items())}
        near = [sample for name in NEIGHBOURS for sample in self.samples(set=name)]
        counts[FORGOTTEN_TOO] = len(near) - len(spared(near, self.training(set="forget")))
        for kind, name in KIND_NAMES.items():
            having = {one.fact for one in self._variants if one.kind == kind and not one.failed}
            counts[f"facts without a {name}"] = len(self._facts) - len(having)
        return {text: count for text, count in counts.items() if count}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over facts, variants that are asked, and the options that decide samples."""
        facts = [plain(fact) for fact in (*self._facts.values(), *self._kept.values())]
        return digest([VERSION, self.name, facts, [plain(one) for one in self._variants if not one.failed], self._options])


def hardest_levels(folder: Path, *, facts: int | None = None) -> dict[Axis, Level]:
    """Axis -> the hardest level that at least half of those facts have which have any; no picture is read.

    Axes without any disguise are missing.

    Args:
        facts: only the first so many facts to delete; all where None.

    Raises:
        DataError: the folder's facts or variants cannot be read.
    """
    there: dict[tuple[str, Level], set[str]] = defaultdict(set)
    deleted = (row["id"] for _, row in read_rows(Fact, folder / FACTS) if row["role"] == "delete")
    asked = set(islice(deleted, facts))
    for _, row in read_rows(Variant, folder / VARIANTS):
        if not row["failed"] and row["kind"] in ("question", "image") and row["fact"] in asked:
            there[row["kind"], row["grade"]].add(row["fact"])
    found: dict[Axis, Level] = {}
    axes: tuple[Axis, ...] = ("question", "image", "both")
    for axis in axes:
        kinds = ("question", "image") if axis == "both" else (axis,)
        having = {level: set.intersection(*(there[kind, level] for kind in kinds)) for level in LEVELS}
        everybody = set.union(*having.values())
        fitting = [level for level in LEVELS if having[level] and 2 * len(having[level]) >= len(everybody)]
        if everybody:
            found[axis] = fitting[-1] if fitting else max(LEVELS, key=lambda level: len(having[level]))
    return found
