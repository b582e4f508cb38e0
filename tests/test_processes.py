"""Two processes give what one gives; see two_processes.py for what they do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from safetensors.torch import load_file

import two_processes
from doc_pages import ROOT, commands, read
from run_fixtures import ENVIRONMENT
from unsee.sharing import share
from unsee.training_data import PlannedBatch

HARNESS = Path(two_processes.__file__)
CONFIGURATIONS = ROOT / "examples/accelerate"


def launched(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Two processes of a command."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *command]
    settings = {**ENVIRONMENT, **environment}
    return subprocess.run(launch, env=settings, capture_output=True, text=True, timeout=900, check=False)


def set_by_launcher(name: str) -> dict[str, str]:
    """What `accelerate launch` tells processes of one of our configurations."""
    from accelerate.commands import launch
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    given = launch.launch_command_parser().parse_args(["--config_file", str(CONFIGURATIONS / f"{name}.yaml"), "-m", "unsee"])
    told: dict[str, str] = {}
    with (
        patch.dict(os.environ),
        patch.object(launch, "multi_gpu_launcher", lambda args: told.update(prepare_multi_gpu_env(args))),
        patch.object(launch, "deepspeed_launcher", lambda args: told.update(prepare_deepspeed_cmd_env(args)[1])),
    ):
        launch.launch_command(given)
    return {key: value for key, value in told.items() if key.startswith(("FSDP_", "ACCELERATE_"))}


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def assert_same_training(one: Path, other: Path, *, atol: float = 1e-5) -> None:
    """The same loss curve, norms, probes and weights, to 1e-5."""
    ours, theirs = rows(one), rows(other)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs] == list(range(1, 10))
    for mine, its in zip(ours, theirs, strict=True):
        assert mine["terms"] == pytest.approx(its["terms"], abs=1e-5)
        assert mine["loss"] == pytest.approx(its["loss"], abs=1e-5)
        assert mine["grad_norm"] == pytest.approx(its["grad_norm"], rel=1e-4)
        assert mine["lr"] == its["lr"] and mine["tokens"] == its["tokens"]
        assert mine["probe_forget"] == pytest.approx(its["probe_forget"], abs=1e-5)
    found, expected = (load_file(folder / "weights.safetensors") for folder in (one, other))
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=atol, rtol=1e-5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of it."""
    folder = tmp_path_factory.mktemp("alone")
    two_processes.taught(folder / "whole")
    return folder


@pytest.mark.slow
def test_two_processes_equal_one(alone: Path, tmp_path: Path) -> None:
    """Loss curve and weights at the same global batch, resumed on another number of processes, records, and a failure."""
    two_processes.broken_off(tmp_path / "one-two")
    done = launched(str(HARNESS), "copies", str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same_training(tmp_path / "whole", alone / "whole")
    two_processes.taught(tmp_path / "two-one")
    assert_same_training(tmp_path / "two-one", alone / "whole")
    assert_same_training(tmp_path / "one-two", alone / "whole")
    two_processes.asked(tmp_path / "plain")
    records = [pl.read_parquet(tmp_path / name / "records.parquet") for name in ("asked", "plain")]
    assert_frame_equal(*records, check_exact=True)
    assert not (tmp_path / "failing" / "weights.safetensors").exists()


@pytest.fixture(scope="module")
def unsplit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of everything that is split below."""
    folder = tmp_path_factory.mktemp("unsplit")
    for trained in two_processes.TRAINED:
        two_processes.taught(folder / trained, trained)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("configuration", "what"), [("fsdp2", "shards"), ("zero2", "split"), ("zero3", "split")])
def test_shards_equal_one_process(configuration: str, what: str, unsplit: Path, tmp_path: Path) -> None:
    """FSDP2 and DeepSpeed over gloo: adapters and weights, and checkpoints that one process can go on from and leave."""
    if configuration != "fsdp2":
        pytest.importorskip("deepspeed")
    for trained in two_processes.TRAINED:
        two_processes.broken_off(tmp_path / f"{trained}-one-two", trained)
    done = launched(str(HARNESS), what, str(tmp_path), **set_by_launcher(configuration))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "INFO" not in done.stdout
    refused = tmp_path / "everything-refused"
    assert refused.is_file() == (configuration == "zero3")
    if refused.is_file():
        assert "ZeRO-3 splits the decoder's blocks and weights outside them are trained too, such as " in refused.read_text()
    for trained in two_processes.TRAINED:
        if not (tmp_path / f"{trained}-refused").is_file():
            two_processes.taught(tmp_path / f"{trained}-two-one", trained)
            for way in ("whole", "two-one", "one-two"):
                # Gradients of keys' biases are rounding alone, and Adam makes steps of it.
                atol = 1e-4 if trained == "everything" else 1e-5
                assert_same_training(tmp_path / f"{trained}-{way}", unsplit / trained, atol=atol)


def test_a_step_is_shared_by_all_processes() -> None:
    """Every batch once; processes that must run alike borrow what they lack and count none of it."""
    one, two, three, retain = (PlannedBatch(items=(number,), keys=(str(number),)) for number in range(4))
    step = [(one, retain), (None, two), (three, None)]
    apart = [list(share(step, rank=rank, count=2, alike=False)) for rank in (0, 1)]
    assert apart == [[(step[0], step[0]), (step[2], step[2])], [(step[1], step[1])]]
    alike = [list(share(step, rank=rank, count=2, alike=True)) for rank in (0, 1)]
    assert alike[0] == [((one, retain), step[0]), ((three, None), step[2])]
    assert alike[1] == [((one, two), step[1]), ((three, None), (None, None))]


def test_configurations_are_those_of_accelerate() -> None:
    """Accelerate refuses keys that it does not know."""
    names = {path.stem for path in CONFIGURATIONS.iterdir()}
    assert names == {"ddp", "fsdp2", "fsdp2_keep", "zero2", "zero3"}
    assert all((CONFIGURATIONS / f"{name}.yaml").read_text().startswith("# ") for name in names)
    told = {name: set_by_launcher(name) for name in names}
    for stage in ("2", "3"):
        wanted = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": stage}
        assert wanted.items() <= told[f"zero{stage}"].items()
    assert "ACCELERATE_USE_FSDP" not in told["ddp"]
    for name, reshard in (("fsdp2", "true"), ("fsdp2_keep", "false")):
        wanted = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": reshard}
        assert wanted.items() <= told[name].items()


@pytest.mark.slow
@pytest.mark.parametrize("configuration", ["zero2", "zero3"])
def test_commands_on_deepspeed(configuration: str, place: Path, tmp_path: Path) -> None:
    """`accelerate launch` leaves an ordinary adapter and says what one process says."""
    pytest.importorskip("deepspeed")
    rows = (place / "people8" / "training.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "pictures").symlink_to(place / "people8" / "pictures")
    (tmp_path / "forget.jsonl").write_text("".join(rows[:4]))
    (tmp_path / "retain.jsonl").write_text("".join(rows[4:8]))
    launch = [str(Path(sys.executable).with_name("accelerate")), "launch", "--main_process_port", "0"]
    launch += ["--config_file", str(CONFIGURATIONS / f"{configuration}.yaml"), "-m", "unsee", "unlearn", "--model"]
    launch += [str(place / "model"), "--forget", "forget.jsonl", "--retain", "retain.jsonl", "--set", "steps=2"]

    def unlearned(*options: str) -> subprocess.CompletedProcess[str]:
        line = [*launch, *options]
        return subprocess.run(line, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)

    done = unlearned("--method", "kl", "--out", str(tmp_path / "kl"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "INFO" not in done.stdout
    assert (tmp_path / "kl" / "adapter_config.json").is_file()
    refused = unlearned("--method", "fact_erasure", "--out", str(tmp_path / "defence"))
    assert "exitcode  : 2 " in refused.stderr
    assert len(own_lines(refused)) == 1 and "and DeepSpeed splits them" in own_lines(refused)[0]


def own_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What our processes complained, without what the launcher says about them."""
    return [line for line in done.stderr.splitlines() if line.startswith("unsee: ")]


@pytest.mark.slow
def test_commands_share_work(place: Path, tmp_path: Path) -> None:
    """One line from all processes where one would write one, whole results, and exit codes of their own."""
    model, questions = str(place / "model"), str(place / "people8" / "evaluation.jsonl")
    asked = launched("-m", "unsee", "answer", "--model", model, "--data", questions, "--out", str(tmp_path / "two"))
    assert asked.returncode == 0, asked.stderr[-2000:]
    assert asked.stdout == f"1 of 1: answering\n98 records: {tmp_path / 'two' / 'records.parquet'}\n"
    alone = [sys.executable, "-m", "unsee", "answer", "--model", model, "--data", questions, "--out", str(tmp_path / "one")]
    subprocess.run(alone, env=ENVIRONMENT, check=True, capture_output=True)  # libraries at work in this process round otherwise
    assert_frame_equal(*(pl.read_parquet(tmp_path / name / "records.parquet") for name in ("one", "two")), check_exact=True)

    learn = ["-m", "unsee", "learn", str(place / "people8"), "--model", model, "--epochs", "1", "--batch-size", "4"]
    learned = launched(*learn, "--out", str(tmp_path / "learned"))
    assert learned.returncode == 0, learned.stderr[-2000:]
    assert len(learned.stdout.splitlines()) == 2 and not own_lines(learned)
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "learned"}

    diverged = launched(*learn, "--learning-rate", "1e30", "--out", str(tmp_path / "diverged"))
    assert "exitcode  : 1 " in diverged.stderr
    assert len(own_lines(diverged)) == 1 and "lower learning_rate" in own_lines(diverged)[0]
    assert not (tmp_path / "diverged").exists()
    for command, message in (
        ([*learn, "--out", str(tmp_path / "learned")], "exists and is not empty"),
        (["-m", "unsee", "run", str(place / "small.toml")], "runs in one process and 2 were launched"),
    ):
        refused = launched(*command)
        assert "exitcode  : 2 " in refused.stderr
        assert len(own_lines(refused)) == 1 and message in own_lines(refused)[0], refused.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_lines_of_the_page_run(place: Path, tmp_path: Path) -> None:
    """`accelerate launch` as docs/scale.md has it, on a small model and few people."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    rows = (place / "people8" / "training.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "pictures").symlink_to(place / "people8" / "pictures")
    (tmp_path / "forget.jsonl").write_text("".join(rows[:4]))
    (tmp_path / "retain.jsonl").write_text("".join(rows[4:8]))
    given = {"people": str(place / "people8"), "MODEL": "runs/vanilla"}
    shorter = {"learn": ["--model", str(place / "model"), "--epochs", "1"], "unlearn": ["--set", "steps=2"]}
    done = []
    for words, _ in commands(read("docs/scale.md"), "accelerate"):
        if "unsee" in words:
            name = words[words.index("unsee") + 1]
            line = [given.get(word, word) for word in words] + shorter.get(name, [])
            line[1:1] = ["--main_process_port", "0"]  # a free one, where tests run side by side
            launch = [str(Path(sys.executable).with_name("accelerate")), *line]
            ended = subprocess.run(
                launch, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
            )
            assert ended.returncode == 0, f"{line}\n{ended.stderr[-3000:]}"
            done.append(name)
    assert done == ["learn", "unlearn", "answer"]
    made = ("vanilla/config.json", "unlearn/adapter_config.json", "answer/records.parquet")
    assert all((tmp_path / "runs" / name).is_file() for name in made)
