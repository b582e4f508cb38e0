"""Templates, styles and script of the pages; everything a model or a user wrote passes through jinja2's autoescaping.

The content policy of a page allows no request and no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from unsee.errors import DataError
from unsee.report.notes import sentence
from unsee.report.packing import pack
from unsee.report.table_files import number, to_csv, to_latex

if TYPE_CHECKING:
    from markupsafe import Markup

    from unsee.report.main_table import Cell

STYLES = ("style.css", "tables.css", "figures.css")
SCRIPTS = ("page.js", "files.js", "gallery.js")
FACT_STYLES, FACT_SCRIPTS = ("single_facts.css",), ("facts.js",)
"""Added where a page is about single facts."""
MEDICAL_STYLES = ("medical.css",)
"""Added where a page is about patients."""


def render_template(name: str, page: Mapping[str, Any]) -> str:
    """A page as HTML.

    Raises:
        DataError: the installed package lacks a template.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("unsee.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sentence": sentence, "pack": pack, "csv": to_csv, "latex": to_latex, "number": number}
    environment.globals |= {
        "few_mark": Markup('<span aria-hidden="true">*</span>'),
        "meter": _meter,
        "attributes": _attributes,
        "arrows": {"\u2191": "higher is better", "\u2193": "lower is better"},
    }
    styles, scripts = (STYLES + FACT_STYLES, SCRIPTS + FACT_SCRIPTS) if page["single"] else (STYLES, SCRIPTS)
    script = "\n".join(map(_asset, scripts))
    return environment.get_template(name).render(
        page=page,
        version=version("unsee"),
        style=Markup("\n".join(map(_asset, (*styles, *(MEDICAL_STYLES if page.get("medical") else ()))))),
        script=Markup(script),
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
    )


def _attributes(keys: Mapping[str, str]) -> Markup:
    """What a panel is about, as `data-` attributes."""
    from markupsafe import Markup

    return Markup(" ").join(Markup('data-{}="{}"').format(name, value) for name, value in keys.items())


def _meter(cell: Cell) -> Markup:
    """A score between 0 and 1 as a small bar with its interval; the number stands beside it."""
    from markupsafe import Markup

    def percent(value: float) -> float:
        return round(100 * min(max(value, 0.0), 1.0), 1)

    value = cell.value or 0.0
    low = cell.low if cell.low is not None else value
    high = cell.high if cell.high is not None else value
    return Markup(
        '<span class="meter" aria-hidden="true"><i style="left:{}%;width:{}%"></i><b style="left:{}%"></b></span>'
    ).format(percent(low), round(percent(high) - percent(low), 1), percent(value))


def _asset(name: str) -> str:
    try:
        return files("unsee.report").joinpath("templates", name).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"the report's {name} is missing from the installed package ({error}); install unsee again") from error
