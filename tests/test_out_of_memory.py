"""Training that runs out of memory says what to change and loses nothing; inputs that could not fit are refused before."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from doc_pages import ROOT
from unsee.cli import main
from unsee.errors import ConfigError, DataError, TrainingError
from unsee.experiment import read_experiment
from unsee.memory_options import MemoryOptions
from unsee.method_plans import method_plan
from unsee.methods import Scope, load_method
from unsee.models.batches import collate
from unsee.models.lora import attach
from unsee.models.questions import encode_samples
from unsee.out_of_memory import available_memory, is_out_of_memory
from unsee.run_folder import RunFolder
from unsee.runs import run
from unsee.training import train
from unsee.training_options import TrainOptions
from unsee.unlearning import lent, trains_adapters_alone, unlearn_with_report

FEW = TrainOptions(batch_size=4, steps=6, learning_rate=1e-3)
REFUSED = "[enforce fail at alloc_cpu.cpp:1] data. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


def lacking(monkeypatch: pytest.MonkeyPatch, *, call: int, error: Exception) -> None:
    """The given call of the networks' way back, counted from 1, finds no memory."""
    calls = 0
    backward = torch.Tensor.backward

    def refuse(tensor, *args, **kwargs):
        nonlocal calls
        if not tensor.is_meta:
            calls += 1
        if calls == call and not tensor.is_meta:
            raise error
        return backward(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "backward", refuse)


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (RuntimeError(REFUSED), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."), True),
        (torch.OutOfMemoryError("HIP out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (TrainingError("out of memory, said by us"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_a_lack_of_memory(error: Exception, lacks: bool) -> None:
    assert is_out_of_memory(error) is lacks


def test_the_line_says_what_to_change(model, samples, monkeypatch) -> None:
    lacking(monkeypatch, call=1, error=RuntimeError(REFUSED))
    with pytest.raises(TrainingError) as told:
        train(attach(model, Scope(rank=None)), load_method("ga"), forget=samples[:8], options=FEW)
    text = str(told.value)
    assert "\n" not in text
    assert text.startswith("out of memory (asked for 9 bytes) with batch_size 4; lower batch_size (raise gradient_accumulation")
    assert "by the memory plan 4 fits in" in text
    for remedy in ("gradient_checkpointing = true", "lora = 16", "optimizer = adamw_8bit", "dtype = bfloat16"):
        assert remedy in text
    assert all(weight.grad is None for weight in model.network.parameters())


def test_what_is_in_use_is_not_suggested(model, samples, monkeypatch) -> None:
    lacking(monkeypatch, call=1, error=MemoryError())
    options = replace(FEW, gradient_checkpointing=True, batch_size=1)
    with pytest.raises(TrainingError, match=r"^out of memory with batch_size 1; load the model in bf16 \(dtype = bfloat16\)$"):
        train(attach(model, Scope(rank=2)), load_method("ga"), forget=samples[:8], options=options)


def test_training_goes_on_where_memory_ended(model, samples, monkeypatch, tmp_path) -> None:
    """With another switch that changes no result; the weights are those of a run that never stopped."""
    sides = {"forget": samples[:10], "retain": samples[10:20]}
    whole = attach(model, Scope(rank=2))
    train(whole, load_method("npo"), options=FEW, **sides)
    cut = attach(model, Scope(rank=2))
    with monkeypatch.context() as patch:
        patch.setattr("unsee.out_of_memory.available_memory", lambda device: None)
        lacking(patch, call=4, error=RuntimeError(REFUSED))
        with pytest.raises(TrainingError, match=f"what is finished is kept in {tmp_path}"):
            train(cut, load_method("npo"), options=FEW, resume=tmp_path, **sides)
    again = attach(model, Scope(rank=2))
    report = train(again, load_method("npo"), options=replace(FEW, gradient_checkpointing=True), resume=tmp_path, **sides)
    assert report.resumed_at == 3 and report.steps == 6
    for one, other in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_a_run_goes_on_without_the_cell(place: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """The other cells finish, the reason stands in FAILED, and the same command later computes what is missing."""
    experiment = read_experiment(
        place / "small.toml", tables={"unlearn": {"methods": ["ga", "npo"], "modalities": ["mixed"], "forget_ratios": [0.25]}}
    )
    from unsee.methods.ga import GradientAscent

    monkeypatch.setattr(GradientAscent, "loss", lambda *_: (_ for _ in ()).throw(RuntimeError(REFUSED)))
    done = run(experiment, out=tmp_path / "run", only=["ga-*", "npo-*"])
    assert len(done.failures) == 1 and "out of memory" in done.failures[0] and done.failures[0].startswith("ga-")
    folder = RunFolder(tmp_path / "run")
    states = {cell.method: (folder.failure(folder.cell(cell)), folder.is_done(folder.cell(cell))) for cell in experiment.cells}
    assert "gradient_checkpointing" in states["ga"][0]
    assert states["npo"] == (None, True) and states["vanilla"] == (None, True)


LIMITED = """
import resource, sys
sys.path[:0] = [{tests!r}, {src!r}]
from dataclasses import replace
from pathlib import Path
from toy import random_model, toy_samples
from unsee.errors import TrainingError
from unsee.methods import Scope, load_method
from unsee.models.batches import collate
from unsee.models.lora import attach
from unsee.models.questions import encode_samples
from unsee.training import train
from unsee.training_options import TrainOptions
from unsee.unlearning import lent, trains_adapters_alone, unlearn_with_report
model, samples = random_model(), toy_samples(200)
few = TrainOptions(batch_size=4, steps=2, loss_mask="all")
train(attach(model, Scope(rank=2)), load_method("ga"), forget=samples[:8], options=few)
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + {room}, resource.RLIM_INFINITY))
try:
    train(attach(model, Scope(rank=2)), load_method("ga"), forget=samples, options=replace(few, batch_size=1000, pack=False))
except TrainingError as error:
    print(error)
train(attach(model, Scope(rank=2)), load_method("ga"), forget=samples[:8], options=few)
print("went on")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the address space")
def test_a_real_lack_of_memory() -> None:
    """The process may grow by 192 MiB, which a thousand questions at once exceed and a few do not."""
    script = LIMITED.format(tests=str(ROOT / "tests"), src=str(ROOT / "src"), room=192 * 2**20)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    line, last = done.stdout.strip().splitlines()
    assert line.startswith("out of memory") and "lower batch_size" in line and last == "went on"


def test_memory_of_this_machine() -> None:
    available = available_memory(torch.device("cpu"))
    assert available is not None and 2**28 < available <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert available_memory(torch.device("meta")) is None


def test_long_samples_and_many_pictures_are_refused(model, samples) -> None:
    adapted = attach(model, Scope(rank=2))
    short = replace(FEW, max_sample_tokens=12)
    with pytest.raises(DataError, match=r"sample p0/0 has \d+ tokens, the limit is 12; shorten it or raise max_sample_tokens"):
        train(adapted, load_method("ga"), forget=samples[:4], options=short)
    crowded = replace(samples[0], images=samples[0].images * 3)
    with pytest.raises(DataError, match="sample p0/0 shows 3 pictures, the limit is 2; show fewer or raise max_pictures"):
        train(adapted, load_method("ga"), forget=[crowded], options=replace(FEW, max_pictures=2))


def test_eight_bits_need_a_library(model, samples, monkeypatch) -> None:
    adapted = attach(model, Scope(rank=2))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim.adamw", None)
    with pytest.raises(ConfigError, match=r"needs bitsandbytes, which is not installed; pip install 'unsee\[quant\]'"):
        train(adapted, load_method("ga"), forget=samples[:4], options=replace(FEW, optimizer="adamw_8bit"))


def test_eight_bit_moments_survive_an_interruption(model, samples, monkeypatch, tmp_path) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    options = replace(FEW, optimizer="adamw_8bit")
    whole, again = attach(model, Scope(rank=None)), attach(model, Scope(rank=None))
    train(whole, load_method("ga"), forget=samples[:8], options=options)
    cut = attach(model, Scope(rank=None))
    with monkeypatch.context() as patch:
        lacking(patch, call=4, error=RuntimeError(REFUSED))
        with pytest.raises(TrainingError):
            train(cut, load_method("ga"), forget=samples[:8], options=options, resume=tmp_path)
    assert train(again, load_method("ga"), forget=samples[:8], options=options, resume=tmp_path).resumed_at == 3
    for one, other in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other), bitsandbytes.__version__


def test_switches_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match="max_pictures = 0 must be at least 1"):
        MemoryOptions(max_pictures=0)
    with pytest.raises(ConfigError, match="reference = second_model caches nothing"):
        MemoryOptions(reference="second_model", reference_top_k=5)
    with pytest.raises(ConfigError, match=r"method\.npo\.optimizer cannot be set for one method; use unlearn\.optimizer"):
        method_plan("npo", {"optimizer": "adamw_8bit"})
    with pytest.raises(ConfigError, match=r"learn\.reference .*no effect"):
        read_experiment(tables={"learn": {"reference": "cache"}})


def test_switches_without_influence_keep_what_is_computed() -> None:
    plain = read_experiment(tables={"unlearn": {"methods": ["npo"]}})
    assert "optimizer" not in plain.decisive["unlearn"] and "gradient_checkpointing" not in plain.decisive["learn"]
    saving = {"gradient_checkpointing": True, "max_pictures": 3}
    same = read_experiment(tables={"unlearn": {"methods": ["npo"], **saving}, "learn": saving})
    assert same.hash == plain.hash and [cell.id for cell in same.cells] == [cell.id for cell in plain.cells]
    other = read_experiment(tables={"unlearn": {"methods": ["npo"], "optimizer": "adamw_8bit"}})
    assert other.hash != plain.hash and other.cells[0].id == plain.cells[0].id and other.cells[-1].id != plain.cells[-1].id


def test_commands_plan_memory(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--benchmark", str(place / "people8"), "--forget-ratio", "0.25"]
    common = ["--model", str(place / "model"), "--out", str(tmp_path / "out"), "--dry-run", "--memory", "64MiB"]
    assert main(["unlearn", "--method", "ga", "--gradient-checkpointing", *data, *common]) == 0
    shown = capsys.readouterr().out
    assert "activations" in shown and "largest batch size that fits 64.00 MiB" in shown
    assert main(["unlearn", *data, *common[:-1], "24 parsecs"]) == 2
    assert "unknown unit 'parsecs'" in capsys.readouterr().err
    assert main(["unlearn", *data, *common[:-3], "--memory", "1GiB"]) == 2
    assert "add --dry-run" in capsys.readouterr().err
    assert main(["unlearn", *data, "--model", "m", "--out", "o", "--dry-run", "--memory", "1GiB"]) == 2
    assert "there is no model folder m" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_lent_model_comes_back_as_it_was(model, samples) -> None:
    """Also when training fails: no adapter is left, its output is the same, and it can be lent again."""
    batch = collate(encode_samples(samples[:3], model.prompter), prompter=model.prompter)
    before, names = model.answer_logits(batch).detach(), list(model.network.state_dict())
    flags = [weight.requires_grad for weight in model.network.parameters()]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), lent(model):
            done = unlearn_with_report(model, forget=samples[:8], method="ga", options=FEW, scope=Scope(rank=2), in_place=True)
            assert done.model.base is model.network
            assert not torch.equal(done.model.answer_logits(batch), before)
            raise ZeroDivisionError
        assert torch.equal(model.answer_logits(batch), before)
        assert list(model.network.state_dict()) == names
        assert [weight.requires_grad for weight in model.network.parameters()] == flags
    assert trains_adapters_alone(load_method("npo"), Scope(rank=2))
    assert not trains_adapters_alone(load_method("npo"), Scope(rank=None))
