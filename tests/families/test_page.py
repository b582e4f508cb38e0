"""docs/models.md says what the models do: its rows are made again and compared."""

from __future__ import annotations

from importlib.util import find_spec

from builders import FAMILIES
from page import COLUMNS, PAGE, Row, row, written
from unsee.sample import Sample


def cells(name: str) -> list[str]:
    """A family's row of the page, cell by cell."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {FAMILIES[name].name} |")]
    assert len(lines) == 1
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def test_a_row_is_what_the_model_does(family: str, shown: list[Sample]) -> None:
    """Without bitsandbytes the cell about 4 bits is left out."""
    columns = COLUMNS if find_spec("bitsandbytes") else tuple(column for column in COLUMNS if column != "4-bit base")
    made = row(family, shown, columns=columns)
    if columns != COLUMNS:
        made.cells["4-bit base"] = "yes"
    there, expected = cells(family), [cell.strip() for cell in made.line().strip("|").split("|")]
    if columns != COLUMNS:
        place = 2 + COLUMNS.index("4-bit base")
        assert there[:place] + there[place + 1 : -1] == expected[:place] + expected[place + 1 : -1]
    else:
        assert there == expected


def test_the_page_holds_every_family_and_nothing_else() -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert names == ["family", *(family.name for family in FAMILIES.values())]
    empty = written([Row("x", "y", dict.fromkeys(COLUMNS, "yes"))])
    before, _, after = empty.partition("| x |")
    assert page.startswith(before) and page.endswith(after.partition("\n")[2])
