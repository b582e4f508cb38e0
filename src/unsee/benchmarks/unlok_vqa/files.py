"""The JSON files of a folder with UnLOK-VQA: which one is which, and their rows.

    folder/zsre_mend_eval.json           facts to delete, as the published scripts call the file; any other name will do
    folder/valid_ids_manual_filt.json    which of them, where the file holds the whole pool (optional)
    folder/retain.json                   facts to keep (optional)

Only JSON is read. The release also has pickles; loading one runs code, so they are never opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from unsee.benchmarks.faults import Faults
from unsee.benchmarks.json_files import json_of, json_rows_of, text_of
from unsee.benchmarks.unlok_vqa.rows import FactRow, RowReader, same, unique
from unsee.errors import DataError

FORGET_NAMES = ("zsre_mend_eval.json", "forget.json")
"""Names under which the facts to delete are found at once; the first one is what published scripts and our exporter write."""
RETAIN = "retain.json"
VALID_IDS = ("valid_ids_manual_filt.json", "valid_ids.json")
RELEASED_FORGET = 505
"""Facts to delete in the release."""
_OTHERS = (RETAIN, *VALID_IDS, "img2id.json", "lora_sample.json")
"""Published files that hold no facts to delete."""
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin")
_KEYS = ('"src"', '"pred"')
_PEEK = 1 << 16

BEYOND_LIST = "rows that the list of valid ids leaves out"
KEPT_AND_FORGOTTEN = "rows of retain.json that are to be deleted, left out there"
ASKED_ALIKE = "facts to keep that ask what a fact to delete asks, left out"


def holds_unlok_files(folder: Path) -> bool:
    """Whether a folder is, or was meant to be, one with files of UnLOK-VQA."""
    if any(folder.glob("*.jsonl")):
        return False
    listed = [folder / name for name in (*FORGET_NAMES, RETAIN) if (folder / name).is_file()]
    return any(_looks_like_facts(file) for file in listed or sorted(folder.glob("*.json")))


def _looks_like_facts(file: Path) -> bool:
    with file.open("rb") as stream:
        start = stream.read(_PEEK).decode(errors="replace")
    return all(key in start for key in _KEYS)


class FactFiles:
    """The rows of a folder; read once, when it is made.

    Attributes:
        forget: facts to delete, in the order of the file.
        retain: facts to keep, none of which is to be deleted or asks the same about the same picture.
        left_out: why rows, or parts of rows, were left out by a rule -> the rows' ids, one for each time.
        contradictions: (rows, what they disagree about).

    Raises:
        DataError: there is no such folder or file, it is no JSON, or a row is wrong.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self.left_out: dict[str, list[int]] = {}
        if not path.is_dir():
            raise DataError(f"there is no folder {path}; pass the folder that holds UnLOK-VQA's JSON files and pictures")
        self.forget_file = _forget_file(path)
        self.retain_file = path / RETAIN if (path / RETAIN).is_file() else None
        self.valid_ids_file = next((path / name for name in VALID_IDS if (path / name).is_file()), None)
        valid = _valid_ids(self.valid_ids_file) if self.valid_ids_file is not None else None
        pool, there = self._rows(self.forget_file, lambda id_: valid is None or id_ in valid)
        for id_ in sorted((valid or frozenset()) - there):
            assert self.valid_ids_file is not None
            text = f"no row of {self.forget_file.name} has this id; list ids, not positions of rows"
            faults.add(self.valid_ids_file, f"id {id_}", text)
        self.forget = tuple(row for row in pool if valid is None or row.id in valid)
        beyond = [row for row in pool if valid is not None and row.id not in valid]
        if beyond:
            self.left_out[BEYOND_LIST] = [row.id for row in beyond]
        if not self.forget:
            raise DataError(f"{self.forget_file} holds no fact to delete; check it and the list of valid ids")
        kept = self._rows(self.retain_file, lambda _: False)[0] if self.retain_file is not None else beyond
        self.contradictions = tuple(_contradictions((*self.forget, *kept)))
        self.retain = tuple(self._kept(kept))

    def _rows(self, file: Path, deletable: Callable[[int], bool]) -> tuple[list[FactRow], frozenset[int]]:
        """Rows that can be used, and the ids of all rows."""
        reader = RowReader(file, self.faults, deletable=deletable, left_out=self.left_out)
        read = json_rows_of(file, text_of(file), self.faults)
        rows = list(unique((reader.row(number, values) for number, values in read), self.faults))
        return rows, frozenset(reader.ids)

    def _kept(self, rows: list[FactRow]) -> Iterator[FactRow]:
        """Facts to keep without those whose deletion is asked for, under their id or another one."""
        ids, asked = {row.id for row in self.forget}, {_asked(row) for row in self.forget}
        for row in rows:
            label = KEPT_AND_FORGOTTEN if row.id in ids else ASKED_ALIKE if _asked(row) in asked else None
            if label is None:
                yield row
            else:
                self.left_out.setdefault(label, []).append(row.id)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the contents of the JSON files."""
        total = hashlib.sha256()
        for file in (self.forget_file, self.valid_ids_file, self.retain_file):
            total.update(b"none" if file is None else hashlib.sha256(file.read_bytes()).digest())
        return total.hexdigest()


def _valid_ids(file: Path) -> frozenset[int]:
    value = json_of(file, text_of(file))
    if not isinstance(value, list) or not all(isinstance(item, int) and not isinstance(item, bool) for item in value):
        raise DataError(f"{file} is no list of whole numbers; write [0, 12, ...] with the ids of rows")
    return frozenset(value)


def _asked(row: FactRow) -> tuple[int, str]:
    return row.image_id, " ".join(row.question.casefold().split())


def _contradictions(rows: tuple[FactRow, ...]) -> Iterator[tuple[str, str]]:
    """Rows that ask the same about the same picture and are answered differently."""
    groups: dict[tuple[int, str], dict[int, FactRow]] = {}
    for row in rows:
        groups.setdefault(_asked(row), {}).setdefault(row.id, row)
    for (image_id, _), found in groups.items():
        listed = list(found.values())
        if any(not same(listed[0].answer, row.answer) for row in listed[1:]):
            said = " and ".join(f"{row.answer!r} (id {row.id})" for row in listed)
            yield ", ".join(map(str, found)), f"{listed[0].question!r} about picture {image_id} is answered by {said}"


def _forget_file(folder: Path) -> Path:
    """The file with the facts to delete."""
    named = [folder / name for name in FORGET_NAMES if (folder / name).is_file()]
    found = named or [file for file in sorted(folder.glob("*.json")) if file.name not in _OTHERS and file.is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(file.name for file in found)
        raise DataError(
            f"{folder} holds several JSON files ({listed}); call the one with the facts to delete {FORGET_NAMES[0]}"
        )
    pickle = next((file for file in sorted(folder.iterdir()) if file.suffix in _PICKLES), None)
    if pickle is not None:
        raise DataError(
            f"{folder} holds no JSON file with facts to delete, only {pickle.name} and the like, which are never opened "
            "because loading a pickle runs code; fetch the JSON of vaidehi99/UnLOK-VQA"
        )
    raise DataError(f"{folder} holds no JSON file with facts to delete; put the JSON of vaidehi99/UnLOK-VQA there")
