"""From a table to a run in four commands, each a process of its own: extend, review, filter, run."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import toy_drawing
from extending import table_flags

from review.serving import post, servers
from review.votes import LETTERS, cohen, judged
from run_fixtures import assert_one_line, unsee
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.extended.files import plain, read_extension
from unsee.review import read_decisions
from unsee.sample import Sample
from unsee.schemas import RESULTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2_400)]

DEFENCES = ("fact_erasure", "empty_response", "error_injection", "head_projection", "max_entropy", "input_rephrasing")
BY_LENS = ("lens_head_projection", "lens_prob_delta", "lens_prob_delta2", "finetune_lens")
BY_PROMPTS = ("rephrase_question", "rephrase_image", "rephrase_multimodal")
SHORT = (
    "answer.retain_subjects=2",
    "attack.budgets=[1, 5]",
    "attack.options.finetune_lens.epochs=1",
    *(f"{defence}.epochs=1" for defence in DEFENCES),
    *(f"attack.options.{name}.{key}" for name in BY_PROMPTS for key in ("prompts=2", "samples=1", "max_new_tokens=3")),
)


def done(*arguments: object, codes: tuple[int, ...] = (0,)) -> str:
    """What a command prints; it ends as it should, and complains in single lines at most."""
    ended = unsee(*arguments, timeout=1_200)
    assert ended.returncode in codes and "Traceback" not in ended.stderr, ended.stderr
    # Libraries that only a run loads, such as bitsandbytes where it is installed, log lines of their own.
    assert arguments[0] == "run" or all(line.startswith("unsee: ") for line in ended.stderr.splitlines()), ended.stderr
    return ended.stdout


def extended(layout: str, folder: Path, generators: list[object]) -> Path:
    """The first command, with few facts where programs draw."""
    few = ["--facts", 3] if generators and layout != "people" else []
    said = done("data", "extend", *table_flags(layout, folder / "data"), *few, *generators, "--out", folder / "made")
    assert f"benchmark: {folder / 'made'}" in said and "question/easy: " in said
    return folder / "made"


def reviewed(folder: Path) -> tuple[list[Path], str]:
    """The second command: two annotators who differ now and then reject some variants, and all of the first fact.

    Returns files of decisions, and the fact.
    """
    made, written = folder / "made", folder / "review.html"
    assert done("data", "review", made, "--out", written).endswith(f"review: {written}\n") and written.stat().st_size > 20_000
    extension = read_extension(made)
    passed = [variant for variant in extension.variants if not variant.failed]
    bare = next(fact.id for fact in extension.facts if fact.role == "delete")
    ada = ["r" if variant.fact == bare or number % 5 == 0 else "k" for number, variant in enumerate(passed)]
    bo = ["ur"["kr".index(letter)] if number % 7 == 0 else letter for number, letter in enumerate(ada)]
    files = []
    with servers() as serve:
        for name, letters in (("Ada", ada), ("Bo [b]", bo)):
            files.append(folder / f"{len(files)}.jsonl")
            served = serve(made, files[-1], name)
            for decision in judged(extension, {name: "".join(letters)}):
                assert post(served, decision)[0] == 200
    return files, bare


def filtered(folder: Path, files: list[Path], bare: str) -> Path:
    """The third command: counts, and a kappa that is computed here once more from what lies on disk."""
    kept = folder / "kept"
    said = done("data", "filter", folder / "made", "--decisions", *files, "--out", kept)
    extension, verdicts = read_extension(folder / "made"), [{d.item: str(d.verdict) for d in read_decisions(f)} for f in files]
    passed = [variant.id for variant in extension.variants if not variant.failed]
    agreed = [item for item in passed if {votes[item] for votes in verdicts} == {LETTERS["k"]}]
    assert f"{len(extension.variants):,} raw, {len(passed):,} passed the automatic checks, {len(agreed):,} kept" in said
    assert "facts without any variant left: 1\n" in said
    kappa = float(cohen(*([votes[item] for item in passed] for votes in verdicts)))
    assert 0 < kappa < 1 and f"Cohen's kappa: {kappa:.2f} (" in said
    found = read_extension(kept)
    assert [variant.id for variant in found.variants] == agreed
    assert list(map(plain, found.facts)) == list(map(plain, extension.facts))
    assert found.history[-1]["agreement"]["kappa"]["value"] == pytest.approx(kappa, abs=1e-12)
    assert bare in {fact.id for fact in found.facts} - {variant.fact for variant in found.variants}
    return kept


def ran(folder: Path, kept: Path) -> None:
    """The fourth command: six defences and seven attacks on two facts, the first of which has no variant any more."""
    settings = [word for setting in SHORT for word in ("--set", setting)]
    run = ["run", "--benchmark", kept, "--model", "tiny", "--facts", 2, "--out", folder / "run", *settings]
    said = done(*run, codes=(0, 1))  # 1 where the gate says that the model does not know the facts
    lacking = [line.partition(" ")[0].partition(":")[0] for line in said.splitlines() if "has no disguises of 1 of 2" in line]
    assert lacking == [*BY_PROMPTS]
    assert json.loads((folder / "run/provenance.json").read_text())["failed"] == []
    results = pl.read_parquet(folder / "run/results.parquet")
    assert results.columns == RESULTS.names() and set(results["benchmark"]) == {"made"} and {*DEFENCES} <= {*results["method"]}
    attacks = results.filter(pl.col("metric") == "attack_success", pl.col("method").is_in(DEFENCES))
    facts = dict(attacks.group_by("attack").agg(pl.col("n_subjects").max()).iter_rows())
    assert {name: facts[name] for name in (*BY_LENS, *BY_PROMPTS)} == dict.fromkeys(BY_LENS, 2) | dict.fromkeys(BY_PROMPTS, 1)
    assert (folder / "run/report.html").is_file()


def exported(folder: Path, kept: Path) -> None:
    """The official layout and back: the same samples of all facts that published scripts read."""
    out, command = folder / "official", ("data", "export", kept, "--format", "unlok-vqa", "--out", folder / "official")
    refused = unsee(*command)
    assert refused.returncode == 2 and not out.exists()
    assert_one_line(refused.stderr, "has no neighbour question")
    told = unsee(*command, "--skip-invalid")
    assert told.returncode == 0
    assert_one_line(told.stderr, "facts have no neighbour question and are left out")
    one, other = load_benchmark(kept), load_benchmark(out)
    near = {sample.subject for sample in one.samples(set="neighbour_question")}
    assert set(other.subjects) == near < set(one.subjects)

    def asked(samples: list[Sample]) -> Counter[str]:
        return Counter(f"{s.subject} {s.question} {s.answer} {s.image_sha256} {sorted(s.metadata.items())}" for s in samples)

    for name in ("forget", "test", "retain", "neighbour_image", "neighbour_question"):
        mine = [sample for sample in one.samples(set=name) if name == "retain" or sample.subject in near]
        assert mine and asked(mine) == asked(other.samples(set=name)), name
    done("data", "check", out)


@pytest.mark.parametrize("with_generators", [False, True], ids=["offline", "generators"])
@pytest.mark.parametrize("layout", ["people", "okvqa", "slake"])
def test_four_commands(layout: str, with_generators: bool, serve: Callable[[str], str], tmp_path: Path) -> None:
    """By rules alone, and with a rewriter behind a server and programs that draw."""
    draw = f"{sys.executable} {toy_drawing.__file__}"
    flags = ["--image-editor", draw, "--image-generator", draw]
    generators = ["--rewriter", serve("good"), "--rewriter-model", "toy", *flags] if with_generators else []
    made = extended(layout, tmp_path, generators)
    used = {variant.generator for variant in read_extension(made).variants}
    assert ({"toy", draw} <= used) == with_generators
    files, bare = reviewed(tmp_path)
    kept = filtered(tmp_path, files, bare)
    assert "facts without a rephrased question" in done("data", "check", kept)
    exported(tmp_path, kept)
    ran(tmp_path, kept)


def test_a_method_that_forgets_by_ratio(tmp_path: Path) -> None:
    """Any method, any request: what the reviewers left of a table is taught first."""
    extended("okvqa", tmp_path, [])
    kept = filtered(tmp_path, *reviewed(tmp_path))
    settings = ("learn.epochs=1", "unlearn.requests=ratio", "attack.attacks=[]", "npo.steps=2", "answer.retain_subjects=2")
    run = ["run", "--benchmark", kept, "--model", "tiny", "--methods", "npo", "--ratios", "0.25", "--out", tmp_path / "run"]
    done(*run, *(word for setting in settings for word in ("--set", setting)), codes=(0, 1))
    assert json.loads((tmp_path / "run/provenance.json").read_text())["failed"] == []
    results = pl.read_parquet(tmp_path / "run/results.parquet").filter(pl.col("method") == "npo")
    assert results.height and (results["forget_ratio"] == 0.25).all()
    assert list((tmp_path / "run/cells").glob("npo-*/DONE"))
