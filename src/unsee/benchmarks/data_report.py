"""What a benchmark holds, counted, and what is wrong with it, before hours go into it.

    report = data_report(load_benchmark("mllmu-bench", path=DIR))
    report.ok

Sets are read one after the other, so that no more pictures are in memory than the largest set has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal, NamedTuple

from unsee.benchmarks.base import Benchmark
from unsee.benchmarks.creatures import Creatures
from unsee.benchmarks.creatures.guessing import AnswerPool, answer_pools
from unsee.benchmarks.extended.benchmark import ExtendedBenchmark
from unsee.benchmarks.interviews import QUESTIONS_PER_TASK
from unsee.benchmarks.mllmu_bench import MllmuBench
from unsee.benchmarks.mllmu_bench.facts import SINGLE_VALUED, agree
from unsee.benchmarks.mllmu_bench.folder import ConfigCount
from unsee.benchmarks.people import People
from unsee.benchmarks.unlok_vqa import UnlokVqa
from unsee.benchmarks.unlok_vqa.benchmark import PartCount
from unsee.metrics.alarm import prior_only
from unsee.metrics.frames import fact_of
from unsee.metrics.normalise import tokens
from unsee.sample import MODALITIES, SETS, TASKS, Modality, Sample, SetName, Task

FindingKind = Literal["wrong count", "contradiction", "unparsable", "duplicate"]


class Finding(NamedTuple):
    """Something to look at; a `duplicate` is no fault by itself."""

    kind: FindingKind
    where: str
    text: str


@dataclass(frozen=True)
class SetCount:
    """Questions of one set and task.

    Attributes:
        questions: modality -> questions, each counted once, however many test pictures it is asked with.
        asked: samples.
        expected: questions per subject and modality, None where nothing is expected.
    """

    set: SetName
    task: Task
    questions: Mapping[Modality, int]
    asked: int
    subjects: int
    expected: int | None = None


class Prior(NamedTuple):
    """What somebody gets who knows how often each answer occurs, and by blind guessing."""

    set: str
    task: str
    modality: str
    questions: int
    prior: float
    chance: float


@dataclass
class DataReport:
    """Counts and findings.

    Attributes:
        configs: files of an official layout; empty for other benchmarks.
        letters: set -> right letter -> questions.
        pictures: set -> size in pixels -> pictures, each counted where it is met first.
        pools: answers of each attribute of facts about species, and what can be guessed of them.
        counted: what a benchmark refused, made or left out by its own rules, in words -> how often.
        left_out: of those, what rows were left out for -> their ids.
    """

    name: str
    subjects: int
    fingerprint: str = ""
    training: Counter[Modality] = field(default_factory=Counter)
    configs: Sequence[ConfigCount | PartCount] = ()
    counts: list[SetCount] = field(default_factory=list)
    letters: dict[SetName, Counter[str]] = field(default_factory=dict)
    priors: list[Prior] = field(default_factory=list)
    pictures: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    pools: Sequence[AnswerPool] = ()
    counted: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[int]] = field(default_factory=dict)
    skipped: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was found but duplicates."""
        return all(finding.kind == "duplicate" for finding in self.findings)


def data_report(benchmark: Benchmark, *, ratio: float | None = None, seed: int = 0) -> DataReport:
    """Read every row and picture of a benchmark.

    Args:
        ratio: forget request that decides the sets; without it everybody is retained.
        seed: which subjects that request names.

    Raises:
        UserError: a row or picture cannot be used.
    """
    follows_paper = isinstance(benchmark, People | MllmuBench)
    made = DataReport(benchmark.name, len(benchmark.subjects), benchmark.fingerprint)
    check = _Check(made, QUESTIONS_PER_TASK if follows_paper else None)
    if isinstance(benchmark, MllmuBench | UnlokVqa):
        made.configs = benchmark.inventory()
    if isinstance(benchmark, MllmuBench):
        benchmark.check_files()
    if isinstance(benchmark, UnlokVqa | ExtendedBenchmark):
        made.counted = benchmark.counted
    if isinstance(benchmark, UnlokVqa):
        made.left_out = benchmark.left_out
        made.findings += [Finding("contradiction", where, text) for where, text in benchmark.contradictions]
    if isinstance(benchmark, Creatures):
        made.pools = answer_pools(benchmark.subjects, half=benchmark.half)
    for samples in _by_set(benchmark, ratio, seed):
        check.read(samples)
    for sample in _taught(benchmark):
        made.training[sample.modality] += 1
        check.look_at_pictures("training", sample)
        check.remember(sample, "training")
    if isinstance(benchmark, MllmuBench | UnlokVqa):
        made.skipped = len(benchmark.skipped)
        made.findings += [Finding("unparsable", f"{fault.file}, {fault.row}", fault.text) for fault in benchmark.skipped]
    check.conclude()
    return made


def samples_report(name: str, samples: Sequence[Sample]) -> DataReport:
    """The same for samples that are no benchmark, such as one file of JSON lines."""
    made = DataReport(name, len({sample.subject for sample in samples}))
    check = _Check(made, None)
    check.read(samples)
    check.conclude()
    return made


def _by_set(benchmark: Benchmark, ratio: float | None, seed: int) -> Iterator[list[Sample]]:
    """Evaluation samples in parts; official files are read set by set, others are small."""
    if not isinstance(benchmark, MllmuBench):
        yield benchmark.samples(ratio=ratio, seed=seed)
        return
    for name in benchmark.sets_there:
        if name != "forget" or ratio is not None:
            yield benchmark.samples(set=name, ratio=ratio, seed=seed)


def _taught(benchmark: Benchmark) -> Iterator[Sample]:
    if isinstance(benchmark, MllmuBench) and not benchmark.teaches:
        return
    for modality in MODALITIES:
        yield from benchmark.training(modality=modality)


class _Check:
    """Goes over samples, keeping their texts only."""

    def __init__(self, report: DataReport, expected: Mapping[Task, int] | None) -> None:
        self._report = report
        self._expected = expected
        self._samples: list[Sample] = []
        self._sizes: dict[str, str] = {}
        self._owners: dict[str, dict[str, None]] = defaultdict(dict)
        self._facts: dict[tuple[str, str], dict[str, tuple[str, str]]] = defaultdict(dict)
        self._answers: dict[tuple[str, str, str | None], dict[str, tuple[str, str]]] = defaultdict(dict)

    def read(self, samples: Sequence[Sample]) -> None:
        """One part of the evaluation samples; a set may not be in two parts."""
        for sample in samples:
            self.look_at_pictures(sample.set, sample)
            self.remember(sample, sample.set)
            self._look_at_question(sample)
        self._count(samples)
        self._find_repeated(samples)
        once = [replace(sample, images=()) for sample in _in_one_view(samples)]
        for sample in once:
            if sample.correct_option is not None:
                self._report.letters.setdefault(sample.set, Counter())[sample.correct_option] += 1
        self._samples += once

    def look_at_pictures(self, where: str, sample: Sample) -> None:
        for picture in sample.images:
            if picture.sha256 not in self._sizes:
                image = picture.open()
                self._sizes[picture.sha256] = f"{image.width}x{image.height}"
                self._report.pictures.setdefault(where, Counter())[self._sizes[picture.sha256]] += 1
            self._owners[picture.sha256][str(sample.metadata.get("entity", sample.subject))] = None

    def remember(self, sample: Sample, where: str) -> None:
        """Keep what a sample says, to compare it with what others say."""
        question = " ".join(sample.question.casefold().split())
        key = (sample.subject, question, sample.image_sha256)
        self._answers[key].setdefault(repr(tokens(sample.answer).items), (sample.answer, where))
        attribute = str(sample.metadata.get("attribute", ""))
        about_itself = where not in ("neighbour_image", "neighbour_question")
        told = sample.task != "generation" or where == "training" or "value" in sample.metadata
        if attribute in SINGLE_VALUED and about_itself and told:
            self._facts[sample.subject, attribute].setdefault(repr(tokens(fact_of(sample)).items), (fact_of(sample), where))

    def conclude(self) -> None:
        """Findings that need everything to have been seen."""
        report = self._report
        for (subject, question, _), answers in self._answers.items():
            said = list(answers.values())
            if not all(agree(one[0], other[0]) for one, other in combinations(said, 2)):
                report.findings.append(
                    Finding("contradiction", subject, f"{question!r} is answered by {_listed(said)}; keep one of them")
                )
        for (subject, attribute), facts in self._facts.items():
            said = list(facts.values())
            if not all(agree(one[0], other[0]) for one, other in combinations(said, 2)):
                report.findings.append(Finding("contradiction", subject, f"{attribute} is {_listed(said)}"))
        for sha256, owners in self._owners.items():
            if len(owners) > 1:
                listed = ", ".join(list(owners)[:5])
                report.findings.append(Finding("duplicate", listed, f"{len(owners)} subjects share the picture {sha256[:12]}"))
        priors = prior_only(self._samples)
        keys = ("set", "task", "modality")
        for group, rows in priors.group_by(*keys, maintain_order=True):
            set_, task, modality = map(str, group)
            mean = {column: sum(rows[column]) / rows.height for column in ("prior", "chance")}
            report.priors.append(Prior(set_, task, modality, rows.height, mean["prior"], mean["chance"]))

    def _count(self, samples: Iterable[Sample]) -> None:
        groups: dict[tuple[SetName, Task, Modality], dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for sample in samples:
            groups[sample.set, sample.task, sample.modality][sample.subject].append(sample)
        everybody: dict[SetName, dict[str, None]] = defaultdict(dict)
        for (set_, _, _), by_subject in groups.items():
            everybody[set_].update(dict.fromkeys(by_subject))
        for set_ in sorted(everybody, key=SETS.index):
            for task in TASKS:
                expected = self._expected[task] if self._expected is not None and set_ != "general" else None
                questions: dict[Modality, int] = {}
                subjects: dict[str, None] = {}
                asked = 0
                for modality in MODALITIES:
                    by_subject = groups.get((set_, task, modality), {})
                    numbers = {subject: len(_in_one_view(by_subject.get(subject, []))) for subject in everybody[set_]}
                    questions[modality] = sum(numbers.values())
                    subjects.update(dict.fromkeys(by_subject))
                    asked += sum(map(len, by_subject.values()))
                    for subject, number in numbers.items() if expected is not None else ():
                        if number != expected:
                            text = f"{number} questions of {set_} / {task} / {modality} instead of {expected}"
                            self._report.findings.append(Finding("wrong count", subject, text))
                if asked or expected is not None:
                    self._report.counts.append(SetCount(set_, task, questions, asked, len(subjects), expected))

    def _find_repeated(self, samples: Iterable[Sample]) -> None:
        times: Counter[tuple[str, ...]] = Counter()
        for sample in samples:
            question = " ".join(sample.question.casefold().split())
            times[sample.subject, sample.set, sample.task, sample.modality, question, str(sample.image_sha256)] += 1
        for (subject, set_, task, _, question, _), count in times.items():
            if count > 1:
                self._report.findings.append(Finding("duplicate", subject, f"{set_} / {task} asks {question!r} {count} times"))

    def _look_at_question(self, sample: Sample) -> None:
        texts = Counter(" ".join(text.casefold().split()) for text in sample.options.values())
        if sample.options and texts[" ".join(sample.answer.casefold().split())] > 1:
            self._report.findings.append(
                Finding("contradiction", sample.id, f"two options read {sample.answer!r}, so one right answer counts as wrong")
            )
        if sample.task == "cloze" and "__" not in sample.question:
            self._report.findings.append(
                Finding(
                    "unparsable", sample.id, f"cloze question {sample.question!r} has no blank; write __ where the answer goes"
                )
            )


def _in_one_view(samples: Sequence[Sample]) -> list[Sample]:
    """Samples without those that ask a question again with another test picture."""
    first: dict[tuple[str, str, str, str], object] = {}
    kept = []
    for sample in samples:
        view = sample.metadata.get("image")
        if view == first.setdefault((sample.subject, sample.set, sample.task, sample.modality), view):
            kept.append(sample)
    return kept


def _listed(said: Sequence[tuple[str, str]]) -> str:
    return " and ".join(f"{answer!r} ({where})" for answer, where in said[:4])


def whole_report(report: DataReport) -> dict[str, Any]:
    """What a terminal shows the first of, as JSON: every finding, and every id of a row that was left out."""
    return {
        "name": report.name,
        "subjects": report.subjects,
        "fingerprint": report.fingerprint,
        "ok": report.ok,
        "counted": dict(report.counted),
        "left_out": {reason: list(ids) for reason, ids in report.left_out.items()},
        "skipped": report.skipped,
        "findings": [finding._asdict() for finding in report.findings],
    }
