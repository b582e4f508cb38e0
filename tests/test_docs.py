"""The pages stay true: defaults, metrics, commands, paths, links and code in them are compared with the package."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import json
import re
import tomllib
from typing import Any, get_args

import pytest

from doc_pages import PAGES, ROOT, anchors, bare, blocks, commands, inline_code, links, read, table, tables
from metrics.medical_factory import cleaned, errors, injected, patients, said
from metrics.record_factory import GOLD, VANILLA, answers, forgot, people
from unsee.attacks import BUILT_IN as ATTACKS
from unsee.attacks import Attack, attack_names, load_attack
from unsee.cli import COMMANDS
from unsee.command_line import parse
from unsee.errors import UserError
from unsee.experiment import Experiment, read_experiment
from unsee.experiment_tables import LearnTable
from unsee.learning import LearnOptions
from unsee.method_plans import method_plan
from unsee.methods import BUILT_IN, Method
from unsee.methods.defence import Edit
from unsee.metrics import ALL_METRICS, METRICS, CellInfo, Gate, aggregate, score
from unsee.metrics.metric import FORGOTTEN_SETS
from unsee.sample import SetName
from unsee.stopping import StopRule
from unsee.training_options import TrainOptions

SRC = ROOT / "src/unsee"
THEIRS = ("RUN", "OUT", "runs", "my-people", "louder-package", "pictures")
"""First parts of paths that readers' own files have."""


def shown(value: Any) -> str:
    """A default as the tables write it."""
    return "none" if value is None else json.dumps(list(value) if isinstance(value, tuple) else value)


def same(cell: str, value: Any) -> bool:
    """Whether a cell of a table says this default."""
    if isinstance(value, tuple) and (counted := re.fullmatch(r"(\d+) sentences", cell)):
        return int(counted[1]) == len(value)
    if isinstance(value, float):
        return re.fullmatch(r"[\d.e+-]+", cell) is not None and float(cell) == value
    return cell == shown(value)


def defaults(kind: type) -> dict[str, Any]:
    """Option -> default of a dataclass."""
    return {
        item.name: item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
        for item in dataclasses.fields(kind)
        if item.init
    }


def wrong_defaults(rows: list[dict[str, str]], key: str, columns: dict[str, dict[str, Any]]) -> list[str]:
    """Options that a table leaves out, invents or gives another default; a dash stands for an option that is not there."""
    documented = [bare(row[key]) for row in rows]
    known = {name for column in columns.values() for name in column}
    wrong = [f"{name} is missing" for name in known - set(documented)]
    wrong += [f"{name} is documented twice" for name in set(documented) if documented.count(name) > 1]
    for row in rows:
        for column, values in columns.items():
            name, cell = bare(row[key]), row[column]
            right = same(cell, values[name]) if name in values else cell == "-"
            if not right:
                wrong.append(f"{name}, {column}: the page says {cell}, the code {values.get(name, 'has no such option')}")
    return wrong


def option_rows(page: str) -> list[dict[str, str]]:
    """Rows of the options, one per method; a row may be about several, of which some have no official variant."""
    official = {made.name for made in BUILT_IN if made.variant == "official"}
    defences = ", ".join(dict.fromkeys(made.name for made in BUILT_IN if issubclass(made, Edit)))
    return [
        row | {"key": f"{bare(name)}.{bare(row['option'])}"} | ({} if bare(name) in official else {"official": "-"})
        for row in table(page, "method", "option")
        for name in row["method"].replace("every defence", defences).split(", ")
    ]


def test_options_of_methods() -> None:
    page = read("docs/methods.md")
    rows = option_rows(page)
    columns: dict[str, dict[str, Any]] = {"corrected": {}, "official": {}}
    for made in BUILT_IN:
        columns[made.variant] |= {f"{made.name}.{name}": value for name, value in defaults(made).items()}
    assert wrong_defaults(rows, "key", columns) == []
    refusals = next(value for name, value in columns["corrected"].items() if name == "idk.refusals")
    prefixes = columns["corrected"]["input_rephrasing.prefixes"]
    assert all(f"\n- {sentence}\n" in page for sentence in [*refusals, *map(str.strip, prefixes)])


def test_training_of_defences() -> None:
    rows = table(read("docs/methods.md"), "training option", "every defence")
    for made in BUILT_IN:
        training = dict(made.training) if issubclass(made, Edit) else {}
        assert not training or wrong_defaults(rows, "training option", {"every defence": training}) == []
        assert bool(made.training) == (issubclass(made, Edit) or made.loss_mask == "all")


def test_training_of_official_variants() -> None:
    columns = {"official `ga`, `kl`, `npo`": ("ga", "kl", "npo"), "official `graddiff`": ("graddiff",)}
    rows = table(read("docs/methods.md"), "training option", *columns)
    official = {made.name: dict(made.training) for made in BUILT_IN if made.variant == "official"}
    for group in zip(*(names * 3 for names in columns.values()), strict=False):
        found = {column: official[name] for column, name in zip(columns, group, strict=True)}
        assert wrong_defaults(rows, "training option", found) == []


def test_options_of_attacks() -> None:
    page = read("docs/attacks.md")
    rows = [row | {"key": f"{bare(row['attack'])}.{bare(row['option'])}"} for row in table(page, "attack", "option")]
    columns = {"default": {f"{made.name}.{name}": value for made in ATTACKS for name, value in defaults(made).items()}}
    assert wrong_defaults(rows, "key", columns) == []
    glance = {bare(row["attack"]): row["needs"] for row in table(page, "attack", "needs")}
    assert glance.keys() == {made.name for made in ATTACKS}
    assert all(
        needs.startswith("hidden states" if made.needs == "lens" else "prompts")
        for made in ATTACKS
        for needs in [glance[made.name]]
    )


def test_what_the_guide_to_attacks_and_defences_says_is_what_was_measured() -> None:
    """The tables under `Which to choose` repeat numbers of the study; where it is run again they are to be written anew."""
    page, study = read("docs/attacks.md"), read("docs/studies/extraction.md")

    def measured(part: str) -> dict[str, dict[str, str]]:
        rows = tables(re.findall(rf"<!-- {part} -->(.*?)<!-- end {part} -->", study, re.DOTALL)[0])[0]
        return {row[""]: row for row in rows}

    def number(cell: str) -> int:
        return int(cell.split()[0])

    first, whole, damage = (measured(part) for part in ("defences", "whole", "damage"))
    guide = table(page, "defence", "trained against")
    names = [str(re.search(r"`(\w+)`", row["defence"])[1]) for row in guide]  # type: ignore[index]
    assert set(names) == {made.name for made in BUILT_IN if issubclass(made, Edit)}
    for name, row in zip(names, guide, strict=True):
        costs = [damage[name][f"lost, {where}"] for where in ("same picture", "neighbour pictures", "other facts")]
        assert row["costs: same picture, neighbour pictures, other facts"] == ", ".join(str(number(cell)) for cell in costs)
        left = (first[name]["mean"], whole[name]["mean"])
        assert row["leaves: first token, whole answer"] == ", ".join(str(number(cell)) for cell in left)
        against = [attack for attack in attack_names() if re.search("[\u2020\u2021]", first[name].get(attack, ""))]
        assert re.findall(r"`(\w+)`", row["trained against"]) == against
    attackers = table(page, "attacker", "mean")
    assert [bare(row["attacker"]) for row in attackers] == [made.name for made in ATTACKS]
    for row in attackers:
        found = [number(first[name][bare(row["attacker"])]) for name in names]
        assert (int(row["least"]), int(row["most"])) == (min(found), max(found))
        assert int(row["mean"]) == round(sum(found) / len(found))


def test_every_known_defect_of_unlok_vqa_is_a_test() -> None:
    """The test that a row names says in its docstring which defect it is about."""
    rows = {row[""]: bare(row["test"]) for row in table(read("docs/unlok-vqa.md"), "published code", "here", "test")}
    assert list(rows) == [*(f"N{number}" for number in range(1, 7)), *(f"E{number}" for number in range(1, 15))]
    source = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    told = dict(re.findall(r'^def (test_\w+)\([^"]*?:\n    """((?:.|\n)*?)"""', source, re.MULTILINE))
    assert [label for label, test in rows.items() if not told.get(test, "").startswith(f"{label}:")] == []


def test_options_of_training_and_stop_rule() -> None:
    page = read("docs/methods.md")
    columns = {"unlearning": defaults(TrainOptions), "learning": defaults(LearnOptions)}
    assert wrong_defaults(table(page, "training option", "learning"), "training option", columns) == []
    assert wrong_defaults(table(page, "stop rule"), "stop rule", {"default": defaults(StopRule)}) == []


def test_keys_of_experiment_files() -> None:
    keys: dict[str, Any] = {}
    for name, value in defaults(Experiment).items():
        if name == "learn":
            own = defaults(LearnTable).keys() - defaults(LearnOptions).keys()  # the others stand in methods.md
            keys |= {f"learn.{key}": defaults(LearnTable)[key] for key in own}
        elif dataclasses.is_dataclass(value):
            keys |= {f"{name}.{key}": inner for key, inner in defaults(type(value)).items()}
        elif name != "method":
            keys[name] = value
    assert wrong_defaults(table(read("docs/reproducing.md"), "key", "default"), "key", {"default": keys}) == []


def test_a_wrong_default_is_noticed() -> None:
    rows = table("| option | default |\n|---|---|\n| `target` | 0.5 |\n| `tarpet` | none |\n", "option", "default")
    wrong = wrong_defaults(rows, "option", {"default": defaults(StopRule)})
    assert sorted(line.split()[0].strip(",") for line in wrong) == ["loss_below", "target", "tarpet", "utility_floor"]


def test_tuned_settings_are_options() -> None:
    for model, methods in tomllib.loads((SRC / "tuned.toml").read_text()).items():
        for method, settings in methods.items():
            if method in attack_names():
                load_attack(method, **settings)
                continue
            plan = method_plan(method, {}, model=model).settings()
            assert plan == method_plan(method, settings).settings()


def test_methods_at_a_glance() -> None:
    page = read("docs/methods.md")
    rows = {bare(row["method"]): row for row in table(page, "method", "needs", "reference")}
    made = {one.name: one for one in BUILT_IN if one.variant == "corrected"}
    assert set(rows) == set(made)
    for name, row in rows.items():
        needs = row["needs"].partition(" (")[0].replace("-", "")
        assert {*needs.split(", ")} - {""} == made[name].needs - {"reference"}, name
        assert row["reference"] == {"none": "none", "start": "start model"}[made[name].reference], name
        assert re.search(rf"^### `{name}`", page, re.MULTILINE), name
        for paper in re.findall(r"arxiv\.org/abs/([\d.]+)", row["paper"]):
            assert paper in inspect.getsource(inspect.getmodule(made[name])), name
    official = {one.name for one in BUILT_IN if one.variant == "official"}
    parts = re.split(r"^### `(\w+)`.*$", page, flags=re.MULTILINE)
    told = {name for name, text in zip(parts[1::2], parts[2::2], strict=True) if "\nOfficial: " in text}
    assert told == official


METRIC_PAGE = "docs/metrics.md"
DIRECTIONS = {True: "higher", False: "lower", None: "-"}


@pytest.fixture(scope="module")
def directions() -> dict[tuple[str, str], set[str]]:
    """(metric, forgotten | other | all) -> directions that stand in the results."""
    samples = people(forget=20, retain=20, near=20, celebrity=20, seed=5, small=True)
    facts = {(s.subject, str(s.metadata["attribute"]), s.modality) for s in samples if s.set == "forget"}
    results = score(
        answers(samples, forgot(0.5), seed=3),
        samples,
        cell=CellInfo(cell="gold", method="gold"),
        vanilla=answers(samples, VANILLA, seed=1),
        gold=answers(samples, GOLD, seed=2),
        noise=answers(samples, GOLD, seed=4),
        gate=Gate.of(sorted(facts)),
        bootstrap=20,
    )
    harmed = [*patients(), *errors()]
    harmed = [dataclasses.replace(one, id=f"{number}/{one.id}") for number, one in enumerate(harmed)]
    before, after = said(harmed, injected), said(harmed, cleaned)
    medical = score(after, harmed, cell=CellInfo(cell="x"), vanilla=before, gold=after, bootstrap=20)
    found: dict[tuple[str, str], set[str]] = {}
    rows = [row for table in (results, medical) for row in table.iter_rows(named=True) if row["baseline"] is None]
    for row in rows:
        where = "all" if row["set"] == "all" else "forgotten" if row["set"] in FORGOTTEN_SETS else "other"
        found.setdefault((row["metric"], where), set()).add(DIRECTIONS[row["higher_is_better"]])
    return found


def metric_rows() -> list[dict[str, str]]:
    return [row for rows in tables(read(METRIC_PAGE)) for row in rows if {"metric", "range"} <= set(row)]


def test_every_metric_is_documented_once_with_its_range() -> None:
    rows, known = metric_rows(), {metric.name: metric for metric in ALL_METRICS}
    assert sorted(bare(row["metric"]) for row in rows) == sorted(known)
    for row in rows:
        low, _, high = row["range"].partition(" to ")
        assert (float(low), float(high)) == known[bare(row["metric"])].bounds, row["metric"]


def test_directions_of_metrics(directions: dict[tuple[str, str], set[str]]) -> None:
    compared = 0
    for row in metric_rows():
        columns = (
            ("forgotten", "forgotten sets"),
            ("other", "other sets"),
            *((place, "better") for place in ("forgotten", "all")),
        )
        for place, column in columns:
            if column in row and (bare(row["metric"]), place) in directions:
                assert directions[bare(row["metric"]), place] == {row[column]}, (row["metric"], column)
                compared += 1
    assert compared >= len(ALL_METRICS)


def test_tasks_and_versions_of_metrics() -> None:
    every = "classification, generation, cloze"
    asked = {bare(row["metric"]): row["asked of"] for row in table(read(METRIC_PAGE), "asked of")}
    for metric in METRICS:
        wanted = {"all tasks": every, "letters, written answers": every}.get(asked[metric.name], asked[metric.name])
        assert tuple(wanted.split(", ")) == metric.tasks, metric.name
    raised = {metric.name: metric.version for metric in ALL_METRICS if metric.version != 1}
    assert ("all are 1 so far" in read(METRIC_PAGE)) == (not raised)
    assert all(f"`{name}` {version}" in read(METRIC_PAGE) for name, version in raised.items())


def test_sets_and_components_of_scores() -> None:
    assert {bare(row["set"]) for row in table(read(METRIC_PAGE), "set", "what it holds")} == set(get_args(SetName))
    rows = table(read(METRIC_PAGE), "task and view", "forget components")
    for column, metrics in (
        ("forget components", aggregate._FORGET_METRICS),
        ("utility components", aggregate._UTILITY_METRICS),
    ):
        told = {}
        for row in rows:
            task, _, view = row["task and view"].partition(", ")
            told[task, view or "generate"] = tuple(bare(name) for name in row[column].split(", "))
        assert told == metrics


def command_problems(text: str) -> list[str]:
    """Command lines that `unsee` would not take, nothing being run. In running text arguments and values may be left out."""
    wrong = []
    for words, in_block in commands(text, "unsee"):
        line, command, rest, program = " ".join(words), COMMANDS, list(words), "unsee"
        while isinstance(command, dict) and rest and rest[0] in command:
            program += f" {rest[0]}"
            command = command[rest.pop(0)]
        if isinstance(command, dict):
            if rest or in_block or not words:
                wrong.append(f"unsee {line}: no such command")
            continue
        try:
            bound = parse(command, rest, program=program)
            if program == "unsee run" and rest and "--methods" not in rest and (ROOT / rest[0]).is_file() and bound is not None:
                read_experiment(ROOT / rest[0], overrides=bound.keywords["set_"])
        except UserError as error:
            if in_block or not re.search("must be given|missing value", str(error)):
                wrong.append(f"unsee {line}: {error}")
    return wrong


@pytest.mark.parametrize("page", [*PAGES, "examples/people.toml"])
def test_commands_parse(page: str) -> None:
    assert command_problems(read(page)) == []


@pytest.mark.parametrize(
    "text",
    [
        "```\nunsee unlern --model M\n```",
        "`unsee data chek people`",
        "`unsee run examples/people.toml --rations 0.1`",
        "```\nunsee unlearn --method npo\n```",
        "`unsee list metods`",
        "`unsee run examples/people.toml --set npo.bta=1`",
    ],
)
def test_a_wrong_command_is_noticed(text: str) -> None:
    assert len(command_problems(text)) == 1


def test_make_targets_and_scripts_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for page in PAGES:
        for words, _ in commands(read(page), "make"):
            assert words[0] in targets, (page, words)
        for words, _ in commands(read(page), "python"):
            if words[0] == "-m":
                assert importlib.util.find_spec(words[1]), (page, words)
                continue
            assert (ROOT / words[0]).is_file(), (page, words)
            flags = [word for word in words if word.startswith("--")]
            assert all(f'"{flag}"' in (ROOT / words[0]).read_text() for flag in flags), (page, words)


def test_make_numbers_does_what_the_page_says() -> None:
    spec = importlib.util.spec_from_file_location("numbers_of_docs", ROOT / "perf/make_numbers.py")
    numbers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(numbers)
    told = {
        bare(row["command"]) for row in table(read("docs/reproducing.md"), "what", "command") if row["`make numbers`"] == "yes"
    }
    assert told == {numbers.shown(command).partition(" --out ")[0] for command in numbers.COMMANDS.values()}


def link_problems(page: str, text: str) -> list[str]:
    """Relative links to files that are not there, and anchors that no heading makes."""
    wrong = []
    for link in links(text):
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target
        if re.match(r"[a-z]+:", link):
            continue
        if not path.exists():
            wrong.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(path.read_text() if target else text):
            wrong.append(f"{link}: no such heading")
    return wrong


def path_problems(text: str) -> list[str]:
    """Paths of this repository in backticks, and names of its modules, that are not there."""
    wrong = []
    own = {
        name
        for block in blocks(text)
        for name in re.findall(r"\w+\.py", block.code)
        if block.language != "python" or block.file
    }
    for code in inline_code(text):
        if not re.fullmatch(r"[\w.<>@*-]+(/[\w.<>@*-]*)*", code) or code.startswith("."):
            continue
        first, slash, _ = code.partition("/")
        looks_like_one = slash and ((ROOT / first).is_dir() or (SRC / first).is_dir() or re.search(r"[a-z]\.[a-z]+$|/$", code))
        if looks_like_one and first not in THEIRS:
            pattern = re.sub(r"<[^>]*>", "*", code.rstrip("/"))
            if not any(any(root.glob(pattern)) for root in (ROOT, SRC)):
                wrong.append(code)
        elif not slash and code.endswith(".py") and code not in own and not any(ROOT.glob(f"[spt]*/**/{code}")):
            wrong.append(code)
    return wrong


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_exist(page: str) -> None:
    assert link_problems(page, read(page)) == []
    assert path_problems(read(page)) == []


def test_a_wrong_link_or_path_is_noticed() -> None:
    text = "# One two\n[a](methods.md#methods) [b](methods.md#nothing) [c](nothing.md) [d](#one-two) [e](#two)"
    assert [line.partition(":")[0] for line in link_problems("docs/x.md", text)] == ["methods.md#nothing", "nothing.md", "#two"]
    paths = "`src/unsee/sample.py` `src/unsee/samples.py` `methods/` `metods/` `card.py` `cards.py` `RUN/x` `a/b` `worlds/<n>/`"
    assert path_problems(paths) == ["src/unsee/samples.py", "metods/", "cards.py", "worlds/<n>/"]


def python_problems(text: str) -> list[str]:
    """Python blocks that do not compile, and imports in them that find nothing."""
    wrong = []
    code = {block.file: block.code for block in blocks(text) if block.language == "python" and block.file}
    own = {name.removesuffix(".py"): source for name, source in code.items()}
    for block in blocks(text):
        if block.language != "python":
            continue
        try:
            tree = ast.parse(block.code)
        except SyntaxError as error:
            wrong.append(f"{error}: {block.code.splitlines()[0]}")
            continue
        for node in ast.walk(tree):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                wrong += [name for name in named if importlib.util.find_spec(name) is None]
            elif isinstance(node, ast.ImportFrom) and node.module in own:
                wrong += [
                    name for name in named if not re.search(rf"^(class|def) {name}\b|^{name} =", own[node.module], re.MULTILINE)
                ]
            elif isinstance(node, ast.ImportFrom):
                home = importlib.import_module(str(node.module))
                wrong += [f"{node.module}.{name}" for name in named if not hasattr(home, name)]
    return wrong


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks(page: str) -> None:
    assert python_problems(read(page)) == []


def test_wrong_python_is_noticed() -> None:
    text = "```python\nfrom unsee import leern, learn\nimport unsee.nothing\n```\n```python\ndef f(\n```\n"
    assert [line.split(":")[0] for line in python_problems(text)] == [
        "unsee.leern",
        "unsee.nothing",
        "'(' was never closed (<unknown>, line 1)",
    ]


def architecture_rows() -> list[tuple[list[str], list[str]]]:
    """(modules, key names) of the table of parts."""
    rows = table(read("docs/architecture.md"), "where", "key names")
    return [(re.findall(r"`([^`]+)`", row["where"]), re.findall(r"`([^`]+)`", row["key names"])) for row in rows]


def test_parts_of_the_package_are_in_the_architecture() -> None:
    told = {part.strip("/") for parts, _ in architecture_rows() for part in parts}
    there = {path.name for path in SRC.iterdir() if not path.name.startswith("__")} - {"py.typed"}
    assert there <= told


def test_key_names_of_the_architecture_are_defined_there() -> None:
    for parts, names in architecture_rows():
        files = [file for part in parts for file in ([SRC / part] if (SRC / part).is_file() else (SRC / part).rglob("*.py"))]
        source = "\n".join(file.read_text() for file in files)
        for name in names:
            assert re.search(rf"^(class|def) {name}\b|^{name}(:.*)? =", source, re.MULTILINE), (parts, name)


def test_hooks_of_the_architecture_are_those_of_a_method() -> None:
    cells = " ".join(row["hook"] for row in table(read("docs/architecture.md"), "hook", "for"))
    told = set(re.findall(r"`(\w+)", cells))
    assert told == {name for name in vars(Method) if not name.startswith("_")} - {"name", "variant"}
    for name, arguments in re.findall(r"`(\w+)\(([^)]*)\)`", cells):
        assert ["self", *arguments.split(", ")] == list(inspect.signature(getattr(Method, name)).parameters)


def test_attacks_of_the_architecture_are_as_told() -> None:
    told = {
        name
        for row in table(read("docs/architecture.md"), "of an attack")
        for name in re.findall(r"`(\w+)`", row["of an attack"])
    }
    assert told == {name for name in vars(Attack) if not name.startswith("_")} - {"name"}


def test_signatures_of_the_architecture() -> None:
    import unsee
    from unsee.benchmarks import Benchmark

    def shape(function: Any) -> list[tuple[str, Any, Any]]:
        return [(one.name, one.kind, one.default) for one in inspect.signature(function).parameters.values()]

    space: dict[str, Any] = {}
    for block in blocks(read("docs/architecture.md")):
        if block.language == "python" and re.search(r"^(def|class) ", block.code, re.MULTILINE):
            exec(f"from __future__ import annotations\n{block.code}", space)
    for name in ("train", "answer", "score"):
        assert shape(space[name]) == shape(getattr(unsee, name)), name
    methods = [name for name in vars(Benchmark) if inspect.isfunction(vars(Benchmark)[name]) and not name.startswith("_")]
    for name in methods:
        assert shape(getattr(space["Benchmark"], name)) == shape(getattr(Benchmark, name)), name
