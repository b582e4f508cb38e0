"""Decisions on disk: what is read, what is refused, and that neither a kill nor a vanished file loses any."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from review.toy_garden import drawing, toy_extension
from review.votes import decision
from unsee.errors import DataError
from unsee.review.decisions import LONGEST_REASON, DecisionLog, extension_digest, read_decisions, standing

HOSTILE = "\u202e</script>\n\"'\u2028 \U0001f600"


def test_lines_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log = DecisionLog(path)
    given = [decision("i", reason=HOSTILE, seconds=1.5), decision("j", "b", "x"), decision(HOSTILE, "c", "u", second=3)]
    for one in given:
        log.add(one)
    assert read_decisions(path) == tuple(given) == log.decisions == DecisionLog(path).decisions
    assert path.read_bytes().isascii() and path.read_bytes().count(b"\n") == 3
    assert read_decisions(path)[1].where == f"{path}, line 2"
    assert json.loads(given[1].line) == {
        "item": "j",
        "annotator": "b",
        "verdict": None,
        "reason": "",
        "seconds": 0.0,
        "time": "2026-01-02T03:00:00+00:00",
        "extension": "e",
    }


def test_a_line_cut_anywhere_costs_that_line_only(tmp_path: Path) -> None:
    first, last, next_one = decision("i"), decision("j", reason=HOSTILE), decision("k")
    path = tmp_path / "a.jsonl"
    for length in {*range(0, len(last.line), 11), 1, len(last.line) - 2, len(last.line) - 1}:
        path.write_text(first.line + last.line[:length])
        whole = (first, last) if length == len(last.line) - 1 else (first,)
        if 0 < length < len(last.line) - 1:
            with pytest.warns(UserWarning, match="1 line cut short passed over"):
                log = DecisionLog(path)
            assert log.decisions == whole
            log.add(next_one)
            with pytest.warns(UserWarning, match="cut short"):
                assert read_decisions(path) == (*whole, next_one)
        else:
            log = DecisionLog(path)
            log.add(next_one)
            assert read_decisions(path) == (*whole, next_one)


def test_the_latest_of_an_annotator_counts() -> None:
    first, second = decision("i", "a", "k", second=1), decision("i", "a", "r", second=2)
    other = decision("i", "b", "u")
    assert set(standing([first, second, other])) == {second, other} == set(standing([second, other, first]))
    assert standing([first, second, decision("i", "a", "x", second=3)]) == ()
    # The same second: the later line.
    assert standing([first, decision("i", "a", "r", second=1)])[0].verdict == "reject"
    # The same moment in another zone is no later one.
    moved = dataclasses.replace(decision("i", "a", "r"), time="2026-01-02T04:00:00.5+01:00")
    assert standing([first, moved]) == (first,) and standing([decision("i"), moved]) == (moved,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "maybe"}, "verdict 'maybe' is none of keep, reject, unsure and null"),
        ({"verdict": ["keep"]}, "is none of keep"),
        ({"item": ""}, "item must be text"),
        ({"annotator": " "}, "annotator must be text of at most 100 characters"),
        ({"reason": None}, "reason must be text"),
        ({"reason": "x" * (LONGEST_REASON + 1)}, "reason must be text of at most 2,000 characters"),
        ({"reason": "x\ud800"}, r"reason holds half a character \(a lone surrogate\); repair the text"),
        ({"annotator": "\udfff"}, "annotator holds half a character"),
        ({"seconds": -1}, "seconds must be a number"),
        ({"seconds": float("nan")}, "seconds must be a number"),
        ({"seconds": True}, "seconds must be a number"),
        ({"time": "yesterday"}, "time 'yesterday' is no ISO 8601 time with a time zone"),
        ({"time": "2026-01-02T03:04:05"}, "is no ISO 8601 time with a time zone"),
        ({"more": 1}, "is no decision; its keys must be item, annotator"),
    ],
)
def test_what_is_no_decision_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(decision("i").line + json.dumps(json.loads(decision("j").line) | change) + "\n")
    with pytest.raises(DataError, match=message) as caught:
        read_decisions(path)
    assert str(caught.value).startswith(f"{path}, line 2")


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    data = drawing(0).read()
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"picture\.png, line 1 is no JSON"):
        DecisionLog(path)
    assert path.read_bytes() == data
    with pytest.raises(DataError, match="cannot be read"):
        read_decisions(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match=r"cannot be written \(No such file or directory\)"):
        DecisionLog(tmp_path / "nowhere/a.jsonl")


def test_a_file_that_goes_away_is_written_anew(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    log = DecisionLog(folder / "a.jsonl")
    log.add(decision("i"))
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        log.add(decision("j"))
    folder.mkdir()
    log.add(decision("k"))
    assert read_decisions(folder / "a.jsonl") == (decision("i"), decision("k")) == log.decisions


def test_two_may_add_to_one_file(tmp_path: Path) -> None:
    logs = [DecisionLog(tmp_path / "a.jsonl") for _ in range(2)]
    for number in range(6):
        logs[number % 2].add(decision(str(number), "ab"[number % 2]))
    assert [one.item for one in read_decisions(tmp_path / "a.jsonl")] == list("012345")


def test_the_digest_is_about_facts_and_variants() -> None:
    made = toy_extension(1)
    same = dataclasses.replace(made, name="x", history=({"step": "y"},))
    assert extension_digest(made) == extension_digest(same) == extension_digest(toy_extension(1))
    fewer = dataclasses.replace(made, variants=made.variants[1:])
    other = dataclasses.replace(made, facts=(dataclasses.replace(made.facts[0], image=drawing(55)), *made.facts[1:]))
    assert len({extension_digest(one) for one in (made, fewer, other)}) == 3
