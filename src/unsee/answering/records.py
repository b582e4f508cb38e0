"""`answer`: samples in, records out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee import processes
from unsee.answering.passes import batches
from unsee.answering.protocols import load_protocol
from unsee.answering.views import Protocol, Setting, ShotSource
from unsee.errors import ConfigError
from unsee.files import write_json

if TYPE_CHECKING:
    import polars as pl

    from unsee.answering.engine import Engine, Job
    from unsee.answering.store import RecordStore
    from unsee.models.model import Model
    from unsee.sample import Sample

CHUNK = 512
"""Samples whose records are written at once."""


def answer(
    model: Model,
    samples: Sequence[Sample],
    *,
    protocols: Sequence[str | Protocol] = ("strict",),
    cell: str = "",
    edit_id: str | None = None,
    batch_size: int = 16,
    truth_ratio: bool = True,
    max_new_tokens: int = 48,
    seed: int = 0,
    shots: ShotSource = "evaluated",
    shown_from: Sequence[Sample] | None = None,
    store: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    pack: bool = True,
) -> pl.DataFrame:
    """Ask a model every sample in every view of the protocols, with its method switched on where it has one.

    Log-probabilities are natural logarithms from an fp32 log-softmax and leave out the end of turn: `answer_logprob_sum` and
    `_mean` of the teacher-forced right answer, `option_logprobs` (in letter order) and `perturbed_logprobs` (in the order of
    `wrong_answers`) as means over a text's tokens. Values that are not numbers become null. Responses are greedy unless a view
    gives a temperature. `lens` asks for no response: it keeps what every layer would answer (columns `layer_*` of RECORDS).

    Args:
        cell: id of the cell, copied into every record.
        edit_id: fact whose edit the model carries, copied into every record; None for a model without an edit.
        batch_size: samples per forward pass at most; it changes speed and memory, not records.
        truth_ratio: whether wrong answers are scored.
        max_new_tokens: longest response, in tokens; `official` has its own bound.
        seed: decides what a protocol draws at random; `strict` and `lens` draw nothing.
        shots: who is shown in the few-shot prompts of `official`; `draw_shots` tells it without a model.
        shown_from: samples whose people may be shown there, for calls that ask a part of them; `samples` by default.
        store: folder for `records.parquet`, and for `shots.json` where somebody is shown; an interrupted call of the same
            model, samples and settings goes on from it, any other starts over.
        progress: called with (samples done, samples in all).
        pack: False gives every continuation a row of its own, for networks that take no four-dimensional attention mask.

    Returns:
        One row per (sample, view, draw) in the schema RECORDS, in the order of `samples`.

    Raises:
        ConfigError: an unknown protocol, an impossible number, or a lens view of a model that gives no hidden states.
        DataError: a prompt that does not fit into the model's context, or a picture that cannot be read, before any model time.
        AnsweringError: one prompt alone finds no memory. Batches that find none are halved, with a warning.
    """
    from unsee.answering.engine import Engine
    from unsee.answering.store import RecordStore
    from unsee.models.reference import evaluating

    for option, value in (("batch_size", batch_size), ("max_new_tokens", max_new_tokens)):
        if value < 1:
            raise ConfigError(f"{option} is {value}; give a number of at least 1")
    chosen = [load_protocol(protocol) for protocol in protocols]
    with model.answering(), evaluating(model):
        setting = Setting(
            model.prompter, system=model.system, truth_ratio=truth_ratio, seed=seed, shots=shots, shown_from=shown_from
        )
        engine = Engine(model, batch_size=batch_size, max_new_tokens=max_new_tokens, pack=pack, seed=seed)
        asking = _Asking(engine, samples, chosen, setting, cell=cell, edit_id=edit_id, progress=progress)
        if store is None:
            return asking.records(None)
        if asking.shown:
            processes.from_main(lambda: write_json(store / "shots.json", asking.shown))
        return asking.records(RecordStore(store, settings=asking.settings(), samples=samples))


class _Asking:
    """One call of `answer`."""

    def __init__(
        self,
        engine: Engine,
        samples: Sequence[Sample],
        protocols: Sequence[Protocol],
        setting: Setting,
        *,
        cell: str,
        edit_id: str | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.engine = engine
        self.samples = samples
        self.protocols = [(protocol.name, protocol.prepare(samples, setting)) for protocol in protocols]
        self.setting = setting
        self.cell = cell
        self.edit_id = edit_id
        self.progress = progress if progress and processes.is_main() else lambda done, total: None

    @property
    def shown(self) -> dict[str, Any]:
        """Who is shown, by protocol."""
        return {name: dict(prepared.shown) for name, prepared in self.protocols if prepared.shown}

    def settings(self) -> dict[str, Any]:
        """Everything besides the samples that decides the records."""
        from unsee.methods import described
        from unsee.models.checkpoints import processor_digest, weights_digest

        model = self.engine.model
        return {
            "protocols": [name for name, _ in self.protocols],
            "cell": self.cell,
            "truth_ratio": self.setting.truth_ratio,
            "max_new_tokens": self.engine.max_new_tokens,
            "seed": self.setting.seed,
            "system": self.setting.system,
            "weights": weights_digest(model),
            "method": None if model.method is None else described(model.method),
            "template": model.prompter.prompt("", images=1),
            "processor": processor_digest(model.processor),
            "stops": sorted(self.engine.stops),
            **({} if self.edit_id is None else {"edit_id": self.edit_id}),
            **({"shown": self.shown} if self.shown else {}),
            **({"decides": decides} if (decides := self._decides()) else {}),
        }

    def _decides(self) -> dict[str, Any]:
        return {name: dict(prepared.decides) for name, prepared in self.protocols if prepared.decides}

    def records(self, kept: RecordStore | None) -> pl.DataFrame:
        """The records of all samples; chunks that an interrupted call finished are read from `kept`.

        Several processes ask a chunk each at a time; every one of them gets the whole table, the main one writes it.
        """
        whole = processes.from_main(lambda: kept.finished() if kept else None)
        if whole is not None:
            return whole
        order = _by_picture(self.samples)
        chunks = [[self.samples[i] for i in order[start : start + CHUNK]] for start in range(0, len(order), CHUNK)]
        parts = processes.from_main(lambda: [kept.part(chunk) if kept else None for chunk in chunks])
        waiting = [number for number, part in enumerate(parts) if part is None]
        # Every prompt is made before the first pass, so that a bad row costs no model time.
        for number in waiting:
            for sample in chunks[number]:
                self._jobs(sample)
        done = sum(len(chunk) for chunk, part in zip(chunks, parts, strict=True) if part is not None)
        if done:
            self.progress(done, len(self.samples))
        for first in range(0, len(waiting), processes.count()):
            numbers = waiting[first : first + processes.count()]
            asked = processes.together(partial(self._own, [chunks[number] for number in numbers], before=done))
            for number, part in zip(numbers, asked, strict=False):
                parts[number] = part
                if kept and part is not None:
                    processes.from_main(partial(kept.write_part, chunks[number], part))
                done += len(chunks[number])
            self.progress(done, len(self.samples))
        table = _in_order([part for part in parts if part is not None], self.samples)
        if kept:
            processes.from_main(lambda: kept.finish(table))
        return table

    def _own(self, chunks: Sequence[Sequence[Sample]], *, before: int) -> pl.DataFrame | None:
        """Ask the chunk of this process, where there is one for it; `before` samples are already done."""
        return self._chunk(chunks[processes.rank()], before=before) if processes.rank() < len(chunks) else None

    def _jobs(self, sample: Sample) -> list[Job]:
        views = [(name, view) for name, prepared in self.protocols for view in prepared.views(sample)]
        return [self.engine.job(sample, protocol, view) for protocol, view in views]

    def _chunk(self, chunk: Sequence[Sample], *, before: int) -> pl.DataFrame:
        """Ask some samples; `before` samples are already done."""
        import polars as pl

        from unsee.schemas import RECORDS

        engine = self.engine
        asked = [self._jobs(sample) for sample in chunk]
        done = 0
        for batch in batches(range(len(chunk)), engine.batch_size, key=lambda i: chunk[i].image_sha256):
            engine.score([job for i in batch for job in asked[i]])
            done += sum(not any(job.waits for job in asked[i]) for i in batch)
            self.progress(before + done, len(self.samples))
        for _ in engine.generate([job for jobs in asked for job in jobs]):
            done = sum(not any(job.waits for job in jobs) for jobs in asked)
            self.progress(before + done, len(self.samples))
        rows = [job.record(self.cell) | {"edit_id": self.edit_id} for jobs in asked for job in jobs]
        return pl.DataFrame(rows, schema=RECORDS)


def _by_picture(samples: Sequence[Sample]) -> list[int]:
    """Indices with samples of one picture together, in order of first appearance; text-only ones come last."""
    first: dict[str | None, int] = {}
    for i, sample in enumerate(samples):
        first.setdefault(sample.image_sha256, i)
    return sorted(range(len(samples)), key=lambda i: (not samples[i].images, first[samples[i].image_sha256]))


def _in_order(parts: Sequence[pl.DataFrame], samples: Sequence[Sample]) -> pl.DataFrame:
    """One table in the order of `samples`, views in the order of their protocols."""
    import polars as pl

    from unsee.schemas import RECORDS

    ids = list(dict.fromkeys(sample.id for sample in samples))
    place = pl.DataFrame({"sample_id": ids, "place": range(len(ids))}, schema={"sample_id": pl.String, "place": pl.Int64})
    whole = pl.concat([pl.DataFrame(schema=RECORDS), *parts])
    return whole.join(place, on="sample_id", maintain_order="left").sort("place", maintain_order=True).drop("place")
