"""What a run does, as one typed value: read from TOML, checked before anything loads, written back in full.

    experiment = read_experiment("examples/people.toml", overrides=("npo.beta=0.1",))

`experiment.to_toml()` repeats the run, `experiment.cells` is what will be computed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.attacks import attack_name, load_attack
from unsee.attacks.base import BUDGETS, NEVER_LEARNED
from unsee.errors import ConfigError, DataError
from unsee.experiment_checks import check
from unsee.experiment_tables import (
    NOISE_SEED_STEP,
    AnswerTable,
    AttackTable,
    BenchmarkTable,
    LearnTable,
    StatesTable,
    UnlearnTable,
)
from unsee.memory_options import DECIDES_NOTHING
from unsee.method_plans import CONTROLS, MethodPlan, method_plan, split_variant, tuned
from unsee.methods import method_names
from unsee.models.checkpoints import Dtype, Quantize
from unsee.models.prompts import ROW_TOKENS
from unsee.presets import with_preset
from unsee.provenance import digest
from unsee.settings import assignments, build, convert, plain, put

if TYPE_CHECKING:
    from unsee.attacks import Attack

_DECIDES_NOTHING = {
    "name",
    "answer.batch_size",
    "unlearn.side_by_side",
    "unlearn.keep_edits",
    "learn.reference",
    "learn.reference_top_k",
    *(f"{table}.{key}" for table in ("learn", "unlearn") for key in DECIDES_NOTHING),
}
_ADDED_LATER: Mapping[str, Any] = {
    "dtype": "float32",
    "quantize": "none",
    "benchmark.half": "none",
    "benchmark.prompt": "none",
    "benchmark.patients": "none",
    "benchmark.pictures": "none",
    "benchmark.scenario": "none",
    "learn.gold_model": "none",
    "learn.optimizer": "adamw",
    "unlearn.optimizer": "adamw",
    "unlearn.reference": "auto",
    "unlearn.reference_top_k": "none",
    "unlearn.requests": "ratio",
    "unlearn.sequence": [],
    "unlearn.scenarios": [],
    "attack.options": {},
    "attack.never_learned": False,
}
"""Options that older run folders do not know, with the value that changes nothing: their cells keep their ids."""
_ADDED_LATER_TO_METHODS: Mapping[str, Any] = {"loss_below": "none"}
"""The same for settings of every method."""
_SHARED = ("model", "dtype", "quantize", "benchmark", "learn", "answer")
"""What decides every cell."""


class Request(NamedTuple):
    """What is to be forgotten: a share of the subjects (None: facts one by one), which draw of them, which kind of harm."""

    ratio: float | None
    draw: int
    scenario: str | None


@dataclass(frozen=True)
class Cell:
    """One model to judge: a method or control on one forget request.

    Attributes:
        ratio: share of subjects to forget; None where single facts are.
        modality: what unlearning showed; "none" for controls, which do not depend on it.
        seed: of training; `draw` picks the forget subjects.
        config: everything that decides the cell's records.
        entry: the method's name in the experiment, which says its settings.
        scenario: kind of harm that is to be forgotten, for benchmarks that have several.
    """

    method: str
    variant: str
    ratio: float | None
    modality: str
    seed: int
    draw: int
    config: Mapping[str, Any] = field(repr=False)
    entry: str = ""
    scenario: str | None = None

    @property
    def request(self) -> Request:
        """Cells with one request are asked the same and held against the same vanilla and gold."""
        return Request(self.ratio, self.draw, self.scenario)

    @cached_property
    def id(self) -> str:
        request = "batch" if self.is_batch else ratio_text(self.ratio)
        return f"{self.method}-{request}-{self.modality}-s{self.seed}-{digest(self.config)[:8]}"

    @property
    def is_single_fact(self) -> bool:
        """Whether single facts are forgotten: each by an edit of its own, or in a batch."""
        return self.ratio is None

    @property
    def is_batch(self) -> bool:
        """Whether one edit forgets all facts; learned models are the same either way, and so are their cells."""
        return self.config.get("unlearn", {}).get("requests") == "batch"

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
    dtype: Dtype = "float32"
    quantize: Quantize | None = None
    benchmark: BenchmarkTable = field(default_factory=BenchmarkTable)
    learn: LearnTable = field(default_factory=LearnTable)
    unlearn: UnlearnTable = field(default_factory=UnlearnTable)
    method: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    answer: AnswerTable = field(default_factory=AnswerTable)
    states: StatesTable = field(default_factory=StatesTable)
    attack: AttackTable = field(default_factory=AttackTable)

    def __post_init__(self) -> None:
        check(self)

    def needs_gold(self, entry: str) -> bool:
        """Whether gold takes part in making a cell: it is the cell, or the reference of its method."""
        if entry in ("vanilla", "gold", NEVER_LEARNED):
            return entry == "gold"
        return self.plan(entry).method.reference == "retain_tuned"

    def plan(self, entry: str) -> MethodPlan:
        """A method with this experiment's settings."""
        return method_plan(entry, self.method.get(entry, {}), model=self.model)

    @cached_property
    def attacks(self) -> tuple[Attack, ...]:
        """The attacks with their options, in order."""
        given = self._attack_options
        return tuple(
            load_attack(entry, **{**given.get(attack_name(entry), {}), **given.get(entry, {})}) for entry in self.attack.attacks
        )

    @property
    def _attack_options(self) -> dict[str, dict[str, Any]]:
        """Options by attack: what was tuned for the model, then the experiment's own."""
        named = dict.fromkeys(attack_name(entry) for entry in self.attack.attacks)
        searched = {name: dict(found) for name in named if (found := tuned(self.model, name))}
        return {
            name: {**searched.get(name, {}), **self.attack.options.get(name, {})}
            for name in {**searched, **self.attack.options}
        }

    @property
    def taught_in(self) -> Quantize | None:
        """Bits of the weights below the adapter that learns; weights that move themselves are taught in `dtype`."""
        return None if self.learn.lora is None else self.quantize

    @property
    def budgets(self) -> tuple[int, ...]:
        """Numbers of candidates that results are given for."""
        return self.attack.budgets or BUDGETS

    @cached_property
    def tree(self) -> dict[str, Any]:
        """Every setting with its value, defaults included; what experiment.toml holds."""
        tree = plain(replace(self, method={}))
        del tree["learn"]["seed"]
        tree["attack"]["options"] = plain(self._attack_options)
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
        tree["learn"] = _packed_as_before(tree["learn"])
        tree["method"] = {name: _packed_as_before(settings) for name, settings in tree["method"].items()}
        # Settings of a protocol that is not asked decide nothing either.
        unused = _DECIDES_NOTHING | (set() if "official" in self.answer.protocols else {"answer.shots"})
        for path in unused | _ADDED_LATER.keys():
            *above, last = path.split(".")
            table = tree
            for key in above:
                table = table[key]
            if path in unused or table[last] == _ADDED_LATER[path]:
                del table[last]
        known = _ADDED_LATER_TO_METHODS.items()
        tree["method"] = {
            name: {key: value for key, value in settings.items() if (key, value) not in known}
            for name, settings in tree["method"].items()
        }
        return tree

    @property
    def hash(self) -> str:
        """SHA-256 of the settings that decide results."""
        return digest(self.decisive)

    @property
    def golds(self) -> int:
        """Golds per forget request; where nothing is taught there is one if a model is named, else none."""
        return self.learn.golds if self.learn.epochs else int(self.learn.gold_model is not None)

    def gold_ratio(self, ratio: float | None) -> float | None:
        """The forget ratio by which gold is taught; gold never saw any harm, whatever share of it a request lists."""
        return 1.0 if self.unlearn.scenarios else ratio

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All cells in the order they are computed: per seed, ratio and scenario the controls, then the methods."""
        tree = self.decisive
        shared: dict[str, Any] = {key: tree[key] for key in _SHARED if key in tree}
        shared["learn"] = {key: value for key, value in tree["learn"].items() if key not in ("golds", "gold_model")}
        given_gold = {key: value for key, value in tree["learn"].items() if key == "gold_model"}
        deciding = ("loss_mask", "lora", "modules", "paired", "optimizer", "reference", "reference_top_k")
        options = {key: tree["unlearn"][key] for key in deciding if key in tree["unlearn"]}
        if self.attack.attacks:
            shared["attack"] = tree["attack"]
        if self.unlearn.sequence:
            options["sequence"] = tree["unlearn"]["sequence"]
        if self.unlearn.requests == "batch":
            options["requests"] = "batch"
        ratios: tuple[float | None, ...] = (None,) if self.unlearn.deletes_facts else self.unlearn.forget_ratios
        scenarios: tuple[str | None, ...] = self.unlearn.scenarios or (None,)
        cells = []

        def add(entry: str, request: Request, modality: str, seed: int) -> None:
            method, variant = split_variant(entry)
            ratio, draw, scenario = request
            config = shared | {"entry": entry, "ratio": ratio, "modality": modality, "seed": seed, "draw": draw}
            if scenario is not None:
                config["scenario"] = scenario
            if entry not in ("vanilla", "gold", NEVER_LEARNED):
                settings = tree["method"][entry]
                variant = settings.get("variant", variant)
                config |= {"unlearn": options, "method": settings}
            if given_gold and self.needs_gold(entry):
                config["learn"] = {**shared["learn"], **given_gold}
            cells.append(Cell(method, variant, ratio, modality, seed, draw, config, entry, scenario))

        for draw, ratio, scenario in product(self.seeds, ratios, scenarios):
            request = Request(ratio, draw, scenario)
            add("vanilla", request, "none", draw)
            if self.attack.never_learned:
                add(NEVER_LEARNED, request, "none", draw)
            for number in range(self.golds):
                add("gold", request, "none", draw + NOISE_SEED_STEP * number)
            for control in self.unlearn.controls:
                add(control, request, "none", draw)
            for entry in self.unlearn.methods:
                if scenario in (None, *(self.plan(entry).method.scenarios or (scenario,))):
                    for modality in self.unlearn.modalities:
                        add(entry, request, modality, draw)
        return tuple(cells)


def _packed_as_before(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of training as older run folders have them, so that their cells keep their ids.

    Rows were of 192 tokens, which short conversations still get and longer ones notice by rounding alone.
    """
    known = dict(settings)
    if known.get("max_row_tokens") == "none":
        known["max_row_tokens"] = ROW_TOKENS
    if known.get("questions_per_picture") == "none":
        del known["questions_per_picture"]
    return known


def chosen_cells(experiment: Experiment, only: Sequence[str]) -> tuple[Cell, ...]:
    """The cells whose ids match a pattern, with the vanilla and gold they are judged against; all without patterns.

    Raises:
        ConfigError: a pattern matches no cell.
    """
    cells, named = experiment.cells, named_cells(experiment, only)
    if not only:
        return named
    requests = {cell.request for cell in named}
    return tuple(
        cell for cell in cells if cell in named or (cell.is_learned and not cell.is_noise_gold and cell.request in requests)
    )


def named_cells(experiment: Experiment, only: Sequence[str]) -> tuple[Cell, ...]:
    """The cells whose ids match a pattern; all without patterns.

    Raises:
        ConfigError: a pattern matches no cell.
    """
    cells = experiment.cells
    for pattern in only:
        if not any(fnmatchcase(cell.id, pattern) for cell in cells):
            near = get_close_matches(pattern, [cell.id for cell in cells], n=1, cutoff=0)
            raise ConfigError(f"--only {pattern!r} matches no cell; the nearest is {near[0]!r}, --dry-run lists all")
    return tuple(cell for cell in cells if not only or any(fnmatchcase(cell.id, pattern) for pattern in only))


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


def ratio_text(ratio: float | None) -> str:
    """0.05 -> "05", 0.125 -> "12.5", None -> "single_fact"."""
    if ratio is None:
        return "single_fact"
    percent = round(ratio * 100, 6)
    return f"{int(percent):02d}" if percent == int(percent) else f"{percent:g}"
