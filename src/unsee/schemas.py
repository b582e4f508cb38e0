"""Column names and types of the tables a run writes. Other tools rely on them: columns may be added, never renamed."""

from __future__ import annotations

import polars as pl
from polars.datatypes import DataType, DataTypeClass

_FLOATS: DataType | DataTypeClass = pl.List(pl.Float64)
_INTS: DataType | DataTypeClass = pl.List(pl.List(pl.Int64))
_TEXTS: DataType | DataTypeClass = pl.List(pl.String)

RECORDS = pl.Schema(
    {
        "cell": pl.String,
        "sample_id": pl.String,
        "subject": pl.String,
        "set": pl.String,
        "task": pl.String,
        "modality": pl.String,
        "view": pl.String,
        "protocol": pl.String,
        "draw": pl.Int64,
        "prompt_sha256": pl.String,
        "image_sha256": pl.String,
        "response": pl.String,
        "finish_reason": pl.String,
        "parsed": pl.String,
        "option_logprobs": _FLOATS,
        "answer_logprob_sum": pl.Float64,
        "answer_logprob_mean": pl.Float64,
        "n_answer_tokens": pl.Int64,
        "perturbed_logprobs": _FLOATS,
        "layer_ranks": _INTS,
        "layer_top_ids": _INTS,
    }
)
"""One row per (sample, view, draw): what a model said. `perturbed_logprobs` are length-normalised."""

ATTACKS = pl.Schema(
    {
        "cell": pl.String,
        "sample_id": pl.String,
        "subject": pl.String,
        "attack": pl.String,
        "candidates": _TEXTS,
        "hit_position": pl.Int64,
        "prompts": pl.Int64,
        "samples": pl.Int64,
        "tokens": pl.Int64,
        "layers": pl.Int64,
        "k": pl.Int64,
        "edit_id": pl.String,
    }
)

JUDGEMENTS = pl.Schema(
    {
        "cell": pl.String,
        "sample_id": pl.String,
        "subject": pl.String,
        "set": pl.String,
        "task": pl.String,
        "modality": pl.String,
        "view": pl.String,
        "protocol": pl.String,
        "draw": pl.Int64,
        "response": pl.String,
        "judge": pl.String,
        "rubric_version": pl.Int64,
        "request_sha256": pl.String,
        "score": pl.Int64,
        "justification": pl.String,
        "failure": pl.String,
    }
)
"""One row per answer put to the judge. `score` is 1 to 10, or null with a `failure` that says why there is none."""

RESULTS = pl.Schema(
    {
        "cell": pl.String,
        "benchmark": pl.String,
        "scenario": pl.String,
        "model": pl.String,
        "method": pl.String,
        "variant": pl.String,
        "forget_ratio": pl.Float64,
        "unlearn_modality": pl.String,
        "seed": pl.Int64,
        "set": pl.String,
        "task": pl.String,
        "modality": pl.String,
        "protocol": pl.String,
        "view": pl.String,
        "level": pl.String,
        "group": pl.String,
        "layer": pl.Int64,
        "n_edits": pl.Int64,
        "attack": pl.String,
        "budget": pl.Int64,
        "metric": pl.String,
        "baseline": pl.String,
        "value": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "n": pl.Int64,
        "n_subjects": pl.Int64,
        "higher_is_better": pl.Boolean,
        "metric_version": pl.Int64,
        "reason": pl.String,
        "gated": pl.Boolean,
    }
)
"""One row per value. `gated` is true where only facts that passed the knowledge gate count, null for other values."""

STATES = pl.Schema([*RESULTS.items(), ("state", pl.String()), ("step", pl.Int64())])
"""Values of further states of a cell's model; `step` where the state lies on the way through unlearning."""

TRAIN_LOG_KEYS = ("step", "loss", "terms", "grad_norm", "lr", "probe_forget", "probe_retain", "seconds", "tokens")
