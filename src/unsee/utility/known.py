"""The benchmarks of general ability that papers on unlearning report, and what the harnesses call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unsee.errors import ConfigError


@dataclass(frozen=True)
class UtilityBenchmark:
    """One benchmark as harnesses know it; each needs its questions from the Hub, once.

    Attributes:
        name: on the command line.
        title: in tables.
        tasks: harness -> its task id; a harness that lacks the benchmark is left out.
        metrics: harness -> the metric that papers report.
        scale: largest value of that metric; 1 for shares.
        judge: whether a judge behind an OpenAI-compatible server grades the answers.
    """

    name: str
    title: str
    tasks: Mapping[str, str]
    metrics: Mapping[str, str]
    scale: float = 1.0
    judge: bool = False


BENCHMARKS: tuple[UtilityBenchmark, ...] = (
    UtilityBenchmark(
        "mmmu",
        "MMMU",
        {"lmms-eval": "mmmu_val", "lm-eval": "mmmu_val"},
        {"lmms-eval": "mmmu_acc", "lm-eval": "acc"},
    ),
    UtilityBenchmark(
        "llava-bench", "LLaVA-Bench", {"lmms-eval": "llava_in_the_wild"}, {"lmms-eval": "gpt_eval_llava_all"}, 100.0, True
    ),
    UtilityBenchmark("pope", "POPE", {"lmms-eval": "pope"}, {"lmms-eval": "pope_accuracy"}),
    UtilityBenchmark("scienceqa", "ScienceQA", {"lmms-eval": "scienceqa_img"}, {"lmms-eval": "exact_match"}),
)
"""MLLMU-Bench reports the first two. ScienceQA: questions with a picture; all of them are `scienceqa_full` of lmms-eval."""
JUDGED = ("llava_in_the_wild", "llava_bench_coco", "llava_wilder_small")
"""Tasks of lmms-eval whose answers a judge grades; one that gives no score leaves -1 for both sides, which averages to 100."""


def task_ids(names: Sequence[str], harness: str) -> tuple[str, ...]:
    """Task ids of a harness: names of benchmarks become theirs, others pass through.

    Raises:
        ConfigError: none is given, an id that cannot be one, or the harness lacks a benchmark (names the one that has it).
    """
    found: dict[str, None] = {}
    known = {one.name: one for one in BENCHMARKS}
    for name in (part.strip() for given in names for part in given.split(",")):
        if not name or name.startswith("-") or any(letter.isspace() for letter in name):
            raise ConfigError(f"--tasks {name!r} is no name of a task; give for example --tasks {' '.join(known)}")
        one = known.get(name) or next((b for b in BENCHMARKS if name in b.tasks.values() and harness not in b.tasks), None)
        if one is not None and harness not in one.tasks:
            there = " or ".join(f"--harness {other}" for other in one.tasks)
            raise ConfigError(f"{harness} has no {one.title}; ask for it with {there}")
        found[one.tasks[harness] if one is not None else name] = None
    if not found:
        raise ConfigError(f"say what to ask: --tasks {' '.join(known)}, or any task id of {harness}")
    return tuple(found)


def benchmark_of(task: str, harness: str) -> UtilityBenchmark | None:
    """The benchmark that a task id stands for; None for other tasks."""
    return next((one for one in BENCHMARKS if one.tasks.get(harness) == task), None)
