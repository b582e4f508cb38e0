"""Each family learns and unlearns: what a scope names moves and nothing else, by every method; checkpoints are plain ones."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import unsee
from builders import FAMILIES
from run_fixtures import write_people
from unsee.answering import answer
from unsee.editing import edit_each
from unsee.editing.side_by_side import SideBySide
from unsee.errors import ConfigError
from unsee.learning import LearnOptions, learn
from unsee.methods import BUILT_IN, Method, Scope
from unsee.models.batches import collate
from unsee.models.lora import attach, linear_paths, trainable_names
from unsee.models.model import Model, per_conversation
from unsee.models.questions import encode_samples
from unsee.sample import Sample
from unsee.training import train
from unsee.training_options import TrainOptions
from unsee.unlearning import chosen_scope, unlearn_with_report

WITHOUT_STEPS = {"do_nothing", "prompt_guard"}
PARTS = ("language", "projector", "vision", "all-linear")


@dataclass(frozen=True)
class KeepStep(Method):
    """Gradient ascent that writes down what its first step saw and the gradients it got."""

    name: ClassVar[str] = "keep_step"
    needs: ClassVar[frozenset[str]] = frozenset({"forget"})
    seen: list[Any]

    def loss(self, model: Any, reference: Any, forget: Any, retain: Any) -> dict[str, torch.Tensor]:
        logprobs = model.token_logprobs(forget)
        self.seen.append((len(forget.inputs["input_ids"]), logprobs.detach()))
        return {"forget": per_conversation(logprobs, forget)}

    def after_backward(self, model: Any) -> None:
        self.seen.append(torch.cat([weight.grad.flatten() for weight in model.network.parameters() if weight.grad is not None]))


def weights(model: Model) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.network.named_parameters()}


def changed(before: dict[str, torch.Tensor], model: Model) -> set[str]:
    return {name for name, weight in model.network.named_parameters() if not torch.equal(before[name], weight)}


@pytest.mark.parametrize("made", BUILT_IN, ids=lambda made: f"{made.name}-{made.variant}")
def test_one_step_moves_what_the_scope_names(model: Model, shown: list[Sample], made: type[Method]) -> None:
    # By default its hinge is flat where the answer is not among the 100 likeliest tokens.
    method = made(k=395) if (made.name, made.variant) == ("head_projection", "official") else made()
    forget = [s for s in shown if s.set == "forget"][:2]
    retain = [s for s in shown if s.set == "retain"][:2]
    options = TrainOptions(**{**method.training, "steps": 1, "batch_size": 2, "learning_rate": 1e-2, "weight_decay": 0.01})
    start = attach(model, chosen_scope(method, None))
    # The same adapters as `unlearn` makes of the same seed.
    before, movable = weights(start), set(trainable_names(start))
    own = {name: weight.clone() for name, weight in model.network.named_parameters()}
    needs = method.reference == "retain_tuned"
    done = unlearn_with_report(
        model, forget=forget, retain=retain, method=method, options=options, reference_model=model if needs else None
    )
    assert done.report.steps == (0 if made.name in WITHOUT_STEPS else 1)
    moved = changed(before, done.model)
    assert moved == (set() if made.name in WITHOUT_STEPS else movable)
    assert all(torch.equal(own[name], weight) for name, weight in model.network.named_parameters()), "the given model stays"


def first_gradients(model: Model, samples: list[Sample], *, pack: bool) -> tuple[int, torch.Tensor, torch.Tensor]:
    """(rows of the forget batch, log-probabilities of its tokens, gradients), from one step of the loop."""
    start = attach(model, Scope(modules="all-linear", rank=2))
    for name, weight in start.network.named_parameters():
        if "lora_B" in name:  # which is 0, so that no gradient would reach the other half
            torch.nn.init.normal_(weight, std=0.02, generator=torch.Generator().manual_seed(len(name)))
    keep = KeepStep(seen=[])
    options = TrainOptions(steps=1, batch_size=len(samples), max_grad_norm=None, pack=pack, questions_per_picture=4)
    train(start, keep, forget=samples, options=options)
    rows, logprobs = keep.seen[0]
    return rows, logprobs, keep.seen[1]


def test_a_packed_step_is_a_plain_step(family: str, model: Model, shown: list[Sample]) -> None:
    """Log-probabilities and gradients of vision tower, projector and decoder; the rest falls back to plain rows."""
    asked = [replace(s, id=f"{s.id}/{word}", answer=word) for s in shown[:6] if s.images for word in (s.answer, "a red owl")]
    shares = "shared_prefix" not in FAMILIES[family].missing
    with nullcontext() if shares else warnings.catch_warnings(action="ignore"):
        (packed, *ours), (plain, *theirs) = (first_gradients(model, asked, pack=pack) for pack in (True, False))
    assert plain == len(asked) and (packed < plain if shares else packed == plain)
    for one, other in zip(ours, theirs, strict=True):
        assert one.isfinite().all() and other.abs().max() > 0
        assert (one - other).norm() <= 1e-4 * other.norm()


def paths_of(model: Model) -> dict[str, list[str]]:
    parts = [part for part in PARTS if part.replace("-", "_") not in model.features.missing()]
    return {part: linear_paths(model, Scope(modules=part)) for part in parts}


def test_scopes_do_not_overlap(model: Model) -> None:
    """A short name such as q_proj stands in decoder and vision tower alike; paths keep them apart."""
    paths = paths_of(model)
    language, vision = set(paths["language"]), set(paths["vision"])
    projector = set(paths.get("projector", ()))
    assert language and vision
    assert not language & vision and not language & projector and not vision & projector
    assert language | vision | projector == set(paths["all-linear"])
    decoder = next(name for name, module in model.base.named_modules() if module is model.base.get_decoder())
    assert all(path.startswith(f"{decoder}.") for path in language)
    assert not any(path.startswith(f"{decoder}.") for path in vision | projector)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("rank", [2, None])
def test_a_part_is_trained_alone(model: Model, shown: list[Sample], part: str, rank: int | None) -> None:
    """LoRA and full fine-tuning of each part."""
    scope = Scope(modules=part, rank=rank)
    if rank is not None and part in model.features.missing():
        with pytest.raises(ConfigError, match="no linear layer"):
            attach(model, scope)
        return
    start = attach(model, scope)
    before, movable = weights(start), set(trainable_names(start))
    done = unlearn_with_report(
        model,
        forget=shown[:2],
        retain=(),
        method="ga",
        options=TrainOptions(steps=1, batch_size=2, learning_rate=1e-2),
        scope=scope,
    )
    moved = changed(before, done.model)
    assert moved and moved <= movable
    if rank is not None:
        paths = linear_paths(model, scope)
        assert {name.partition(".lora_")[0].removeprefix("base_model.model.") for name in movable} == set(paths)


@torch.no_grad()
def logits(network: torch.nn.Module, model: Model, shown: list[Sample]) -> torch.Tensor:
    items = encode_samples(shown[:3], model.prompter)
    return network(**collate(items, prompter=model.prompter, pack=False).inputs).logits


def test_saved_weights_load_in_plain_transformers(model: Model, shown: list[Sample], tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model.save(tmp_path / "whole")
    network = AutoModelForImageTextToText.from_pretrained(tmp_path / "whole", dtype="float32").eval()
    expected = logits(model.network, model, shown)
    assert torch.equal(logits(network, model, shown), expected)
    assert torch.equal(logits(unsee.load_model(tmp_path / "whole").network, model, shown), expected)
    processor = AutoProcessor.from_pretrained(tmp_path / "whole")
    assert type(processor) is type(model.processor)
    again = Model(network, processor).prompter.encode("What?", "tea", images=shown[0].images)
    assert again == model.prompter.encode("What?", "tea", images=shown[0].images)


def test_a_saved_adapter_loads_in_plain_peft(model: Model, shown: list[Sample], tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    options = TrainOptions(steps=1, batch_size=2, learning_rate=1e-2)
    made = unlearn_with_report(model, forget=shown[:2], method="ga", options=options).model
    made.save(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    base = AutoModelForImageTextToText.from_pretrained(config["base_model_name_or_path"], dtype="float32")
    network = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    expected = logits(made.network, model, shown)
    assert torch.equal(logits(network, model, shown), expected)
    assert not torch.equal(logits(model.network, model, shown), expected)


def test_learn_and_answer_end_to_end(model: Model, tmp_path: Path) -> None:
    """From a model folder and a benchmark folder to records, with a cached reference on the way."""
    model.save(tmp_path / "model")
    write_people(tmp_path / "people")
    loaded = unsee.load_model(tmp_path / "model")
    benchmark = unsee.load_benchmark(tmp_path / "people")
    options = LearnOptions(epochs=3, replay=0.0, batch_size=8, learning_rate=1e-2, precision="fp32")
    log = tmp_path / "train.jsonl"
    vanilla = learn(loaded, benchmark, options=options, log=log)
    losses = [json.loads(line)["loss"] for line in log.read_text().splitlines()]
    assert losses[-1] < 0.7 * losses[0]
    forget = benchmark.training(set="forget", ratio=0.25)[:2]
    retain = benchmark.training(set="retain", ratio=0.25)[:2]
    scope = Scope(rank=None)  # no adapter to switch off, so the reference is cached
    steps = TrainOptions(steps=2, batch_size=2, learning_rate=1e-3)
    forgetful = unsee.unlearn(vanilla, forget=forget, retain=retain, method="kl", options=steps, scope=scope)
    asked = benchmark.samples(ratio=0.25)[:6]
    before, after = (answer(one, asked, max_new_tokens=4)["answer_logprob_mean"].drop_nulls() for one in (vanilla, forgetful))
    assert before.len() == after.len() > 0 and not before.equals(after)
    shutil.rmtree(tmp_path / "model")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen2_vl", "qwen3_vl", "gemma3", "idefics3"])
def test_facts_edited_side_by_side_are_edited_alone(
    fresh: Callable[[str], Model], name: str, shown: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts with pictures of several sizes, in double precision: the same adapters to 1e-8, whatever places and masks are."""
    model = fresh(name)
    model.network.double()
    facts = {sample.id: [sample] for sample in shown[:4]}
    assert {bool(sample.images) for sample in shown[:4]} == {True, False}
    options = TrainOptions(learning_rate=5e-2, epochs=4, batch_size=4)

    def edited(size: int) -> list[dict[str, torch.Tensor]]:
        made = edit_each(model, "fact_erasure", facts, options=options, side_by_side=size)
        return [{name: weights(one.model)[name].clone() for name in trainable_names(one.model)} for one in made]

    groups: list[Any] = []
    real = SideBySide.edit
    monkeypatch.setattr(SideBySide, "edit", lambda self, fact: groups.append(real(self, fact)) or groups[-1])
    together = edited(4)
    assert len(groups) == 4 and None not in groups, "a group that does not hold is edited one by one"
    for one, other in zip(together, edited(1), strict=True):
        assert one.keys() == other.keys() and any(weight.abs().max() > 1e-3 for weight in one.values())
        for path, weight in one.items():
            torch.testing.assert_close(weight, other[path], atol=1e-8, rtol=0)
