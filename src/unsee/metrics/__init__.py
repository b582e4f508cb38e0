"""Metrics: pure functions from records to values with interval, direction and version.

`score` turns the records of one model into the results table; `METRICS` lists what it measures.
"""

from unsee.metrics.gate import Gate, known_facts
from unsee.metrics.holm import holm
from unsee.metrics.metric import Metric, MetricInfo
from unsee.metrics.scoring import ALL_METRICS, METRICS, CellInfo, score

__all__ = ["ALL_METRICS", "METRICS", "CellInfo", "Gate", "Metric", "MetricInfo", "holm", "known_facts", "score"]
