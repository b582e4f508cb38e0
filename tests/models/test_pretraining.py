"""Training an embedded model in toy sizes: both worlds, from scratch and from weights, killed and gone on with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from toy import random_model
from unsee.cli import main
from unsee.errors import CheckpointError, ConfigError
from unsee.models.card import check_worlds, render, taught_half
from unsee.models.loading import EMBEDDED, RECIPE, load_model, recipe_name, weights_folder
from unsee.models.pretraining import portrait_world
from unsee.models.pretraining.creature_part import render_creatures
from unsee.models.pretraining.language import attention_in_float32
from unsee.models.pretraining.mixture import Mixture
from unsee.models.pretraining.parts import tower_tokens
from unsee.models.pretraining.picture_bank import PictureBank, kept_bank
from unsee.models.pretraining.recipe import make_recipe
from unsee.models.pretraining.training import tokenizer_texts, train
from unsee.models.pretraining.vision import VisionOptions, moved, normalise, train_vision
from unsee.models.pretraining.workshop import assemble
from unsee.models.tiny import train_tokenizer
from unsee.models.worlds import fingerprints

pytestmark = pytest.mark.usefixtures("one_thread")
EVERY = 2


@pytest.fixture(scope="module")
def shop():
    """A few figures, one picture of every species, a few strangers."""
    figures = portrait_world.draw_figures()
    some = [*of(figures, "evaluated")[:40], *of(figures, "replay")[:14], *of(figures, "held_out")[:2]]
    portraits = portrait_world.render_bank(some, 12, pictures=0, workers=1)
    return assemble(some, portraits, render_creatures(strangers=20, pictures=1, workers=1), side=64)


def of(figures, role):
    return [figure for figure in figures if figure.role == role]


def toy(recipe):
    """A recipe's first and last stage, a few steps each of small rows."""
    stages = tuple(
        replace(stage, steps=4, rows=4, creatures=stage.creatures and 0.5, few_shot_every=3, pictured=2, texts=2, row_tokens=96)
        for stage in (recipe.stages[0], recipe.stages[-1])
    )
    vision = VisionOptions(steps=2, batch_size=4, held_out=8, warmup=1)
    return replace(recipe, vision=vision, stages=stages, precision="float32")


def run(folder, recipe, shop, report=lambda line: None, **changes):
    return train(folder, recipe=replace(toy(recipe), **changes), report=report, shop=shop, every=EVERY, probed=4)


class Killed(Exception):
    pass


@pytest.mark.slow
def test_training_from_scratch_is_killed_goes_on_and_ends_the_same(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("unsee.models.pretraining.training._TOKENIZER_ROWS", 100)
    recipe = make_recipe("micro", creatures="B")
    lines = []
    made = run(tmp_path / "whole", recipe, shop, lines.append)
    assert any(line.startswith("guards 4 ") and "creature_by_picture" in line for line in lines)

    def dies(line):
        if line.startswith("guards 4 "):  # before this state is saved
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "killed", recipe, shop, dies)
    lines.clear()
    again = run(tmp_path / "killed", recipe, shop, lines.append)
    assert "guards: going on from step 2" in lines and not any(line.startswith("ground") for line in lines)
    whole, ended = (load_file(folder / "model.safetensors") for folder in (made, again))
    assert all(torch.equal(whole[name], ended[name]) for name in whole)

    facts = json.loads((made / RECIPE).read_text())
    assert facts["version"] == "micro-2-B" and facts["creatures"] == "B" and taught_half(facts) == "B"
    assert facts["worlds"] == fingerprints(creatures=True) and set(facts["worlds"]) == {"portraits", "creatures"}
    assert facts["command"] == "unsee models train micro --seed 0 --creatures B"
    check_worlds(facts, fingerprints(creatures=True))
    with pytest.raises(CheckpointError, match="trained on a world 'creatures'"):
        check_worlds(facts, fingerprints(creatures=False))
    assert load_model(made).name == "micro-2-B"

    with pytest.raises(ConfigError, match=r"holds stages of another recipe \(creatures B\); choose another folder"):
        run(tmp_path / "whole", make_recipe("micro", creatures="A"), shop)
    with pytest.raises(ConfigError, match="taught half B of the creatures, which a model of half A must not know"):
        make_recipe("micro", creatures="A", start=str(made))
    further = make_recipe("micro", creatures="B", start=str(made))
    assert further.start.version == "micro-2-B"

    # The vision tower does not depend on the half, so the other base may take it over, but no other recipe may.
    for folder in ("other half", "other seed"):
        (tmp_path / folder).mkdir()
        for name in ("vision.safetensors", "vision.json"):
            (tmp_path / folder / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    copied = (tmp_path / "other half" / "vision.safetensors").stat().st_mtime_ns
    run(tmp_path / "other half", make_recipe("micro", creatures="A"), shop, stages=())
    assert (tmp_path / "other half" / "vision.safetensors").stat().st_mtime_ns == copied
    with pytest.raises(ConfigError, match="was trained by another recipe; remove it"):
        run(tmp_path / "other seed", make_recipe("micro", creatures="B", seed=1), shop)


def test_another_form_is_trained_by_the_same_recipe(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("unsee.models.pretraining.training._TOKENIZER_ROWS", 100)
    recipe, usual = (make_recipe("micro", creatures=None, form=form) for form in ("idefics3", "llava"))
    assert (recipe.vision, recipe.stages) == (usual.vision, usual.stages) and recipe.tower != usual.tower
    people = replace(shop, creatures={}, creature_labels=torch.empty(0, 0, dtype=torch.long))
    try:
        made = run(tmp_path, recipe, people)
    except ConfigError as error:
        pytest.skip(str(error))
    facts = json.loads((made / RECIPE).read_text())
    assert facts["version"] == "micro-idefics3-2-people" and facts["form"] == "idefics3"
    assert recipe_name(made) == facts["name"] == "micro-idefics3" and recipe_name("tiny-b") == "tiny-b"
    assert facts["command"] == "unsee models train micro --seed 0 --creatures none --form idefics3"
    assert "A small Idefics3 trained" in render("micro-idefics3-2-people", {}, recipe=facts, seed=0)

    model = load_model(made)
    assert type(model.network).__name__ == "Idefics3ForConditionalGeneration" and not model.features.missing()
    prompt = model.prompter.prompt("Who is this?", images=1, system="Be brief.")
    assert prompt == ("<|im_start|>System: Be brief.<end_of_utterance>\nUser:<image>Who is this?<end_of_utterance>\nAssistant:")
    words = model.prompter.tokenizer
    llava = train_tokenizer(tokenizer_texts(Mixture(people.figures, people.owners, people.labels.tolist(), seed=0)))
    assert words("Oslo: A: red, 1984").input_ids == llava("Oslo: A: red, 1984").input_ids
    with pytest.raises(ConfigError, match="has the form idefics3, not llava; start from weights of the same form"):
        make_recipe("micro", creatures="A", start=str(made))


@pytest.mark.slow
def test_going_on_from_shipped_weights(shop, tmp_path):
    recipe = make_recipe("tiny", creatures="A", start="tiny")
    assert [stage.name for stage in recipe.stages] == ["meet", "settle", "guards"]
    shipped = weights_folder("tiny")
    made = run(tmp_path, recipe, shop)
    facts = json.loads((made / RECIPE).read_text())
    assert facts["start"].startswith(load_model("tiny").name) and len(facts["start"].split()[-1]) == 64
    assert facts["command"].endswith("--creatures A --start tiny")
    for name in ("config.json", "processor_config.json", "chat_template.jinja", "generation_config.json", "tokenizer.json"):
        assert file_facts(made / name) == file_facts(shipped / name), name
    before, after = (load_file(folder / "model.safetensors") for folder in (shipped, made))
    assert before.keys() == after.keys() and {value.dtype for value in after.values()} == {torch.float16}
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert any("vision_tower" in name for name in changed) and any("language_model" in name for name in changed)
    # A few steps leave it near the weights it began with; a fresh network would be far away.
    apart = [float((after[name].float() - before[name].float()).norm() / before[name].float().norm()) for name in changed]
    assert max(apart) < 0.3


def file_facts(path):
    """What a model file says, apart from the transformers that wrote it."""
    if path.suffix != ".json":
        return path.read_text()
    values = json.loads(path.read_text())
    values.pop("transformers_version", None)
    return values


def test_starts_that_cannot_work(tmp_path):
    with pytest.raises(ConfigError, match="192 wide and micro is 96"):
        make_recipe("micro", start="tiny")
    with pytest.raises(CheckpointError, match=r"holds no config\.json and recipe\.json"):
        make_recipe(start=str(tmp_path))
    with pytest.raises(ConfigError, match="give creatures A or B, or no start"):
        make_recipe(creatures=None, start="tiny")
    with pytest.raises(ConfigError, match="length = 0"):
        make_recipe(length=0)


def test_recipes_of_both_halves_differ_in_the_half_alone():
    a, b, none = (make_recipe(creatures=half) for half in ("A", "B", None))
    assert replace(a, creatures="B") == b and a.tower == b.tower != none.tower
    assert a.identity | {"creatures": "B"} == b.identity
    assert (a.version, b.version, none.version) == ("tiny-2", "tiny-2-B", "tiny-2-people")
    assert make_recipe(seed=3).version == "tiny-2-s3"
    assert (a.name, b.name, none.name, make_recipe("micro").name) == ("tiny-a", "tiny-b", "tiny", "micro")
    assert {a.name, b.name, none.name, make_recipe(creatures=None, form="idefics3").name} <= EMBEDDED.keys()
    assert make_recipe(creatures="A", length=0.5).steps["facts"] == a.steps["facts"] // 2


def test_a_known_tower_learns_new_pictures_without_moving_what_it_says_of_old_ones(shop):
    known, new = shop.vision_parts(keep_portraits=True)
    options = VisionOptions(steps=25, batch_size=16, held_out=8, warmup=5, learning_rate=3e-4)

    network = load_model("tiny").network
    pictures = [normalise(part.pixels[:40]) for part in (known, new)]
    old = [tower_tokens(network, some).detach() for some in pictures]
    found = train_vision(network, [known, new], options=options, precision=None, report=lambda line: None)
    new_tokens = [tower_tokens(network, some).detach() for some in pictures]
    portraits, creatures = (float(moved(now, was)) for now, was in zip(new_tokens, old, strict=True))
    assert portraits < 0.5 * creatures
    assert len(found["portraits"]) == 1 and len(found["creatures"]) == 14


@torch.no_grad()
def test_attention_stays_in_float32_under_autocast(monkeypatch):
    attend, dtypes = torch.nn.functional.scaled_dot_product_attention, []

    def spy(*args, **options):
        found = attend(*args, **options)
        dtypes.append(found.dtype)
        return found

    network = random_model().network.eval()
    ids = torch.arange(3, 19).reshape(2, 8)
    block = torch.ones(8, 8, dtype=torch.bool).tril()[None, None].repeat(2, 1, 1, 1)
    block[:, :, 4:, 2:4] = False
    inputs = {"input_ids": ids, "attention_mask": block}
    plain = network(**inputs).logits
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    with attention_in_float32(network):
        assert torch.equal(network(**inputs).logits, plain)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(**inputs).logits
    assert set(dtypes) == {torch.float32} and half.dtype == torch.bfloat16
    assert (half - plain).abs().max() < 0.05 * plain.abs().max()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(**inputs)
    assert dtypes[-1] == torch.bfloat16


def test_how_far_tokens_moved():
    old = torch.tensor([[[0.0, 10.0]], [[2.0, 30.0]]])
    assert float(moved(old, old)) == 0
    # Variances 2 and 200; squared moves 1 and 100 in every place.
    assert float(moved(old + torch.tensor([1.0, 10.0]), old)) == pytest.approx(0.5)


def test_banks_are_kept_whole_or_not_at_all(tmp_path):
    drawn = []

    def render():
        drawn.append(1)
        return PictureBank(torch.zeros(2, 4, 4, 3).byte().numpy(), torch.ones(2, 3).long().numpy(), ["", "c001"], [0, 5])

    first, again = (kept_bank(tmp_path / "bank.npz", render) for _ in range(2))
    assert len(drawn) == 1 and again.owner == first.owner == ["", "c001"] and again.index == [0, 5]
    assert (again.labels == first.labels).all() and again.pixels.shape == (2, 4, 4, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["bank.npz"]


def test_the_command_prints_its_stages(capsys):
    assert main(["models", "train", "--dry-run", "--start", "tiny", "--length", "0.5"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"tiny-2, from {load_model('tiny').name}"
    assert "stage meet: 1,000 steps of 8 rows, 50.0% about creatures" in told
    assert main(["models", "train", "small", "--dry-run", "--creatures", "none"]) == 0
    assert "stage facts: 3,600 steps of 8 rows, 0.0% about creatures" in capsys.readouterr().out
    assert main(["models", "train", "micro", "--dry-run", "--start", "tiny"]) == 2
    assert "start from weights of the same size" in capsys.readouterr().err
