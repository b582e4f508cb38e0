"""The one loop: division by the true count, order, log, stop rules, checkpoints, and what must not be trained."""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from unsee.errors import CheckpointError, ConfigError, DataError, TrainingError
from unsee.memory_options import make_optimizer
from unsee.methods import BUILT_IN, Method, Scope, load_method
from unsee.methods.losses import nll
from unsee.models.batches import collate
from unsee.models.lora import attach, trainable_names
from unsee.models.questions import encode_samples
from unsee.schemas import TRAIN_LOG_KEYS
from unsee.stopping import LikelihoodProbe, StopRule
from unsee.training import resolved_mask, train
from unsee.training_data import TrainingData, planned_batches
from unsee.training_options import TrainOptions
from unsee.unlearning import unlearn, unlearn_with_report

FAST = TrainOptions(learning_rate=1e-3, batch_size=4, epochs=2)
LOSSES = [made for made in BUILT_IN if made.name not in ("do_nothing", "prompt_guard")]


@pytest.fixture
def samples(samples):
    """With answers that a method may correct them to."""
    return [replace(one, metadata={**one.metadata, "clean_answer": one.wrong_answers[0]}) for one in samples]


def weights(model):
    return {name: weight.detach().clone() for name, weight in model.network.named_parameters()}


def rows(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


@dataclass(frozen=True)
class KeepGradients(Method):
    """GradDiff that writes down the gradients of its first step."""

    name: ClassVar[str] = "keep"
    needs: ClassVar = frozenset({"forget", "retain"})
    seen: ClassVar[dict] = {}

    def loss(self, model, reference, forget, retain):
        return {"forget": -nll(model, forget), "retain": nll(model, retain)}

    def after_backward(self, model):
        for name, weight in model.network.named_parameters():
            if weight.grad is not None:
                self.seen.setdefault(name, weight.grad.clone())


def first_gradients(model, samples, *, others, **options):
    KeepGradients.seen.clear()
    made = attach(model, Scope(modules=("language", "projector"), rank=None))
    chosen = TrainOptions(steps=1, max_grad_norm=None, **options)
    train(made, KeepGradients(), forget=samples[:10], retain=samples[10:][:others], options=chosen)
    return dict(KeepGradients.seen)


@pytest.mark.parametrize(("size", "others"), [(8, 30), (10, 30), (12, 30), (8, 5)])
def test_eight_by_one_equals_one_by_eight(model, samples, size, others):
    """Also where the last step is short, 12 asks for more than the 10 forget samples, and where 5 retain samples come again."""
    shown = partial(first_gradients, model, samples, others=others)
    whole = shown(batch_size=size)
    parts = shown(batch_size=1, gradient_accumulation=size)
    unequal = shown(batch_size=4, gradient_accumulation=size // 4) if size % 4 == 0 else whole
    assert whole.keys() == parts.keys() and len(whole) > 50
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(unequal[name], gradient, atol=1e-6, rtol=1e-4)


def test_terms_are_divided_by_their_own_number_of_samples(model, samples, tmp_path):
    """3 forget and 5 retain questions in unequal parts: both means are over all samples of the step."""

    @dataclass(frozen=True)
    class Counting(Method):
        name: ClassVar[str] = "counting"
        needs: ClassVar = frozenset({"forget", "retain"})

        def schedule(self, forget, retain):
            forget, retain = list(forget), list(retain)
            for number in range(max(len(forget), len(retain))):
                yield (forget[number : number + 1] or [None])[0], (retain[number : number + 1] or [None])[0]

        def loss(self, model, reference, forget, retain):
            terms = {}
            if forget is not None:
                terms["value"] = nll(model, forget) * 0 + torch.tensor([float(key[1:].replace("/", "")) for key in forget.keys])
            if retain is not None:
                terms["retain_value"] = nll(model, retain) * 0 + torch.tensor([float(key[-1]) for key in retain.keys])
            return terms

    log = tmp_path / "train.jsonl"
    options = TrainOptions(batch_size=2, gradient_accumulation=3)
    train(model, Counting(), forget=samples[:3], retain=samples[10:15], options=options, log=log)
    assert rows(log)[0]["terms"] == pytest.approx({"value": 1.0, "retain_value": 2.0})


@pytest.mark.parametrize("made", LOSSES, ids=lambda made: f"{made.name}-{made.variant}")
def test_packed_loss_equals_plain_loss(model, samples, made):
    """To 1e-5 per sample, so that packing changes nothing but the time it takes."""
    from unsee.models.lora import copied
    from unsee.models.reference import SecondModel

    method = made()
    start = copied(model)
    with torch.no_grad():
        for weight in start.network.get_decoder().parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    mask = method.loss_mask or "answer"
    sides = []
    for pack in (True, False):
        batches = [
            collate(encode_samples(part, model.prompter), prompter=model.prompter, mask=mask, pack=pack)
            for part in (method.transform(samples[:10]), samples[10:18])
        ]
        with torch.no_grad():
            sides.append(method.loss(model, SecondModel(start), *batches))
    packed, plain = sides
    assert packed.keys() == plain.keys() and packed
    for name in packed:
        torch.testing.assert_close(packed[name], plain[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("made", LOSSES, ids=lambda made: f"{made.name}-{made.variant}")
def test_every_method_trains(model, samples, made, tmp_path):
    # A fresh model's answers are neither among the 100 likeliest nor the 100 unlikeliest tokens, where this loss is zero.
    options = {"k": 2048} if (made.name, made.variant) == ("head_projection", "official") else {}
    method, log = made(**options), tmp_path / "train.jsonl"
    gold = attach(model, Scope(modules=(), rank=None))
    before = weights(model)
    done = unlearn_with_report(
        model,
        forget=samples[:8],
        retain=samples[10:18],
        method=method,
        options=replace(FAST, epochs=1),
        log=log,
        reference_model=gold,
    )
    assert done.report.steps == len(rows(log)) > 0
    assert all(torch.equal(weight, before[name]) for name, weight in model.network.named_parameters())
    moved = [name for name, weight in done.model.network.named_parameters() if "lora_B" in name and weight.any()]
    assert moved and all("language_model" in name for name in moved)
    assert all(math.isfinite(row["loss"]) and row["grad_norm"] > 0 for row in rows(log))


@pytest.mark.parametrize("name", ["ga", "graddiff", "kl", "npo"])
def test_forgetting_lowers_the_probability_of_the_answers(model, samples, name):
    probe = LikelihoodProbe(model.prompter, samples[:10], samples[10:])
    options = TrainOptions(learning_rate=3e-3, batch_size=5, steps=8)
    done = unlearn_with_report(model, forget=samples[:10], retain=samples[10:], method=name, options=options, probe=probe)
    assert done.report.end_probe["probe_forget"] < done.report.start_probe["probe_forget"]


def test_idk_raises_the_probability_of_refusals(model, samples):
    method = load_method("idk", refusals=["I don't know."])
    probe = LikelihoodProbe(model.prompter, method.transform(samples[:10]))
    options = TrainOptions(learning_rate=1e-2, batch_size=5, steps=10)
    sides = {"forget": samples[:10], "retain": samples[10:]}
    report = unlearn_with_report(model, **sides, method=method, scope=Scope(rank=None), options=options, probe=probe).report
    assert report.end_probe["probe_forget"] > 10 * report.start_probe["probe_forget"]


def test_full_and_lora_references_give_the_same_first_loss(model, samples, tmp_path):
    """Adapter off and cache are interchangeable inside the loop: NPO starts at (2 / beta) ln 2."""
    for rank in (4, None):
        log = tmp_path / f"{rank}.jsonl"
        unlearn(model, forget=samples[:10], retain=samples[10:], method="npo", scope=Scope(rank=rank), options=FAST, log=log)
        assert rows(log)[0]["terms"]["forget"] == pytest.approx(20 * math.log(2), rel=1e-4)
        log.unlink()
        unlearn(model, forget=samples[:10], retain=samples[10:], method="kl", scope=Scope(rank=rank), options=FAST, log=log)
        assert rows(log)[0]["terms"]["retain_kl"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scope", [Scope(), Scope(rank=None)])
def test_the_vision_tower_stays_as_it_is(model, samples, scope):
    """Defects M6, R9: nothing outside the language scope has a gradient or moves."""
    made = attach(model, scope)
    before = weights(made)
    train(made, load_method("ga"), forget=samples[:10], options=FAST)
    names = set(trainable_names(made))
    assert not any("vision" in name or "projector" in name for name in names)
    for name, weight in made.network.named_parameters():
        assert weight.grad is None
        if name not in names:
            assert torch.equal(weight, before[name])


def test_do_nothing_equals_vanilla(model, samples, tmp_path):
    log = tmp_path / "train.jsonl"
    for scope in (Scope(), Scope(rank=None)):
        done = unlearn_with_report(
            model, forget=samples[:10], method="do_nothing", options=replace(FAST, steps=30), scope=scope, log=log
        )
        assert (done.report.steps, done.report.reason) == (0, "no_steps")
        assert log.read_text() == ""
        merged = attach(done.model, Scope(modules=(), rank=None))
        for (name, weight), theirs in zip(model.network.named_parameters(), merged.network.parameters(), strict=True):
            assert torch.equal(weight, theirs), name


def test_one_forward_per_batch(model, samples):
    """Defect M2: KL runs forget, retain and the reference once each."""
    made = attach(model, Scope(rank=2))
    train(made, load_method("kl"), forget=samples[:1], retain=samples[10:11], options=TrainOptions(steps=1))
    calls = []
    made.base.model.language_model.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    train(made, load_method("ga"), forget=samples[:4], options=FAST)
    assert calls == [True, True]
    calls.clear()
    fresh = attach(model, Scope(rank=2))
    fresh._plain_head = True
    fresh.base.model.language_model.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    train(fresh, load_method("kl"), forget=samples[:4], retain=samples[10:14], options=replace(FAST, epochs=1))
    assert sorted(calls) == [False, True, True]


@pytest.mark.parametrize("made", LOSSES, ids=lambda made: f"{made.name}-{made.variant}")
def test_pictures_and_extra_inputs_reach_the_model(model, samples, made, monkeypatch):
    """Defect M17: whatever the processor makes goes through untouched."""
    assert model.packs()  # found out by passes of its own
    seen = []
    forward = type(model.network.model).forward

    def spy(self, *args, **inputs):
        seen.append(set(inputs))
        inputs.pop("image_sizes_of_another_model", None)
        return forward(self, *args, **inputs)

    monkeypatch.setattr(type(model.network.model), "forward", spy)
    original = model.prompter.picture

    def with_extra(image):
        ids, inputs = original(image)
        return ids, {**inputs, "image_sizes_of_another_model": torch.ones(1, 2)}

    monkeypatch.setattr(model.prompter, "picture", with_extra)
    pictured = [s for s in samples if s.images]
    done = train(model, made(), forget=pictured[:4], retain=pictured[4:8], options=FAST, reference_model=model)
    steps = seen[1:] if "hidden_states" in made.needs else seen  # the lens proves itself on a text first
    assert len(steps) >= done.steps > 0 and all({"pixel_values", "image_sizes_of_another_model"} <= inputs for inputs in steps)


def test_order_is_seeded_complete_and_mixes_subjects(samples):
    plan = {
        (seed, epoch): planned_batches(samples, batch_size=8, accumulation=2, seed=seed, epoch=epoch, side="forget")
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    for batches in plan.values():
        assert len(batches) == math.ceil(len(samples) / 8)
        assert Counter(index for batch in batches for index in batch.items) == Counter(range(len(samples)))
    assert len({batches[0].items for batches in plan.values()}) == 4
    assert plan[0, 0] == planned_batches(samples, batch_size=8, accumulation=2, seed=0, epoch=0, side="forget")
    parts = planned_batches(samples, batch_size=1, accumulation=16, seed=0, epoch=0, side="forget")
    assert [i for batch in parts for i in batch.items] == [i for batch in plan[0, 0] for i in batch.items]


@pytest.mark.parametrize("name", ["graddiff", "llmu"])
@pytest.mark.parametrize("others", [15, 25, 3])
def test_a_step_shows_the_same_however_it_is_divided(model, samples, name, others):
    """25 forget samples in steps of 8, beside 15 retain samples (the second pass begins in step 2), 25 and 3."""
    method = load_method(name)
    retain = samples[25:] if others < 25 else [*samples[25:], *(replace(one, id=f"{one.id}/b") for one in samples[:10])]
    retain = retain[:others]
    sides = {"forget": method.compose(samples[:25], retain), "retain": retain}

    def shown(batch_size):
        """Keys of each side, step by step."""
        data = TrainingData(model, sides, TrainOptions(batch_size=batch_size), "answer")
        steps = data.steps(method, epoch=0, per_step=8 // batch_size)
        return [tuple([key for pair in step for key in pair[side].keys] for side in (0, 1)) for step in steps]

    whole = shown(8)
    assert [len(held) for _, held in whole] == [8, 8, 8, 1]
    assert shown(1) == shown(2) == whole
    # Batches are those of the pass as long as it lasts.
    planned = planned_batches(retain, batch_size=8, accumulation=1, seed=0, epoch=0, side="retain")
    assert [key for _, held in whole for key in held][:others] == [key for batch in planned for key in batch.keys]


def test_questions_about_one_picture_stay_together(samples):
    pictured = [replace(s, id=f"{s.id}/{copy}") for s in samples if s.images for copy in range(10)]
    for batch in planned_batches(pictured, batch_size=32, accumulation=1, seed=0, epoch=0, side="retain"):
        subjects = [pictured[index].subject for index in batch.items]
        changes = sum(a != b for a, b in pairwise(subjects))
        assert len(set(subjects)) >= min(3, math.ceil(len(subjects) / 8))
        assert changes <= math.ceil(len(subjects) / 4)


def test_questions_of_one_picture_in_a_small_step(samples):
    """A step of four takes them one by one unless it is told otherwise."""
    pictured = [replace(s, id=f"{s.id}/{copy}") for s in samples if s.images for copy in range(4)]

    def most(**options):
        batches = planned_batches(pictured, batch_size=4, seed=0, epoch=0, side="forget", **options)
        assert Counter(index for batch in batches for index in batch.items) == Counter(range(len(pictured)))
        runs = [len(list(run)) for batch in batches for _, run in groupby(batch.items, key=lambda i: pictured[i].subject)]
        return sum(runs) / len(runs)

    assert most(accumulation=1) < 1.5
    assert most(accumulation=4) > 2
    assert most(accumulation=1, per_picture=4) > 3
    with pytest.raises(ConfigError, match="questions_per_picture = 0 must be above 0"):
        TrainOptions(questions_per_picture=0)


def test_questions_alone_with_their_picture_share_a_system_prompt(samples):
    pictured = {s.images[0].sha256: s for s in samples if s.images}
    asked = [replace(s, id=f"{s.id}/{number}", system=f"Guard {number}.") for number in range(6) for s in pictured.values()]
    batch = planned_batches(asked, batch_size=len(asked), accumulation=1, seed=0, epoch=0, side="retain")[0]
    guards = [asked[index].system for index in batch.items]
    assert sum(a != b for a, b in pairwise(guards)) <= len(asked) / 4


@pytest.mark.parametrize(("batch_size", "accumulation", "epochs"), [(4, 1, 1), (3, 2, 2), (10, 1, 3), (16, 1, 1)])
def test_logged_steps_are_the_arithmetic_ones(model, samples, tmp_path, batch_size, accumulation, epochs):
    """Defect M20: steps = ceil(samples / effective batch) x epochs."""
    log = tmp_path / "deep" / "train.jsonl"
    options = TrainOptions(batch_size=batch_size, gradient_accumulation=accumulation, epochs=epochs)
    made = attach(model, Scope(rank=2, layers=(0,)))
    report = train(made, load_method("ga"), forget=samples[:10], options=options, log=log)
    assert report.effective_batch == batch_size * accumulation
    assert report.steps == len(rows(log)) == math.ceil(10 / report.effective_batch) * epochs
    assert [row["step"] for row in rows(log)] == list(range(1, report.steps + 1))
    assert all(tuple(row) == TRAIN_LOG_KEYS for row in rows(log))
    assert all(row["loss"] == pytest.approx(sum(row["terms"].values())) for row in rows(log))
    assert rows(log)[-1]["loss"] == report.loss
    lengths = [len(item.ids) for item in encode_samples(samples[:10], model.prompter)]
    assert sum(row["tokens"] for row in rows(log)) == report.tokens == epochs * sum(lengths)


def test_learning_rates_follow_the_schedule():
    options = TrainOptions(learning_rate=1.0, warmup=0.2)
    assert [options.rate(step, 10) for step in range(10)] == pytest.approx([0.5, 1, 1, *[1 - k / 8 for k in range(1, 8)]])
    assert [replace(options, schedule="constant").rate(step, 10) for step in (0, 1, 9)] == [0.5, 1.0, 1.0]
    assert replace(options, schedule="cosine", warmup=0.0).rate(5, 10) == pytest.approx(0.5)


def test_probe_is_the_mean_answer_probability(model, samples):
    probe = LikelihoodProbe(model.prompter, samples[:3], samples[10:12])
    expected = []
    for part in (samples[:3], samples[10:12]):
        values = []
        for item in encode_samples(part, model.prompter):
            with torch.no_grad():
                logprobs = model.token_logprobs(collate([item], prompter=model.prompter, pack=False))
            values.append(math.exp(logprobs.mean().item()))
        expected.append(sum(values) / len(values))
    assert probe(model) == pytest.approx({"probe_forget": expected[0], "probe_retain": expected[1]}, rel=1e-4)
    assert LikelihoodProbe(model.prompter, samples[:3])(model)["probe_retain"] is None


def scripted(values):
    """A probe that says what it is told, the last value for ever."""
    left = list(values)

    def probe(model):
        forget, retain = left.pop(0) if len(left) > 1 else left[0]
        return {"probe_forget": forget, "probe_retain": retain}

    return probe


@pytest.mark.parametrize(
    ("values", "stop", "steps", "reason"),
    [
        ([(0.9, 0.9), (0.5, 0.9), (0.2, 0.9)], StopRule(target=0.2), 4, "target"),
        ([(0.9, 0.8), (0.5, 0.7), (0.4, 0.3)], StopRule(target=0.1, utility_floor=0.5), 4, "utility_floor"),
        ([(0.9, 0.8), (0.5, 0.7)], StopRule(target=0.1, utility_floor=0.5), 7, "finished"),
        ([(0.1, 0.8)], StopRule(target=0.2), 0, "target"),
    ],
)
def test_stop_rules(model, samples, tmp_path, values, stop, steps, reason):
    made, log = attach(model, Scope(rank=2, layers=(0,))), tmp_path / "train.jsonl"
    report = train(
        made,
        load_method("ga"),
        forget=samples[:4],
        options=replace(FAST, steps=7),
        probe=scripted(values),
        probe_every=2,
        stop=stop,
        log=log,
    )
    assert (report.steps, report.reason) == (steps, reason)
    assert report.start_probe["probe_forget"] == values[0][0]
    probed = [row["step"] for row in rows(log) if row["probe_forget"] is not None]
    assert probed == [step for step in (2, 4, 6, 7) if step <= steps]


@pytest.mark.parametrize(("steps", "stop", "looks"), [(8, None, 3), (60, None, 11), (60, StopRule(target=0.0), 13)])
def test_how_often_a_probe_looks_by_default(model, samples, tmp_path, steps, stop, looks):
    """Every five steps where a stop rule depends on it, else ten times along the run."""
    seen = []

    def probe(_):
        seen.append(1)
        return {"probe_forget": 0.5, "probe_retain": 0.5}

    made, options = attach(model, Scope(rank=2, layers=(0,))), replace(FAST, steps=steps)
    train(made, load_method("ga"), forget=samples[:1], options=options, probe=probe, stop=stop, log=tmp_path / "train.jsonl")
    assert len(seen) == looks


@dataclass(frozen=True)
class InterruptedAscent(Method):
    """Ascent that is interrupted once, at a given place of a given step."""

    name: ClassVar[str] = "ga"
    place: ClassVar[str] = ""
    step: ClassVar[int] = 0
    taken: ClassVar[list] = []

    def _maybe(self, place):
        if InterruptedAscent.place == place:
            self.taken.append(place)
            if len(self.taken) == InterruptedAscent.step:
                raise KeyboardInterrupt

    def loss(self, model, reference, forget, retain):
        self._maybe("loss")
        return {"forget": -nll(model, forget) * (0.5 + torch.rand(()))}

    def after_backward(self, model):
        self._maybe("after_backward")

    def after_step(self, model):
        self._maybe("after_step")


@pytest.mark.parametrize(
    ("place", "rank"),
    [
        ("loss", 4),
        ("after_step", None),
        *(pytest.param(place, 4, marks=pytest.mark.slow) for place in ("after_backward", "after_step", "progress")),
        *(pytest.param(place, None, marks=pytest.mark.slow) for place in ("loss", "after_backward", "progress")),
    ],
)
def test_resume_equals_uninterrupted(model, samples, tmp_path, monkeypatch, place, rank):
    """Bit-identical weights and equal logs, timing aside, wherever the run was interrupted."""

    def run(name, **more):
        made = attach(model, Scope(rank=rank), seed=5)
        probe = LikelihoodProbe(made.prompter, samples[:4], samples[10:14])
        options = TrainOptions(learning_rate=1e-3, batch_size=3, epochs=2, warmup=0.2, seed=3)
        log = tmp_path / f"{name}.jsonl"
        report = train(
            made,
            InterruptedAscent(),
            forget=samples[:10],
            options=options,
            log=log,
            probe=probe,
            probe_every=2,
            resume=tmp_path / name,
            checkpoint_every=3,
            **more,
        )
        return weights(made), [{**row, "seconds": None} for row in rows(log)], report

    def interrupt(step, total):
        if step == 5:
            raise KeyboardInterrupt

    expected, expected_rows, report = run("whole")
    assert report.steps == 8 and report.resumed_at == 0
    monkeypatch.setattr(InterruptedAscent, "place", place)
    monkeypatch.setattr(InterruptedAscent, "step", 5)
    InterruptedAscent.taken.clear()
    with pytest.raises(KeyboardInterrupt):
        run("parts", progress=interrupt if place == "progress" else None)
    monkeypatch.setattr(InterruptedAscent, "place", "")
    found, found_rows, again = run("parts")
    # In the middle of a step nothing consistent can be saved, and the checkpoint of step 3 stands.
    assert again.resumed_at == {"loss": 4, "after_backward": 4, "after_step": 3, "progress": 5}[place]
    assert found_rows == expected_rows
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    assert again.start_probe == report.start_probe and again.end_probe == report.end_probe
    finished, finished_rows, third = run("parts")
    assert (third.resumed_at, third.steps, third.end_probe) == (8, 8, report.end_probe)
    assert finished_rows == expected_rows
    assert all(torch.equal(finished[name], weight) for name, weight in expected.items())
    suffixes = {path.suffix for path in (tmp_path / "parts").rglob("*") if path.is_file()}
    assert suffixes == {".safetensors", ".json"}


def test_a_checkpoint_of_another_run_is_refused(model, samples, tmp_path):
    made = attach(model, Scope(rank=2, layers=(0,)))
    common = {"forget": samples[:4], "resume": tmp_path}
    train(made, load_method("ga"), options=FAST, **common)
    for change, part in [
        ({"options": replace(FAST, learning_rate=2e-3)}, "options"),
        ({"options": FAST, "forget": samples[:5]}, "forget samples"),
    ]:
        with pytest.raises(CheckpointError, match=f"another run .*{part}"):
            train(attach(model, Scope(rank=2, layers=(0,))), load_method("ga"), **{**common, **change})
    with pytest.raises(CheckpointError, match="trainable weights"):
        train(attach(model, Scope(rank=3, layers=(0,))), load_method("ga"), options=FAST, **common)
    newest = next(tmp_path.glob("step-*"))
    (newest / "weights.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="cannot be read"):
        train(attach(model, Scope(rank=2, layers=(0,))), load_method("ga"), options=FAST, **common)


def test_one_seed_gives_one_model(model, samples):
    def run(seed):
        return weights(unlearn(model, forget=samples[:10], method="ga", options=FAST, seed=seed, scope=Scope(rank=2)))

    one, same, other = run(1), run(1), run(2)
    assert all(torch.equal(weight, same[name]) for name, weight in one.items())
    assert any(not torch.equal(weight, other[name]) for name, weight in one.items())


def test_a_loss_that_is_not_finite_names_step_and_remedy(model, samples):
    @dataclass(frozen=True)
    class Exploding(Method):
        name: ClassVar[str] = "exploding"
        taken: ClassVar[list] = []

        def loss(self, model, reference, forget, retain):
            self.taken.append(1)
            return {"forget": nll(model, forget) * (math.inf if len(self.taken) == 3 else 1)}

    before = weights(model)
    with pytest.raises(TrainingError, match=r"step 3: term forget became inf; lower learning_rate \(now 0\.001\)"):
        train(model, Exploding(), forget=samples[:8], options=FAST)
    assert any(not torch.equal(weight, before[name]) for name, weight in model.network.named_parameters())


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_step_that_begins_below_a_loss_is_not_taken(model, samples, tmp_path, optimizer):
    """The weights are those of a run with as many steps; a run that goes on stops at the same place."""

    def trained(*, steps=8, stop=None, **given):
        made = attach(model, Scope(rank=2, layers=(0,)))
        chosen = replace(FAST, steps=steps, schedule="constant", learning_rate=0.05, optimizer=optimizer)
        return made, train(made, load_method("finetune"), retain=samples[:4], options=chosen, stop=stop, **given)

    trained(log=tmp_path / "all.jsonl")
    losses = [row["loss"] for row in rows(tmp_path / "all.jsonl")]
    assert losses[3] < min(losses[:3])
    rule = StopRule(loss_below=(losses[3] + min(losses[:3])) / 2)
    made, report = trained(stop=rule, log=tmp_path / "some.jsonl", resume=tmp_path / "state")
    assert (report.steps, report.reason, report.loss) == (3, "loss_below", losses[3])
    assert sum(report.terms.values()) == report.loss and len(rows(tmp_path / "some.jsonl")) == 3
    short, _ = trained(steps=3)
    again, resumed = trained(stop=rule, log=tmp_path / "some.jsonl", resume=tmp_path / "state")
    assert (resumed.steps, resumed.reason, resumed.resumed_at) == (3, "loss_below", 3)
    for other in (short, again):
        assert all(torch.equal(weight, weights(other)[name]) for name, weight in weights(made).items())
    assert trained(stop=StopRule(loss_below=losses[0] + 1))[1].steps == 0


def test_a_step_of_sgd_by_hand():
    """The new w is w - lr (g + decay w): 1 - 0.1 (0.5 + 0.01) = 0.949 and -2 - 0.1 (0.25 - 0.02) = -2.023; nothing is kept."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    made = make_optimizer([weight], TrainOptions(optimizer="sgd"), lr=0.1, betas=(0.9, 0.999), weight_decay=0.01)
    weight.grad = torch.tensor([0.5, 0.25])
    made.step()
    assert weight.tolist() == pytest.approx([0.949, -2.023], abs=1e-6)
    assert not any(made.state.values())


def test_inputs_that_cannot_work_are_refused_before_training(model, samples):
    with pytest.raises(ConfigError, match="graddiff needs retain samples"):
        unlearn(model, forget=samples[:4], method="graddiff")
    with pytest.raises(ConfigError, match="ga needs forget samples"):
        unlearn(model, forget=[], method="ga")
    with pytest.raises(ConfigError, match=r"stop rule target = 0\.1 needs a probe to look at"):
        unlearn(model, forget=samples[:4], method="ga", stop=StopRule(target=0.1))
    with pytest.raises(ConfigError, match="no weight of the model is trainable"):
        train(attach(model, Scope(modules=(), rank=None)), load_method("ga"), forget=samples[:4])
    with pytest.raises(DataError, match=r"p0/0 has .* tokens, the model takes 2048"):
        train(model, load_method("ga"), forget=[replace(samples[0], question="owl " * 2100)])
    with pytest.raises(ConfigError, match="learning_rate = 0"):
        TrainOptions(learning_rate=0)
    with pytest.raises(ConfigError, match="warmup"):
        TrainOptions(warmup=10)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        StopRule(target=20)


def test_an_ignored_loss_mask_warns():
    official = load_method("ga", "official")
    with pytest.warns(UserWarning, match="loss_mask = answer_and_question is ignored"):
        assert resolved_mask(official, TrainOptions(loss_mask="answer_and_question")) == "all"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolved_mask(official, TrainOptions()) == "all"
        assert resolved_mask(load_method("ga"), TrainOptions(loss_mask="all")) == "all"


def test_letter_questions_are_trained_on_letters(model, samples):
    sample = next(s for s in samples if s.options)
    lettered = replace(sample, metadata={"form": "letter"}, system="Be brief.")
    bare, letter = encode_samples([sample, lettered], model.prompter)
    decode = model.prompter.tokenizer.decode
    assert decode(bare.ids[bare.prompt_length :]).strip() == f"{sample.answer}</s>"
    assert decode(letter.ids[letter.prompt_length :]).strip() == f"{sample.correct_option}</s>"
    text = decode(letter.ids)
    assert text.startswith("<s>Be brief.")
    assert f"A: {sample.options['A']}\nB: {sample.options['B']}" in text
    assert "Just give ONE letter representing the answer directly." in text


def test_bf16_autocast_trains_and_keeps_weights_in_their_type(model, samples):
    made = attach(model, Scope(rank=2, layers=(0, 1)))
    report = train(made, load_method("ga"), forget=samples[:4], options=replace(FAST, precision="bf16"))
    assert report.steps == 2
    assert {weight.dtype for weight in made.network.parameters()} == {torch.float32}


@pytest.mark.parametrize(("instructions", "same_as"), [(["avx512_bf16"], "bf16"), (["amx_bf16"], "bf16"), ([], "fp32")])
def test_auto_precision_is_bf16_where_the_processor_has_it(model, samples, monkeypatch, instructions, same_as):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(instructions, True), raising=False)
    trained = {}
    for precision in ("auto", "bf16", "fp32"):
        made = attach(model, Scope(rank=2, layers=(0, 1)))
        train(made, load_method("ga"), forget=samples[:4], options=replace(FAST, precision=precision))
        trained[precision] = weights(made)
    for name, weight in trained["auto"].items():
        assert torch.equal(weight, trained[same_as][name])
    assert any(not torch.equal(weight, trained["fp32"][name]) for name, weight in trained["bf16"].items())


SCRIPT = """
import sys
from pathlib import Path
from accelerate import PartialState
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, AutoProcessor
from unsee.methods import Scope, load_method
from unsee.models.lora import attach
from unsee.models.model import Model
from unsee.training import train
from unsee.training_options import TrainOptions

folder = Path(sys.argv[1])
sys.path.insert(0, sys.argv[2])
from toy import toy_samples

samples = toy_samples()
network = AutoModelForImageTextToText.from_pretrained(folder / "start")
made = attach(Model(network, AutoProcessor.from_pretrained(folder / "start")), Scope(rank=2))
options = TrainOptions(learning_rate=1e-3, batch_size=2, gradient_accumulation=1, epochs=2)
sides = {"forget": samples[:10], "retain": samples[10:]}
report = train(made, load_method("graddiff"), **sides, options=options, log=folder / "two.jsonl")
assert PartialState().num_processes == 2 and report.effective_batch == 4
if PartialState().is_main_process:
    save_file({n: w.detach() for n, w in made.network.named_parameters() if w.requires_grad}, folder / "two.safetensors")
"""


@pytest.mark.slow
def test_two_processes_equal_one(model, samples, tmp_path):
    """Defect M18's relative in training: terms are divided by the samples of all processes."""
    import os
    import subprocess
    import sys

    from safetensors.torch import load_file

    model.network.save_pretrained(tmp_path / "start")
    model.processor.save_pretrained(tmp_path / "start")
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    launch += [str(script), str(tmp_path), str(Path(__file__).parent)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(launch, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one = attach(model, Scope(rank=2))
    log = tmp_path / "one.jsonl"
    options = TrainOptions(learning_rate=1e-3, batch_size=2, gradient_accumulation=2, epochs=2)
    train(one, load_method("graddiff"), forget=samples[:10], retain=samples[10:], options=options, log=log)
    for mine, theirs in zip(rows(log), rows(tmp_path / "two.jsonl"), strict=True):
        assert mine["terms"] == pytest.approx(theirs["terms"], rel=1e-4)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)
    found = load_file(tmp_path / "two.safetensors")
    for name in trainable_names(one):
        torch.testing.assert_close(found[name], one.network.get_parameter(name).detach(), atol=1e-5, rtol=1e-3)
