"""Records of protocol `official` for answers written by hand."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from unsee.answering import Outcome
from unsee.answering.official import official_view
from unsee.answering.views import Setting
from unsee.sample import Sample
from unsee.schemas import RECORDS


def official_rows(samples: Sequence[Sample], responses: Sequence[str]) -> pl.DataFrame:
    """One record per sample, parsed as the protocol parses."""
    from types import SimpleNamespace

    setting = Setting(SimpleNamespace(image_token="<image>", processor=None))
    rows = []
    for sample, response in zip(samples, responses, strict=True):
        view = official_view(sample, setting)
        rows.append(
            {
                "cell": "c",
                "sample_id": sample.id,
                "subject": sample.subject,
                "set": sample.set,
                "task": sample.task,
                "modality": sample.modality,
                "view": view.name,
                "protocol": "official",
                "draw": 0,
                "response": response,
                "finish_reason": "stop",
                "parsed": view.parse(Outcome(response, None)),
            }
        )
    return pl.DataFrame(rows, schema=RECORDS)
