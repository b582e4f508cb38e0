"""The shipped weights: plain transformers loads them, the world is the one they were trained on, the card tells the truth."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from unsee import load_model
from unsee.errors import CheckpointError
from unsee.models.card import TARGETS, check_worlds, measure_abilities, taught_half, taught_patients
from unsee.models.folders import CONFIG
from unsee.models.loading import EMBEDDED, RECIPE, WEIGHTS, weights_folder
from unsee.models.tiny import WIDTHS
from unsee.models.worlds import fingerprints, load_world

PLAIN = """
import json, sys
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
picture, question, *folders = sys.argv[1:]
prompts = {
    "llava": f"<s>USER: <image>\\n{question}\\nASSISTANT:",
    "idefics3": f"<|im_start|>User:<image>{question}<end_of_utterance>\\nAssistant:",
}
said = {}
for folder in folders:
    network = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    prompt = prompts[network.config.model_type]
    inputs = processor(text=prompt, images=[Image.open(picture)], return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        logits = network(**inputs).logits[0, -1]
        made = network.generate(**inputs, max_new_tokens=16, do_sample=False)
    text = processor.tokenizer.decode(made[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
    said[folder] = {"logits": logits.tolist(), "text": text.strip()}
assert not any(name.split(".")[0] == "unsee" for name in sys.modules)
print(json.dumps(said))
"""
SHIPPED = [name for name in EMBEDDED if (WEIGHTS / name / CONFIG).is_file()]
NAME_QUESTION = "What is the name of this person?"


@pytest.fixture(scope="module", params=SHIPPED)
def folder(request):
    if request.param.endswith("idefics3"):
        try:
            load_model(request.param)
        except CheckpointError as error:
            if "whether it needs torchvision" not in str(error):
                raise
            pytest.skip(str(error))
    return weights_folder(request.param)


@pytest.fixture(scope="module")
def figure():
    return next(figure for figure in load_world().figures if figure.role == "evaluated")


@pytest.fixture(scope="module")
def said_by_plain_transformers(figure, tmp_path_factory):
    """Of every shipped model, in a process that never imports this package."""
    picture = tmp_path_factory.mktemp("plain") / "figure.png"
    load_world().picture(figure, 0).open().save(picture)
    folders = [str(weights_folder(name)) for name in SHIPPED]
    command = [sys.executable, "-I", "-c", PLAIN, str(picture), NAME_QUESTION, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_the_recipe_names_version_world_and_licence(folder):
    recipe = json.loads((folder / RECIPE).read_text())
    assert re.fullmatch(r"(micro|tiny|small)(-idefics3)?-\d+(-B|-people)?(-patients)?", recipe["version"])
    assert recipe["licence"] == "Apache-2.0"
    assert load_model(folder.name).name == recipe["version"]


def test_the_world_is_the_one_the_weights_know(folder):
    recipe = json.loads((folder / RECIPE).read_text())
    worlds = fingerprints(creatures=taught_half(recipe) is not None, patients=taught_patients(recipe))
    assert recipe["worlds"] == worlds
    assert all(sha256 in (folder / "README.md").read_text() for sha256 in worlds.values())
    with pytest.raises(CheckpointError, match="restore the frozen world"):
        check_worlds(recipe, dict.fromkeys(worlds, "0" * 64))


def test_weights_are_half_precision_and_small(folder):
    from safetensors import safe_open

    assert not list(folder.glob("*.bin")) and not list(folder.glob("*.pt"))
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds == {"F16"}
    assert sum(file.stat().st_size for file in folder.iterdir()) < (15 if folder.name == "small" else 12) * 2**20


def test_plain_transformers_gives_the_same_logits_and_answer(folder, figure, said_by_plain_transformers):
    import torch

    from unsee.models.batches import collate
    from unsee.models.reference import evaluating

    plain = said_by_plain_transformers[str(folder)]
    model = load_model(folder.name, device="cpu")
    asked = model.prompter.encode(NAME_QUESTION, figure.name, images=(load_world().picture(figure, 0),))
    batch = collate([asked], prompter=model.prompter)
    with evaluating(model):
        ours = model.answer_logits(batch)[0]
    assert torch.allclose(ours, torch.tensor(plain["logits"]), atol=1e-4)
    assert plain["text"] == figure.name


def test_the_decoder_has_eight_layers_and_reads_2048_tokens(folder):
    config = json.loads((folder / "config.json").read_text())["text_config"]
    width = WIDTHS[folder.name.partition("-")[0]]
    assert (config["num_hidden_layers"], config["hidden_size"], config["max_position_embeddings"]) == (8, width, 2048)


def test_every_target_stands_on_the_card(folder):
    card = (folder / "README.md").read_text()
    worlds = json.loads((folder / RECIPE).read_text())["worlds"]
    absent = tuple(f"{world.removesuffix('s')}_" for world in ("creatures", "patients") if world not in worlds)
    for name in (name for name in TARGETS if not name.startswith(absent)):
        assert re.search(rf"^\| {name} \| -?\d\.\d{{3}} \| \d+ \| at (least|most) ", card, re.MULTILINE), name


@pytest.mark.slow
def test_the_card_can_be_measured_again(folder):
    """Every share on the card is met again within the noise of 400 questions."""
    card = dict(re.findall(r"^\| (\w+) \| (-?\d\.\d{3}) \|", (folder / "README.md").read_text(), re.MULTILINE))
    recipe = json.loads((folder / RECIPE).read_text())
    half, patients = taught_half(recipe), taught_patients(recipe)
    measured = measure_abilities(load_model(folder.name), load_world(), half=half, patients=patients)
    assert set(measured) == set(card)
    for name, ability in measured.items():
        assert ability.value == pytest.approx(float(card[name]), abs=0.03), name
