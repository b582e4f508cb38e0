"""Adapter off = second model = cache, on packed and plain batches of any composition."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch

from unsee.errors import ConfigError
from unsee.methods import Scope, load_method
from unsee.models.batches import collate
from unsee.models.lora import attach
from unsee.models.questions import encode_samples
from unsee.models.reference import AdapterOff, CachedReference, SecondModel, adapter_is_silent, make_reference
from unsee.training import train
from unsee.training_options import TrainOptions


def batches(model, samples, size, **options):
    items = encode_samples(samples, model.prompter)
    for first in range(0, len(items), size):
        part = slice(first, first + size)
        keys = [sample.id for sample in samples[part]]
        yield collate(items[part], prompter=model.prompter, keys=keys, **options)


def by_id(model, samples):
    return {sample.id: item for sample, item in zip(samples, encode_samples(samples, model.prompter), strict=True)}


@pytest.fixture
def moved(model):
    """A model whose adapter has been trained away from its start."""
    made = attach(model, Scope(rank=4))
    with torch.no_grad():
        for name, weight in made.network.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return made


@pytest.mark.parametrize("mask", ["answer", "answer_and_question", "all"])
@pytest.mark.parametrize("pack", [True, False])
def test_the_three_references_agree(model, moved, samples, mask, pack):
    cache = CachedReference.build(model, batches(model, samples, 7, mask=mask, pack=pack), what="distribution")
    shuffled = random.Random(0).sample(samples, len(samples))
    for batch in batches(model, shuffled, 9, mask=mask, pack=True):
        second, off = SecondModel(model), AdapterOff(moved)
        for reference in (off, cache):
            torch.testing.assert_close(reference.answer_logprobs(batch), second.answer_logprobs(batch), atol=1e-4, rtol=1e-5)
            torch.testing.assert_close(
                reference.answer_logits(batch).log_softmax(-1),
                second.answer_logits(batch).log_softmax(-1),
                atol=1e-5,
                rtol=1e-5,
            )
        assert not torch.allclose(moved.answer_logprobs(batch), second.answer_logprobs(batch), atol=1e-2)


def test_a_cache_does_not_mind_the_order_of_edges(model, samples):
    batch = next(batches(model, samples, 6))
    cache = CachedReference.build(model, [batch], what="distribution")
    order = _interleaved(batch.owner)
    shuffled = replace(
        batch, row=batch.row[order], position=batch.position[order], target=batch.target[order], owner=batch.owner[order]
    )
    torch.testing.assert_close(cache.answer_logits(shuffled), cache.answer_logits(batch)[order])
    torch.testing.assert_close(cache.answer_logprobs(shuffled), cache.answer_logprobs(batch))


def _interleaved(owner):
    """Round robin over conversations, keeping each one's order."""
    rank = torch.tensor([(owner[:edge] == owner[edge]).sum() for edge in range(owner.numel())])
    return torch.argsort(rank, stable=True)


def test_references_carry_no_gradient_and_change_nothing(moved, samples):
    moved.network.train()
    frozen = next(weight for name, weight in moved.network.named_parameters() if "lora_A" in name)
    frozen.requires_grad_(False)
    batch = next(batches(moved, samples, 4))
    assert not AdapterOff(moved).answer_logits(batch).requires_grad
    assert moved.network.training
    assert not frozen.requires_grad
    assert moved.answer_logprobs(batch).requires_grad


def test_the_default_is_adapter_off_under_lora_and_a_cache_otherwise(model, moved, samples):
    encoded = {"forget": by_id(model, samples[:10]), "retain": by_id(model, samples[10:])}
    npo, kl = load_method("npo"), load_method("kl")
    assert make_reference(model, load_method("ga"), encoded) is None
    fresh = attach(model, Scope(rank=2))
    assert adapter_is_silent(fresh) and not adapter_is_silent(moved) and not adapter_is_silent(model)
    assert isinstance(make_reference(fresh, npo, encoded), AdapterOff)
    assert isinstance(make_reference(model, npo, encoded), CachedReference)
    # Without its adapter this model would not be the start of the run.
    assert isinstance(make_reference(moved, npo, encoded), CachedReference)
    assert isinstance(make_reference(model, npo, encoded, kind="second_model"), SecondModel)
    cached = make_reference(model, kl, encoded)
    batch = next(batches(model, samples[10:], 4))
    assert cached.answer_logits(batch).shape == model.answer_logits(batch).shape


def test_a_cache_holds_what_the_method_reads(model, samples):
    encoded = {"forget": by_id(model, samples[:10]), "retain": by_id(model, samples[10:])}
    cached = make_reference(model, load_method("npo"), encoded)
    assert isinstance(cached, CachedReference)
    edges = sum(len(item.ids) - item.prompt_length for item in encoded["forget"].values())
    assert cached.memory_bytes == 4 * edges
    with pytest.raises(ConfigError, match=r"no distribution of sample p0/0.*`reads`"):
        cached.answer_logits(next(batches(model, samples[:2], 2)))
    with pytest.raises(ConfigError, match="no logprobs of sample p2/0"):
        cached.answer_logprobs(next(batches(model, samples[10:12], 2)))


def test_a_shared_id_is_refused(model, samples):
    twin = replace(samples[1], id=samples[4].id)
    with pytest.raises(ConfigError, match=r"share the id 'p0/4'"):
        CachedReference.build(model, batches(model, [samples[4], twin], 1))


def test_official_npo_needs_a_retain_tuned_model(model, moved, samples):
    encoded = {"forget": by_id(model, samples[:10]), "retain": {}}
    npo = load_method("npo", "official")
    with pytest.raises(ConfigError, match="reference_model"):
        make_reference(model, npo, encoded, mask="all")
    reference = make_reference(model, npo, encoded, mask="all", reference_model=moved)
    batch = next(batches(model, samples[:10], 10, mask="all"))
    torch.testing.assert_close(reference.answer_logprobs(batch), moved.answer_logprobs(batch), atol=1e-3, rtol=1e-4)


@pytest.fixture
def apart(model):
    """A model and one whose weights differ a little, so that their distributions differ everywhere."""
    other = attach(model, Scope(rank=None))
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in other.network.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return model, other


def test_a_merged_distribution_has_the_divergence_of_its_outcomes(model, samples):
    """Two kept tokens and the rest, by hand: p = (.5, .3 | .2), q = (.4, .3 | .3)."""
    batch = next(batches(model, samples[:1], 1))
    edges, vocabulary = batch.owner.numel(), model.answer_logits(batch).shape[-1]

    def spread(first: float, second: float) -> torch.Tensor:
        rest = (1 - first - second) / (vocabulary - 2)
        return torch.tensor([first, second] + [rest] * (vocabulary - 2)).log().expand(edges, -1)

    class Told(type(model)):
        def answer_logits(self, batch):
            return spread(0.5, 0.3)

    cache = CachedReference.build(Told(model.network, model.processor), [batch], what="distribution", top_k=2)
    expected = 0.5 * math.log(0.5 / 0.4) + 0.2 * math.log(0.2 / 0.3)
    torch.testing.assert_close(cache.token_kl(batch, spread(0.4, 0.3)), torch.full((edges,), expected), atol=1e-5, rtol=1e-4)


def test_few_tokens_never_raise_the_divergence_and_all_give_it(apart, samples):
    start, moved = apart
    batch = next(batches(start, samples, 12))
    logits = moved.answer_logits(batch).detach().requires_grad_()
    vocabulary = logits.shape[-1]
    whole = CachedReference.build(start, [batch], what="distribution").token_kl(batch, logits)
    assert whole.mean() > 0.01
    lower, error = None, {}
    for top_k in (1, 16, 256, 2048, vocabulary):
        merged = CachedReference.build(start, [batch], what="distribution", top_k=top_k).token_kl(batch, logits)
        assert (merged <= whole + 1e-5).all() and (merged >= -1e-6).all()
        # A finer partition of the same outcomes only adds divergence.
        assert lower is None or (merged >= lower - 1e-5).all()
        lower, error[top_k] = merged, float(((whole - merged).mean() / whole.mean()).detach())
    torch.testing.assert_close(lower, whole, atol=1e-6, rtol=1e-5)
    assert error[1] > error[256] > error[2048] > 0
    (gradient,) = torch.autograd.grad(merged.sum(), logits)
    torch.testing.assert_close(gradient, torch.autograd.grad(whole.sum(), logits)[0], atol=1e-6, rtol=1e-4)


def test_the_error_is_the_divergence_among_merged_tokens(apart, samples):
    """What is missing is r KL(p | rest || q | rest), computed here the long way."""
    start, moved = apart
    batch = next(batches(start, samples, 4))
    p, q = (model.answer_logits(batch).detach().double().log_softmax(-1) for model in apart)
    kept = p.topk(64).indices
    merged = CachedReference.build(start, [batch], what="distribution", top_k=64).token_kl(batch, moved.answer_logits(batch))
    rest = torch.ones_like(p, dtype=torch.bool).scatter(1, kept, False)
    share = (p.exp() * rest).sum(-1)
    inside = (p.exp() * rest * (p - share.log()[:, None] - q + (q.exp() * rest).sum(-1).log()[:, None])).sum(-1)
    whole = (p.exp() * (p - q)).sum(-1)
    torch.testing.assert_close(whole - inside, merged.double(), atol=1e-5, rtol=1e-4)


def test_few_tokens_take_little_memory_and_give_no_logits(model, samples):
    encoded = {"forget": {}, "retain": by_id(model, samples[10:])}
    whole = make_reference(model, load_method("kl"), encoded, kind="cache")
    few = make_reference(model, load_method("kl"), encoded, kind="cache", top_k=32)
    assert few.memory_bytes < whole.memory_bytes / 50
    with pytest.raises(ConfigError, match=r"keeps the 32 likeliest tokens only.*reference\.token_kl"):
        few.answer_logits(next(batches(model, samples[10:14], 4)))


def test_training_against_a_cache_of_few_tokens(model, samples):
    """The same training as with whole distributions, but for the error of the merged tokens."""
    losses = {}
    for top_k in (None, 1024, model.answer_logits(next(batches(model, samples, 2))).shape[-1]):
        options = TrainOptions(steps=3, learning_rate=1e-3, reference="cache", reference_top_k=top_k)
        trained = attach(model, Scope(rank=4))
        losses[top_k] = train(trained, load_method("kl"), forget=samples[:8], retain=samples[10:18], options=options).loss
    whole, some, every = losses.values()
    assert every == pytest.approx(whole, abs=1e-5)
    assert some == pytest.approx(whole, abs=0.05)


def test_a_second_model_says_what_it_takes(model, samples):
    encoded = {"forget": by_id(model, samples[:2]), "retain": {}}
    with pytest.warns(UserWarning, match=r"second model of 0\.00 GiB"):
        second = make_reference(model, load_method("npo"), encoded, kind="second_model")
    assert second.memory_bytes == sum(
        tensor.numel() * tensor.element_size() for tensor in (*model.network.parameters(), *model.network.buffers())
    )
    with pytest.raises(ConfigError, match="adapter_off needs a fresh LoRA adapter"):
        make_reference(model, load_method("npo"), encoded, kind="adapter_off")
