"""Facts trained in one batched pass come out as each does alone, whatever the groups, and what never changes is left out."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import unsee.models.lora
from toy import learn_by_heart, random_model, toy_samples
from unsee.answering.lens import strict_ranks
from unsee.editing import edit_each
from unsee.editing.fixed_layers import BlockPaths, Cut, Fixed, FixedLayers, possible_cuts
from unsee.editing.groups import Group
from unsee.editing.side_by_side import SideBySide, why_not_side_by_side
from unsee.editing.stacked_adapters import AdapterStack
from unsee.methods import BUILT_IN, Method, Scope, load_method
from unsee.methods.defence import Edit
from unsee.methods.losses import nll, pooled_nll
from unsee.models.batches import collate
from unsee.models.lens import Lens
from unsee.models.lora import attach, copied
from unsee.models.model import Model
from unsee.models.questions import encode_samples
from unsee.sample import Sample
from unsee.stopping import StopRule
from unsee.training import TrainReport
from unsee.training_options import TrainOptions

DEFENCES = [made for made in BUILT_IN if issubclass(made, Edit)]
CORRECTED = [made for made in DEFENCES if made.variant == "corrected"]
EXACT, CLOSE = 1e-8, 1e-3
SAMPLES = toy_samples()
FACTS = {"a": SAMPLES[:1], "b": SAMPLES[2:3], "c": SAMPLES[4:5], "d": SAMPLES[5:6]}
"""Two with a picture, two without; of several lengths."""
UNEVEN = {"a": SAMPLES[:1], "b": SAMPLES[2:5], "c": SAMPLES[5:7], "d": SAMPLES[10:11], "e": SAMPLES[11:15]}
RETAIN = SAMPLES[20:32]
OPTIONS = TrainOptions(learning_rate=5e-2, epochs=6, batch_size=16, weight_decay=0.01, warmup=0.2)
DOWN = "model.language_model.layers.2.mlp.down_proj"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def taught() -> Model:
    """Knows the facts, so that losses are of a usual size; tests leave it as it is."""
    model = random_model()
    learn_by_heart(model, encode_samples(SAMPLES[:15], model.prompter), steps=40)
    return model


@pytest.fixture(scope="module")
def exact(taught: Model) -> Model:
    """The same in double precision."""
    model = copied(taught)
    model.network.double()
    return model


@dataclass
class Outcome:
    """What an edit left."""

    weights: dict[str, Tensor]
    logprobs: Tensor
    lens: Tensor
    target: Tensor
    report: TrainReport


def outcomes(
    model: Model, method: Method, facts: Mapping[str, Sequence[Sample]], size: int, **given: Any
) -> dict[str, Outcome]:
    """Weights and scores after every edit: log-probabilities of answer tokens, and what every layer says of them."""
    given = {"options": OPTIONS, **given}
    batch = collate(encode_samples(SAMPLES[:20], model.prompter), prompter=model.prompter)
    found = {}
    for fact, edited, report in edit_each(model, method, facts, side_by_side=size, **given):
        weights = {name: weight.detach().clone() for name, weight in edited.network.named_parameters() if weight.requires_grad}
        with torch.no_grad():
            logits = edited.base(**batch.inputs).logits[batch.row, batch.position]
            logprobs = logits.log_softmax(-1).gather(1, batch.target[:, None])[:, 0]
            lens = Lens(edited).logits(batch, range(9)).log_softmax(-1)
        found[fact] = Outcome(weights, logprobs, lens, batch.target, report)
    assert list(found) == list(facts)
    return found


def assert_equal(found: Mapping[str, Outcome], expected: Mapping[str, Outcome], tolerance: float) -> None:
    """Weights and scores agree to `tolerance`, ranks except where scores lie that close together."""
    for fact, other in expected.items():
        one = found[fact]
        assert one.weights.keys() == other.weights.keys()
        for name, weight in one.weights.items():
            torch.testing.assert_close(weight, other.weights[name], atol=tolerance, rtol=0)
        torch.testing.assert_close(one.logprobs, other.logprobs, atol=tolerance, rtol=0)
        ranks, own = strict_ranks(one.lens, one.target), one.lens.gather(2, one.target.expand(9, -1)[:, :, None])
        near = ((one.lens - own).abs() <= max(tolerance, 1e-5)).sum(-1) - 1
        assert ((ranks - strict_ranks(other.lens, other.target)).abs() <= near).all() and (near == 0).float().mean() > 0.5
        for key in ("steps", "reason", "effective_batch", "trainable_weights", "tokens"):
            assert getattr(one.report, key) == getattr(other.report, key)
        assert one.report.terms == pytest.approx(other.report.terms, abs=1e-4)
        assert one.report.loss == pytest.approx(other.report.loss, abs=1e-4)


def settled(monkeypatch: pytest.MonkeyPatch) -> list[Cut | None]:
    """Where groups cut the network, from now on."""
    found: list[Cut | None] = []
    search = Group._found_cut

    def noted(self: Group, *sides: Any) -> Cut | None:
        found.append(search(self, *sides))
        return found[-1]

    monkeypatch.setattr(Group, "_found_cut", noted)
    return found


def every(made: type[Method]) -> str:
    return f"{made.name}-{made.variant}"


def also(*values: Any) -> Any:
    """A case that takes other ways through code which the cases beside it go through, too."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize("made", DEFENCES, ids=every)
def test_groups_equal_lone_facts_exactly(exact: Model, made: type[Method], monkeypatch: pytest.MonkeyPatch) -> None:
    """Three at once and a last group of one, by every defence: to 1e-8 in double precision."""
    cuts = settled(monkeypatch)
    expected = outcomes(exact, made(), FACTS, 1)
    assert not cuts
    assert_equal(outcomes(exact, made(), FACTS, 3), expected, EXACT)
    assert cuts == [Cut(3, DOWN, True)]
    moved = [value for one in expected.values() for name, value in one.weights.items() if "lora_B" in name]
    assert all(value.abs().max() > 1e-3 for value in moved)
    assert (expected["a"].logprobs - expected["b"].logprobs).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("fact_erasure", {}),
        also("error_injection", {"optimizer": "sgd", "learning_rate": 0.5, "max_grad_norm": None}),
        also("input_rephrasing", {"optimizer": "sgd", "learning_rate": 0.5, "batch_size": 2, "gradient_accumulation": 3}),
    ],
    ids=str,
)
def test_every_fact_stops_by_its_own_loss(
    exact: Model, name: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has stopped stays as it is while others go on, whatever the optimizer: to 1e-8 in double precision."""
    given: dict[str, Any] = {"options": replace(OPTIONS, epochs=12, **changes)}
    unstopped = outcomes(exact, load_method(name), FACTS, 1, **given)
    second, third = sorted(one.report.loss for one in unstopped.values())[1:3]
    given["stop"] = StopRule(loss_below=(second + third) / 2)
    expected = outcomes(exact, load_method(name), FACTS, 1, **given)
    reasons = {one.report.reason for one in expected.values()}
    assert reasons == {"loss_below", "finished"}
    cuts = settled(monkeypatch)
    for size in (4, 3):
        assert_equal(outcomes(exact, load_method(name), FACTS, size, **given), expected, EXACT)
    assert cuts, "facts were not trained side by side"
    for fact, one in expected.items():
        same = all(torch.equal(weight, unstopped[fact].weights[key]) for key, weight in one.weights.items())
        assert same == (one.report.reason == "finished")


@pytest.mark.parametrize("made", CORRECTED, ids=every)
def test_groups_equal_lone_facts_in_single_precision(taught: Model, made: type[Method]) -> None:
    assert_equal(outcomes(taught, made(), FACTS, 3), outcomes(taught, made(), FACTS, 1), CLOSE)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        also("fact_erasure", {"batch_size": 2}),
        ("fact_erasure", {"batch_size": 2, "gradient_accumulation": 2}),
        also("fact_erasure", {"pack": False}),
        # Adam makes steps of the rounding of gradients near zero, which rows of another length round otherwise.
        ("fact_erasure", {"max_row_tokens": 30, "optimizer": "sgd", "learning_rate": 0.5}),
        also("fact_erasure", {"steps": 5, "schedule": "cosine", "seed": 3}),
        ("input_rephrasing", {"batch_size": 5, "epochs": 3}),
        also("input_rephrasing", {"pack": False, "epochs": 3}),
    ],
    ids=str,
)
def test_facts_of_unequal_sizes(exact: Model, name: str, changes: dict[str, Any]) -> None:
    """One to four questions a fact, so that epochs have several steps, steps several batches, and groups are mixed."""
    options = replace(OPTIONS, **changes)
    found = outcomes(exact, load_method(name), UNEVEN, 3, options=options)
    assert_equal(found, outcomes(exact, load_method(name), UNEVEN, 1, options=options), EXACT)


@pytest.mark.parametrize(
    ("name", "retain_loss", "batch_size"),
    [
        ("fact_erasure", "kl", 5),
        ("head_projection", "nll", 16),
        also("fact_erasure", "kl", 16),
        also("fact_erasure", "nll", 5),
        also("fact_erasure", "nll", 16),
        also("head_projection", "kl", 5),
        also("head_projection", "kl", 16),
        also("head_projection", "nll", 5),
    ],
)
def test_retain_terms(exact: Model, name: str, retain_loss: str, batch_size: int) -> None:
    """Every fact is held by the same retain samples, alone or not; KL compares with the start model."""
    method = load_method(name, retain_weight=0.5, retain_loss=retain_loss)
    options = replace(OPTIONS, batch_size=batch_size)
    found = outcomes(exact, method, UNEVEN, 3, retain=RETAIN, options=options)
    assert found["a"].report.terms is not None and len(found["a"].report.terms) >= 2
    assert_equal(found, outcomes(exact, method, UNEVEN, 1, retain=RETAIN, options=options), EXACT)


@pytest.mark.parametrize(
    ("name", "scope", "expected"),
    [
        also("ga", Scope(rank=2), None),
        ("npo", Scope(modules="mlp-down", layers=(3, 5), rank=2), Cut(4, "model.language_model.layers.3.mlp.down_proj", True)),
        also("graddiff", Scope(modules="language", layers=(6,), rank=3), Cut(6, None, True)),
        also("idk", Scope(modules=("self_attn.o_proj",), layers=(4,), rank=1), Cut(4, None, True)),
        ("ga", Scope(modules="mlp-down", layers=(7,), rank=1), Cut(8, "model.language_model.layers.7.mlp.down_proj", False)),
    ],
)
def test_any_rank_and_layers(
    exact: Model, name: str, scope: Scope, expected: Cut | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also methods that are no defences, with the usual schedule of retain samples and with a reference."""
    cuts = settled(monkeypatch)
    given: dict[str, Any] = {"retain": RETAIN, "scope": scope}
    found = outcomes(exact, load_method(name), UNEVEN, 3, **given)
    assert cuts == [expected]
    assert_equal(found, outcomes(exact, load_method(name), UNEVEN, 1, **given), EXACT)


def test_gradients_are_clipped_per_fact(exact: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fact's large gradient must not shrink another's."""
    options = replace(OPTIONS, max_grad_norm=1e-3, steps=4)
    method = load_method("fact_erasure")
    expected = outcomes(exact, method, FACTS, 1, options=options)
    assert_equal(outcomes(exact, method, FACTS, 4, options=options), expected, EXACT)

    def clip_all(self: AdapterStack, max_norm: float) -> None:
        nn.utils.clip_grad_norm_(self.weights, max_norm)

    monkeypatch.setattr(AdapterStack, "clip", clip_all)
    with pytest.raises(AssertionError):
        assert_equal(outcomes(exact, method, FACTS, 4, options=options), expected, EXACT)
    monkeypatch.setattr(AdapterStack, "clip", lambda self, max_norm: None)
    with pytest.raises(AssertionError):
        assert_equal(outcomes(exact, method, FACTS, 4, options=options), expected, EXACT)


def test_clipping_by_hand() -> None:
    """Norms run over all tensors of a fact: (3, 4) has 5, (0.3, 0.4) has 0.5; the limit is 1."""
    stack = object.__new__(AdapterStack)
    down, up = nn.Parameter(torch.zeros(2, 1, 2)), nn.Parameter(torch.zeros(2, 2, 1))
    down.grad = torch.tensor([[[3.0, 0.0]], [[0.3, 0.0]]])
    up.grad = torch.tensor([[[0.0], [4.0]], [[0.4], [0.0]]])
    layer = type("Layer", (), {"down": down, "up": up})()
    stack.layers = {"one": layer}
    stack.clip(1.0)
    torch.testing.assert_close(down.grad, torch.tensor([[[0.6, 0.0]], [[0.3, 0.0]]]))
    torch.testing.assert_close(up.grad, torch.tensor([[[0.0], [0.8]], [[0.4], [0.0]]]))


# What is left out


def test_fixed_layers_run_once_a_fact(taught: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty more steps are twenty more passes of the upper blocks, and none of the vision tower and the lower blocks."""
    paths = ("model.vision_tower", *(f"model.language_model.layers.{path}" for path in ("1.mlp", "2.self_attn", "4.mlp")))
    seen: Counter[str] = Counter()
    put = unsee.models.lora.attach

    def counting(*args: Any, **kwargs: Any) -> Model:
        made = put(*args, **kwargs)
        for path in paths:
            made.base.get_submodule(path).register_forward_hook(lambda *_, path=path: seen.update([path]))
        return made

    monkeypatch.setattr("unsee.models.lora.attach", counting)
    counts = []
    for steps in (10, 30):
        seen.clear()
        options = replace(OPTIONS, steps=steps)
        assert len(list(edit_each(taught, "fact_erasure", FACTS, options=options, side_by_side=2))) == 4
        counts.append([seen[path] for path in paths])
    few, many = counts
    assert all(few) and [more - fewer for fewer, more in zip(few, many, strict=True)] == [0, 0, 0, 2 * 20]


def test_what_a_cut_leaves_out(exact: Model) -> None:
    """Blocks are counted from 0, what a lens reads from 1; only a lone edited layer can lie below the cut."""
    paths = BlockPaths.of(exact)
    assert paths.blocks[2] == "model.language_model.layers.2" and paths.last_mlp == "model.language_model.layers.7.mlp"
    assert (paths.block_of(DOWN), paths.block_of("model.vision_tower.encoder.layers.1.mlp.fc2")) == (2, None)

    def cuts(*edited: str, read: int) -> list[tuple[int, bool] | None]:
        found = possible_cuts(paths, [f"model.language_model.layers.{path}" for path in edited], read)
        return [cut and (cut.depth, cut.edited is not None) for cut in found if cut is None or cut.short_end]

    assert cuts("2.mlp.down_proj", read=8) == cuts("2.mlp.down_proj", read=3) == [(3, True), (2, False), None]
    assert cuts("2.mlp.down_proj", read=2) == [(2, False), None]
    assert cuts("2.mlp.down_proj", read=1) == [None]
    assert cuts("2.mlp.down_proj", "5.mlp.down_proj", read=8) == [(3, True), (2, False), None]
    assert cuts("2.mlp.down_proj", "2.mlp.up_proj", read=8) == [(2, False), None]
    assert cuts("0.mlp.down_proj", read=8) == [(1, True), None]
    assert cuts("0.mlp.down_proj", "0.mlp.up_proj", read=8) == [None]


@pytest.mark.parametrize("layers", [(0, 8), also((2, 3)), (1,), also((3, 8))])
def test_losses_that_read_lower_layers(exact: Model, layers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    cuts = settled(monkeypatch)
    method = load_method("max_entropy", layers=list(layers), layer=0 if layers == (1,) else None)
    assert_equal(outcomes(exact, method, FACTS, 2), outcomes(exact, method, FACTS, 1), EXACT)
    assert [cut and cut.depth for cut in cuts] == [{0: None, 2: 2, 1: 1, 3: 3}[min(layers)]]


def test_a_cut_that_says_something_else_is_not_used(exact: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the edited layer a network may do more than add it to the stream; the cut is put below it, or nowhere."""
    method = load_method("fact_erasure")
    expected = outcomes(exact, method, FACTS, 1)
    compute = FixedLayers.compute
    cuts = settled(monkeypatch)

    def wrong_stream(self: FixedLayers, inputs: Any, cut: Cut) -> Fixed:
        made = compute(self, inputs, cut)
        return made if cut.edited is None else made._replace(stream=made.stream * 1.05)

    monkeypatch.setattr(FixedLayers, "compute", wrong_stream)
    assert_equal(outcomes(exact, method, FACTS, 3), expected, EXACT)
    assert cuts == [Cut(2, None, True)]

    def asks_for_ids(self: FixedLayers, inputs: Any, cut: Cut) -> Fixed:
        raise TypeError("input_ids is missing")

    monkeypatch.setattr(FixedLayers, "compute", asks_for_ids)
    assert_equal(outcomes(exact, method, FACTS, 3), expected, EXACT)
    assert cuts[1:] == [None]
    monkeypatch.setattr(FixedLayers, "compute", compute)
    counted_only = FixedLayers._counted_only

    def wrong_end(self: FixedLayers, forward: Any) -> Any:
        run = counted_only(self, forward)
        return lambda x: run(x) * (2 if self._stack.rows and self._stack.rows.cut and self._stack.rows.cut.short_end else 1)

    monkeypatch.setattr(FixedLayers, "_counted_only", wrong_end)
    assert_equal(outcomes(exact, method, FACTS, 3), expected, EXACT)
    assert cuts[2:] == [Cut(3, DOWN, False)]


def other_family(kind: str, **options: int) -> Model:
    """A LLaVA around another kind of decoder, with fresh weights."""
    import transformers

    like = random_model()
    config = copy.deepcopy(like.network.config)
    size = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 4096}
    config.text_config = getattr(transformers, kind)(**size, **options, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    torch.manual_seed(0)
    return Model(transformers.LlavaForConditionalGeneration(config).eval(), like.processor, name=kind)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        # A norm behind the MLP, so that its output is not what the block adds.
        ("Gemma3TextConfig", {"intermediate_size": 48, "head_dim": 16, "num_key_value_heads": 2}, [(1, None, True)]),
        # MLP and attention beside each other.
        ("PhiConfig", {"intermediate_size": 48}, [(2, "model.language_model.layers.1.mlp.fc2", True)]),
        # Experts get tokens without rows.
        (
            "Qwen2MoeConfig",
            {
                "moe_intermediate_size": 16,
                "shared_expert_intermediate_size": 24,
                "num_experts": 2,
                "num_experts_per_tok": 1,
                "num_key_value_heads": 2,
            },
            [],
        ),
    ],
)
def test_other_kinds_of_decoders(
    kind: str, options: dict[str, int], expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = settled(monkeypatch)
    given: dict[str, Any] = {"scope": Scope(modules="mlp-down", layers=(1,), rank=1), "options": OPTIONS}

    def adapters(size: int) -> list[Tensor]:
        edits = edit_each(other_family(kind, **options), "ga", FACTS, side_by_side=size, **given)
        return [
            weight.detach().clone() for _, edited, _ in edits for weight in edited.network.parameters() if weight.requires_grad
        ]

    together, alone = adapters(3), adapters(1)
    assert cuts == expected and len(together) == len(alone) == 8
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


# Who is left alone

LORA = Scope(modules="mlp-down", layers=(2,), rank=1)


@dataclass(frozen=True)
class Pooled(Method):
    """A loss whose values depend on what else is in the batch."""

    name: ClassVar[str] = "pooled"

    def loss(self, model: Any, reference: Any, forget: Any, retain: Any) -> dict[str, Tensor]:
        return {"forget": -pooled_nll(model, forget)}


def test_values_that_depend_on_other_samples_are_noticed(exact: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fact is then trained alone."""
    facts = {fact: UNEVEN[fact] for fact in "bcde"}
    given: dict[str, Any] = {"scope": LORA, "options": replace(OPTIONS, loss_mask="answer_and_question")}
    expected = outcomes(exact, Pooled(), facts, 1, **given)
    cuts = settled(monkeypatch)
    assert_equal(outcomes(exact, Pooled(), facts, 4, **given), expected, EXACT)
    assert not cuts
    # Also where the first group holds one fact, because no other takes as many steps.
    given["options"] = replace(given["options"], batch_size=1, epochs=2)
    facts = {fact: UNEVEN[fact] for fact in "cbe"} | {"f": SAMPLES[5:8]}
    expected = outcomes(exact, Pooled(), facts, 1, **given)
    del cuts[:]
    assert_equal(outcomes(exact, Pooled(), facts, 4, **given), expected, EXACT)
    assert len(cuts) == 1


@dataclass(frozen=True)
class Masked(Method):
    """Has a hook that looks at gradients."""

    name: ClassVar[str] = "masked"

    def loss(self, model: Any, reference: Any, forget: Any, retain: Any) -> dict[str, Tensor]:
        return {"forget": -nll(model, forget)}

    def after_backward(self, model: Model) -> None:
        for weight in model.network.parameters():
            if weight.grad is not None:
                weight.grad[0] = 0


@pytest.mark.parametrize(
    ("method", "scope", "reason"),
    [
        (load_method("fact_erasure"), None, None),
        (load_method("do_nothing"), None, None),
        (load_method("fact_erasure", rank=None), None, "what is trained is not LoRA alone"),
        (load_method("fact_erasure", modules="model.vision_tower.encoder.layers.1.mlp.fc2"), None, "lies outside the decoder"),
        (load_method("npo", "official"), LORA, "compares with a model tuned on the retain set"),
        (load_method("prompt_guard"), None, "acts while the model answers"),
        (Masked(), LORA, "has a hook after_backward of its own"),
    ],
)
def test_who_is_trained_alone(exact: Model, method: Method, scope: Scope | None, reason: str | None) -> None:
    found = why_not_side_by_side(attach(exact, method.scope or scope or Scope()), method)
    assert found == reason or (reason is not None and found is not None and reason in found)


def test_networks_whose_facts_are_trained_alone(model: Model) -> None:
    method = load_method("fact_erasure")
    made = attach(model, method.scope)
    assert why_not_side_by_side(made, method) is None
    text = made.base.config.get_text_config()
    text.attention_dropout = 0.1
    assert why_not_side_by_side(made, method) == "the network has dropout"
    text.attention_dropout = 0.0
    made.base.get_decoder().gradient_checkpointing = True
    assert why_not_side_by_side(made, method) == "gradient checkpointing is on"
    made.base.get_decoder().gradient_checkpointing = False
    made.base.lm_head.register_forward_hook(lambda module, args, output: 0.5 * output if output.dim() == 3 else output)
    assert "cannot be read layer by layer" in str(why_not_side_by_side(made, method))


@pytest.mark.parametrize(("method", "scope"), [(Masked(), LORA), (load_method("fact_erasure", rank=None), None)])
def test_what_cannot_be_done_side_by_side_is_done_one_by_one(
    model: Model, method: Method, scope: Scope | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = outcomes(model, method, FACTS, 1, scope=scope)
    monkeypatch.setattr(SideBySide, "edit", None)
    assert_equal(outcomes(model, method, FACTS, 3, scope=scope), expected, 0)


def test_half_precision(taught: Model) -> None:
    """Nothing is promised to the last digit; facts are neither refused nor mixed up."""
    options = replace(OPTIONS, precision="bf16")
    method = load_method("fact_erasure")
    together, alone = (outcomes(taught, method, FACTS, size, options=options) for size in (4, 1))
    start = outcomes(taught, load_method("do_nothing"), FACTS, 1, options=options)
    for fact, one in together.items():
        moved = (alone[fact].logprobs - start[fact].logprobs).norm()
        assert (one.logprobs - alone[fact].logprobs).norm() < 0.2 * moved
