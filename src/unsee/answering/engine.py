"""Runs views: every continuation of a micro-batch in one packed pass, then `generate` for the responses still unknown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from unsee.answering.lens import LensRows, read_lens
from unsee.answering.sampling import Draw, SampledTokens, random_numbers
from unsee.answering.shared_prompts import Piece, SharedPrompt
from unsee.answering.views import Outcome, View
from unsee.errors import DataError
from unsee.models.batches import Batch, collate, picture_inputs, token_types
from unsee.models.lens import Lens
from unsee.models.prompts import ROW_TOKENS, Encoded

if TYPE_CHECKING:
    from unsee.models.model import Model
    from unsee.sample import Sample

PROMPTS_PER_QUESTION = 4
"""`generate` keeps one continuation per prompt where the packed pass keeps several, so it takes more prompts at once."""


class Continuation(NamedTuple):
    """A text as it follows a prompt.

    Attributes:
        ids: its tokens and the end of turn.
        length: number of its own tokens, which are what likelihoods count.
        proof: number of tokens, the first that stops generation included, that must be arg-max for the model to say it;
            0 where the end of turn holds no token that stops generation.
        response: how it reads once generated and decoded.
    """

    ids: tuple[int, ...]
    length: int
    proof: int
    response: str


@dataclass(slots=True)
class Job:
    """One view of one sample on its way to a record."""

    sample: Sample
    protocol: str
    view: View
    ids: tuple[int, ...]
    prefix: int  # tokens up to the end of the last picture
    new_tokens: int
    beginning: Piece = Piece()  # what other prompts begin with too
    response: str | None = None
    finish_reason: str | None = None
    scores: dict[str, tuple[float, int]] = field(default_factory=dict)
    answer_ids: tuple[int, ...] = ()
    seen: LensRows | None = None

    @property
    def waits(self) -> bool:
        return self.view.respond and self.response is None

    @property
    def ending(self) -> Piece:
        """What of the prompt follows its shared beginning."""
        return Piece(self.ids[len(self.beginning.ids) :], self.view.images[len(self.beginning.pictures) :])

    def record(self, cell: str) -> dict[str, Any]:
        """A row of the schema RECORDS; columns that do not apply are left out."""
        view, sample = self.view, self.sample
        options = [self._mean(text) for text in view.options] or None
        row: dict[str, Any] = {
            "cell": cell,
            "sample_id": sample.id,
            "subject": sample.subject,
            "set": sample.set,
            "task": sample.task,
            "modality": sample.modality,
            "view": view.name,
            "protocol": self.protocol,
            "draw": view.draw,
            "prompt_sha256": view.prompt_sha256,
            "image_sha256": sample.image_sha256,
            "response": self.response,
            "finish_reason": self.finish_reason,
            "parsed": view.parse(Outcome(self.response, options)),
            "option_logprobs": options,
            "perturbed_logprobs": [self._mean(text) for text in view.wrong_answers] or None,
        }
        if view.answer is not None:
            total, length = self.scores[view.answer]
            row |= {
                "answer_logprob_sum": None if math.isnan(total) else total,
                "answer_logprob_mean": self._mean(view.answer),
                "n_answer_tokens": length,
            }
        if self.seen is not None:
            row |= {f"layer_{name}": rows for name, rows in self.seen._asdict().items()} | {"answer_ids": self.answer_ids}
        if view.temperature is not None:
            row |= {"temperature": view.temperature, "top_p": view.top_p}
        return row

    def _mean(self, text: str) -> float | None:
        total, length = self.scores[text]
        return None if math.isnan(total) else total / length


class Engine:
    """One model with the settings of one call."""

    def __init__(self, model: Model, *, batch_size: int, max_new_tokens: int, pack: bool, seed: int = 0) -> None:
        self.model = model
        self.seed = seed
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.pack = model.packs(pack)
        self.stops = _stop_ids(model)
        self._continuations: dict[str, Continuation] = {}
        self._shares: bool | None = None
        self._lens: Lens | None = None

    def job(self, sample: Sample, protocol: str, view: View) -> Job:
        """Tokenise a view.

        Raises:
            DataError: the prompt does not fit into the model's context, or a picture or its place is missing.
            ConfigError: a lens view, and the model gives no hidden states.
        """
        prompter = self.model.prompter
        if view.lens and self._lens is None:
            self._lens = Lens(self.model)
        try:
            ids = prompter.ids(view.prompt, view.images, special_tokens=view.special_tokens)
            places = prompter.picture_places(ids, view.images)
        except ValueError as error:
            raise DataError(f"sample {sample.id}: {error}") from error
        room = self.model.max_positions - len(ids)
        needed = max([len(self.continuation(text).ids) for text in view.continuations], default=1)
        needed = max(needed, view.new_tokens or 1)
        if room < needed:
            fewer = ', or show fewer shots (shots = "retain" or "none")' if view.shared else ""
            raise DataError(
                f"sample {sample.id}, view {view.name}: the prompt has {len(ids)} tokens and its answer up to {needed}, more "
                f"than the {self.model.max_positions} of {self.model.name}'s context; shorten the question{fewer}"
            )
        new_tokens = view.new_tokens or min(self.max_new_tokens, view.max_new_tokens or self.max_new_tokens, room)
        prefix = places[-1].stop if places else 0
        return Job(sample, protocol, view, ids, prefix, new_tokens, self._beginning(view, ids))

    def _beginning(self, view: View, ids: tuple[int, ...]) -> Piece:
        """The tokens of a prompt that its shared text makes on its own; at least one is left to go on from."""
        if not view.shared or not self.pack or view.temperature is not None:
            return Piece()
        prompter = self.model.prompter
        pictures = view.images[: view.shared.count(prompter.image_token)]
        alone = prompter.ids(view.shared, pictures, special_tokens=view.special_tokens)
        alike = next((i for i, (a, b) in enumerate(zip(ids, alone, strict=False)) if a != b), len(alone))
        return Piece(ids[: min(alike, len(ids) - 1)], pictures)

    def continuation(self, text: str) -> Continuation:
        """Tokens of a text after any prompt, computed once."""
        if text not in self._continuations:
            prompter = self.model.prompter
            ids, bare = prompter.answer_ids(text), prompter.answer_ids(text, end=False)
            length = next((i for i, (a, b) in enumerate(zip(ids, bare, strict=False)) if a != b), min(len(ids), len(bare)))
            proof = next((i + 1 for i, token in enumerate(ids) if token in self.stops), 0)
            response = self._read(ids[: proof or length])
            self._continuations[text] = Continuation(ids, length, proof, response)
        return self._continuations[text]

    def _read(self, ids: Sequence[int]) -> str:
        text: str = self.model.prompter.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def score(self, jobs: Sequence[Job]) -> None:
        """Likelihoods of every continuation, and the responses they prove."""
        self._look([job for job in jobs if job.view.lens])
        asked = [(job, text, self.continuation(text)) for job in jobs if not job.view.lens for text in job.view.continuations]
        if not asked:
            return
        items = []
        for job, _, continuation in asked:
            # The end of turn is scored only where it decides what the response is.
            ids = continuation.ids if job.view.respond else continuation.ids[: continuation.length]
            items.append(Encoded(job.ids + ids, len(job.ids), job.prefix, job.view.images))
        longest = max(len(item.ids) for item in items)
        batch = collate(items, prompter=self.model.prompter, pack=self.pack, max_tokens=max(ROW_TOKENS, 2 * longest))
        logprobs, greedy = self._edges(batch)
        first = 0
        for (job, text, continuation), item in zip(asked, items, strict=True):
            job.scores[text] = (float(logprobs[first : first + continuation.length].sum()), continuation.length)
            proof = continuation.proof
            if job.waits and 0 < proof <= job.new_tokens and greedy[first : first + proof].all():
                job.response, job.finish_reason = continuation.response, "stop"
            first += len(item.ids) - item.prompt_length

    def _look(self, jobs: Sequence[Job]) -> None:
        """What the layers would answer; the last of them also gives the answer's likelihood."""
        if not jobs:
            return
        assert self._lens is not None
        items = []
        for job in jobs:
            assert job.view.answer is not None
            continuation = self.continuation(job.view.answer)
            job.answer_ids = continuation.ids[: continuation.length]
            items.append(Encoded(job.ids + job.answer_ids, len(job.ids), job.prefix, job.view.images))
        longest = max(len(item.ids) for item in items)
        batch = collate(items, prompter=self.model.prompter, pack=self.pack, max_tokens=max(ROW_TOKENS, 2 * longest))
        first = 0
        with torch.inference_mode():
            streams = self._lens.streams(batch, range(self._lens.layers + 1))
            for job in jobs:
                # One answer at a time, because the whole vocabulary of every layer of a batch is large.
                logits = self._lens.unembed(streams[:, first : first + len(job.answer_ids)])
                target = torch.tensor(job.answer_ids, device=logits.device)
                job.seen = read_lens(logits, target, job.view.lens or "top")
                logprobs = logits[-1].log_softmax(-1).gather(-1, target[:, None])
                job.scores[str(job.view.answer)] = (float(logprobs.double().sum()), len(job.answer_ids))
                first += len(job.answer_ids)

    def _edges(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Per edge: log-probability of its token, and whether the token is the arg-max (the lowest id of equals)."""
        # Continuations of one prompt share positions; each position reaches the unembedding once.
        length = batch.inputs["input_ids"].shape[1]
        places, which = torch.unique(batch.row * length + batch.position, return_inverse=True)
        shared = Batch(
            batch.inputs, places // length, places % length, torch.zeros_like(places), torch.zeros_like(places), size=1
        )
        with torch.inference_mode():
            logits = self.model.answer_logits(shared)
            which, target = which.to(logits.device), batch.target.to(logits.device)
            logprobs = logits.log_softmax(-1)[which, target]
            greedy = logits.argmax(-1)[which] == target
        return logprobs.double().cpu().numpy(), greedy.cpu().numpy()

    def generate(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """Responses of jobs that wait, prompts of similar length together; yields each finished batch."""
        apart = self.model.prompter.cross_attends

        def kind(job: Job) -> tuple[int, tuple[int, ...], tuple[str, ...], bool, bool]:
            pictures = tuple(image.sha256 for image in job.beginning.pictures)
            looks = apart and bool(job.view.images)
            return job.new_tokens, job.beginning.ids, pictures, job.view.temperature is not None, looks

        waiting = sorted((job for job in jobs if job.waits), key=lambda job: (kind(job), len(job.ids)))
        size = PROMPTS_PER_QUESTION * self.batch_size
        for (new_tokens, shared, *_), group in groupby(waiting, key=kind):
            alike = list(group)
            begun = self._begun(alike[0]) if shared else None
            for start in range(0, len(alike), size):
                batch = alike[start : start + size]
                if begun is None:
                    made = self._complete(batch, new_tokens)
                else:
                    made = begun.complete([job.ending for job in batch], new_tokens, self.stops)
                for job, ids in zip(batch, made, strict=True):
                    stop = next((i + 1 for i, token in enumerate(ids) if token in self.stops), None)
                    job.response = self._read(ids[:stop])
                    job.finish_reason = "length" if stop is None else "stop"
                yield batch

    def _begun(self, job: Job) -> SharedPrompt | None:
        """The beginning of a prompt and its likes, read; None for models that must read every prompt whole."""
        begun = SharedPrompt(self.model, job.beginning)
        if self._shares is None:
            self._shares = begun.agrees(job.ending)
        return begun if self._shares else None

    def _complete(self, jobs: Sequence[Job], new_tokens: int) -> list[list[int]]:
        """New token ids of each prompt."""
        from transformers import GenerationConfig, LogitsProcessorList

        prompter = self.model.prompter
        length = max(len(job.ids) for job in jobs)
        pad = prompter.tokenizer.pad_token_id or 0
        ids = torch.tensor([[pad] * (length - len(job.ids)) + list(job.ids) for job in jobs])
        seen = torch.tensor([[0] * (length - len(job.ids)) + [1] * len(job.ids) for job in jobs])
        inputs = {"input_ids": ids, "attention_mask": seen, **token_types(ids, prompter)}
        inputs |= picture_inputs([job.view.images for job in jobs], prompter, ids)
        # Written out, because values left open are filled in from the checkpoint's own generation settings.
        config = GenerationConfig(
            max_new_tokens=new_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            eos_token_id=sorted(self.stops),
            pad_token_id=pad,
        )
        draws = [self._draw(job, job.view.temperature, new_tokens) for job in jobs if job.view.temperature is not None]
        assert len(draws) in (0, len(jobs)), "greedy and random responses are batched apart"
        drawing = {"logits_processor": LogitsProcessorList([SampledTokens(draws, start=length)])} if draws else {}
        with torch.inference_mode():
            inputs = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
            made = self.model.network.generate(**inputs, generation_config=config, **drawing)
        whole: list[list[int]] = made[:, length:].tolist()
        return whole

    def _draw(self, job: Job, temperature: float, new_tokens: int) -> Draw:
        view = job.view
        numbers = random_numbers(new_tokens, self.seed, job.sample.id, job.protocol, view.name, view.draw)
        return Draw(numbers, temperature, view.top_p)


def _stop_ids(model: Model) -> frozenset[int]:
    """Tokens that end a response: the tokenizer's end of sequence, the checkpoint's own, and what ends trained answers."""
    stops = {model.prompter.tokenizer.eos_token_id, model.prompter.end_id}
    own = model.base.generation_config.eos_token_id
    stops |= set(own) if isinstance(own, list) else {own}
    return frozenset(int(token) for token in stops if token is not None)
