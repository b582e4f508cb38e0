"""The tables of an experiment file: every setting with its type, its default and a line that says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unsee.answering import ShotSource
from unsee.learning import LearnOptions
from unsee.memory_options import MemoryOptions
from unsee.methods.base import Method
from unsee.methods.scope import Scope
from unsee.sample import SetName

UnlearnModality = Literal["image_text", "text", "mixed"]
Requests = Literal["ratio", "single_fact", "batch"]

NOISE_SEED_STEP = 1000
"""The second gold of seed s is trained with seed s + 1000; its forget subjects are those of s."""


@dataclass(frozen=True)
class BenchmarkTable:
    """`[benchmark]`: what is taught and forgotten."""

    name: str = "people"
    """a benchmark of `unsee list benchmarks`"""
    path: str | None = None
    """folder with the benchmark's files, for those that are not embedded"""
    subjects: int | None = None
    """how many subjects; the benchmark's own number where unset"""
    facts: int | None = None
    """how many facts, for benchmarks that forget single facts"""
    pictures: int | None = None
    """how many rephrased pictures of a level are asked, of folders that `unsee data extend` wrote; 1 where unset"""
    celebrities: int | None = None
    """how many of the evaluated public figures; all where unset"""
    general: int | None = None
    """how many held-out pictures the set `general` asks about; the benchmark's own number where unset"""
    seed: int | None = None
    """which people are invented, or what is drawn about those of official files; the benchmark's own where unset"""
    test_image: Literal["first", "random", "all"] | None = None
    """which of the pictures of a test question of official files are shown; all where unset"""
    split: Literal["official", "nested", "sequential"] | None = None
    """who is forgotten in official files; the official list where there is one, nested otherwise, where unset"""
    hub: bool | None = None
    """download official files that are not there"""
    skip_invalid: bool | None = None
    """go on without rows of official files that cannot be used"""
    half: Literal["A", "B", "never"] | None = None
    """which half of the species of `creatures` is asked about; A where unset"""
    patients: int | None = None
    """how many patients, for `patients`; the benchmark's own number where unset"""
    scenario: Literal["privacy", "incorrect"] | None = None
    """the only harm that is to be forgotten, for medical benchmarks; both where unset"""
    prompt: str | None = None
    """form of the questions of `unlok-vqa`; as published where unset"""


@dataclass(frozen=True)
class LearnTable(LearnOptions):
    """`[learn]`: how vanilla and gold come about."""

    golds: int = 2
    """golds per forget split; the second one gives the noise floor"""
    gold_model: str | None = None
    """with epochs = 0: name or folder of a model that is like the start but never knew what is forgotten"""


@dataclass(frozen=True)
class UnlearnTable(MemoryOptions):
    """`[unlearn]`: which cells there are, and what all methods share."""

    methods: tuple[str, ...] = ("ga", "graddiff", "kl", "npo", "idk")
    """methods of `unsee list methods`; a name with _official is the published variant"""
    controls: tuple[Literal["do_nothing", "prompt_guard"], ...] = ("do_nothing", "prompt_guard")
    """controls beside vanilla and gold, which are always there"""
    forget_ratios: tuple[float, ...] = (0.05, 0.10, 0.15)
    """shares of the subjects to forget, nested"""
    modalities: tuple[UnlearnModality, ...] = ("image_text", "text", "mixed")
    """what the unlearning samples show"""
    loss_mask: Literal["answer", "answer_and_question", "all"] = "answer"
    """which tokens count"""
    lora: int | None = 16
    """rank of the adapter that unlearns; "none" moves the weights themselves"""
    modules: tuple[str, ...] = ("language",)
    """what unlearns: `language`, `projector`, `vision`, `all-linear`, `mlp-down`, or full module paths"""
    paired: bool = False
    """only questions that are asked both with the picture and by name, so that every modality unlearns the same answers"""
    scenarios: tuple[str, ...] = ()
    """kinds of harm, for benchmarks that have several: each is a forget request of its own"""
    requests: Requests = "ratio"
    """what is forgotten at once: a share of the subjects, a single fact by an edit of its own, or a batch: all facts in one"""
    side_by_side: int = 16
    """single facts that are edited in one batched pass, where a method allows it"""
    sequence: tuple[int, ...] = ()
    """numbers of single facts that are also deleted one after the other from the same model, which is then asked"""
    keep_edits: bool = False
    """keep the weights of every single edit"""

    @property
    def deletes_facts(self) -> bool:
        """Whether the facts are deleted that the benchmark names, rather than a share of its subjects."""
        return self.requests != "ratio"

    def scope_of(self, method: Method) -> Scope | None:
        """Weights that a method may move; None for one that says so itself."""
        return Scope(modules=self.modules, rank=self.lora) if method.scope is None else None


@dataclass(frozen=True)
class AnswerTable:
    """`[answer]`: how models are asked."""

    protocols: tuple[str, ...] = ("strict", "official")
    """how answers are taken: ours, and as MLLMU-Bench published it"""
    shots: ShotSource = "evaluated"
    """whom few-shot prompts of `official` show: people of the set that is asked, of the retain set, or nobody"""
    batch_size: int = 16
    """questions asked at once; results do not depend on it"""
    truth_ratio: bool = True
    """also score wrong answers, which the truth ratio needs"""
    retain_subjects: int | None = None
    """ask about this many retain subjects only; all where unset"""


@dataclass(frozen=True)
class StatesTable:
    """`[states]`: further states in which each model is asked, because what seems forgotten may only be suppressed."""

    path: int = 0
    """points on the way through unlearning, evenly spaced over its steps"""
    relearn: float = 0.0
    """share of the forget facts that are taught again, as `[learn]` taught them but without replay; the others are asked"""
    relearn_epochs: int = 10
    """passes over those facts' questions"""
    relearn_batch_size: int = 16
    """questions per step of relearning"""
    bits: tuple[int, ...] = ()
    """widths to which the weights are rounded, for example 8 and 4"""
    sets: tuple[SetName, ...] = ()
    """sets that further states are asked about; all where empty"""

    @property
    def asked(self) -> bool:
        """Whether any further state is asked for."""
        return bool(self.path or self.relearn or self.bits)


@dataclass(frozen=True)
class AttackTable:
    """`[attack]`: attacks on what was forgotten."""

    attacks: tuple[str, ...] = ()
    """attacks of `unsee list attacks`; `rephrase_question:easy` is one with disguises of that level"""
    budgets: tuple[int, ...] = ()
    """how many candidate answers an attacker may try; 1, 5, 10, 20 and 50 where empty"""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """options of single attacks, by name"""
    never_learned: bool = False
    """also attack facts that the model never knew, where the benchmark has some: what an attack finds without knowledge"""
