"""Tables as files: CSV with full numbers, LaTeX as a paper prints them."""

from __future__ import annotations

import csv
import io
import re

from unsee.report.main_table import Cell
from unsee.report.notes import sentence
from unsee.report.tables import Line, Table

_SCALE = {"percent": 100.0}
_UNITS = {"percent": " (%)", "seconds": " (s)", "gib": " (GiB)"}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "\u2212": "$-$", "\u2013": "--", "\u2191": r"$\uparrow$", "\u2193": r"$\downarrow$", "\u2026": r"\ldots{}",
}  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t")


def number(value: float | None, unit: str) -> str:
    """A number in the unit the page prints, with six digits; "" for none."""
    return "" if value is None else f"{_SCALE.get(unit, 1.0) * value:.6g}"


def to_csv(table: Table) -> str:
    """One row per line of the table; each value with the ends of its interval, reasons in the last column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ranged = {h.key for h in table.headings if any(_has_range(line.cells.get(h.key)) for line in table.lines)}
    names = ["Request", table.corner] + ([table.tag_title] if table.tag_title else [])
    for heading in table.headings:
        name = heading.full + _UNITS.get(heading.unit, "")
        names += [name, f"{name} low", f"{name} high"] if heading.key in ranged else [name]
    writer.writerow([_no_formula(name) for name in [*names, "Notes"]])
    for body in table.bodies:
        for line in body.lines:
            row = [_no_formula(body.title), _no_formula(line.title)] + ([_no_formula(line.tag)] if table.tag_title else [])
            for heading in table.headings:
                cell = line.cells.get(heading.key)
                values = [None, None, None] if cell is None else [cell.value, cell.low, cell.high]
                row += [number(value, heading.unit) for value in values[: 3 if heading.key in ranged else 1]]
            writer.writerow([*row, _no_formula(_why(table, line))])
    return out.getvalue()


def to_latex(table: Table) -> str:
    """A booktabs table; intervals are small numbers behind their value, missing values point to the reasons below."""
    tagged = bool(table.tag_title)
    width = len(table.headings) + 1 + tagged
    lines = [
        f"% {' '.join(f'{table.title}. {table.note}'.split())}",
        "% needs \\usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'l' * tagged}{'r' * len(table.headings)}}}",
        r"\toprule",
    ]
    if table.grouped:
        start = 2 + tagged
        above, rules = [""] * (1 + tagged), []
        for group in table.groups:
            size = len(group.headings)
            above.append(rf"\multicolumn{{{size}}}{{c}}{{{_tex(f'{group.title} {group.arrow}')}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + size - 1}}}")
            start += size
        lines += [" & ".join(above) + r" \\", " ".join(rules)]
    names = [table.corner, *([table.tag_title] if tagged else []), *(heading.title for heading in table.headings)]
    lines += [" & ".join(map(_tex, names)) + r" \\", r"\midrule"]
    for number_, body in enumerate(table.bodies):
        if number_:
            lines.append(r"\midrule")
        if len(table.bodies) > 1:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{_tex(body.title)}}}}} \\")
        for line in body.lines:
            cells = [_tex(line.title), *([_tex(line.tag)] if tagged else [])]
            if line.absent is not None:
                cells.append(rf"\multicolumn{{{len(table.headings)}}}{{l}}{{absent: {_tex(line.absent)}}}")
            else:
                cells += [_tex_cell(table, line.cells.get(heading.key)) for heading in table.headings]
            lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    for note in table.notes.listed:
        lines.append("% " + " ".join(f"{note.number}: {note.where}: {sentence(note.text)}".split()))
    return "\n".join(lines) + "\n"


def _has_range(cell: Cell | None) -> bool:
    return cell is not None and bool(cell.interval)


def _why(table: Table, line: Line) -> str:
    found = [] if line.absent is None else [f"absent: {line.absent}"]
    found += [] if line.collapsed is None else [line.collapsed]
    for heading in table.headings:
        cell = line.cells.get(heading.key)
        if cell is not None and cell.reason:
            found.append(f"{heading.full}: {cell.reason}")
        if cell is not None and cell.of:
            found.append(f"{heading.full} is of {cell.of}")
    return "; ".join(found)


def _no_formula(text: str) -> str:
    """Text that a spreadsheet does not take for a formula, on one line."""
    text = " ".join(text.split())
    return f"'{text}" if text.startswith(_FORMULA) else text


def _tex(text: str) -> str:
    return re.sub(r"[\\&%$#_{}~^<>\u2212\u2013\u2191\u2193\u2026]", lambda match: _LATEX[match[0]], " ".join(text.split()))


def _tex_cell(table: Table, cell: Cell | None) -> str:
    if cell is None:
        return "--"
    mark = rf"$^{{{','.join(map(str, table.notes(cell.remark)))}}}$" if cell.remark else ""
    if cell.value is None:
        return f"n/a{mark}"
    interval = rf" {{\scriptsize {_tex(cell.interval)}{'*' if cell.few else ''}}}" if cell.interval else ""
    return f"{_tex(cell.text)}{mark}{interval}"
