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
from typing import TYPE_CHECKING, Any

from unsee.answering import load_protocol
from unsee.attacks import load_attack
from unsee.attacks.base import BUDGETS, NEVER_LEARNED
from unsee.errors import ConfigError, DataError, nearest
from unsee.experiment_tables import (
    AnswerTable,
    AttackTable,
    BenchmarkTable,
    LearnTable,
    StatesTable,
    UnlearnTable,
)
from unsee.method_plans import CONTROLS, MethodPlan, method_plan, split_variant
from unsee.methods import method_names
from unsee.presets import with_preset
from unsee.provenance import digest
from unsee.settings import assignments, build, convert, plain, put, show

if TYPE_CHECKING:
    from unsee.attacks import Attack
    from unsee.benchmarks.base import TrainingModality

NOISE_SEED_STEP = 1000
"""The second gold of seed s is trained with seed s + 1000; its forget subjects are those of s."""

_DECIDES_NOTHING = {"name", "answer.batch_size", "unlearn.side_by_side", "unlearn.keep_edits"}
_ADDED_LATER: Mapping[str, Any] = {
    "benchmark.half": "none",
    "benchmark.prompt": "none",
    "learn.gold_model": "none",
    "unlearn.requests": "ratio",
    "unlearn.sequence": [],
    "attack.options": {},
    "attack.never_learned": False,
}
"""Options that older run folders do not know, with the value that changes nothing: their cells keep their ids."""


@dataclass(frozen=True)
class Cell:
    """One model to judge: a method or control on one forget request.

    Attributes:
        ratio: share of subjects to forget; None where facts are forgotten one by one.
        modality: what unlearning showed; "none" for controls, which do not depend on it.
        seed: of training; `draw` picks the forget subjects.
        config: everything that decides the cell's records.
        entry: the method's name in the experiment, which says its settings.
    """

    method: str
    variant: str
    ratio: float | None
    modality: str
    seed: int
    draw: int
    config: Mapping[str, Any] = field(repr=False)
    entry: str = ""

    @cached_property
    def id(self) -> str:
        return f"{self.method}-{ratio_text(self.ratio)}-{self.modality}-s{self.seed}-{digest(self.config)[:8]}"

    @property
    def is_single_fact(self) -> bool:
        """Whether every fact is forgotten by an edit of its own."""
        return self.ratio is None

    @property
    def is_learned(self) -> bool:
        """Whether its model comes from learning alone."""
        return self.method in ("vanilla", "gold", NEVER_LEARNED)

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
    def attacks(self) -> tuple[Attack, ...]:
        """The attacks with their options, in order."""
        given = self.attack.options
        return tuple(
            load_attack(entry, **{**given.get(attack_name(entry), {}), **given.get(entry, {})}) for entry in self.attack.attacks
        )

    @property
    def budgets(self) -> tuple[int, ...]:
        """Numbers of candidates that results are given for."""
        return self.attack.budgets or BUDGETS

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

    @property
    def golds(self) -> int:
        """Golds per forget request; where nothing is taught there is one if a model is named, else none."""
        return self.learn.golds if self.learn.epochs else int(self.learn.gold_model is not None)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All cells in the order they are computed: per seed and ratio the controls, then the methods."""
        tree = self.decisive
        shared = {key: tree[key] for key in ("model", "benchmark", "learn", "answer")}
        shared["learn"] = {key: value for key, value in tree["learn"].items() if key != "golds"}
        options = {key: tree["unlearn"][key] for key in ("loss_mask", "lora", "modules", "paired")}
        if self.attack.attacks:
            shared["attack"] = tree["attack"]
        if self.unlearn.sequence:
            options["sequence"] = tree["unlearn"]["sequence"]
        ratios: tuple[float | None, ...] = (None,) if self.unlearn.requests == "single_fact" else self.unlearn.forget_ratios
        cells = []

        def add(entry: str, ratio: float | None, modality: str, seed: int, draw: int) -> None:
            method, variant = split_variant(entry)
            config = shared | {"entry": entry, "ratio": ratio, "modality": modality, "seed": seed, "draw": draw}
            if entry not in ("vanilla", "gold", NEVER_LEARNED):
                settings = tree["method"][entry]
                variant = settings.get("variant", variant)
                config |= {"unlearn": options, "method": settings}
            cells.append(Cell(method, variant, ratio, modality, seed, draw, config, entry))

        for draw in self.seeds:
            for ratio in ratios:
                add("vanilla", ratio, "none", draw, draw)
                if self.attack.never_learned:
                    add(NEVER_LEARNED, ratio, "none", draw, draw)
                for number in range(self.golds):
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
    tree = with_preset(tree)
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


def attack_name(entry: str) -> str:
    """`rephrase-question:easy` -> `rephrase_question`."""
    return entry.partition(":")[0].replace("-", "_")


def ratio_text(ratio: float | None) -> str:
    """0.05 -> "05", 0.125 -> "12.5", None -> "single_fact"."""
    if ratio is None:
        return "single_fact"
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
        ("attack.attacks", experiment.attack.attacks),
        ("attack.budgets", experiment.attack.budgets),
        ("unlearn.sequence", unlearn.sequence),
    ):
        may_be_empty = ("unlearn.controls", "unlearn.methods", "unlearn.sequence", "states.", "attack.")
        if not values and not key.startswith(may_be_empty):
            raise ConfigError(f"{key} is empty; name at least one")
        if len(set(values)) != len(values):
            raise ConfigError(f"{key} = {show(list(values))} names one thing twice; remove the second")
    for key, number, least in (
        ("benchmark.subjects", experiment.benchmark.subjects, 2),
        ("benchmark.facts", experiment.benchmark.facts, 1),
        ("benchmark.celebrities", experiment.benchmark.celebrities, 0),
        ("benchmark.general", experiment.benchmark.general, 0),
        ("unlearn.lora", unlearn.lora, 1),
        ("unlearn.side_by_side", unlearn.side_by_side, 1),
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
    if learn.gold_model is not None and learn.epochs:
        raise ConfigError(
            f"learn.gold_model = {show(learn.gold_model)} is for facts that a model knows already; with learn.epochs = "
            f"{learn.epochs} gold is taught like vanilla, so set learn.epochs = 0 or leave gold_model out"
        )
    if learn.golds not in (1, 2):
        raise ConfigError(f"learn.golds = {learn.golds} is not valid; use 1, or 2 for a noise floor")
    if not experiment.name.strip() or set(experiment.name) & set("/\\\0\n") or experiment.name.strip(".") == "":
        raise ConfigError(f"name = {show(experiment.name)} cannot name a folder; use letters, digits and dashes")
    if learn.seed != 0:
        raise ConfigError(f"learn.seed = {learn.seed} has no effect in an experiment; set seeds = [{learn.seed}] instead")
    for protocol in answer.protocols:
        load_protocol(protocol)
    _check_attack(experiment)
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


def _check_attack(experiment: Experiment) -> None:
    """The part of `check` about attacks and single facts."""
    table = experiment.attack
    made = experiment.attacks
    for budget in table.budgets:
        if budget < 1:
            raise ConfigError(f"attack.budgets holds {budget}; an attacker tries at least 1 candidate")
    named = {attack_name(entry) for entry in table.attacks} | set(table.attacks)
    for name in table.options:
        if name not in named:
            raise ConfigError(f"attack.options.{name} is set, but {name} is not among attack.attacks; add it there")
    for entry, one in zip(table.attacks, made, strict=True):
        twin = next((e for e, other in zip(table.attacks, made) if e != entry and _same_rows(one, other)), None)
        if twin is not None:
            raise ConfigError(
                f"attack.attacks names {show(entry)} and {show(twin)}, whose results could not be told apart; keep one"
            )
    if table.never_learned and not table.attacks:
        raise ConfigError("attack.never_learned has nothing to do without attacks; name some in attack.attacks")
    sequence = experiment.unlearn.sequence
    if sequence and (min(sequence) < 2 or experiment.unlearn.requests != "single_fact"):
        raise ConfigError(
            f"unlearn.sequence = {list(sequence)} counts single facts (unlearn.requests = single_fact) that are deleted from "
            "one model; give numbers of at least 2"
        )
    if experiment.unlearn.requests == "single_fact" and experiment.states.asked:
        raise ConfigError("[states] cannot be asked where single facts are forgotten; leave its settings out")


def _same_rows(one: Attack, other: Attack) -> bool:
    return (one.name, one.graded) == (other.name, other.graded)
