from __future__ import annotations

import csv
import io
import re

import pytest

from unsee.report.main_table import Cell
from unsee.report.table_files import to_csv, to_latex
from unsee.report.tables import Body, Heading, Line, Table


def cell(value: float | None, low: float | None = None, high: float | None = None, reason: str = "", n: int = 30) -> Cell:
    return Cell(value, low, high, 100, n, reason, "percent")


@pytest.fixture
def table() -> Table:
    headings = [
        Heading("forget/classification", "Choice", "", "Forget", "percent", "Forget"),
        Heading("retain/cloze", "Cloze", "", "Retain", "percent", "Retain"),
    ]
    lines = [
        Line("Gold", {"forget/classification": cell(0.2512341, 0.2, 0.3), "retain/cloze": cell(0.9)}),
        Line("=HYPERLINK(1) & 50% _x_", {"forget/classification": cell(None, reason="nobody asked")}),
        Line("IDK", {}, absent="its cell has not finished"),
    ]
    return Table(
        "t",
        "Title",
        "all facts",
        headings,
        [Body("Forget 5\u00a0%", "0", lines), Body("Forget 10\u00a0%", "1", lines[:1])],
        grouped=True,
    )


def test_csv_has_full_numbers_intervals_and_reasons(table: Table):
    rows = list(csv.reader(io.StringIO(to_csv(table))))
    assert rows[0] == [
        "Request", "Model", "Forget Choice (%)", "Forget Choice (%) low", "Forget Choice (%) high", "Retain Cloze (%)", "Notes",
    ]  # fmt: skip
    assert rows[1] == ["Forget 5 %", "Gold", "25.1234", "20", "30", "90", ""]
    assert rows[2][2:] == ["", "", "", "", "Forget Choice: nobody asked"]
    assert rows[3][-1] == "absent: its cell has not finished"
    assert rows[4][0] == "Forget 10 %" and len(rows) == 5


def test_no_cell_of_a_csv_is_a_formula(table: Table):
    rows = list(csv.reader(io.StringIO(to_csv(table))))
    assert rows[2][1] == "'=HYPERLINK(1) & 50% _x_"


def test_latex_prints_what_the_page_prints(table: Table):
    text = to_latex(table)
    assert r"\multicolumn{1}{c}{Forget $\downarrow$} & \multicolumn{1}{c}{Retain $\uparrow$}" in text
    assert r"Gold & 25 {\scriptsize 20--30} & 90 \\" in text
    assert r"=HYPERLINK(1) \& 50\% \_x\_ & n/a$^{1}$ & -- \\" in text
    assert r"\multicolumn{2}{l}{absent: its cell has not finished}" in text
    assert "% 1: Forget of =HYPERLINK(1)" in text and "Nobody asked." in text
    assert r"\emph{Forget 5 \%}" in text and r"\emph{Forget 10 \%}" in text


def test_latex_is_balanced_and_commented_out_words_stay_on_their_line(table: Table):
    evil = Table("t", "two\nlines", "a\n\\end{document}", table.headings, table.bodies)
    text = to_latex(evil)
    live = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert live.count(r"\begin{tabular}") == live.count(r"\end{tabular}") == 1 and "document" not in live
    plain = re.sub(r"\\[{}]", "", live)
    assert plain.count("{") == plain.count("}")
    columns = [line.count(" & ") for line in live.splitlines() if line.startswith(("Gold", "Model"))]
    assert set(columns) == {2}


def test_runs_and_protocols_are_a_column_of_their_own(table: Table):
    tagged = Table(
        "t", "T", "", table.headings, [Body("", "0", [Line("NPO", {}, tag="a"), Line("NPO", {}, tag="b")])], tag_title="Run"
    )
    rows = list(csv.reader(io.StringIO(to_csv(tagged))))
    assert rows[0][:3] == ["Request", "Model", "Run"] and [row[2] for row in rows[1:]] == ["a", "b"]
    assert "NPO & a & -- & --" in to_latex(tagged)
