"""A model's answers as the two kinds of files that MLLMU-Bench's published script writes, key by key.

    for name, content in official_results(records, samples, name="npo-05").items(): ...

Accuracies are percentages, text scores shares, as published. Numbers are null where nothing was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from unsee.answering.shots import MODES
from unsee.errors import ConfigError
from unsee.metrics.accuracy import ACCURACY
from unsee.metrics.frames import join_truth, truth_frame
from unsee.metrics.metric import Metric
from unsee.metrics.official_scores import PROTOCOL
from unsee.metrics.text_scores import BLEU, CLOZE_ACCURACY, ROUGE_1, ROUGE_2, ROUGE_L
from unsee.sample import Sample

_RESULTS = {
    "forget": "Forget Set Results",
    "test": "Test Set Results",
    "retain_shared": "Retain Set (shared dataset) Results",
    "retain_celebrity": "Retain Set (real person) Results",
}
_TYPES = {"image_text": "Image_Textual", "text": "Pure_Text"}
_OVERLAPS = (("ROUGE-1", ROUGE_1), ("ROUGE-2", ROUGE_2), ("ROUGE-L", ROUGE_L), ("BLEU", BLEU))


def official_results(records: pl.DataFrame, samples: Sequence[Sample], *, name: str) -> dict[str, dict[str, Any]]:
    """File name -> what it holds, for one model.

    Args:
        records: its answers in schema RECORDS; those of protocol `official` count.
        samples: the questions, in the order the files list them. `near_retain` belongs to the published retain set; sets
            that MLLMU-Bench does not have are left out.
        name: stands in the name of the file of scores.

    Raises:
        ConfigError: the protocol was not asked.
    """
    asked = records.filter(pl.col("protocol") == PROTOCOL)
    if asked.is_empty():
        raise ConfigError(f"{name} has no answers of protocol official; answer with protocols = ['strict', 'official']")
    kept = [sample for sample in samples if sample.set in MODES]
    known = asked.filter(pl.col("sample_id").is_in([sample.id for sample in kept]))
    frame = join_truth(known, truth_frame(s for s in kept if s.id in set(known["sample_id"])))
    frame = frame.with_columns(pl.col("set").replace_strict(MODES).alias("mode"))
    said = dict(frame.select("sample_id", "parsed").iter_rows())
    files: dict[str, dict[str, Any]] = {}
    for mode in _RESULTS:
        questions = [
            {
                "image_id": sample.subject,
                "question type": _TYPES[sample.modality],
                "question": sample.question,
                "generated_answer": said[sample.id] or "",
                "ground_truth": sample.answer,
            }
            for sample in kept
            if MODES[sample.set] == mode and sample.task == "generation" and sample.id in said
        ]
        files[f"{mode}_generation_results.json"] = {"Generation_Questions": questions}
    files[f"{name}_final_evaluation_results.json"] = {
        title: _scores(frame.filter(pl.col("mode") == mode)) for mode, title in _RESULTS.items()
    }
    return files


def _scores(frame: pl.DataFrame) -> dict[str, dict[str, float | None]]:
    """Scores of one mode."""
    image, text = _TYPES

    def percent(metric: Metric, modality: str) -> float | None:
        share = _mean(frame, metric, modality)
        return None if share is None else 100 * share

    return {
        "fill_in_the_blank": {
            "image_textual_accuracy": percent(CLOZE_ACCURACY, image),
            "pure_text_accuracy": percent(CLOZE_ACCURACY, text),
        },
        "classification": {
            "Image-Textual Question Accuracy": percent(ACCURACY, image),
            "Pure Text Question Accuracy": percent(ACCURACY, text),
        },
        "generation": {
            f"Average {title} ({type_})": _mean(frame, metric, modality)
            for modality, type_ in _TYPES.items()
            for title, metric in _OVERLAPS
        },
    }


def _mean(frame: pl.DataFrame, metric: Metric, modality: str) -> float | None:
    rows = frame.filter((pl.col("task").is_in(metric.tasks)) & (pl.col("modality") == modality))
    if rows.is_empty():
        return None
    total = metric.values(rows).sum()
    return float(total) / rows.height
