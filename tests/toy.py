"""Eight toy people and a random-weight model that answers in milliseconds."""

from __future__ import annotations

import random
from typing import Any

from unsee.sample import ImageRef, Sample

WORDS = "nurse pilot baker Oslo Lima Quito tea rice soup dog cat owl Monday red green blue nine seven".split()


def toy_samples(people: int = 8, *, seed: int = 0) -> list[Sample]:
    """Five questions per person: two with a picture and options, one generation, one cloze, one text-only."""
    from PIL import Image

    rng = random.Random(seed)
    samples = []
    for person in range(people):
        picture = ImageRef.from_image(Image.new("RGB", (32, 32), tuple(rng.randrange(256) for _ in range(3))))
        for number, (task, modality) in enumerate(
            [
                ("classification", "image_text"),
                ("classification", "text"),
                ("generation", "image_text"),
                ("cloze", "text"),
                ("generation", "text"),
            ]
        ):
            answer, *wrong = rng.sample(WORDS, 4)
            options = dict(zip("ABCD", rng.sample([answer, *wrong], 4), strict=True)) if task == "classification" else {}
            who = "this person" if modality == "image_text" else f"Person {person}"
            samples.append(
                Sample(
                    id=f"p{person}/{number}",
                    benchmark="toy",
                    subject=f"p{person}",
                    set="forget" if person < 2 else "retain",
                    task=task,
                    modality=modality,
                    images=(picture,) if modality == "image_text" else (),
                    question=f"What is fact {number} of {who}?" if task != "cloze" else f"Fact {number} of {who} is __.",
                    answer=answer,
                    options=options,
                    correct_option=next((letter for letter, text in options.items() if text == answer), None),
                    wrong_answers=tuple(wrong),
                    metadata={"attribute": f"fact{number}"},
                )
            )
    return samples


def random_model(*, layers: int | None = None):
    """A fresh random LLaVA of about 0.2 M parameters; every call gives the same weights.

    Args:
        layers: how many decoder layers, where whole runs are too slow with all of them.
    """
    import torch

    from unsee.models.model import Model
    from unsee.models.tiny import VisionSize, build_network, build_processor, train_tokenizer

    texts = [f"USER: {s.question}\nASSISTANT: {s.answer}" for s in toy_samples()] + ["A: red\nB: blue\nC: nine\nD: owl"]
    vision = VisionSize(pixels=32, patch=16, width=32, layers=2)
    torch.manual_seed(0)
    tokenizer = train_tokenizer(texts * 20)
    network = build_network(tokenizer, width=32, vision=vision)
    if layers is not None:
        network.get_decoder().layers = network.get_decoder().layers[:layers]
        network.config.get_text_config().num_hidden_layers = layers
    return Model(network, build_processor(tokenizer, vision=vision), name="random")


def learn_by_heart(model: Any, items: Any, *, steps: int) -> None:
    """Train on encoded conversations with plain Adam until the model says them."""
    import torch

    from unsee.models.batches import collate

    batch = collate(items, prompter=model.prompter, max_tokens=128)
    optimizer = torch.optim.Adam(model.network.parameters(), lr=5e-3)
    for _ in range(steps):
        loss = -model.token_logprobs(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
