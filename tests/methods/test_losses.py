"""Every loss against values and gradients worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unsee.methods import load_method
from unsee.methods.losses import preference
from unsee.models.batches import Batch, collate
from unsee.models.model import Model
from unsee.models.questions import encode_samples
from unsee.models.reference import Reference, SecondModel


class ToyModel(Model, Reference):
    """Returns the same logits for every batch: [edges, vocabulary], a leaf with gradients."""

    def __init__(self, logits: Tensor) -> None:
        self.network = torch.nn.Identity()
        self.logits = logits.clone().requires_grad_()
        self.calls = 0

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def answer_logits(self, batch: Batch) -> Tensor:
        self.calls += 1
        return self.logits[: batch.owner.numel()]


def toy_batch(owners: list[int], targets: list[int]) -> Batch:
    """Edges by hand; rows and positions do not matter here."""
    edges = torch.zeros(len(owners), dtype=torch.long)
    size = max(owners) + 1
    return Batch({}, edges, edges, torch.tensor(targets), torch.tensor(owners), size=size, keys=tuple(map(str, range(size))))


def log_odds(*probabilities: float) -> list[float]:
    """Logits of a distribution."""
    return torch.tensor(probabilities).log().tolist()


HALF, QUARTER = math.log(0.5), math.log(0.25)

# Conversation 0 has two answer tokens of probability 1/2 and 1/4, conversation 1 has one of probability 1/4.
LOGITS = torch.tensor([log_odds(0.5, 0.25, 0.25), log_odds(0.5, 0.25, 0.25), log_odds(0.25, 0.5, 0.25)])
BATCH = toy_batch([0, 0, 1], [0, 1, 0])
NLL = torch.tensor([-(HALF + QUARTER) / 2, -QUARTER])


@pytest.fixture
def toy() -> ToyModel:
    return ToyModel(LOGITS)


def gradient(toy: ToyModel, terms: dict[str, torch.Tensor]) -> torch.Tensor:
    sum(term.mean() for term in terms.values()).backward()
    return toy.logits.grad


def nll_gradient(weights: list[float]) -> torch.Tensor:
    """d(sum_e weight_e * -log p_e[target]) / d logits = weight (p - onehot)."""
    onehot = torch.nn.functional.one_hot(BATCH.target, 3).float()
    return torch.tensor(weights)[:, None] * (LOGITS.softmax(-1) - onehot)


def test_gradient_ascent(toy):
    terms = load_method("ga").loss(toy, None, BATCH, None)
    torch.testing.assert_close(terms["forget"], -NLL)
    torch.testing.assert_close(gradient(toy, terms), -nll_gradient([0.25, 0.25, 0.5]))


def test_gradient_ascent_official_averages_over_the_tokens_of_the_batch(toy):
    terms = load_method("ga", "official").loss(toy, None, BATCH, None)
    assert terms["forget"].mean().item() == pytest.approx((HALF + 2 * QUARTER) / 3)
    torch.testing.assert_close(gradient(toy, terms), -nll_gradient([1 / 3] * 3))


def test_gradient_difference(toy):
    terms = load_method("graddiff", forget_weight=2.0, retain_weight=0.5).loss(toy, None, BATCH, BATCH)
    torch.testing.assert_close(terms["forget"], -2 * NLL)
    torch.testing.assert_close(terms["retain"], 0.5 * NLL)
    torch.testing.assert_close(gradient(toy, terms), -1.5 * nll_gradient([0.25, 0.25, 0.5]))


def test_finetune(toy):
    terms = load_method("finetune").loss(toy, None, None, BATCH)
    torch.testing.assert_close(terms["retain"], NLL)
    torch.testing.assert_close(gradient(toy, terms), nll_gradient([0.25, 0.25, 0.5]))


def test_idk_descends_on_both_sides(toy):
    terms = load_method("idk", forget_weight=3.0).loss(toy, None, BATCH, BATCH)
    torch.testing.assert_close(terms["forget"], 3 * NLL)
    torch.testing.assert_close(gradient(toy, terms), 4 * nll_gradient([0.25, 0.25, 0.5]))


def test_correction_descends_on_both_sides(toy):
    terms = load_method("correction", forget_weight=3.0, retain_weight=0.5).loss(toy, None, BATCH, BATCH)
    torch.testing.assert_close(terms["forget"], 3 * NLL)
    torch.testing.assert_close(terms["retain"], 0.5 * NLL)
    torch.testing.assert_close(gradient(toy, terms), 3.5 * nll_gradient([0.25, 0.25, 0.5]))


def test_llmu_ascends_the_own_answer_and_descends_on_the_answer_of_another(toy):
    """Conversation 1 is the question of conversation 0 with another's answer; there is one question, so means are its own."""
    batch = replace(BATCH, keys=("a", "a#mismatch-0"))
    terms = load_method("llmu", mismatch_weight=3.0, mismatches=1).loss(toy, None, batch, None)
    assert {name: term.mean().item() for name, term in terms.items()} == {
        "forget": pytest.approx(0.5 * (HALF + QUARTER) / 2),
        "mismatch": pytest.approx(-3 * QUARTER),
    }
    torch.testing.assert_close(gradient(toy, terms), nll_gradient([-0.25, -0.25, 3.0]))


def test_llmu_averages_over_the_answers_of_others(toy):
    keys, owner, target = ("a", "a#mismatch-0", "a#mismatch-1"), torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1])
    batch = replace(BATCH, keys=keys, size=3, owner=owner, target=target)
    terms = load_method("llmu", forget_weight=1.0, mismatches=2).loss(toy, None, batch, None)
    assert terms["forget"].mean().item() == pytest.approx(HALF)
    assert terms["mismatch"].mean().item() == pytest.approx(-(QUARTER + HALF) / 2)


def test_llmu_holds_the_retain_side_as_kl_does(toy):
    uniform = ToyModel(torch.zeros(3, 3))
    terms = load_method("llmu", retain_weight=2.0).loss(toy, uniform, None, BATCH)
    assert terms.keys() == {"retain_kl"}
    torch.testing.assert_close(terms["retain_kl"], torch.full((2,), -2 * (math.log(3) + (HALF + 2 * QUARTER) / 3)))


def test_kl_is_zero_with_zero_gradient_at_the_start(toy):
    terms = load_method("kl").loss(toy, ToyModel(LOGITS), None, BATCH)
    torch.testing.assert_close(terms["retain_kl"], torch.zeros(2))
    torch.testing.assert_close(gradient(toy, terms), torch.zeros(3, 3), atol=1e-7, rtol=0)


def test_kl_value_and_gradient(toy):
    uniform = ToyModel(torch.zeros(3, 3))
    terms = load_method("kl", retain_weight=2.0).loss(toy, uniform, None, BATCH)
    # KL(uniform || p) = -log 3 - (log 1/2 + log 1/4 + log 1/4) / 3, the same at every token.
    expected = -math.log(3) - (HALF + 2 * QUARTER) / 3
    torch.testing.assert_close(terms["retain_kl"], torch.full((2,), 2 * expected))
    weights = torch.tensor([0.5, 0.5, 1.0])[:, None]  # weight 2, mean over 2 samples, mean over each one's tokens
    torch.testing.assert_close(gradient(toy, terms), weights * (LOGITS.softmax(-1) - 1 / 3))


def test_kl_official_sums_over_positions_and_adds_cross_entropy(toy):
    uniform = ToyModel(torch.zeros(3, 3))
    terms = load_method("kl", "official").loss(toy, uniform, None, BATCH)
    each = -math.log(3) - (HALF + 2 * QUARTER) / 3
    torch.testing.assert_close(terms["retain_kl"], torch.tensor([2 * each, each]))
    assert terms["retain_kl"].mean().item() == pytest.approx(3 * each / 2)  # summed, divided by the batch only
    assert terms["retain"].mean().item() == pytest.approx(-(HALF + 2 * QUARTER) / 3)


@pytest.mark.parametrize(("beta", "value"), [(0.1, 13.8629), (0.4, 3.4657)])
def test_npo_at_the_start(toy, beta, value):
    """(2 / beta) ln 2 with dL/dS = 1, S summed over the answer (defects M12, M13, R4)."""
    terms = load_method("npo", beta=beta).loss(toy, ToyModel(LOGITS), BATCH, None)
    torch.testing.assert_close(terms["forget"], torch.full((2,), value), atol=1e-4, rtol=0)
    # dL/dS = 1, and dS/dlogits = onehot - p at each token; the mean over two samples halves it.
    torch.testing.assert_close(gradient(toy, terms), -nll_gradient([0.5, 0.5, 0.5]))


def test_npo_away_from_the_start(toy):
    reference = ToyModel(torch.zeros(3, 3))
    third = math.log(1 / 3)
    terms = load_method("npo", beta=0.5).loss(toy, reference, BATCH, None)
    ratios = torch.tensor([HALF + QUARTER - 2 * third, QUARTER - third])
    torch.testing.assert_close(terms["forget"], 4 * torch.log1p(torch.exp(0.5 * ratios)))
    slopes = 2 * torch.sigmoid(0.5 * ratios)
    expected = -nll_gradient([slopes[0].item() / 2, slopes[0].item() / 2, slopes[1].item() / 2])
    torch.testing.assert_close(gradient(toy, terms), expected)


def test_preference_slope_is_two_sigmoids():
    ratio = torch.tensor([-3.0, 0.0, 2.0], requires_grad=True)
    preference(ratio, 0.7).sum().backward()
    torch.testing.assert_close(ratio.grad, 2 * torch.sigmoid(0.7 * ratio.detach()))


def test_npo_adds_the_retain_term(toy):
    terms = load_method("npo", retain_weight=0.5).loss(toy, ToyModel(LOGITS), BATCH, BATCH)
    torch.testing.assert_close(terms["retain"], 0.5 * NLL)
    assert set(load_method("npo", retain_weight=0.0).loss(toy, ToyModel(LOGITS), BATCH, BATCH)) == {"forget"}


def test_npo_official_works_on_the_batch_mean(toy):
    terms = load_method("npo", "official").loss(toy, ToyModel(torch.zeros(3, 3)), BATCH, None)
    cross_entropy, reference = -(HALF + 2 * QUARTER) / 3, math.log(3)
    value = 5 * math.log1p(math.exp(-0.4 * (cross_entropy - reference)))
    torch.testing.assert_close(terms["forget"], torch.full((2,), value))


def test_prompt_tokens_and_padding_do_not_matter(model, samples):
    """Defects M1, M2, M13, R2: only answer tokens count, whatever stands around them."""
    items = encode_samples([s for s in samples if s.modality == "text"][:4], model.prompter)
    for item in items:
        batch = collate([item], prompter=model.prompter, pack=False)
        assert batch.target.tolist() == list(item.ids[item.prompt_length :])
        assert batch.target[-1] == model.prompter.tokenizer.eos_token_id
    kl = load_method("kl")
    start = SecondModel(model)
    noisy = ToyNoise(model)
    together = collate(items, prompter=model.prompter, pack=False)
    alone = [collate([item], prompter=model.prompter, pack=False) for item in items]
    joint = kl.loss(noisy, start, together, together)
    single = [kl.loss(noisy, start, batch, batch) for batch in alone]
    for name in ("forget", "retain_kl"):
        torch.testing.assert_close(joint[name], torch.cat([terms[name] for terms in single]), atol=1e-5, rtol=1e-5)


class ToyNoise:
    """A model whose logits differ from the start model's by a fixed amount per vocabulary entry."""

    def __init__(self, model) -> None:
        self.model = model

    def answer_logits(self, batch):
        logits = self.model.answer_logits(batch)
        return logits + torch.linspace(0, 1, logits.shape[-1])

    def token_logprobs(self, batch):
        return self.answer_logits(batch).log_softmax(-1).gather(1, batch.target[:, None])[:, 0]
