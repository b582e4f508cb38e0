"""UnLOK-VQA's official files when something is wrong with them: one line with file, row and remedy, and nothing is replaced."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import unlok_fixture as hand
from run_fixtures import assert_one_line
from unlok_fixture import FORGET_FILE, RETAIN_FILE, VALID_FILE, of, rewrite
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.data_report import data_report
from unsee.benchmarks.unlok_vqa import UnlokVqa
from unsee.benchmarks.unlok_vqa.rows import NO_NEIGHBOURS, NO_SUBJECT
from unsee.cli import main
from unsee.errors import ConfigError, DataError

Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand.write_unlok(tmp_path_factory.mktemp("official"))


@pytest.fixture
def own(official: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(official, tmp_path / "UnLOK-VQA"))


def in_row(number: int, **values: Any) -> Spoil:
    return lambda folder: rewrite(folder, FORGET_FILE, lambda rows: rows[number].update(values))


def without(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def broken_json(folder: Path) -> None:
    text = (folder / FORGET_FILE).read_text()
    at = text.index('"id": 3161')
    (folder / FORGET_FILE).write_text(f"{text[:at]}oops{text[at:]}")


def in_file(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def not_an_object(folder: Path) -> None:
    rewrite(folder, FORGET_FILE, lambda rows: rows.insert(2, "oops"))


MEDIUM, HARD_NEIGHBOUR = hand.REPHRASED["medium"], hand.NEIGHBOURS["hard"]
WRONG: dict[str, tuple[Spoil, str]] = {
    "empty answer": (in_row(0, pred=" "), "row 0 (ID 2): its answer (pred) '' is empty; fill it in"),
    "answer in its question": (
        in_row(1, src="Is this a LAKE or a sea?"),
        "(ID 3160): its answer 'Lake' stands in its own question 'Is this a LAKE",
    ),
    "empty question": (in_row(1, src=""), "row 1 (ID 3160): its question (src) is empty"),
    "no id": (in_row(1, id=None), "row 1: has no whole number as id; give it the published one"),
    "the same id": (in_row(9, id=2, src="What is it?"), "row 9 (ID 2): row 0 has the same id; remove one of the two"),
    "no picture id": (in_row(1, image_id="lake.jpg"), "(ID 3160): has no whole number as image_id"),
    "answers missing": (in_row(0, loc_ans=["Air"]), "loc has 2 questions, loc_ans 1 answers"),
    "no such alternate": (in_row(0, neigh_idx=[2]), "neigh_idx names entry 2 of alt_ans, which has 2; positions count from 0"),
    "no alternate of use": (
        in_row(0, alt_ans=["left", " LEFT."], pred="Left", neigh_idx=[0]),
        "none of its alternates (alt_ans) differs from its answer 'Left'; add one or remove the row",
    ),
    "no alternate named": (in_row(0, neigh_idx=[]), "neigh_idx names no entry of alt_ans; write a list"),
    "blank subject": (in_row(0, subject=" "), "row 0 (ID 2): its subject is empty; name the part of the question (src)"),
    "no neighbours named": (
        in_row(0, loc=None),
        "row 0 (ID 2): has no list of neighbour questions (loc); give some, or write []",
    ),
    "no text": (in_row(0, src=7), "src holds '7' where a text belongs; put it in quotes"),
    "no list": (in_row(0, rephrase="Dog?"), "rephrase is no list; write [...]"),
    "half a character": (in_row(0, src="What \ud800 is it?"), "src holds half a character"),
    "foreign notes": (in_row(0, unsee=[1]), "its key unsee is not as our exporter writes it (no object where one belongs)"),
    "no object": (not_an_object, "row 2: holds no object; write {...} with id"),
    "positions for ids": (in_file(VALID_FILE, b"[0, 1, 2]"), "id 1: no row of zsre_mend_eval.json has this id; list ids, not"),
    "no ids": (in_file(VALID_FILE, b'{"0": 1}'), "is no list of whole numbers; write [0, 12, ...]"),
    "original missing": (
        without(f"train2017/{7:012d}.jpg"),
        "(ID 1996): its picture 000000000007.jpg is in none of train2017, val2017, images and",
    ),
    "rephrased missing": (
        without(f"{MEDIUM}/3161.jpg"),
        f"row 2 (ID 3161): its medium rephrased picture OWN/{MEDIUM}/3161.jpg is missing; add it",
    ),
    "neighbour missing": (
        without(f"{HARD_NEIGHBOUR}/2_1.jpg"),
        f"row 0 (ID 2): its hard neighbour picture OWN/{HARD_NEIGHBOUR}/2_1.jpg is missing; add it",
    ),
    "broken JSON": (broken_json, "line 1, row 2: no valid JSON (Expecting property name enclosed in double quotes); repair"),
    "not UTF-8": (in_file(RETAIN_FILE, b'[{"src": "\xff"}]'), "retain.json, line 1: not UTF-8 text"),
    "two folders": (
        lambda folder: (folder / "rephrase_images/hard").mkdir(parents=True),
        "both hold hard pictures; keep one of the two",
    ),
    "no rows": (in_file(FORGET_FILE, b"[]"), "id 0: no row of zsre_mend_eval.json has this id"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_files(own: Path, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what and where, exit code 2, before a model is looked at."""
    spoil, says = WRONG[what]
    spoil(own)
    monkeypatch.setattr("unsee.models.loading.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    with pytest.raises(DataError) as caught:
        load_benchmark("unlok-vqa", path=own)
    assert says.replace("OWN", str(own)) in str(caught.value) and "; " in str(caught.value)
    assert main(["run", "--benchmark", "unlok-vqa", "--data", str(own), "--ratios", "0.5", "--out", str(own / "run")]) == 2
    assert_one_line(capsys.readouterr().err, says.replace("OWN", str(own))[:40])


def test_a_picture_that_does_not_decode(own: Path) -> None:
    (own / f"{hand.NEIGHBOURS['easy']}/3160_0.jpg").write_bytes(b"GIF89a, no")
    made = load_benchmark(own)
    assert len(made.samples(set="forget")) == 6
    with pytest.raises(DataError, match=r"row 1 \(ID 3160\): picture .*3160_0\.jpg cannot be decoded"):
        made.samples(set="neighbour_image")


SKIPPED: dict[str, tuple[int, int]] = {
    "empty answer": (5, 1),
    "answer in its question": (5, 1),
    "the same id": (6, 1),
    "no such alternate": (5, 1),
    "blank subject": (5, 1),
    "no neighbours named": (5, 1),
    "original missing": (5, 1),
    "rephrased missing": (6, 1),
    "neighbour missing": (6, 1),
    "no object": (6, 1),
    "positions for ids": (2, 1),
}
"""Fault -> (facts that are left, faults)."""


@pytest.mark.parametrize("what", SKIPPED)
def test_faults_can_be_skipped_and_are_counted(own: Path, what: str) -> None:
    WRONG[what][0](own)
    made = load_benchmark(own, skip_invalid=True)
    assert isinstance(made, UnlokVqa)
    made.samples()
    assert (len(made.subjects), len(made.skipped)) == SKIPPED[what]
    report = data_report(made)
    assert report.skipped == SKIPPED[what][1]
    assert not report.ok


UNREAD = (
    "left out as the published loader does: rows without subject: 1 (ID 10), rows without neigh_idx: 1 (ID 11), "
    "rows with an empty loc: 1 (ID 12); `unsee data check OWN --out FILE` lists all"
)


def test_rows_that_the_published_loader_passes_over_are_named(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line in a run, the first ids in the terminal, every id in the file that `data check` writes; null is no key."""
    with pytest.warns(UserWarning) as told:
        made = load_benchmark(own)
    assert isinstance(made, UnlokVqa) and made.left_out[NO_SUBJECT] == (10,)
    assert [str(one.message).partition(": ")[2] for one in told] == [UNREAD.replace("OWN", str(own))]
    assert main(["run", "--benchmark", "unlok-vqa", "--data", str(own), "--dry-run", "--out", str(tmp_path / "run")]) == 0
    assert_one_line(capsys.readouterr().err, UNREAD.replace("OWN", str(own)))

    more = [hand.row(id_, "thing", "What is it?", "Nothing", 99, loc=[], loc_ans=[]) for id_ in range(100, 107)]
    rewrite(own, FORGET_FILE, lambda rows: rows.extend([*more, hand.row(107, "x", "y?", "z", 99) | {"subject": None}]))
    rewrite(own, VALID_FILE, lambda ids: ids.extend(range(100, 108)))
    assert main(["data", "check", str(own), "--out", str(tmp_path / "found.json")]) == 1, "it has a contradiction"
    shown = capsys.readouterr()
    assert "8   ID 12, 100, 101, 102, 103 and 3 more" in shown.out and not shown.err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["left_out"][NO_NEIGHBOURS] == [12, *range(100, 107)] and found["left_out"][NO_SUBJECT] == [10, 107]
    assert [one["where"] for one in found["findings"] if one["kind"] == "contradiction"] == ["3160, 3161, 3"]
    assert found["skipped"] == 0 and not found["ok"]


def test_a_missing_neighbour_picture_is_never_replaced(own: Path) -> None:
    """E6: published code shows one fixed picture instead."""
    WRONG["neighbour missing"][0](own)
    asked = of(load_benchmark(own, skip_invalid=True).samples(set="neighbour_image"), "2")
    assert [s.metadata["level"] for s in asked] == ["easy"]
    assert asked[0].images[0].read() == hand.encoded(f"{hand.NEIGHBOURS['easy']}/2_1")


def test_missing_folders_are_told(own: Path) -> None:
    for folder in (*hand.NEIGHBOURS.values(), hand.REPHRASED["hard"]):
        shutil.rmtree(own / folder.partition("/")[0])
    made = load_benchmark(own)
    with pytest.warns(UserWarning, match="has no folder") as told:
        samples = made.samples()
    assert len(told) == 3
    assert {s.set for s in samples} == {"forget", "test", "retain", "neighbour_question"}
    assert {s.metadata["level"] for s in samples if s.metadata.get("axis") == "image"} == {"easy", "medium"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert made.samples() == samples, "told once"
    with pytest.raises(
        DataError, match=r"set neighbour_image needs pictures, but .* has no folder neigh_images_easy/okvqa and"
    ):
        made.samples(set="neighbour_image")


class Bomb:
    """Says so if it is ever unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was loaded",)


def test_pickles_are_never_opened(own: Path, tmp_path: Path) -> None:
    (own / "okvqa_all_parap.pkl").write_bytes(pickle.dumps(Bomb()))
    assert len(load_benchmark(own).samples()) == len(load_benchmark(own).samples())
    only = tmp_path / "only"
    only.mkdir()
    (only / "facts.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(
        DataError, match=r"only facts\.pkl and the like, which are never opened because loading a pickle runs code"
    ):
        load_benchmark("unlok-vqa", path=only)
    (own / FORGET_FILE).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match=r"not UTF-8 text|no valid JSON"):
        load_benchmark("unlok-vqa", path=own)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs its files: give their folder with --data DIR (path=DIR)"),
        ({"path": "nowhere"}, "there is no folder nowhere; pass the folder"),
        ({"path": "x", "prompt": "published-colon"}, "there is no prompt 'published-colon'; did you mean 'published'?"),
        ({"path": "x", "facts": 0}, "facts = 0 is too small"),
        ({"path": "x", "retain": 3}, "benchmark unlok-vqa has no option 'retain'"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        load_benchmark("unlok-vqa", **options)
    assert says in str(caught.value)


def test_several_json_files(own: Path) -> None:
    (own / FORGET_FILE).rename(own / "one.json")
    shutil.copy(own / "one.json", own / "two.json")
    with pytest.raises(
        DataError, match=r"holds several JSON files \(one\.json, two\.json\); call the one with the facts to delete zsre_mend"
    ):
        load_benchmark("unlok-vqa", path=own)
    with pytest.raises(ConfigError, match=r"facts = 7, but .* has 6 to delete"):
        (own / "two.json").unlink()
        load_benchmark("unlok-vqa", path=own, facts=7)


def test_the_report(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The release has rows that contradict each other, which ends with 1; nothing else is wrong here."""
    assert main(["data", "check", str(own)]) == 1
    shown = capsys.readouterr().out
    for text in (
        "zsre_mend_eval.json",
        "jailbreak prompts that contain the answer, refused",
        "contradiction: 1",
        "'What body of water is this?' about picture 339761 is answered by 'Lake' (id 3160) and 'River' (id 3161)",
    ):
        assert text in shown
    in_row(2, answers=["Lake"], pred="Lake", alt_ans=["Sea"], neigh_idx=[0], src="What water?")(own)
    rewrite(own, RETAIN_FILE, lambda rows: rows.pop(2))
    (own / f"{hand.NEIGHBOURS['easy']}/3161_2.jpg").rename(own / f"{hand.NEIGHBOURS['easy']}/3161_0.jpg")
    (own / f"{hand.NEIGHBOURS['hard']}/3161_2.jpg").rename(own / f"{hand.NEIGHBOURS['hard']}/3161_0.jpg")
    assert main(["data", "check", str(own)]) == 0
