"""A benchmark of ours as a table: what its evaluation asks about pictures and lets answer freely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from unsee.benchmarks.medical.table import SourceSplit, VqaRow, VqaTable
from unsee.benchmarks.profiles import SENTENCE
from unsee.errors import DataError
from unsee.sample import Sample

OWN_LICENSE = "Apache-2.0"
"""Of embedded benchmarks, which this package draws itself."""
ASKS = "asks"
"""Key of `VqaRow.facts` that says what a question asks for, whatever its wording."""


@dataclass(frozen=True)
class Source:
    """What an extension is made of.

    Attributes:
        table: rows that can become facts, and that lend their pictures and answers.
        further: rows that only lend: other pictures of what the table's rows are about.
    """

    table: VqaTable
    further: tuple[VqaRow, ...] = ()

    def each(self, change: Callable[[VqaRow], VqaRow]) -> Source:
        """The same with every row changed."""
        table = replace(self.table, rows=tuple(map(change, self.table.rows)))
        return Source(table, tuple(map(change, self.further)))


def read_benchmark(name_or_path: Path | str) -> Source:
    """The free questions about pictures of a benchmark by name or folder.

    Of a subject's questions about one attribute the first becomes a row; disguises (set test) only lend their pictures.

    Raises:
        UserError: there is no such benchmark, its files cannot be used, or it asks nothing of the kind.
    """
    from unsee.benchmarks import built_in, load_benchmark

    path = Path(name_or_path)
    benchmark = load_benchmark(path if path.is_dir() else name_or_path)
    embedded = str(name_or_path) in built_in() and not path.is_dir()
    samples = [sample for sample in benchmark.samples(task="generation", modality="image_text") if len(sample.images) == 1]
    taught = [sample for sample in samples if sample.set in ("forget", "retain")]
    rows = tuple(_rows(taught, "train", embedded))
    if not rows:
        raise DataError(f"benchmark {benchmark.name} asks no free questions about pictures; choose another one with --data")
    further = tuple(_rows([sample for sample in samples if sample.set == "test"], "test", embedded))
    return Source(VqaTable(benchmark.name, rows), further)


def _rows(samples: list[Sample], split: SourceSplit, embedded: bool) -> Iterator[VqaRow]:
    seen: set[tuple[str, str, str]] = set()
    for sample in samples:
        attribute = str(sample.metadata.get("attribute", ""))
        (picture,) = sample.images
        key = (sample.subject, attribute or sample.question, picture.sha256 if split == "test" else "")
        if key in seen:
            continue
        seen.add(key)
        yield VqaRow(
            id=sample.id,
            image=picture,
            question=_short(sample, sample.question),
            answer=sample.fact,
            group=str(sample.metadata.get("entity", sample.subject)),
            split=split,
            rephrased=tuple(_short(sample, text) for text in sample.paraphrases),
            kind=attribute,
            facts={ASKS: attribute} if attribute else {},
            source=sample.source or sample.benchmark,
            license=sample.source_license or (OWN_LICENSE if embedded else ""),
            where=f"benchmark {sample.benchmark}, sample {sample.id}",
        )


def _short(sample: Sample, question: str) -> str:
    """The question that is answered by the bare fact, where the sample asks for a sentence around it."""
    if sample.fact == sample.answer:
        return question
    for frame in SENTENCE.values():
        question = question.removeprefix(frame.partition("{q}")[0])
    return question
