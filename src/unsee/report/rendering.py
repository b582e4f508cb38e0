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
    from jinja2 import Environment
    from markupsafe import Markup

    from unsee.report.main_table import Cell

STYLES = ("style.css", "tables.css", "figures.css")
SCRIPTS = ("shared.js", "page.js", "files.js", "gallery.js")
FACT_STYLES, FACT_SCRIPTS = ("single_facts.css",), ("facts.js",)
"""Added where a page is about single facts."""
MEDICAL_STYLES = ("medical.css",)
"""Added where a page is about patients."""


def render_template(name: str, page: Mapping[str, Any]) -> str:
    """A page as HTML.

    Raises:
        DataError: the installed package lacks a template.
    """
    from markupsafe import Markup

    environment = environment_of("unsee.report")
    environment.filters |= {"sentence": sentence, "pack": pack, "csv": to_csv, "latex": to_latex, "number": number}
    environment.globals |= {
        "few_mark": Markup('<span aria-hidden="true">*</span>'),
        "meter": _meter,
        "attributes": _attributes,
        "arrows": {"\u2191": "higher is better", "\u2193": "lower is better"},
    }
    styles, scripts = (STYLES + FACT_STYLES, SCRIPTS + FACT_SCRIPTS) if page["single"] else (STYLES, SCRIPTS)
    script = "\n".join(map(asset, scripts))
    return environment.get_template(name).render(
        page=page,
        version=version("unsee"),
        style=Markup("\n".join(map(asset, (*styles, *(MEDICAL_STYLES if page.get("medical") else ()))))),
        script=Markup(script),
        script_hash=hash_of(script),
    )


def environment_of(package: str) -> Environment:
    """jinja2 over the templates of a package, which escapes everything that a template does not mark as safe."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def hash_of(script: str) -> str:
    """What the content policy of a page calls a script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def asset(name: str, package: str = "unsee.report") -> str:
    """A style or a script among the templates of a package.

    Raises:
        DataError: the installed package lacks it.
    """
    try:
        return files(package).joinpath("templates", name).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{name} of {package} is missing from the installed package ({error}); install unsee again") from error


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
