"""Single facts deleted one by one and attacked, as `unsee run` does it: cells, tables, resume, and what is refused."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fact_run_fixture import cell_of, write_fact_run
from run_fixtures import assert_one_line
from test_survival import FAILED, KILLED, sessions
from toy import random_model
from unsee.attacks.running import strangers_to
from unsee.cell_questions import cell_questions
from unsee.cli import main
from unsee.errors import ConfigError, UserError
from unsee.experiment import Experiment, parse_experiment, read_experiment
from unsee.fact_edits import EditJournal, after_edits, check_trainable, targets
from unsee.methods import load_method
from unsee.metrics.gate import Gate
from unsee.run_folder import RunFolder
from unsee.run_results import knowledge_gate, load_experiment_benchmark, rescore
from unsee.runs import Run, run
from unsee.schemas import ATTACKS, RECORDS


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fact_run(tmp_path_factory.mktemp("facts"), random_model(layers=3))


@pytest.fixture(scope="module")
def facts(file: Path) -> Experiment:
    return read_experiment(file)


@pytest.fixture(scope="module")
def done(file: Path, facts: Experiment, one_thread: None) -> Run:
    return run(facts, out=file.parent / "whole")


def test_what_a_benchmark_of_single_facts_presets(facts: Experiment) -> None:
    assert facts.learn.epochs == 0 and facts.unlearn.requests == "single_fact"
    assert [cell.method for cell in facts.cells] == [
        "vanilla",
        "do_nothing",
        "prompt_guard",
        "fact_erasure",
        "error_injection",
    ]
    assert all(cell.id.startswith(f"{cell.method}-single_fact-{cell.modality}-s0-") for cell in facts.cells)
    preset = parse_experiment({"benchmark": {"name": "creatures"}})
    assert len(preset.unlearn.methods) == 6 and len(preset.attacks) == 7 and preset.budgets == (1, 5, 10, 20, 50)
    assert "never_learned" in [cell.method for cell in preset.cells]
    named = parse_experiment({"benchmark": {"name": "creatures"}, "model": "mine", "learn": {"gold_model": "other"}})
    assert "gold" in [cell.method for cell in named.cells]
    assert parse_experiment({"benchmark": {"name": "creatures"}, "answer": {"retain_subjects": 7}}).answer.retain_subjects == 7
    again = parse_experiment(json.loads(json.dumps(facts.tree)))
    assert [cell.id for cell in again.cells] == [cell.id for cell in facts.cells]


@pytest.mark.parametrize(
    ("benchmark", "model", "gold"),
    [
        ({"name": "creatures"}, "tiny-a", "tiny-b"),
        ({"name": "creatures-paper", "half": "B"}, "tiny-b", "tiny-a"),
        ({"name": "creatures-tuning"}, "tiny-a", None),  # both halves know facts for tuning
        ({"name": "creatures", "half": "never"}, "tiny-a", None),
    ],
)
def test_gold_of_creatures_is_the_model_that_was_taught_the_other_half(
    benchmark: dict[str, str], model: str, gold: str | None
) -> None:
    preset = parse_experiment({"benchmark": benchmark})
    assert (preset.model, preset.learn.gold_model) == (model, gold)
    assert ("gold" in [cell.method for cell in preset.cells]) is (gold is not None)
    assert parse_experiment({"benchmark": benchmark, "model": "mine"}).learn.gold_model is None
    assert parse_experiment({"benchmark": benchmark, "learn": {"gold_model": "mine"}}).learn.gold_model == "mine"


def test_a_gold_model_decides_gold_alone() -> None:
    """Work of a run without one, or with another, is the same but for gold."""
    one, other = (parse_experiment({"benchmark": {"name": "creatures"}, "learn": {"gold_model": name}}) for name in "ab")
    without = parse_experiment({"benchmark": {"name": "creatures"}, "model": "tiny-a", "learn": {"gold_model": "none"}})
    apart = {cell.method for cell, its in zip(one.cells, other.cells, strict=True) if cell.id != its.id}
    assert apart == {"gold"}
    assert [cell.id for cell in without.cells] == [cell.id for cell in one.cells if cell.method != "gold"]


def test_every_cell_is_asked_and_attacked_per_fact(done: Run, facts: Experiment) -> None:
    folder = RunFolder(done.folder)
    benchmark = load_experiment_benchmark(facts)
    assert not done.failures
    for cell in facts.cells:
        records, attacks = folder.records(cell), folder.attacks(cell)
        assert records is not None and attacks is not None
        assert records.columns == RECORDS.names() and attacks.columns == ATTACKS.names()
        assert set(attacks["subject"]) == set(benchmark.subjects)
        edited = cell.method in ("do_nothing", "fact_erasure", "error_injection")
        # The hard question of the last fact would give its answer away, so that the files have none.
        alone = attacks.filter(pl.col("edit_id").is_null() | (pl.col("edit_id") != after_edits(2)))
        assert alone.group_by("attack").len().sort("attack")["len"].to_list() == [3, 3, 3, 3, 2]
        assert alone["edit_id"].to_list() == (alone["subject"].to_list() if edited else [None] * 14)
        assert attacks.height - alone.height == (2 * 5 if edited else 0)
        panel = records.filter(pl.col("set") == "retain", pl.col("protocol") == "strict")
        assert panel.height == 2 * (4 if edited else 1)
        assert set(records["protocol"].unique()) >= {"strict", "edit", "lens", "rephrase_question-hard", "rephrase_image-easy"}
        assert sum(name.startswith("finetune_lens-") for name in records["protocol"].unique()) == 1
        assert not (folder.cell(cell) / "edits").exists() and not (folder.cell(cell) / "asking").exists()
    lines = [
        json.loads(line) for line in (folder.cell(cell_of(facts, "fact_erasure")) / "edits.jsonl").read_text().splitlines()
    ]
    assert [line["edit_id"] for line in lines] == [*benchmark.subjects, after_edits(2)]
    assert {line["steps"] for line in lines} == {2}


def test_do_nothing_is_vanilla_and_an_edit_is_not(done: Run, facts: Experiment) -> None:
    folder = RunFolder(done.folder)

    def said(method: str) -> pl.DataFrame:
        records = folder.records(cell_of(facts, method))
        assert records is not None
        own = records.filter((pl.col("edit_id") == pl.col("subject")) | pl.col("edit_id").is_null())
        own = own.filter(pl.col("set") != "retain", pl.col("view") != "target")
        tuned = pl.col("protocol").str.replace("finetune_lens-.*", "finetune_lens")
        # Which of nearly equal tokens comes first is decided by rounding.
        return (
            own.drop("cell", "edit_id")
            .select(pl.exclude(r"^layer_.*$"))
            .with_columns(tuned)
            .sort("sample_id", "protocol", "view", "draw")
        )

    assert_frame_equal(said("do_nothing"), said("vanilla"), abs_tol=1e-5)
    records = folder.records(cell_of(facts, "error_injection"))
    assert records is not None
    taught = records.filter(view="target", set="forget")
    before, after = taught.filter(pl.col("edit_id").is_null()), taught.filter(pl.col("edit_id") == pl.col("subject"))
    assert before["subject"].to_list() == after["subject"].to_list() == after["edit_id"].to_list()
    assert (after["answer_logprob_sum"] > before["answer_logprob_sum"] + 0.01).all()


def test_attacks_on_an_injected_error_look_for_the_true_answer(done: Run, facts: Experiment) -> None:
    """E11: what every layer is read for are the answer's own tokens, in vanilla as after the edit."""
    folder = RunFolder(done.folder)

    def looked_for(method: str) -> dict[str, list[int]]:
        records = folder.records(cell_of(facts, method))
        assert records is not None
        lens = records.filter(pl.col("view") == "lens", pl.col("set") == "forget")
        return dict(lens.select("sample_id", "answer_ids").unique().iter_rows())

    assert looked_for("error_injection") == looked_for("vanilla") != {}


def test_results_hold_attacks_layers_and_damage(done: Run, facts: Experiment) -> None:
    results = done.results
    edited = results.filter(method="fact_erasure")
    assert edited["forget_ratio"].null_count() == edited.height
    attacked = edited.filter(pl.col("metric") == "attack_success", pl.col("baseline").is_null(), pl.col("group").is_null())
    assert set(attacked["attack"]) == {
        "lens_head_projection",
        "finetune_lens",
        "rephrase_question",
        "rephrase_image",
        "random_tokens",
        "random_tokens_drawn",
        "answer_prior",
    }
    assert set(attacked.filter(pl.col("layer").is_null())["budget"]) == {1, 5}
    assert set(attacked.drop_nulls("layer")["layer"]) == {1, 2, 3} and set(attacked["n_edits"]) == {1, 2}
    for metric in ("rewrite_score", "paraphrase_score", "neighbourhood_score", "edit_score", "delta_accuracy"):
        assert edited.filter(metric=metric).height, metric
    assert results.filter(method="vanilla", metric="rewrite_score").is_empty()
    nothing = results.filter(~pl.col("gated"), method="do_nothing", metric="delta_accuracy", set="retain")
    assert nothing["value"].drop_nulls().unique().to_list() == [0.0]
    assert dict(nothing.select("n_edits", "n_subjects").iter_rows()) == {1: 3, 2: 2}  # edits, then retained facts


def test_facts_that_vanilla_does_not_know_are_the_reference_where_none_was_never_learned(
    done: Run, facts: Experiment, tmp_path: Path, monkeypatch: Any
) -> None:
    """As if vanilla knew one fact of three. Two others are too few; where two are enough their rate under vanilla counts."""
    shutil.copytree(done.folder, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    vanilla, edited = cell_of(facts, "vanilla"), cell_of(facts, "fact_erasure")
    probed = knowledge_gate(facts, folder, load_experiment_benchmark(facts), vanilla.request)
    assert probed is not None
    one = probed.facts["subject"][0]
    gate = Gate(probed.facts.with_columns((pl.col("subject") == one).alias("known")))
    monkeypatch.setattr("unsee.run_results.knowledge_gate", lambda *_: gate)
    told = rescore(folder.path).filter(pl.col("baseline") == "never_known")
    assert told["value"].null_count() == told.height > 0 and set(told["gated"]) == {True}
    # The hard question of the last fact is not asked.
    counts = dict(told.filter(~pl.col("attack").str.starts_with("finetune")).select("attack", "reason").iter_rows())
    few = "only {} that the model does not know; 10 are needed"
    assert counts["lens_head_projection"].startswith(few.format("2 facts")) and "never_known" not in folder.results()["method"]
    assert counts["rephrase_question"].startswith(few.format("1 fact"))

    monkeypatch.setattr("unsee.metrics.attack_reference.FEWEST_UNKNOWN", 2)
    results = rescore(folder.path)
    before, after = folder.attacks(vanilla), folder.attacks(edited)
    assert before is not None and after is not None
    lens = {"attack": "lens_head_projection"}
    luck = before.filter(pl.col("subject") != one, **lens)["hit_position"].le(5).fill_null(False).mean()
    found = after.filter(subject=one, edit_id=one, **lens)["hit_position"].le(5).fill_null(False).mean()
    place = {**lens, "metric": "attack_success", "budget": 5}
    first = results.filter(pl.col("group").is_null(), pl.col("layer").is_null(), **place)
    (excess,) = first.filter(method="fact_erasure", baseline="never_known", n_edits=1).iter_rows(named=True)
    assert excess["value"] == pytest.approx(found - luck) and (excess["n"], excess["n_subjects"]) == (1, 1)
    (own,) = first.filter(method="never_known").iter_rows(named=True)
    assert (own["cell"], own["value"], own["n"], own["gated"]) == ("never_known-single_fact-none-s0", luck, 2, None)
    assert set(results.filter(pl.col("layer").is_not_null(), method="never_known")["layer"]) == {1, 2, 3}
    (gold,) = results.filter(method="gold")["reason"]
    assert gold.endswith("facts that vanilla does not know, if there are enough, stand in for it")


def test_a_target_is_what_the_method_teaches(facts: Experiment) -> None:
    cell = cell_of(facts, "error_injection")
    questions = cell_questions(facts, load_experiment_benchmark(facts), cell)
    assert targets(load_method("fact_erasure"), questions) == {}
    taught = targets(load_method("empty_response"), questions)
    assert {questions.attacked[0].id, *(s.id for s in questions.variants if s.metadata["axis"] == "question")} <= taught.keys()
    assert set(targets(load_method("error_injection"), questions).values()).isdisjoint(s.answer for s in questions.attacked)
    fact = questions.facts[0]
    about = questions.about(fact)
    assert {s.subject for s in about.asked if s.set != "retain"} == {fact}
    assert [s.id for s in about.asked if s.set == "retain"] == [s.id for s in questions.asked if s.set == "retain"]
    assert all(s.metadata["fact"] == fact for s in about.variants)


@pytest.mark.parametrize("facts", [20, 120])
def test_an_attack_trains_every_model_on_the_same(facts: int) -> None:
    """Vanilla is attacked on all facts at once and an edited model on its own, which must not decide what attacks train on."""
    asked = parse_experiment({"benchmark": {"name": "creatures", "facts": facts}})
    benchmark = load_experiment_benchmark(asked)
    vanilla, edited, strangers = (
        cell_questions(asked, benchmark, cell_of(asked, name)) for name in ("vanilla", "fact_erasure", "never_learned")
    )
    assert vanilla.unrelated == edited.about(edited.facts[0]).unrelated == strangers.unrelated
    assert strangers_to(vanilla.attacked, vanilla.unrelated) == list(vanilla.unrelated)
    assert len(vanilla.unrelated) == 20 and not {s.id for s in vanilla.unrelated} & {s.id for s in vanilla.asked}


def test_a_defence_may_not_see_what_attackers_ask(facts: Experiment) -> None:
    questions = cell_questions(facts, load_experiment_benchmark(facts), cell_of(facts, "fact_erasure"))
    check_trainable(load_method("input_rephrasing"), questions)
    easy = next(s for s in questions.variants if s.subject == questions.facts[0] and s.metadata["level"] == "easy")
    own = questions.attacked[0].question
    start = next(i for i in range(len(own)) if own[i] != easy.question[i])
    prefix = easy.question[start : start + len(easy.question) - len(own)]
    with pytest.raises(ConfigError, match="which attackers ask"):
        check_trainable(load_method("input_rephrasing", prefixes=(prefix,)), questions)


@pytest.mark.slow
def test_it_goes_on_after_the_last_finished_fact(done: Run, facts: Experiment, file: Path, monkeypatch: Any) -> None:
    out = file.parent / "cut"
    add, kept = EditJournal.add, []

    def dies(self: EditJournal, fact: str, *rest: Any) -> None:
        if len(kept) == 2:
            raise KeyboardInterrupt
        add(self, fact, *rest)
        kept.append(fact)

    monkeypatch.setattr(EditJournal, "add", dies)
    with pytest.raises(KeyboardInterrupt):
        run(facts, out=out)
    monkeypatch.setattr(EditJournal, "add", lambda self, *rest: (kept.append(rest[0]), add(self, *rest)))
    run(facts, out=out)
    assert len(kept) == 3 * 4  # three cells of three facts and a sequence, none of them twice
    for name in ("results",):
        assert_frame_equal(pl.read_parquet(out / f"{name}.parquet"), pl.read_parquet(done.folder / f"{name}.parquet"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attack": {"attacks": ["lens_head_projection"], "options": {"lens_head_projection": {"layers": [9]}}}}, "layer 9"),
        ({"attack": {"attacks": ["lens_head_projection"], "budgets": [100000]}}, "above the"),
        ({"attack": {"attacks": ["rephrase_image:hard", "rephrase-image"]}}, "could not be told apart"),
        ({"attack": {"attacks": [], "options": {"rephrase_image": {"samples": 2}}}}, "is not among attack.attacks"),
        ({"method": {"fact_erasure": {"retain_weight": 1.0}}, "answer": {"retain_subjects": 99}}, "leave some aside"),
        ({"learn": {"gold_model": "tiny", "epochs": 3}}, "set learn.epochs = 0"),
        ({"learn": {"gold_model": "nosuch"}}, "there is no model folder nosuch"),
        ({"learn": {"gold_model": "tiny"}}, "has 8 decoder layers and"),
        ({"states": {"bits": [4]}}, "cannot be asked where single facts"),
        ({"unlearn": {"sequence": [1]}}, "give numbers of at least 2"),
    ],
)
def test_what_cannot_work_leaves_no_folder(facts: Experiment, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    tree = json.loads(json.dumps(facts.tree))
    tree["unlearn"]["sequence"] = []
    for table, values in change.items():
        tree[table] = {**tree[table], **({"options": {}} if table == "attack" else {}), **values}
    with pytest.raises(UserError, match=message):
        run(parse_experiment(tree), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("plans", [[], ["--dry-run"]], ids=["run", "plan"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("fact_erasure.layer=99", "method fact_erasure: layer 99 does not exist; the decoder has layers 0 to 2"),
        ("fact_erasure.modules=['mlp.up']", "method fact_erasure: the model has no module 'mlp.up'"),
        ("error_injection.rank=0", "method error_injection: LoRA rank 0 must be at least 1"),
        ("head_projection.layers=[99]", "method head_projection: layer 99 does not exist; the model has layers 0"),
        ("head_projection.k=5000", "method head_projection: k = 5000 leaves no other token"),
        ("attack.budgets=[5000]", "budget 5000 is above the 4096 tokens of model's vocabulary"),
    ],
)
def test_what_the_model_cannot_serve_is_told_before_any_model_time(
    file: Path, setting: str, message: str, plans: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run and its plan say the same, whatever a defence or an attack asks for."""
    methods = "unlearn.methods=['fact_erasure', 'error_injection', 'head_projection']"
    out = tmp_path / "run"
    assert main(["run", str(file), "--out", str(out), "--set", methods, "--set", setting, *plans]) == 2
    shown = capsys.readouterr()
    # The line before says which rows of these files are left out.
    assert_one_line(shown.err.splitlines(keepends=True)[-1], message)
    assert shown.out == "" and not out.exists()


@pytest.mark.parametrize("key", ["target", "utility_floor"])
def test_a_stop_rule_that_needs_a_probe_is_no_rule_for_single_facts(
    file: Path, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(file), "--out", str(tmp_path / "run"), "--set", f"fact_erasure.{key}=0.9"]) == 2
    assert_one_line(capsys.readouterr().err, f"method.fact_erasure.{key} = 0.9 looks at probe questions")


def test_edits_stop_by_their_own_loss(facts: Experiment, file: Path) -> None:
    """Constrained fine-tuning as published, SGD included: here every loss is small from the start, so that no step is taken."""
    constrained = {"rank": "none", "max_change": 1e-4, "learning_rate": 1.0, "steps": 25, "max_grad_norm": "none"}
    tree = json.loads(json.dumps(facts.tree))
    tree["unlearn"] |= {"methods": ["fact_erasure"], "controls": [], "optimizer": "sgd"}
    tree["method"] = {"fact_erasure": {**constrained, "schedule": "constant", "loss_below": 0.01}}
    tree["attack"] = {"attacks": []}
    made = parse_experiment(tree)
    folder = RunFolder(run(made, out=file.parent / "stopped").folder).cell(cell_of(made, "fact_erasure"))
    lines = [json.loads(line) for line in (folder / "edits.jsonl").read_text().splitlines()]
    assert [line["edit_id"] for line in lines] == [*load_experiment_benchmark(made).subjects, after_edits(2)]
    assert all((line["steps"], line["reason"]) == (0, "loss_below") and line["loss"] < 0.01 for line in lines)


def test_a_setting_that_methods_did_not_have_keeps_their_cells(facts: Experiment) -> None:
    assert facts.tree["method"]["fact_erasure"]["loss_below"] == "none"
    assert "loss_below" not in facts.decisive["method"]["fact_erasure"]
    method = {**facts.method, "fact_erasure": {**facts.method["fact_erasure"], "loss_below": 0.1}}
    other = replace(facts, method=method)
    apart = [cell.method for cell, its in zip(facts.cells, other.cells, strict=True) if cell.id != its.id]
    assert apart == ["fact_erasure"]


def test_shares_are_not_single_facts(place: Path, facts: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("unlearn.requests=single_fact", "states.path=0", "states.relearn=0", "states.bits=[]")
    code = main(["run", str(place / "small.toml"), *(word for one in settings for word in ("--set", one))])
    assert code == 2
    assert_one_line(capsys.readouterr().err, "give a forget ratio")


def test_a_dry_run_counts_facts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(file), "--facts", "2", "--dry-run"]) == 0
    assert "2 facts attacked one by one" in capsys.readouterr().out


def test_edits_are_kept_on_request(facts: Experiment, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before an edit is noted as finished: a session that ends in between makes it again."""
    from peft import PeftModel

    add = EditJournal.add

    def looks(self: EditJournal, edit: str, *rest: Any) -> None:
        assert edit.startswith("after") or (self.folder / "adapters" / self.part(edit).name).is_dir()
        add(self, edit, *rest)

    monkeypatch.setattr(EditJournal, "add", looks)

    unlearn = replace(facts.unlearn, methods=("fact_erasure",), controls=(), keep_edits=True)
    method = {"fact_erasure": facts.method["fact_erasure"]}
    only = replace(facts, unlearn=unlearn, method=method, attack=replace(facts.attack, attacks=(), options={}))
    made = run(only, out=file.parent / "kept")
    homes = sorted((RunFolder(made.folder).cell(cell_of(only, "fact_erasure")) / "adapters").iterdir())
    assert len(homes) == 3
    from unsee.models.loading import load_model

    assert isinstance(load_model(homes[0]).network, PeftModel)


@pytest.mark.slow
def test_killed_at_ten_random_moments_gives_the_same_results(done: Run, facts: Experiment, file: Path) -> None:
    moments, kills = random.Random(404), 0
    for number in range(10):
        out = file.parent / f"hunted-{number}"
        plan = [("kill", moments.uniform(0.3, 3)) for _ in range(3)]
        codes = [code for code, _ in sessions(file, out, ("write", moments.randrange(3, 40)), *plan)]
        kills += codes[1:].count(KILLED)
        assert sessions(file, out, ("finish", 0))[0][0] == FAILED
        for name in ("results", *(f"cells/{cell.id}/{table}" for cell in facts.cells for table in ("records", "attacks"))):
            one, other = (pl.read_parquet(folder / f"{name}.parquet") for folder in (out, done.folder))
            assert_frame_equal(one, other, check_exact=True)
        if kills >= 10:
            break
    assert kills >= 10


def test_a_folder_of_official_files_presets_single_facts(file: Path) -> None:
    folder = str(file.parent / "unlok")
    assert parse_experiment({"benchmark": {"path": folder}}).unlearn.requests == "single_fact"
    assert parse_experiment({"benchmark": {"name": "people", "path": str(file.parent)}}).unlearn.requests == "ratio"
