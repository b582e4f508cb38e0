"""A family whose pictures are no tokens is told apart at load, and still answers without pictures."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import builders
import unsee
from unsee.answering import answer
from unsee.cli import main
from unsee.errors import DataError
from unsee.models.model import Model
from unsee.sample import Sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network, processor = builders.mllama()
    return Model(network, processor).save(tmp_path_factory.mktemp("mllama") / "model")


def test_cross_attention_is_refused_with_one_line(folder: Path, shown: list[Sample]) -> None:
    with pytest.warns(UserWarning, match="has no pictures: MllamaProcessor shows pictures by cross-attention"):
        model = unsee.load_model(folder)
    assert set(model.features.missing()) == {"prompt", "answer_mask", "pictures", "shared_prefix", "lens"}
    with warnings.catch_warnings(action="ignore"), pytest.raises(DataError, match="ask without pictures"):
        answer(model, shown[:1])
    text = [sample for sample in shown if not sample.images][:3]
    with warnings.catch_warnings(action="ignore"):
        assert answer(model, text, max_new_tokens=2)["answer_logprob_sum"].null_count() <= 1


def test_the_check_command_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["prompt", "answer_mask", "pictures"]
    assert "pictures      no: MllamaProcessor shows pictures by cross-attention" in lines[2]
    assert "language      yes" in lines
