"""Pickles of PathVQA are data, never code."""

from __future__ import annotations

import os
import pickle
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import medical_fixture as hand
from unsee.benchmarks.medical.formats import read_table
from unsee.benchmarks.medical.formats.pickles import plain_pickle
from unsee.errors import DataError


class Touch:
    """Unpickling it the usual way makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data(protocol: int, tmp_path: Path) -> None:
    shared = ["é", 1, 2.5, None, True]
    value = [{"a": (shared, shared)}, {1, 2}, frozenset({3}), OrderedDict(b=b"\x00")]
    kept = value if protocol > 2 else value[:1]  # bytes go through a codec before protocol 3
    assert plain_pickle(hand.put(tmp_path / "x.pkl", pickle.dumps(kept, protocol))) == kept


def test_code_is_not_run(tmp_path: Path) -> None:
    hand.write_path_pickles(tmp_path)
    made = tmp_path / "made"
    hand.put(tmp_path / "qas/train_vqa.pkl", pickle.dumps([{"img_id": Touch(made)}]))
    with pytest.raises(DataError, match=r"train_vqa\.pkl is not loaded: it names posix\.system, which is no plain data; fetch"):
        read_table("path-vqa", tmp_path, skip_invalid=True)
    assert not made.exists()
    pickle.loads((tmp_path / "qas/train_vqa.pkl").read_bytes())
    assert made.exists()  # so the file would have done it


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Counter("a"), "collections.Counter"),
        (np.float64(1), "numpy"),
        (Path("x"), "pathlib"),
        (eval, "builtins.eval"),
        (int, "int"),
    ],
)
def test_other_names(value: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"x\.pkl is not loaded: it names .*{named}"):
        plain_pickle(hand.put(tmp_path / "x.pkl", pickle.dumps(value)))


def test_nested_names_reach_no_attribute(tmp_path: Path) -> None:
    """Protocol 4 looks up dotted names; none of them gets past the list of types."""
    code = b"\x80\x04\x8c\x08builtins\x8c\x12dict.__class__.mro\x93."
    with pytest.raises(DataError, match=r"it names builtins\.dict\.__class__\.mro"):
        plain_pickle(hand.put(tmp_path / "x.pkl", code))


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04", b"no pickle", b"(lp0\nI1", b"\x80\x04]\x94(K\x01h\x07e.", b"}K\x01\x85(s."]
)
def test_damaged(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.pkl is (not loaded|no readable pickle)"):
        plain_pickle(hand.put(tmp_path / "x.pkl", content))


def test_persistent_ids(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it points to objects outside of the file"):
        plain_pickle(hand.put(tmp_path / "x.pkl", b"Pabc\n."))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.pkl cannot be read \(No such file"):
        plain_pickle(tmp_path / "x.pkl")


WRONG = {
    "no list": ({"img_id": "a"}, "train_vqa.pkl holds no list of questions; fetch the file again"),
    "no label": (
        [{"img_id": "train_0422", "label": "yes"}],
        "train_vqa.pkl, row 0: its label is no object of answers with scores",
    ),
    "empty label": ([{"img_id": "train_0422", "label": {}}], "row 0: its label holds no answer; write"),
    "no picture": ([{"img_id": "gone", "label": {"a": 1}, "sent": "b?"}], "row 0: its picture train/gone.jpg is missing"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_rows(what: str, tmp_path: Path) -> None:
    value, says = WRONG[what]
    hand.write_path_pickles(tmp_path)
    hand.put(tmp_path / "qas/train_vqa.pkl", pickle.dumps(value))
    with pytest.raises(DataError) as caught:
        read_table("path-vqa", tmp_path)
    assert says in str(caught.value)
