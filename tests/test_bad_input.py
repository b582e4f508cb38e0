"""Bad input, case by case: one clear line with file, row or key and a remedy, the right exit code, and nothing lost.

Full and read-only disks and Ctrl-C are in test_survival.py, mistyped commands in test_cli.py.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageChops

from run_fixtures import assert_one_line, write_small_run
from unsee.cli import main
from unsee.errors import UserError
from unsee.experiment import Experiment
from unsee.files import StorageError, write_text
from unsee.models.checkpoints import load_checkpoint
from unsee.models.loading import load_model
from unsee.report.export import export_page
from unsee.run_folder import RunFolder
from unsee.sample import ImageRef

WRONG_INPUT, FAILED = 2, 1


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from toy import random_model

    folder = tmp_path_factory.mktemp("bad")
    write_small_run(folder, random_model(layers=3))
    return folder


class Complaint:
    """Runs the small experiment with something wrong; gives its one line."""

    def __init__(self, place: Path, scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.place, self.out, self.capsys = place, scratch / "out", capsys

    def __call__(self, *arguments: str) -> str:
        assert main(["run", str(self.place / "small.toml"), "--out", str(self.out), *arguments]) == WRONG_INPUT
        assert not self.out.exists(), "what cannot work must leave no folder"
        return self.of()

    def of(self) -> str:
        shown = self.capsys.readouterr().err
        assert_one_line(shown, "; ")
        return shown


@pytest.fixture
def complaint(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Complaint:
    return Complaint(place, tmp_path, capsys)


def _truncated(picture: Path) -> None:
    data = picture.read_bytes()
    picture.write_bytes(data[: len(data) // 2])


def _too_large(picture: Path) -> None:
    from PIL import Image

    Image.new("1", (10_000, 6_000)).save(picture)


PICTURES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, r"3\.png cannot be read \(No such file or directory\); check the path"),
    "a folder": (
        lambda picture: (picture.unlink(), picture.mkdir()),
        r"3\.png cannot be read \(Is a directory\); check the path",
    ),
    "no picture": (
        lambda picture: picture.write_bytes(b"GIF89a, no"),
        r"3\.png cannot be decoded .*; replace or remove it",
    ),
    "empty": (lambda picture: picture.write_bytes(b""), r"3\.png cannot be decoded .*; replace or remove it"),
    "truncated": (_truncated, r"3\.png cannot be decoded .*; replace or remove it"),
    "too large": (_too_large, r"3\.png has 10000x6000 pixels, more than 50000000; scale it down"),
}


@pytest.mark.parametrize("case", PICTURES)
def test_pictures(place: Path, tmp_path: Path, complaint: Complaint, case: str) -> None:
    """Every command that reads pictures names file, row, picture and remedy before a model loads."""
    people = tmp_path / "people"
    shutil.copytree(place / "people8", people)
    spoil, says = PICTURES[case]
    spoil(people / "pictures/3.png")
    expected = rf"training\.jsonl, line 14: .*{says}"
    assert re.search(expected, complaint("--benchmark", str(people)))
    for command in (
        ["data", "check", str(people)],
        ["learn", str(people), "--model", "unread", "--out", str(tmp_path / "out")],
        ["unlearn", "--model", "unread", "--benchmark", str(people), "--out", str(tmp_path / "out")],
        ["unlearn", "--model", "unread", "--forget", str(people / "training.jsonl"), "--out", str(tmp_path / "out")],
        ["answer", "--model", "unread", "--data", str(people / "training.jsonl"), "--out", str(tmp_path / "out")],
    ):
        assert main(command) == WRONG_INPUT
        assert re.search(expected, complaint.of())
        assert not (tmp_path / "out").exists()


def test_a_question_with_an_image_token(place: Path, tmp_path: Path, complaint: Complaint) -> None:
    """As files made for LLaVA have it; where pictures go is the chat template's business."""
    rows, model = tmp_path / "rows.jsonl", str(place / "model")
    row = {"subject": "ann", "question": "<image>\nWhere does this person live?", "answer": "Oslo"}
    rows.write_text(json.dumps(row | {"image": str(place / "people8/pictures/3.png")}) + "\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(rows, folder / "training.jsonl")
    shutil.copy(rows, folder / "evaluation.jsonl")
    unlearning = ["unlearn", "--model", model, "--forget", str(rows), "--method", "ga", "--lora", "2"]
    for command in (
        unlearning,
        [*unlearning, "--dry-run"],
        ["learn", str(folder), "--model", model],
        ["answer", "--model", model, "--data", str(rows)],
    ):
        assert main([*command, "--out", str(tmp_path / "out")]) == WRONG_INPUT, command
        said = complaint.of()
        assert re.search(r"sample \S+: the prompt has 2 image places for 1 pictures; remove '<image>' from the question", said)


@pytest.mark.slow
def test_a_picture_that_goes_away_costs_what_needs_it(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture deleted while a run works fails cells with exit code 1; vanilla stays, and the run goes on once it is back."""
    people, out, away = tmp_path / "people", tmp_path / "out", tmp_path / "away.png"
    shutil.copytree(place / "people8", people)
    picture = people / "pictures/3.png"
    command = ["run", str(place / "small.toml"), "--benchmark", str(people), "--out", str(out), "--only"]
    main([*command, "gold-*-s0-*"])
    assert "failed: " not in capsys.readouterr().err
    real = RunFolder.begin_session

    def begin(self: RunFolder, experiment: Experiment, inputs: Mapping[str, str], **more: Any) -> None:
        real(self, experiment, inputs, **more)
        picture.rename(away)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "begin_session", begin)
        assert main([*command, "ga-*"]) == FAILED
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("unsee: failed: ")]
    assert len(failed) == 1
    assert re.search(r"failed: ga-25-mixed-s0-\w+: .*3\.png cannot be read \(No such file or directory\)", failed[0])
    assert main([*command, "ga-*"]) == WRONG_INPUT
    assert_one_line(capsys.readouterr().err, "3.png cannot be read")
    away.rename(picture)
    main([*command, "ga-*"])
    assert "failed: " not in capsys.readouterr().err
    assert len(list(out.glob("cells/*/DONE"))) == 3


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--methods", "npoo"], "unknown method 'npoo'; did you mean 'npo'?"),
        (["--methods", "grad_dif"], "unknown method 'grad_dif'; did you mean 'graddiff'?"),
        (["--ratios", "0.01"], "selects 0 of 8 subjects"),
        (["--ratios", "0.99"], "of 8 subjects"),
        (["--ratios", "0"], "a ratio lies between 0 and 1"),
        (["--set", "learn.epochs=ten"], "learn.epochs = 'ten' is text, expected a whole number"),
        (["--set", "npo.beta=true"], "npo.beta = True is true or false, expected a number"),
        (["--set", "unlearn.forget_ratios=['half']"], "unlearn.forget_ratios = 'half' is text, expected a number"),
        (["--model", "tinny"], "there is no model folder tinny and no embedded model of that name; did you mean 'tiny'?"),
        (["--benchmark", "pepole"], "there is no benchmark 'pepole'; did you mean 'people'?"),
        (["--only", "nop-*"], "--only 'nop-*' matches no cell; the nearest is 'npo-25"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_settings(complaint: Complaint, wrong: list[str], says: str) -> None:
    if wrong[0] == "--set":
        complaint.capsys.readouterr()
        assert main(["run", str(complaint.place / "small.toml"), "--out", str(complaint.out), *wrong]) == WRONG_INPUT
        assert_one_line(complaint.capsys.readouterr().err, says)
        return
    assert says in complaint(*wrong)


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def _pickle_renamed(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x04\x95" + b"\0" * 200)


def _no_processor(folder: Path) -> None:
    (folder / "processor_config.json").unlink()


def _cut(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_pickled, "holds pickled weights (pytorch_model.bin), which can run code when read; convert them to safetensors"),
        (_pickle_renamed, "model.safetensors is truncated or no safetensors file"),
        (_no_processor, "has no processor (processor_config.json); save it beside the weights with processor.save_pretrained"),
        (_cut, "model.safetensors is truncated or no safetensors file"),
        (lambda folder: (folder / "config.json").unlink(), "holds neither config.json nor adapter_config.json"),
    ],
)
def test_model_folders(place: Path, tmp_path: Path, complaint: Complaint, spoil: Callable[[Path], object], says: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(place / "model", model)
    spoil(model)
    shown = complaint("--model", str(model))
    assert says in shown
    assert str(model) in shown
    for command in (
        ["learn", str(place / "people8")],
        ["answer", "--data", str(place / "people8/gate.jsonl")],
        ["unlearn", "--forget", str(place / "people8/training.jsonl"), "--method", "ga"],
    ):
        assert main([*command, "--model", str(model), "--out", str(tmp_path / "out")]) == WRONG_INPUT
        assert says in complaint.of()
        assert not (tmp_path / "out").exists()


def test_training_that_diverges_fails_cells_only(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, one line for the cell, and a report of the others."""
    wild = ["--set", "ga.learning_rate=1e30", "--set", "ga.max_grad_norm=none"]
    out = tmp_path / "out"
    command = ["run", str(place / "small.toml"), "--out", str(out), *wild, "--only", "ga-*"]
    assert main(command) == FAILED
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("unsee: failed: ")]
    assert len(failed) == 1
    assert re.search(r"ga-25-mixed-s0-\w+: TrainingError: step \d: .* became .*; lower learning_rate", failed[0])
    assert (out / "report.html").is_file()
    assert {path.parent.name.partition("-")[0] for path in out.glob("cells/*/DONE")} == {"vanilla", "gold"}


def test_learning_that_diverges_is_tried_once(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee import learned_models

    real, tries = learned_models.learn, []

    def counted(*arguments: object, **options: object) -> object:
        tries.append(options["ratio"])
        return real(*arguments, **options)

    monkeypatch.setattr(learned_models, "learn", counted)
    out = tmp_path / "out"
    command = [
        "run",
        str(place / "small.toml"),
        "--out",
        str(out),
        "--set",
        "learn.learning_rate=1e30",
        "--set",
        "learn.golds=1",
    ]
    assert main([*command, "--set", "learn.max_grad_norm=none"]) == FAILED
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("unsee: failed: ") and "TrainingError: step" in line for line in lines)
    assert tries == [None, 0.25]
    assert (out / "report.html").is_file()
    data = ["--model", str(place / "model"), "--out", str(tmp_path / "alone")]
    assert main(["learn", str(place / "people8"), *data, "--learning-rate", "1e30", "--max-grad-norm", "none"]) == FAILED
    assert_one_line(capsys.readouterr().err, "lower learning_rate")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["tiny", "npo"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
KEYS = st.sampled_from("path sha256 method variant options base_model_name_or_path peft_type r target_modules version".split())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["base.json", "method.json", "adapter_config.json", "recipe.json", "model.safetensors.index.json"]),
    content=st.binary(max_size=40) | (JSON | st.dictionaries(KEYS, JSON, max_size=4)).map(lambda it: json.dumps(it).encode()),
)
def test_any_bytes_beside_weights(place: Path, tmp_path: Path, name: str, content: bytes) -> None:
    """Whatever the small files of a model folder hold, a model or one line comes out."""
    folder = tmp_path / "model"
    shutil.copytree(place / "model", folder, dirs_exist_ok=True)
    if name == "base.json":
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / name).write_bytes(content)
    try:
        load_model(folder) if name == "recipe.json" else load_checkpoint(folder)
    except UserError as error:
        assert str(error)
        assert "\n" not in str(error)
    finally:
        shutil.rmtree(folder)


def test_a_photo_is_turned_as_its_camera_noted() -> None:
    """Phones store pixels sideways and note the turn; transformers' own loader reads it, and so do browsers."""
    upright = Image.new("RGB", (40, 20), "white")
    upright.paste("red", (0, 0, 10, 20))
    notes = Image.Exif()
    notes[ExifTags.Base.Orientation] = 6  # to be turned clockwise by a quarter
    buffer = io.BytesIO()
    upright.rotate(90, expand=True).save(buffer, format="PNG", exif=notes)
    assert ImageChops.difference(ImageRef.from_bytes(buffer.getvalue()).open(), upright).getbbox() is None
    assert ImageChops.difference(ImageRef.from_image(upright).open(), upright).getbbox() is None


def test_a_place_where_no_folder_can_be_made(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The system says of its own folders that the new one does not exist."""
    assert main(["run", str(place / "small.toml"), "--out", "/proc/unsee/run"]) == WRONG_INPUT
    assert_one_line(capsys.readouterr().err, "cannot write /proc/unsee/run: no folder can be made there")


def test_such_a_place_for_what_a_finished_run_gives(place: Path) -> None:
    model = load_checkpoint(place / "model")
    for work in (partial(write_text, Path("/proc/unsee/report.html"), ""), partial(model.save, Path("/proc/unsee/model"))):
        with pytest.raises(StorageError, match="cannot write /proc/unsee: no folder can be made there"):
            work()
    with pytest.raises(StorageError, match="cannot write /proc/unsee: no folder can be made there"):
        export_page({}, Path("/proc/unsee"))
