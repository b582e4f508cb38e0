"""Runs views: every continuation of a micro-batch in one packed pass, then generation of the responses still unknown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from unsee.answering.lens import LensRows, read_lens
from unsee.answering.passes import Passes, batches
from unsee.answering.sampling import Draw, Draws, SampledTokens, random_numbers
from unsee.answering.views import Outcome, View
from unsee.errors import DataError
from unsee.models.batches import Batch, collate, picture_inputs, token_types
from unsee.models.lens import Lens
from unsee.models.prompts import Encoded
from unsee.models.shared_prompts import Piece, Prompt, SharedPrompts, likeliest

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
    beginning: Piece = Piece()  # what other prompts may begin with too
    response: str | None = None
    finish_reason: str | None = None
    scores: dict[str, tuple[float, int]] = field(default_factory=dict)
    answer_ids: tuple[int, ...] = ()
    seen: LensRows | None = None

    @property
    def waits(self) -> bool:
        return self.view.respond and self.response is None

    @property
    def in_pieces(self) -> Prompt:
        """The prompt, split after its beginning."""
        rest = Piece(self.ids[len(self.beginning.ids) :], self.view.images[len(self.beginning.pictures) :])
        return Prompt(self.beginning, rest)

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
        self.shares = pack
        self.stops = _stop_ids(model)
        self._continuations: dict[str, Continuation] = {}
        self._scoring, self._generating = Passes(model), Passes(model)
        self._read_already: SharedPrompts | None = None
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
        return Job(sample, protocol, view, ids, prefix, new_tokens, self._beginning(view, ids, prefix))

    def _beginning(self, view: View, ids: tuple[int, ...], prefix: int) -> Piece:
        """What of a prompt others may begin with: its shots, else all up to the end of its pictures, else all of the text.

        At least one token is left to go on from.
        """
        if not self.shares:
            return Piece()
        if not view.shared:
            length = prefix or len(ids) - 1
            return Piece(ids[:length], view.images) if length < len(ids) else Piece()
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
        """Likelihoods of every continuation, and the responses they prove.

        Raises:
            AnsweringError: one job alone finds no memory; so does `generate`.
        """
        for _ in self._scoring.over(jobs, self._score):
            pass

    def _score(self, jobs: Sequence[Job]) -> None:
        self._look([job for job in jobs if job.view.lens])
        asked = [(job, text, self.continuation(text)) for job in jobs if not job.view.lens for text in job.view.continuations]
        if not asked:
            return
        items = []
        for job, _, continuation in asked:
            # The end of turn is scored only where it decides what the response is.
            ids = continuation.ids if job.view.respond else continuation.ids[: continuation.length]
            items.append(Encoded(job.ids + ids, len(job.ids), job.prefix, job.view.images))
        batch = collate(items, prompter=self.model.prompter, pack=self.pack)
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
        batch = collate(items, prompter=self.model.prompter, pack=self.pack)
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

    def generate(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        """Responses of jobs that wait, prompts that begin alike or are as long together; yields each finished batch."""
        apart = self.model.prompter.cross_attends
        waiting = [job for job in jobs if job.waits]
        self._drop_lone_beginnings(waiting)

        def kind(job: Job) -> tuple[int, bool, bool, bool]:
            looks = apart and bool(job.view.images)
            return job.new_tokens, bool(job.beginning.ids), job.view.temperature is not None, looks

        def order(job: Job) -> tuple[Any, ...]:
            return kind(job), len(job.beginning.ids), job.beginning.content, len(job.ids)

        size = PROMPTS_PER_QUESTION * self.batch_size
        for _, alike in groupby(sorted(waiting, key=order), key=kind):
            for batch in batches(list(alike), size, key=lambda job: job.beginning.content if job.beginning.ids else None):
                yield from self._generating.over(batch, self._respond)
        self._read_already = None

    def _drop_lone_beginnings(self, jobs: Sequence[Job]) -> None:
        """Leave prompts whole that begin as no other does, and all of them where the model or its window takes no pieces."""
        begun = [job for job in jobs if job.beginning.ids]
        count = Counter(job.beginning.content for job in begun)
        shares = any(times > 1 for times in count.values()) and self._in_window(begun) and self.model.prefix_cache.available
        for job in jobs:
            if not shares or count[job.beginning.content] < 2:
                job.beginning = Piece()

    def _in_window(self, jobs: Sequence[Job]) -> bool:
        """Whether layers that do not look at everything still see all tokens of any batch of these, padding included."""
        window = self.model.prompter.window
        lengths = ((len(job.beginning.ids), len(job.ids) - len(job.beginning.ids), job.new_tokens) for job in jobs)
        return window is None or sum(map(max, zip(*lengths, strict=True))) <= window

    def _respond(self, jobs: Sequence[Job]) -> None:
        for job, ids in zip(jobs, self._complete(jobs, jobs[0].new_tokens), strict=True):
            stop = next((i + 1 for i, token in enumerate(ids) if token in self.stops), None)
            job.response = self._read(ids[:stop])
            job.finish_reason = "length" if stop is None else "stop"

    def _complete(self, jobs: Sequence[Job], new_tokens: int) -> list[list[int]]:
        """New token ids of each prompt; prompts in pieces and whole ones, random responses and greedy ones come apart."""
        drawn = [self._draw(job, job.view.temperature, new_tokens) for job in jobs if job.view.temperature is not None]
        assert len(drawn) in (0, len(jobs)), "greedy and random responses are batched apart"
        draws = Draws(drawn) if drawn else None
        if not jobs[0].beginning.ids:
            return self._complete_whole(jobs, new_tokens, draws)
        prompts = [job.in_pieces for job in jobs]
        read, self._read_already = self._read_already, None
        if read is None or not read.holds(prompts):
            del read  # before the next takes its memory
            read = SharedPrompts(self.model, [prompt.beginning for prompt in prompts])
        # Only what more prompts begin with than fit at once is needed again.
        self._read_already = read if len(read.beginnings) == 1 else None
        return read.complete(prompts, new_tokens, self.stops, draws or likeliest)

    def _complete_whole(self, jobs: Sequence[Job], new_tokens: int, draws: Draws | None) -> list[list[int]]:
        """The same by `generate` of transformers, which reads every prompt whole."""
        from transformers import GenerationConfig, LogitsProcessorList

        prompter = self.model.prompter
        length = max(len(job.ids) for job in jobs)
        pad = prompter.tokenizer.pad_token_id or 0
        ids = torch.tensor([[pad] * (length - len(job.ids)) + list(job.ids) for job in jobs])
        seen = torch.tensor([[0] * (length - len(job.ids)) + [1] * len(job.ids) for job in jobs])
        inputs = {"input_ids": ids, "attention_mask": seen, **token_types(ids, prompter)}
        inputs |= picture_inputs([job.view.images for job in jobs], prompter, ids)
        config = GenerationConfig(
            max_new_tokens=new_tokens, do_sample=False, num_beams=1, eos_token_id=sorted(self.stops), pad_token_id=pad
        )
        drawing = {"logits_processor": LogitsProcessorList([SampledTokens(draws, start=length)])} if draws else {}
        with torch.inference_mode(), _without_settings(self.model.base):
            inputs = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
            made = self.model.base.generate(**inputs, generation_config=config, **drawing)
        whole: list[list[int]] = made[:, length:].tolist()
        return whole

    def _draw(self, job: Job, temperature: float, new_tokens: int) -> Draw:
        view = job.view
        numbers = random_numbers(new_tokens, self.seed, job.sample.id, job.protocol, view.name, view.draw)
        return Draw(numbers, temperature, view.top_p)


@contextmanager
def _without_settings(network: Any) -> Iterator[None]:
    """Without the checkpoint's own generation settings, which transformers takes for whatever a call leaves open."""
    from transformers import GenerationConfig

    own, network.generation_config = network.generation_config, GenerationConfig()
    try:
        yield
    finally:
        network.generation_config = own


def _stop_ids(model: Model) -> frozenset[int]:
    """Tokens that end a response: the tokenizer's end of sequence, the checkpoint's own, and what ends trained answers."""
    stops = {model.prompter.tokenizer.eos_token_id, model.prompter.end_id}
    own = model.base.generation_config.eos_token_id
    stops |= set(own) if isinstance(own, list) else {own}
    return frozenset(int(token) for token in stops if token is not None)
