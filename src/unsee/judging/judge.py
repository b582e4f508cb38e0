"""From records to judgements: every written answer put to the judge once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from unsee.chat import MAX_TOKENS, TEMPERATURE, ChatClient, Message, Reply, ReplyCache
from unsee.errors import DataError
from unsee.judging.rubric import RUBRIC_VERSION, Verdict, read_reply, rubric_messages
from unsee.provenance import digest
from unsee.sample import Sample
from unsee.schemas import JUDGEMENTS

if TYPE_CHECKING:
    import polars as pl

    from unsee.progress import Advance

_NOT_ANSWERED = Reply(None)


def judge(
    records: pl.DataFrame,
    samples: Iterable[Sample],
    *,
    client: ChatClient,
    sets: Collection[str] | None = None,
    cache: ReplyCache | None = None,
    progress: Advance | None = None,
) -> pl.DataFrame:
    """Have the written answers to generation questions scored from 1 to 10.

    Equal answers to one question are put once, whichever model gave them. Every answer is judged by itself, so modalities and
    sets never mix; which question had a picture is not said.

    Args:
        records: answers in schema RECORDS; those of view `generate` to questions of task `generation` are judged.
        samples: the questions with their truth.
        client: whom to ask.
        sets: judge these sets only.
        cache: what was asked before; new replies are added to it.
        progress: called with (answers judged, of how many).

    Returns:
        One row per judged answer in schema JUDGEMENTS. An answer without a usable reply has a `failure` and no score.

    Raises:
        ChatError: the judge is not there or gave up; replies that came are in the cache.
        DataError: a record's sample is missing.
    """
    import polars as pl

    cache = ReplyCache() if cache is None else cache
    advance = progress or (lambda done, total: None)
    written = written_answers(records, sets)
    truth = {sample.id: sample for sample in samples}
    rows, asked = [], {}
    for row in written.iter_rows(named=True):
        if row["sample_id"] not in truth:
            raise DataError(f"sample {row['sample_id']!r} is recorded but not among the samples; pass the samples answered")
        sample = truth[row["sample_id"]]
        messages = rubric_messages(question=sample.question, truth=sample.answer, answer=row["response"])
        key = request_key(client.model, messages)
        rows.append(row | {"request_sha256": key})
        if cache.get(key) is None:
            asked[key] = messages
    known = len(rows) - sum(row["request_sha256"] in asked for row in rows)
    advance(known, len(rows))
    keys = list(asked)
    with closing(client.ask_all([asked[key] for key in keys])) as replies:
        for done, (number, reply) in enumerate(replies, start=1):
            cache.put(keys[number], reply)
            advance(known + done * (len(rows) - known) // len(keys), len(rows))
    told = {"judge": client.model, "rubric_version": RUBRIC_VERSION}
    made = [row | told | _columns(cache.get(row["request_sha256"]) or _NOT_ANSWERED) for row in rows]
    return pl.DataFrame(made, schema=JUDGEMENTS, infer_schema_length=None)


def written_answers(records: pl.DataFrame, sets: Collection[str] | None = None) -> pl.DataFrame:
    """What can be judged among records: free text in answer to generation questions."""
    import polars as pl

    kept = records.filter((pl.col("task") == "generation") & (pl.col("view") == "generate") & pl.col("response").is_not_null())
    if sets is not None:
        kept = kept.filter(pl.col("set").is_in(sorted(sets)))
    return kept.select(name for name in JUDGEMENTS if name in kept.columns)


def request_key(model: str, messages: list[Message]) -> str:
    """SHA-256 of everything that decides a reply."""
    return digest({"model": model, "messages": messages, "max_tokens": MAX_TOKENS, "temperature": TEMPERATURE})


def _columns(reply: Reply) -> dict[str, Any]:
    if reply.text is None:
        return Verdict(None, failure="no_answer")._asdict()
    return read_reply(reply.text, refused=reply.refused)._asdict()
