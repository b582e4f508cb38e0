"""Each family learns and unlearns: what a scope names moves and nothing else, by every method; checkpoints are plain ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import unsee
from run_fixtures import write_people
from unsee.answering import answer
from unsee.errors import ConfigError
from unsee.learning import LearnOptions, learn
from unsee.methods import BUILT_IN, Method, Scope
from unsee.models.batches import collate
from unsee.models.lora import attach, linear_paths, trainable_names
from unsee.models.model import Model
from unsee.models.questions import encode_samples
from unsee.sample import Sample
from unsee.training_options import TrainOptions
from unsee.unlearning import chosen_scope, unlearn_with_report

WITHOUT_STEPS = {"do_nothing", "prompt_guard"}
PARTS = ("language", "projector", "vision", "all-linear")


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
