"""Metrics: pure functions from records to values with interval, direction and version.

`score` turns the records of one model into the results table; `METRICS` lists what it measures. `edit_scores` and `layer_curve`
do so for models from which facts were deleted one at a time.
"""

from unsee.metrics.cell_info import CellInfo
from unsee.metrics.edit_scores import edit_scores
from unsee.metrics.gate import Gate, known_facts
from unsee.metrics.holm import holm
from unsee.metrics.layer_curve import layer_curve
from unsee.metrics.metric import Metric, MetricInfo
from unsee.metrics.scoring import ALL_METRICS, METRICS, score

__all__ = [
    "ALL_METRICS",
    "METRICS",
    "CellInfo",
    "Gate",
    "Metric",
    "MetricInfo",
    "edit_scores",
    "holm",
    "known_facts",
    "layer_curve",
    "score",
]
