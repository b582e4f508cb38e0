"""A batch of single facts, deleted by one edit: asked and attacked per fact, scored, resumed and reported as others are."""

from __future__ import annotations

import json
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
from unsee import fact_edits, training
from unsee.cli import main
from unsee.errors import ConfigError
from unsee.experiment import Experiment, parse_experiment, read_experiment
from unsee.fact_edits import EditJournal, several_edits
from unsee.report.attack_console import print_attacks
from unsee.report.run_data import read_run
from unsee.report.single_cells import is_single
from unsee.report.single_facts import fact_tables
from unsee.report.sources import Source, Sources
from unsee.run_folder import RunFolder
from unsee.run_results import load_experiment_benchmark
from unsee.runs import Run, run
from unsee.schemas import ALL_AT_ONCE
from unsee.utility.targets import find_targets

FACTS = 3


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = write_fact_run(tmp_path_factory.mktemp("batch"), random_model(layers=3))
    file.write_text(file.read_text().replace("sequence = [2]", 'requests = "batch"'))
    return file


@pytest.fixture(scope="module")
def facts(file: Path) -> Experiment:
    return read_experiment(file)


@pytest.fixture(scope="module")
def done(file: Path, facts: Experiment, one_thread: None) -> Run:
    return run(facts, out=file.parent / "whole")


def tables_of(place: Path) -> dict[str, pl.DataFrame]:
    found = {path: pl.read_parquet(path) for path in place.rglob("*.parquet")}
    return {str(path.relative_to(place)): table for path, table in found.items()}


def test_what_is_learned_does_not_depend_on_the_mode(facts: Experiment) -> None:
    single = replace(facts, unlearn=replace(facts.unlearn, requests="single_fact"))
    pairs = {cell.method: (cell, its) for cell, its in zip(facts.cells, single.cells, strict=True)}
    assert pairs["vanilla"][0].id == pairs["vanilla"][1].id and not pairs["vanilla"][0].is_batch
    for method in ("do_nothing", "prompt_guard", "fact_erasure", "error_injection"):
        batch, its = pairs[method]
        assert batch.id.startswith(f"{method}-batch-{batch.modality}-s0-") and batch.id[-8:] != its.id[-8:]
        assert batch.is_batch and batch.is_single_fact and batch.ratio is None and is_single(batch.id)
        assert not its.is_batch and "requests" not in its.config["unlearn"]
    again = parse_experiment(json.loads(json.dumps(facts.tree)))
    assert [cell.id for cell in again.cells] == [cell.id for cell in facts.cells]


def test_one_edit_deletes_all_facts_and_each_is_attacked(done: Run, facts: Experiment) -> None:
    folder, subjects = RunFolder(done.folder), load_experiment_benchmark(facts).subjects
    assert not done.failures and len(subjects) == FACTS
    for method in ("do_nothing", "fact_erasure", "error_injection"):
        cell = cell_of(facts, method)
        records, attacks, home = folder.records(cell), folder.attacks(cell), folder.cell(cell)
        assert records is not None and attacks is not None
        # The hard question of the last fact would give its answer away, so that the files have none.
        assert attacks.group_by("attack").len().sort("attack")["len"].to_list() == [3, 3, 3, 3, 2]
        assert set(attacks["subject"]) == set(subjects) and set(attacks["edit_id"]) == {ALL_AT_ONCE}
        before = records.filter(pl.col("edit_id").is_null())
        assert set(before["view"]) == ({"target"} if method == "error_injection" else set())
        # Every question is asked once: the mode costs one model, not one per fact.
        strict = records.filter(pl.col("protocol") == "strict")
        assert (
            not strict.select("sample_id", "view").is_duplicated().any()
            and strict.filter(pl.col("set") == "retain").height == 2
        )
        (line,) = map(json.loads, (home / "edits.jsonl").read_text().splitlines())
        assert (line["edit_id"], line["steps"]) == (ALL_AT_ONCE, 0 if method == "do_nothing" else 2)
        noted = json.loads((home / "DONE").read_text())
        assert (noted["facts"], noted["steps"]) == (FACTS, line["steps"])
        assert (home / "adapter").is_dir() and not (home / "edits").exists()
    kept = {target.name.partition("-")[0] for target in find_targets(done.folder).targets}
    assert kept == {"vanilla", "do_nothing", "fact_erasure", "error_injection"}


def test_the_edit_is_trained_on_all_facts_together(done: Run, facts: Experiment) -> None:
    """One batch of three questions and not three of one: as `unlearn` does it with the same samples."""
    from unsee.models.loading import load_model
    from unsee.unlearning import unlearn_with_report

    cell = cell_of(facts, "error_injection")
    forget = load_experiment_benchmark(facts).samples(set="forget")
    plan = facts.plan("error_injection")
    made = unlearn_with_report(
        load_model(facts.model), forget=forget, method=plan.method, options=replace(plan.options, seed=0)
    )
    (line,) = map(json.loads, (RunFolder(done.folder).cell(cell) / "edits.jsonl").read_text().splitlines())
    assert made.report.effective_batch >= FACTS == len(forget)
    assert (line["steps"], line["tokens"]) == (made.report.steps, made.report.tokens)
    assert line["loss"] == pytest.approx(made.report.loss, rel=1e-5)


def test_results_hold_the_scores_and_damage_of_one_edit_of_all(done: Run, facts: Experiment) -> None:
    folder, results = RunFolder(done.folder), done.results
    for method in ("do_nothing", "fact_erasure", "error_injection"):
        rows = results.filter(method=method)
        scores = (
            "rewrite_score",
            "paraphrase_score",
            "neighbourhood_score",
            "edit_score",
            "delta_accuracy",
            "delta_accuracy_p",
        )
        for metric in (*scores, "attack_success"):
            assert set(rows.filter(metric=metric)["n_edits"]) == {FACTS}, metric
    assert results.filter(method="vanilla", metric="rewrite_score").is_empty()
    nothing = results.filter(~pl.col("gated"), method="do_nothing", metric="delta_accuracy", set="retain")
    assert nothing.select("value", "n", "n_subjects").rows() == [(0.0, 2, 2)]

    # By hand: the share of the way to certainty that each taught answer went, averaged over facts.
    records = folder.records(cell_of(facts, "error_injection"))
    assert records is not None
    asked = (
        records.filter(view="target", set="forget")
        .sort("sample_id")
        .with_columns(pl.col("answer_logprob_sum").exp().alias("p"))
    )
    before = asked.filter(pl.col("edit_id").is_null())["p"].to_numpy()
    after = asked.filter(edit_id=ALL_AT_ONCE)["p"].to_numpy()
    score = results.filter(~pl.col("gated"), pl.col("group").is_null(), method="error_injection", metric="rewrite_score")
    assert len(before) == len(after) == FACTS
    assert score["value"].item() == pytest.approx(float((1 - (1 - after) / (1 - before)).clip(2e-8).mean()), rel=1e-9)
    assert score["n_subjects"].item() == FACTS


def test_the_number_of_edits_is_read_from_the_request(facts: Experiment) -> None:
    samples = load_experiment_benchmark(facts).samples()
    assert several_edits(facts, cell_of(facts, "fact_erasure"), samples) == {ALL_AT_ONCE: FACTS}
    single = replace(facts, unlearn=replace(facts.unlearn, requests="single_fact", sequence=(2,)))
    assert several_edits(single, cell_of(single, "fact_erasure"), samples) == {"after 2 edits": 2}


@pytest.mark.parametrize("moment", ["asking", "noting"])
def test_it_goes_on_between_editing_and_answering(
    done: Run, facts: Experiment, file: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the steps nor the answers of an interrupted session are computed again, and the tables are the same."""
    only = replace(
        facts,
        unlearn=replace(facts.unlearn, methods=("fact_erasure",), controls=()),
        method={"fact_erasure": facts.method["fact_erasure"]},
    )
    out = file.parent / f"cut-{moment}"

    def dies(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        place: Any = (fact_edits, "ask") if moment == "asking" else (EditJournal, "add")
        patched.setattr(*place, dies)
        with pytest.raises(KeyboardInterrupt):
            run(only, out=out)
    home = RunFolder(out).cell(cell_of(only, "fact_erasure"))
    assert (home / "edits" / "training").is_dir() and not (home / "edits.jsonl").exists()
    assert (home / "edits" / "asking").exists() is (moment == "noting")
    backward, trained = training._backward, []

    def noted(lay: Any, model: Any, method: Any, *rest: Any) -> Any:
        trained.append(method.name)
        return backward(lay, model, method, *rest)

    monkeypatch.setattr(training, "_backward", noted)
    run(only, out=out)
    assert set(trained) == {"finetune"}  # by the attack, every time
    ours, whole = tables_of(home), tables_of(RunFolder(done.folder).cell(cell_of(facts, "fact_erasure")))
    assert ours.keys() == whole.keys()
    for name, table in ours.items():
        assert_frame_equal(table, whole[name])


@pytest.mark.slow
def test_killed_and_gone_on_gives_the_same_results(done: Run, facts: Experiment, file: Path) -> None:
    out = file.parent / "killed"
    codes = [code for code, _ in sessions(file, out, *(("write", writes) for writes in (12, 8, 8, 8)), ("finish", 0))]
    assert codes == [KILLED] * 4 + [FAILED]
    for name in ("results", *(f"cells/{cell.id}/{table}" for cell in facts.cells for table in ("records", "attacks"))):
        one, other = (pl.read_parquet(folder / f"{name}.parquet") for folder in (out, done.folder))
        assert_frame_equal(one, other, check_exact=True)


def test_the_report_and_the_terminal_have_the_matrix(done: Run, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    data = read_run(done.folder)
    (table,) = fact_tables(Sources([Source(data)], "batch"))
    assert table.batch and table.n_edits == [1] and table.n_facts == FACTS
    methods = {"vanilla", "do_nothing", "prompt_guard", "fact_erasure", "error_injection"}
    assert {model.method for model in table.attacked} == methods
    for model in table.models:
        lost = table.score(model, "delta_accuracy", "retain")
        assert (lost is None) is (model.method in ("vanilla", "gold", "prompt_guard"))
    assert print_attacks(data, console=Console(width=120))
    shown = " ".join(capsys.readouterr().out.split())
    assert "facts found with" in shown and "Fact erasure" in shown and "No cell of this run" not in shown
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    for words in (
        'id="attacks"',
        "3 facts were deleted in one edit",
        "All facts were deleted by one edit",
        "3 facts deleted, all in one edit",
    ):
        assert words in page, words
    # One edit is not a series of edits; every fact can be looked at by itself.
    assert 'id="several-edits"' not in page and 'id="single-facts"' in page and "deleted one at a time" not in page


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("benchmark.facts=1",), "unlearn.requests = batch deletes several in one edit"),
        (("unlearn.sequence=[2]",), "counts single facts (unlearn.requests = single_fact)"),
        (("states.bits=[4]",), "[states] cannot be asked where single facts are forgotten"),
        (("fact_erasure.target=0.1",), "looks at probe questions, which single facts have none of"),
        (("benchmark.name=people", "benchmark.path=none", "benchmark.facts=none"), "give a forget ratio"),
    ],
)
def test_what_cannot_work_is_one_line(
    file: Path, settings: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word for one in settings for word in ("--set", one)]
    assert main(["run", str(file), "--out", str(tmp_path / "run"), *given]) == 2
    # Files with rows that the published loader passes over say so first.
    assert_one_line(capsys.readouterr().err.splitlines(keepends=True)[-1], message)
    assert not (tmp_path / "run").exists()


def test_a_defence_may_not_see_what_attackers_ask(facts: Experiment, tmp_path: Path) -> None:
    questions = load_experiment_benchmark(facts).samples()
    own = next(sample for sample in questions if sample.set == "forget")
    easy = next(
        s
        for s in questions
        if s.subject == own.subject and s.set == "test" and s.metadata["axis"] == "question" and s.metadata["level"] == "easy"
    )
    start = next(i for i in range(len(own.question)) if own.question[i] != easy.question[i])
    prefix = easy.question[start : start + len(easy.question) - len(own.question)]
    method = {"input_rephrasing": {"prefixes": [prefix]}}
    with pytest.raises(ConfigError, match="which attackers ask"):
        run(replace(facts, unlearn=replace(facts.unlearn, methods=("input_rephrasing",)), method=method), out=tmp_path / "run")


def test_a_dry_run_counts_the_batch(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(file), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "3 facts deleted in one edit and attacked one by one" in shown
    assert "6 trained on" in shown  # three questions, twice
    assert "fact_erasure, 3 facts in one edit" in shown and "side by side" not in shown
