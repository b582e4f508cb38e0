"""Numbers as the page prints them."""

from __future__ import annotations

from unsee.report.columns import Unit

MINUS = "\u2212"


def number_text(value: float, unit: Unit) -> str:
    """A value in its unit, without the unit's sign where a heading says it."""
    match unit:
        case "seconds":
            return duration(value)
        case "gib":
            return f"{value:.1f} GiB"
        case "count":
            return f"{value:,.0f}"
        case "p":
            return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.01 else f"{value:.2f}"
    text = {"percent": f"{100 * value:.0f}", "points": f"{value:.1f}"}.get(unit, f"{value:.2f}")
    if set(text) <= set("-0."):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
