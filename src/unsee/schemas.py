"""Column names and types of the tables a run writes. Other tools rely on them: columns may be added, never renamed."""

from __future__ import annotations

import polars as pl
from polars.datatypes import DataType, DataTypeClass

_FLOATS: DataType | DataTypeClass = pl.List(pl.Float64)
_INTS: DataType | DataTypeClass = pl.List(pl.List(pl.Int64))
_TEXTS: DataType | DataTypeClass = pl.List(pl.String)
_SCORES: DataType | DataTypeClass = pl.List(pl.List(pl.Float32))

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
        "layer_scores": _SCORES,
        "layer_top_scores": _SCORES,
        "answer_ids": pl.List(pl.Int64),
        "temperature": pl.Float64,
        "top_p": pl.Float64,
        "edit_id": pl.String,
    }
)
"""One row per (sample, view, draw), and per edit where facts are deleted one at a time: what a model said.

`perturbed_logprobs` are length-normalised. `edit_id` is the fact whose edit the model carried, null for a model without one,
`ALL_AT_ONCE` for one whose edit deleted all facts, and "after 5 edits" for one that carried so many.
`temperature` and `top_p` are null for greedy responses. `answer_ids` and the columns `layer_*` belong to lens views and are
null elsewhere. With D_l the distribution that the lens reads after block l of N (0 the embeddings), softmax in fp32, a list
over layers holds 3 N rows in this order (`unsee.answering.lens` has their places):

    D_0 ... D_N                      N + 1 rows
    D_{l+1} - D_l, l = 0 ... N-1     N rows, first differences of adjacent layers
    D_{m+1} - 2 D_m + D_{m-1}        N - 1 rows, m = 1 ... N-1, second differences

View `lens_bottom` holds the same rows with the sign of every score turned, so that its best tokens are the lowest.
`layer_ranks[row][t]` is the strict rank of answer token t (1 + number of tokens with a higher score), `layer_scores[row][t]`
its score, both at the position that predicts it, the tokens before it being the answer's own; null where the model gives no
number. `layer_top_ids[row]` are the 50 best tokens at the last prompt token, best first and of equals the lower id first;
`layer_top_scores[row]` are their scores.
"""

ALL_AT_ONCE = "all at once"
"""What stands in `edit_id` where one edit deleted all facts."""

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
        "hit_all": pl.Int64,
        "hit_sequence": pl.Int64,
        "refused": pl.Int64,
        "level": pl.String,
    }
)
"""One row per (sample, attack): what an attacker would try, in order, and where the answer stands in it.

`hit_position` is 1-based and null for a miss. A lens attack finds the answer's first token there, `hit_all` is the position by
which every token of the answer is among its position's candidates, and `hit_sequence` the one at which whole answers of its
length, tried in order of the product of their tokens' ranks, include it; the three agree for answers of one token and for
attacks by prompts, whose candidates are whole responses. The ledger counts what the attack may use: `prompts` x `samples` each
x `tokens` each, or `layers` x `k` tokens of each. `refused` prompts held the answer and were not asked; `prompts` is 0
where all of them did. `level` is null where an attack mixes levels, or has none.
"""

ADDED = frozenset({"layer_scores", "layer_top_scores", "answer_ids", "temperature", "top_p", "edit_id"})
"""Columns of records that came later: tables written before have none, which reads as null."""

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

UTILITY = pl.Schema(
    {
        "harness": pl.String,
        "harness_version": pl.String,
        "task": pl.String,
        "task_version": pl.String,
        "metric": pl.String,
        "filter": pl.String,
        "value": pl.Float64,
        "stderr": pl.Float64,
        "n": pl.Int64,
        "n_all": pl.Int64,
        "higher_is_better": pl.Boolean,
        "problem": pl.String,
        "model": pl.String,
        "source": pl.String,
    }
)
"""One row per task, metric and filter of a harness: its value and standard error as it gives them.

`n` questions were asked of the task's `n_all`. `problem` says why there is no value, or what is wrong with it. `model` is the
checkpoint as the harness noted it, `source` the name of its results file.
"""

STATES = pl.Schema([*RESULTS.items(), ("state", pl.String()), ("step", pl.Int64())])
"""Values of further states of a cell's model; `step` where the state lies on the way through unlearning."""

TRAIN_LOG_KEYS = ("step", "loss", "terms", "grad_norm", "lr", "probe_forget", "probe_retain", "seconds", "tokens")
