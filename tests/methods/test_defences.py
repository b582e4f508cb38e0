"""The six defences of UnLOK-VQA: losses worked out by hand, what an edit moves, and where published code does otherwise."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import unsee.models.lens
from doc_pages import blocks, read
from toy import learn_by_heart, random_model, toy_samples
from unsee.benchmarks.unlok_vqa.questions import PREFIXES as ATTACK_PREFIXES
from unsee.errors import ConfigError, DataError
from unsee.method_plans import method_plan
from unsee.methods import BUILT_IN, Method, load_method
from unsee.methods.defence import Edit
from unsee.methods.input_rephrasing import PREFIXES
from unsee.methods.lens_defence import at_tokens, last_third, published_layers
from unsee.methods.max_entropy import entropy
from unsee.models.batches import Batch, collate
from unsee.models.loading import load_model
from unsee.models.lora import attach, copied, trainable_names
from unsee.models.model import Model
from unsee.models.questions import encode_samples
from unsee.models.reference import Reference
from unsee.sample import Sample
from unsee.training import resolved_mask, train
from unsee.training_data import TrainingData
from unsee.training_options import TrainOptions
from unsee.unlearning import unlearn, unlearn_with_report

DEFENCES = [made for made in BUILT_IN if issubclass(made, Edit)]
CORRECTED = [made for made in DEFENCES if made.variant == "corrected"]
FEW_FAST = [made if made in CORRECTED else pytest.param(made, marks=pytest.mark.slow) for made in DEFENCES]
DOWN = "base_model.model.model.language_model.layers.2.mlp.down_proj.lora_{}.default.weight"
"""The toy model has 8 layers, so that layer 7 of 32 is layer 2."""


def every(made: Any) -> str:
    return f"{made.name}-{made.variant}"


class ToyModel(Model, Reference):
    """Says what it is told: logits [layers, edges, vocabulary], a leaf with gradients; the last layer is its own output."""

    def __init__(self, layers: Tensor) -> None:
        self.network = torch.nn.Identity()
        self.logits = layers.clone().requires_grad_()

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def answer_logits(self, batch: Batch) -> Tensor:
        return self.logits[-1, batch.position]


class ToyLens:
    """The lens of a toy model: layer l shows row l - 1 of its logits."""

    def __init__(self, model: ToyModel) -> None:
        self.model = model
        self.layers = model.logits.shape[0]

    def logits(self, batch: Batch, layers: Sequence[int]) -> Tensor:
        return torch.stack([self.model.logits[layer - 1, batch.position] for layer in layers])


@pytest.fixture
def toy_lens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsee.models.lens, "Lens", ToyLens)


# Conversation 0 answers with tokens 0 and 1 of a vocabulary of four, conversation 1 with token 0.
BATCH = Batch(
    {},
    row=torch.zeros(3, dtype=torch.long),
    position=torch.arange(3),
    target=torch.tensor([0, 1, 0]),
    owner=torch.tensor([0, 0, 1]),
    size=2,
    keys=("a", "b"),
)
EIGHTHS = torch.tensor(
    [
        [[4, 2, 1, 1], [4, 2, 1, 1], [1, 4, 2, 1]],  # after block 1
        [[1, 4, 2, 1], [1, 1, 2, 4], [2, 2, 2, 2]],  # after block 2
        [[4, 2, 1, 1], [4, 2, 1, 1], [2, 2, 2, 2]],  # after block 3: the model's output
    ]
)
PROBABILITIES = EIGHTHS / 8


def toy() -> ToyModel:
    return ToyModel(PROBABILITIES.log())


def gradient(model: ToyModel, terms: dict[str, Tensor]) -> Tensor:
    sum(term.mean() for term in terms.values()).backward()
    assert model.logits.grad is not None
    return model.logits.grad


def onehot(target: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(target), 4).float()


def test_fact_erasure_is_the_probability_of_the_whole_answer() -> None:
    model = toy()
    terms = load_method("fact_erasure").loss(model, None, BATCH, None)
    p = torch.tensor([1 / 2 * 1 / 4, 1 / 4])
    torch.testing.assert_close(terms["erasure"], p)
    found = gradient(model, terms)
    # dp/dz = p (onehot - D) at each token; the mean over two samples halves it.
    for edge, (owner, target) in enumerate([(0, 0), (0, 1), (1, 0)]):
        torch.testing.assert_close(found[2, edge], p[owner] / 2 * (onehot(target) - PROBABILITIES[2, edge]))
    assert not found[:2].any()


def test_fact_erasure_by_the_mean_token() -> None:
    terms = load_method("fact_erasure", likelihood="mean").loss(toy(), None, BATCH, None)
    torch.testing.assert_close(terms["erasure"], torch.tensor([math.sqrt(1 / 8), 1 / 4]))


@pytest.mark.parametrize(("name", "term"), [("empty_response", "response"), ("error_injection", "error")])
def test_taught_answers_take_the_mean_and_published_ones_the_sum(name: str, term: str) -> None:
    logs = torch.tensor([math.log(2) + math.log(4), math.log(4)])
    model = toy()
    terms = load_method(name).loss(model, None, BATCH, None)
    torch.testing.assert_close(terms[term], logs / torch.tensor([2, 1]))
    found = gradient(model, terms)
    torch.testing.assert_close(found[2, 0], (PROBABILITIES[2, 0] - onehot(0)) / 4)
    torch.testing.assert_close(found[2, 2], (PROBABILITIES[2, 2] - onehot(0)) / 2)
    torch.testing.assert_close(load_method(name, "official").loss(toy(), None, BATCH, None)[term], logs)


def test_head_projection_leaves_the_likeliest_tokens(toy_lens: None) -> None:
    """By k = 1 in layers 1 and 2: the answer's lead over the likeliest other token, averaged over layers, then tokens."""
    model = toy()
    terms = load_method("head_projection", k=1, layers=[1, 2]).loss(model, None, BATCH, None)
    # token 0: (4-2)/8 then behind; token 1: behind in both; conversation 1: behind, then a tie with the others.
    torch.testing.assert_close(terms["margin"], torch.tensor([(2 / 8 / 2 + 0) / 2, 0.0]))
    torch.testing.assert_close(terms["erasure"], torch.tensor([1 / 8, 1 / 4]))
    found = gradient(model, {"margin": terms["margin"]})
    d = PROBABILITIES[0, 0]
    slope = d[0] * (onehot(0) - d) - d[1] * (onehot(1) - d)  # of D[0] - D[1]
    torch.testing.assert_close(found[0, 0], slope / 8)  # two samples, two tokens, two layers
    assert not found[0, 1:].any() and not found[1].any()


def test_head_projection_options(toy_lens: None) -> None:
    def value(**options: Any) -> dict[str, Tensor]:
        return load_method("head_projection", layers=[1], k=2, **options).loss(toy(), None, BATCH, None)

    # The second of the others: 1/8, 1/8 and 2/8 against answers of 4/8, 2/8 and 1/8.
    torch.testing.assert_close(value()["margin"], torch.tensor([(3 / 8 + 1 / 8) / 2, 0.0]))
    torch.testing.assert_close(value(margin=0.25)["margin"], torch.tensor([(5 / 8 + 3 / 8) / 2, 1 / 8]))
    torch.testing.assert_close(value(tokens="first")["margin"], torch.tensor([3 / 8, 0.0]))
    torch.testing.assert_close(value(tokens="last")["margin"], torch.tensor([1 / 8, 0.0]))
    torch.testing.assert_close(value(scale="log")["margin"], torch.tensor([(math.log(4) + math.log(2)) / 2, 0.0]))
    torch.testing.assert_close(value(margin_weight=3.0)["margin"], 3 * value()["margin"])
    torch.testing.assert_close(value(erasure_weight=3.0)["erasure"], 3 * value()["erasure"])
    assert set(value(erasure_weight=0.0)) == {"margin"}
    # The second smallest of the others is 1/8 or 2/8; conversation 1 answers with the smallest of all.
    torch.testing.assert_close(value(bottom_weight=2.0)["bottom"], torch.tensor([0.0, 2 * 1 / 8]))


def test_head_projection_is_strict(toy_lens: None) -> None:
    """Zero means that k other tokens are at least as likely; the published loss is zero with the answer still the k-th."""
    second = torch.tensor([[[3, 4, 1, 0.5]]]).log()
    one = Batch({}, *(torch.zeros(1, dtype=torch.long) for _ in range(4)), size=1)
    strict = load_method("head_projection", k=2, layers=[1]).loss(ToyModel(second), None, one, None)
    assert strict["margin"].item() == pytest.approx(2 / 8.5)
    published = load_method("head_projection", "official", k=2).loss(ToyModel(second), None, one, None)
    assert published["margin_top"].item() == 0


def test_head_projection_official(toy_lens: None) -> None:
    """Replaces p(y|x), looks at the last token only, adds the bottom term, and reads the last third whatever is asked."""
    model = ToyModel(PROBABILITIES.log())
    terms = load_method("head_projection", "official", k=1).loss(model, None, BATCH, None)
    assert set(terms) == {"margin_top", "margin_bottom"}
    assert published_layers(3) == (3,)
    # Last tokens: 2/8 of (4 2 1 1), 2/8 of four equal ones.
    torch.testing.assert_close(terms["margin_top"], torch.zeros(2))
    torch.testing.assert_close(terms["margin_bottom"], torch.zeros(2))
    low = ToyModel(PROBABILITIES[[1, 1, 1]].log())
    terms = load_method("head_projection", "official", k=2).loss(low, None, BATCH, None)
    torch.testing.assert_close(terms["margin_top"], torch.zeros(2))
    last = torch.tensor([[[8.0, 1, 1, 6]] * 3] * 3).log()
    terms = load_method("head_projection", "official", k=3).loss(ToyModel(last), None, BATCH, None)
    torch.testing.assert_close(terms["margin_top"], torch.tensor([0.0, 7 / 16]))
    torch.testing.assert_close(terms["margin_bottom"], torch.tensor([5 / 16, 0.0]))
    assert load_method("head_projection", "official").k == 100


def test_entropy() -> None:
    logits = torch.tensor([[0.0, 0, 0, 0], [0, 0, -1e4, -1e4]], requires_grad=True)
    values = entropy(logits.log_softmax(-1))
    torch.testing.assert_close(values, torch.tensor([math.log(4), math.log(2)]))
    values.sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_max_entropy_adds_its_term(toy_lens: None) -> None:
    model = toy()
    terms = load_method("max_entropy", layers=[1, 2], entropy_weight=2.0).loss(model, None, BATCH, None)
    skewed = math.log(8) - (4 * math.log(4) + 2 * math.log(2)) / 8  # of 4 2 1 1 in any order
    torch.testing.assert_close(terms["entropy"], -2 * torch.tensor([skewed, (skewed + math.log(4)) / 2]))
    torch.testing.assert_close(terms["erasure"], torch.tensor([1 / 8, 1 / 4]))
    found = gradient(model, {"entropy": terms["entropy"]})
    # d(-H)/dz = D (log D + H); weight 2 over two samples, two tokens and two layers.
    d = PROBABILITIES[0, 0]
    torch.testing.assert_close(found[0, 0], d * (d.log() + skewed) / 4)
    torch.testing.assert_close(found[1, 2], torch.zeros(4), atol=1e-7, rtol=0)


def test_max_entropy_official_replaces_it_at_the_last_token(toy_lens: None) -> None:
    terms = load_method("max_entropy", "official").loss(toy(), None, BATCH, None)
    assert set(terms) == {"entropy"}
    skewed = math.log(8) - (4 * math.log(4) + 2 * math.log(2)) / 8
    torch.testing.assert_close(terms["entropy"], -torch.tensor([skewed, math.log(4)]))


@pytest.mark.parametrize("made", CORRECTED, ids=every)
def test_retain_term(made: type[Method], toy_lens: None) -> None:
    assert "retain" not in made().needs and made().reference == "none"
    assert {"forget", "retain"} <= made(retain_weight=0.5, retain_loss="nll").needs
    by_kl = made(retain_weight=0.5)
    assert {"retain", "reference"} <= by_kl.needs and by_kl.reference == "start"
    assert by_kl == made(retain_weight=0.5) != made()
    start = ToyModel(torch.zeros(3, 3, 4))
    divergence = -math.log(4) - (math.log(1 / 2) + math.log(1 / 4) + 2 * math.log(1 / 8)) / 4
    terms = by_kl.loss(toy(), start, None, BATCH)
    torch.testing.assert_close(terms, {"retain_kl": 0.5 * torch.tensor([divergence, 0.0])})
    terms = made(retain_weight=2.0, retain_loss="nll").loss(toy(), None, BATCH, BATCH)
    torch.testing.assert_close(terms.pop("retain"), 2 * torch.tensor([math.log(8) / 2, math.log(4)]))
    assert set(terms) == set(made().loss(toy(), None, BATCH, None)) == set(made().loss(toy(), None, BATCH, BATCH))


def test_one_fact_is_held_by_a_whole_batch_of_retain_samples(model: Model, samples: list[Sample]) -> None:
    method = load_method("fact_erasure", retain_weight=1.0)
    sides: Any = {"forget": samples[:1], "retain": samples[10:]}
    data = TrainingData(model, sides, TrainOptions(batch_size=16), "answer_text")
    ((forget, retain),) = data.steps(method, epoch=0, per_step=1)[0]
    assert forget is not None and retain is not None and (forget.size, retain.size) == (1, 16)


def test_layers_by_depth() -> None:
    assert last_third(32) == published_layers(32) == tuple(range(22, 33))
    assert last_third(8) == published_layers(8) == (6, 7, 8)
    assert last_third(40) == tuple(range(27, 41))
    assert last_third(1) == published_layers(1) == (1,)


def test_default_k_follows_the_vocabulary(toy_lens: None) -> None:
    from unsee.methods.head_projection import fitting_k

    assert [fitting_k("m", None, size) for size in (32000, 4096, 100, 152064)] == [100, 13, 1, 475]


def test_tokens_of_answers() -> None:
    """N4: published defences protect the last token of an answer, published attacks look for the first; ours protect all."""
    assert load_method("head_projection").tokens == load_method("max_entropy").tokens == "all"
    for which, kept in (("all", [0, 1, 2]), ("first", [0, 2]), ("last", [1, 2])):
        keep, part = at_tokens(BATCH, which)
        assert keep.nonzero()[:, 0].tolist() == kept == part.position.tolist()
        assert part.size == 2 and part.counts.tolist() == ([2, 1] if which == "all" else [1, 1])


# Samples


def test_the_end_of_turn_is_no_part_of_a_secret(model: Model, samples: list[Sample]) -> None:
    """Otherwise a model that no longer stops after the answer would look erased."""
    items = encode_samples(samples, model.prompter)
    end = model.prompter.tokenizer.eos_token_id
    whole = collate(items, prompter=model.prompter, mask="answer")
    for pack in (True, False):
        bare = collate(items, prompter=model.prompter, mask="answer_text", pack=pack)
        assert end in whole.target and end not in bare.target
        assert torch.equal(bare.target, whole.target[whole.target != end])
        assert torch.equal(bare.counts + 1, whole.counts)
    with_end = {made.name for made in DEFENCES if resolved_mask(made(), TrainOptions()) == "answer"}
    assert with_end == {"empty_response", "error_injection"}
    assert {made.loss_mask for made in DEFENCES if made.variant == "official"} == {"answer_text"}


@pytest.mark.parametrize("variant", ["corrected", "official"])
def test_empty_response(samples: list[Sample], variant: str) -> None:
    changed = load_method("empty_response", variant).transform(samples)
    assert {sample.answer for sample in changed} == {"I don't know"}
    assert [sample.question for sample in changed] == [sample.question for sample in samples]
    assert {s.answer for s in load_method("empty_response", variant, response="dummy").transform(samples)} == {"dummy"}
    with pytest.raises(ConfigError, match="response is empty"):
        load_method("empty_response", variant, response=" ")


def test_error_injection_never_teaches_the_secret(samples: list[Sample]) -> None:
    """E14: alternates may repeat the answer in other letters; published code then teaches it."""
    sample = replace(samples[0], answer="Mountains", options={}, wrong_answers=(" ", "mountains", "MOUNTAINS ", " Hills"))
    assert load_method("error_injection").transform([sample])[0].answer == "Hills"
    assert load_method("error_injection", "official").transform([sample])[0].answer == "mountains"
    with pytest.raises(DataError, match=r"sample p0/0: none of its wrong answers differs from 'Mountains'.*add one"):
        load_method("error_injection").transform([replace(sample, wrong_answers=("mountains",))])
    for variant in ("corrected", "official"):
        with pytest.raises(DataError, match="sample p0/0: it has no wrong answers"):
            load_method("error_injection", variant).transform([replace(sample, wrong_answers=())])


def test_input_rephrasing_asks_five_ways(samples: list[Sample]) -> None:
    changed = load_method("input_rephrasing").transform(samples[:2])
    assert len(changed) == len({sample.id for sample in changed}) == 10
    assert [sample.question for sample in changed[:5]] == [f"{prefix}{samples[0].question}" for prefix in ("", *PREFIXES)]
    assert {sample.answer for sample in changed[:5]} == {samples[0].answer}
    framed = replace(samples[0], question="Answer the question in one word\n Question: Who? Answer:")
    asked = load_method("input_rephrasing").transform([framed])[1].question
    assert asked == f"Answer the question in one word\n Question: {PREFIXES[0]}Who? Answer:"


def test_defence_prefixes_are_no_attack_prefixes() -> None:
    assert not set(PREFIXES) & set(ATTACK_PREFIXES)
    stems = {prefix.strip(" .").casefold() for prefix in PREFIXES}
    assert len(stems) == 4 and not stems & {prefix.strip(" .").casefold() for prefix in ATTACK_PREFIXES}


def test_input_rephrasing_official_draws_one_wording_for_every_pass(model: Model, samples: list[Sample]) -> None:
    """E10: only the official variant trains one wording a pass. The number of steps depends on no draw: runs resume."""
    method = load_method("input_rephrasing", "official")
    for facts, batch_size in ((1, 16), (1, 2), (4, 3)):
        sides: Any = {"forget": method.transform(samples[:facts]), "retain": []}
        data = TrainingData(model, sides, TrainOptions(batch_size=batch_size), "answer_text")
        drawn: list[list[str]] = []
        for epoch in range(80):
            steps = data.steps(method, epoch=epoch, per_step=1)
            drawn.append([key for ((forget, _),) in steps if forget is not None for key in forget.keys])
            assert len(steps) == math.ceil(facts / batch_size)
            assert sorted(key.partition("#")[0] for key in drawn[-1]) == sorted(sample.id for sample in samples[:facts])
        assert {key for keys in drawn for key in keys} == {sample.id for sample in sides["forget"]}
    assert len(data.steps(load_method("input_rephrasing"), epoch=0, per_step=1)) == math.ceil(20 / 3)


def test_the_defence_in_the_docs(model: Model, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/adding.md: the answer's lead over its strongest rival, by hand, and an edit with it."""
    module = ModuleType("unsure_package")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(next(block.code for block in blocks(read("docs/adding.md")) if block.file == "unsure_package.py"), module.__dict__)
    terms = module.Unsure().loss(toy(), None, BATCH, None)
    torch.testing.assert_close(terms, {"lead": torch.tensor([math.log(2) / 2, 0.0])})
    assert trainable_names(unlearn(model, forget=samples[:1], method=module.Unsure())) == [DOWN.format(side) for side in "AB"]


# Edits


def changed_weights(before: Model, after: Model) -> set[str]:
    start = {name.replace(".base_layer.", "."): weight for name, weight in before.network.named_parameters()}
    return {
        name for name, weight in after.network.named_parameters() if name not in start or not torch.equal(weight, start[name])
    }


@pytest.mark.parametrize("made", DEFENCES, ids=every)
def test_an_edit_moves_one_matrix(model: Model, samples: list[Sample], made: type[Method]) -> None:
    """The adapter's random half has no gradient in the first step, because its other half is zero."""
    # Half of the vocabulary, because a fresh model's answer is rarely among its likeliest tokens.
    method = made(**({"k": 2048} if made.name == "head_projection" else {}))
    attached = attach(model, method.scope)
    assert trainable_names(attached) == [DOWN.format("A"), DOWN.format("B")]
    assert attached.network.peft_config["default"].lora_alpha == attached.network.peft_config["default"].r == 1
    start = {name: weight.detach().clone() for name, weight in attached.network.named_parameters()}
    for steps, moved in ((1, {DOWN.format("B")}), (2, {DOWN.format("A"), DOWN.format("B")})):
        options = replace(method_plan(made.name, {"variant": made.variant}).options, steps=steps)
        done = unlearn_with_report(model, forget=samples[:1], method=method, options=options)
        assert (done.report.steps, done.report.trainable_weights) == (steps, sum(start[DOWN.format(s)].numel() for s in "AB"))
        named = dict(done.model.network.named_parameters())
        assert {name for name in named if not torch.equal(named[name], start[name])} == moved


@pytest.mark.parametrize("made", DEFENCES, ids=every)
def test_published_recipe_is_the_default(made: type[Method]) -> None:
    entry = made.name + ("_official" if made.variant == "official" else "")
    options = method_plan(entry, {}).options
    assert (options.learning_rate, options.epochs, options.batch_size, options.weight_decay) == (9e-3, 10, 16, 0.0)
    assert method_plan(entry, {"epochs": 3, "layer": 1}).options.epochs == 3


def test_another_layer_module_rank(model: Model) -> None:
    """E5: what an option names is what is trained; the published `--lora_enable` turns LoRA off."""

    def names(**options: Any) -> list[str]:
        return trainable_names(attach(model, load_method("fact_erasure", **options).scope))

    prefix = "base_model.model.model."
    assert names(layer=5) == [DOWN.replace(".2.", ".5.").format(side) for side in "AB"]
    assert len(names(layer=[1, 5])) == 4
    found = names(modules=["self_attn.o_proj", "mlp-down"], layer=3)
    assert found == [
        f"{prefix}language_model.layers.3.{m}.lora_{s}.default.weight"
        for m in ("self_attn.o_proj", "mlp.down_proj")
        for s in "AB"
    ]
    vision = "model.vision_tower.encoder.layers.1.mlp.fc2"
    assert names(modules=vision) == [f"base_model.model.{vision}.lora_{side}.default.weight" for side in "AB"]
    assert names(rank="none") == ["model.language_model.layers.2.mlp.down_proj.weight"]
    with pytest.raises(ConfigError, match="layer 8 does not exist; the decoder has layers 0 to 7"):
        names(layer=8)
    with pytest.raises(ConfigError, match=r"no module 'mlp\.down_prj'; did you mean"):
        names(modules="mlp.down_prj")


def test_constrained_fine_tuning_stays_in_its_bounds(model: Model, samples: list[Sample]) -> None:
    method = load_method("fact_erasure", rank="none", max_change=1e-3)
    made = unlearn(model, forget=samples[:1], method=method, options=TrainOptions(learning_rate=9e-3, steps=5))
    path = "model.language_model.layers.2.mlp.down_proj.weight"
    change = (made.network.get_parameter(path) - model.network.get_parameter(path)).abs()
    assert 9e-4 < change.max().item() <= 1e-3 + 1e-8
    assert changed_weights(model, made) == {path}
    for options in ({"max_change": 1e-3}, {"max_change": 0.0, "rank": "none"}):
        with pytest.raises(ConfigError, match=r"max_change = .* cannot work"):
            load_method("fact_erasure", **options)


@pytest.mark.parametrize("made", FEW_FAST, ids=every)
def test_dividing_a_step_or_packing_changes_nothing(model: Model, samples: list[Sample], made: type[Method]) -> None:
    options: dict[str, Any] = {"k": 2048} if made.name == "head_projection" else {}
    if made.variant == "corrected":
        options["retain_weight"] = 0.5
    results = []
    for batch_size, accumulation, pack in ((8, 1, True), (1, 8, True), (8, 1, False)):
        attached = attach(model, made(**options).scope)
        how = TrainOptions(batch_size=batch_size, gradient_accumulation=accumulation, pack=pack, steps=2, learning_rate=1e-2)
        train(attached, made(**options), forget=samples[:8], retain=samples[10:26], options=how)
        results.append([attached.network.get_parameter(DOWN.format(side)).detach() for side in "AB"])
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, atol=1e-4, rtol=1e-3)


@pytest.fixture(scope="module")
def taught() -> Model:
    """Knows six facts by heart; tests leave it as it is."""
    model: Model = random_model()
    learn_by_heart(model, encode_samples(toy_samples()[:6], model.prompter), steps=100)
    return model


def secret(model: Model, sample: Sample) -> float:
    batch = collate(encode_samples([sample], model.prompter), prompter=model.prompter, mask="answer_text")
    with torch.no_grad():
        return float(model.answer_logprobs(batch).exp())


@pytest.mark.parametrize("made", FEW_FAST, ids=every)
def test_edits_delete_a_fact_merge_and_reload(taught: Model, samples: list[Sample], made: type[Method], tmp_path: Any) -> None:
    fact = samples[2]
    assert secret(taught, fact) > 0.9
    options = TrainOptions(learning_rate=0.3, steps=30, weight_decay=0.0, schedule="constant")
    done = unlearn(taught, forget=[fact], method=made(), options=options)
    assert secret(done, fact) < 0.5 * secret(taught, fact)
    items = encode_samples(samples[:6], taught.prompter)
    batch = collate(items, prompter=taught.prompter)
    with torch.no_grad():
        expected = done.answer_logits(batch)
        torch.testing.assert_close(copied(done).answer_logits(batch), expected, atol=1e-4, rtol=1e-4)
        taught.save(tmp_path / "start")
        done.network.peft_config["default"].base_model_name_or_path = str(tmp_path / "start")
        done.save(tmp_path / "edited")
        torch.testing.assert_close(load_model(tmp_path / "edited").answer_logits(batch), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fact_erasure", {"modules": []}, "modules is empty"),
        ("fact_erasure", {"retain_weight": -1.0}, "must not be negative"),
        ("fact_erasure", {"retain_loss": "kll"}, "did you mean 'kl'"),
        ("head_projection", {"k": 0}, "k = 0 must be at least 1"),
        ("head_projection", {"margin": -0.1}, "margin = -0.1 must not be negative"),
        ("max_entropy", {"layers": []}, "layers is empty"),
        ("input_rephrasing", {"prefixes": []}, "choose method fact_erasure"),
        ("input_rephrasing", {"prefixes": ["A. ", " "]}, "a prefix is empty"),
    ],
)
def test_wrong_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_method(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("head_projection", {"layers": [3, 9]}, "layer 9 does not exist; the model has layers 0 .embeddings. to 8"),
        ("max_entropy", {"layers": [1, 2]}, "layers 1, 2 lie below the edited layer 2.*name a layer from 3 to 8"),
        ("head_projection", {"k": 10**6}, "k = 1000000 leaves no other token"),
    ],
)
def test_layers_and_k_that_the_model_has_not(
    model: Model, samples: list[Sample], name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        unlearn(model, forget=samples[:1], method=load_method(name, **options))
