"""Protocol `probe`: the one view per question that the knowledge gate looks at. Its records are never scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unsee.answering.strict import strict_views
from unsee.answering.views import Protocol, Setting, View

if TYPE_CHECKING:
    from unsee.sample import Sample


def probe_views(sample: Sample, setting: Setting) -> list[View]:
    """`options` for classification, `generate` for the other tasks."""
    return strict_views(sample, setting)[:1]


PROBE = Protocol("probe", probe_views)
