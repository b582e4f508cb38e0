"""What a run does, as one typed value: read from TOML, checked before anything loads, written back in full.

    experiment = read_experiment("examples/people.toml", overrides=("npo.beta=0.1",))

`experiment.to_toml()` repeats the run, `experiment.cells` is what will be computed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unsee.answering import ShotSource, load_protocol
from unsee.errors import ConfigError, DataError, nearest
from unsee.learning import LearnOptions
from unsee.method_plans import CONTROLS, MethodPlan, method_plan, split_variant
from unsee.methods import method_names
from unsee.provenance import digest
from unsee.sample import SetName
from unsee.settings import assignments, build, convert, plain, put, show

if TYPE_CHECKING:
    from unsee.benchmarks.base import TrainingModality

UnlearnModality = Literal["image_text", "text", "mixed"]

NOISE_SEED_STEP = 1000
"""The second gold of seed s is trained with seed s + 1000; its forget subjects are those of s."""

_DECIDES_NOTHING = {"name", "answer.batch_size"}
_ADDED_LATER = {"benchmark.half": "none", "benchmark.prompt": "none"}
"""Options that older run folders do not know, with the value that changes nothing: their cells keep their ids."""


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
    prompt: str | None = None
    """form of the questions of `unlok-vqa`; as published where unset"""


@dataclass(frozen=True)
class LearnTable(LearnOptions):
    """`[learn]`: how vanilla and gold come about."""

    golds: int = 2
    """golds per forget split; the second one gives the noise floor"""


@dataclass(frozen=True)
class UnlearnTable:
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
    modules: tuple[Literal["language", "projector", "vision"], ...] = ("language",)
    """parts of the model that unlearn"""
    paired: bool = False
    """only questions that are asked both with the picture and by name, so that every modality unlearns the same answers"""


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


@dataclass(frozen=True)
class AttackTable:
    """`[attack]`: attacks on what was forgotten."""

    attacks: tuple[str, ...] = ()
    """attacks to run"""
    budgets: tuple[int, ...] = ()
    """how many candidate answers an attacker may try"""


@dataclass(frozen=True)
class Cell:
    """One model to judge: a method or control on one forget request.

    Attributes:
        ratio: share of subjects to forget.
        modality: what unlearning showed; "none" for controls, which do not depend on it.
        seed: of training; `draw` picks the forget subjects.
        config: everything that decides the cell's records.
        entry: the method's name in the experiment, which says its settings.
    """

    method: str
    variant: str
    ratio: float
    modality: str
    seed: int
    draw: int
    config: Mapping[str, Any] = field(repr=False)
    entry: str = ""

    @cached_property
    def id(self) -> str:
        return f"{self.method}-{ratio_text(self.ratio)}-{self.modality}-s{self.seed}-{digest(self.config)[:8]}"

    @property
    def is_learned(self) -> bool:
        """Whether its model comes from learning alone."""
        return self.method in ("vanilla", "gold")

    @property
    def is_noise_gold(self) -> bool:
        """Whether it is the second gold of a split, which is scored and anchors nothing."""
        return self.method == "gold" and self.seed != self.draw


@dataclass(frozen=True)
class Experiment:
    """A whole run. Methods without a table in `method` use the defaults of the model."""

    name: str = "people"
    seeds: tuple[int, ...] = (0,)
    model: str = "tiny"
    benchmark: BenchmarkTable = field(default_factory=BenchmarkTable)
    learn: LearnTable = field(default_factory=LearnTable)
    unlearn: UnlearnTable = field(default_factory=UnlearnTable)
    method: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    answer: AnswerTable = field(default_factory=AnswerTable)
    states: StatesTable = field(default_factory=StatesTable)
    attack: AttackTable = field(default_factory=AttackTable)

    def __post_init__(self) -> None:
        check(self)

    def plan(self, entry: str) -> MethodPlan:
        """A method with this experiment's settings."""
        return method_plan(entry, self.method.get(entry, {}), model=self.model)

    @cached_property
    def tree(self) -> dict[str, Any]:
        """Every setting with its value, defaults included; what experiment.toml holds."""
        tree = plain(replace(self, method={}))
        del tree["learn"]["seed"]
        tree["method"] = {name: self.plan(name).settings() for name in (*self.unlearn.methods, *self.unlearn.controls)}
        return tree

    def to_toml(self) -> str:
        """The resolved form; reading it back gives the same experiment."""
        import tomli_w

        return tomli_w.dumps(self.tree)

    @property
    def decisive(self) -> dict[str, Any]:
        """The settings that decide results."""
        tree = {key: dict(value) if isinstance(value, dict) else value for key, value in self.tree.items()}
        # Settings of a protocol that is not asked decide nothing either.
        unused = _DECIDES_NOTHING | (set() if "official" in self.answer.protocols else {"answer.shots"})
        for path in unused | _ADDED_LATER.keys():
            *above, last = path.split(".")
            table = tree
            for key in above:
                table = table[key]
            if path in unused or table[last] == _ADDED_LATER[path]:
                del table[last]
        return tree

    @property
    def hash(self) -> str:
        """SHA-256 of the settings that decide results."""
        return digest(self.decisive)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All cells in the order they are computed: per seed and ratio the controls, then the methods."""
        tree = self.decisive
        shared = {key: tree[key] for key in ("model", "benchmark", "learn", "answer")}
        shared["learn"] = {key: value for key, value in tree["learn"].items() if key != "golds"}
        options = {key: tree["unlearn"][key] for key in ("loss_mask", "lora", "modules", "paired")}
        cells = []

        def add(entry: str, ratio: float, modality: str, seed: int, draw: int) -> None:
            method, variant = split_variant(entry)
            config = shared | {"entry": entry, "ratio": ratio, "modality": modality, "seed": seed, "draw": draw}
            if entry not in ("vanilla", "gold"):
                settings = tree["method"][entry]
                variant = settings.get("variant", variant)
                config |= {"unlearn": options, "method": settings}
            cells.append(Cell(method, variant, ratio, modality, seed, draw, config, entry))

        for draw in self.seeds:
            for ratio in self.unlearn.forget_ratios:
                add("vanilla", ratio, "none", draw, draw)
                for number in range(self.learn.golds):
                    add("gold", ratio, "none", draw + NOISE_SEED_STEP * number, draw)
                for control in self.unlearn.controls:
                    add(control, ratio, "none", draw, draw)
                for entry in self.unlearn.methods:
                    for modality in self.unlearn.modalities:
                        add(entry, ratio, modality, draw, draw)
        return tuple(cells)


def read_experiment(
    path: Path | str | None = None, *, tables: Mapping[str, Any] | None = None, overrides: tuple[str, ...] = ()
) -> Experiment:
    """An experiment from a TOML file, from tables, or from both.

    Args:
        tables: nested settings that win over the file's.
        overrides: `key=value` pairs that win over both; `npo.beta=0.1` is short for `method.npo.beta=0.1`.

    Raises:
        DataError: the file cannot be read or is no TOML; says the line.
        ConfigError: a key or value that cannot work.
    """
    tree = _read_toml(Path(path)) if path is not None else {}
    if path is not None:
        tree.setdefault("name", Path(path).stem)
    named = (tables or {}).get("benchmark", {}).get("name")
    if named is not None and isinstance(tree.get("benchmark"), dict) and tree["benchmark"].get("name") != named:
        tree["benchmark"].pop("path", None)  # the folder of another benchmark
    for key, value in (tables or {}).items():
        if isinstance(value, Mapping):
            for inner, item in value.items():
                put(tree, [key, inner], item)
        else:
            tree[key] = value
    given = assignments(overrides)
    chosen = [value for names, value in given if names == ["unlearn", "methods"]]
    methods = chosen[-1] if chosen else (tables or {}).get("unlearn", {}).get("methods")
    if isinstance(methods, list) and isinstance(tree.get("method"), dict):
        # The file's settings of methods that were not chosen this time are no mistake.
        kept = {str(name).replace("-", "_") for name in (*methods, *CONTROLS)}
        tree["method"] = {name: table for name, table in tree["method"].items() if name.replace("-", "_") in kept}
    known = {item.name for item in fields(Experiment)}
    for names, value in given:
        is_method = names[0] not in known and split_variant(names[0])[0] in method_names()
        put(tree, ["method", *names] if is_method else names, value)
    return parse_experiment(tree)


def parse_experiment(tree: Mapping[str, Any]) -> Experiment:
    """An experiment from nested plain values.

    Raises:
        ConfigError: a key or value that cannot work.
    """
    tree = dict(tree)
    tables = convert(Mapping[str, Mapping[str, Any]], tree.get("method", {}), "method")
    tree["method"] = {name.replace("-", "_"): table for name, table in tables.items()}
    if isinstance(tree.get("unlearn"), Mapping) and isinstance(tree["unlearn"].get("methods"), list):
        methods = [name.replace("-", "_") if isinstance(name, str) else name for name in tree["unlearn"]["methods"]]
        tree["unlearn"] = {**tree["unlearn"], "methods": methods}
    return build(Experiment, tree)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise DataError(f"experiment {path} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is no valid TOML: {error}; correct that line") from error
    except RecursionError as error:
        raise DataError(f"{path} is no valid TOML: nested too deeply; write it flatter") from error


def ratio_text(ratio: float) -> str:
    """0.05 -> "05", 0.125 -> "12.5"."""
    percent = round(ratio * 100, 6)
    return f"{int(percent):02d}" if percent == int(percent) else f"{percent:g}"


def training_modality(modality: str) -> TrainingModality:
    """What training questions show for an unlearning modality; `mixed` and the controls' `none` mean both."""
    known: dict[str, TrainingModality] = {"image_text": "image_text", "text": "text"}
    return known.get(modality, "both")


def check(experiment: Experiment) -> None:
    """Refuse what cannot work before anything is loaded.

    Raises:
        ConfigError: the key, the value and what would be right.
    """
    unlearn, learn, answer, states = experiment.unlearn, experiment.learn, experiment.answer, experiment.states
    for ratio in unlearn.forget_ratios:
        if not 0 < ratio < 1:
            raise ConfigError(f"unlearn.forget_ratios holds {ratio:g}; a ratio lies between 0 and 1, for example 0.05 for 5 %")
    for key, values in (
        ("seeds", experiment.seeds),
        ("unlearn.forget_ratios", unlearn.forget_ratios),
        ("unlearn.modalities", unlearn.modalities),
        ("unlearn.methods", unlearn.methods),
        ("unlearn.controls", unlearn.controls),
        ("unlearn.modules", unlearn.modules),
        ("answer.protocols", answer.protocols),
        ("states.bits", states.bits),
        ("states.sets", states.sets),
    ):
        if not values and key not in ("unlearn.controls", "unlearn.methods", "states.bits", "states.sets"):
            raise ConfigError(f"{key} is empty; name at least one")
        if len(set(values)) != len(values):
            raise ConfigError(f"{key} = {show(list(values))} names one thing twice; remove the second")
    for key, number, least in (
        ("benchmark.subjects", experiment.benchmark.subjects, 2),
        ("benchmark.facts", experiment.benchmark.facts, 1),
        ("benchmark.celebrities", experiment.benchmark.celebrities, 0),
        ("benchmark.general", experiment.benchmark.general, 0),
        ("unlearn.lora", unlearn.lora, 1),
        ("states.path", states.path, 0),
        ("states.relearn_epochs", states.relearn_epochs, 1),
        ("states.relearn_batch_size", states.relearn_batch_size, 1),
        ("answer.batch_size", answer.batch_size, 1),
        ("answer.retain_subjects", answer.retain_subjects, 1),
    ):
        if number is not None and number < least:
            raise ConfigError(f"{key} = {number} is too small; it must be at least {least}")
    for width in states.bits:
        if not 2 <= width <= 16:
            raise ConfigError(f"states.bits holds {width}; weights are rounded to 2 to 16 bits, for example 8 and 4")
    if not 0 <= states.relearn < 1:
        raise ConfigError(
            f"states.relearn = {states.relearn:g} is a share of the forget facts; give a number from 0 to below 1"
        )
    for seed in experiment.seeds:
        if not 0 <= seed < NOISE_SEED_STEP:
            raise ConfigError(f"seeds holds {seed}; a seed must lie between 0 and {NOISE_SEED_STEP - 1}")
    if learn.golds not in (1, 2):
        raise ConfigError(f"learn.golds = {learn.golds} is not valid; use 1, or 2 for a noise floor")
    if not experiment.name.strip() or set(experiment.name) & set("/\\\0\n") or experiment.name.strip(".") == "":
        raise ConfigError(f"name = {show(experiment.name)} cannot name a folder; use letters, digits and dashes")
    if learn.seed != 0:
        raise ConfigError(f"learn.seed = {learn.seed} has no effect in an experiment; set seeds = [{learn.seed}] instead")
    for protocol in answer.protocols:
        load_protocol(protocol)
    if experiment.attack.attacks:
        raise ConfigError(f"attack.attacks names {show(experiment.attack.attacks[0])}, but there are no attacks; remove it")
    for name in unlearn.methods:
        if name in CONTROLS:
            raise ConfigError(f"unlearn.methods names {name!r}, which is a control; controls need not be named")
    choices = [name for name in method_names() if name not in CONTROLS]
    for name in (*unlearn.methods, *experiment.method):
        base = split_variant(name)[0]
        if base not in method_names():
            raise ConfigError(f"unknown method {show(name)}; {nearest(base, choices)}")
    used = (*unlearn.methods, *unlearn.controls)
    for name in experiment.method:
        if name not in used:
            raise ConfigError(f"method.{name} is set, but {name} is not among unlearn.methods; add it there")
    for name in used:
        experiment.plan(name)
