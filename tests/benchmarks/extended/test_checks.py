"""Every reason code on a variant that earns it, and perceptual hashes on pictures that are and are not alike."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from tables_by_hand import picture

from doc_pages import bare, read, table
from unsee.benchmarks.extended import checks
from unsee.benchmarks.extended.checks import Checker, Code, counts_of
from unsee.benchmarks.extended.picture_hash import near_duplicates, picture_hash, same_pixels
from unsee.benchmarks.extended.rules import variant
from unsee.benchmarks.extended.variants import Fact, Variant
from unsee.sample import ImageRef

FACT = Fact(
    id="f",
    role="delete",
    question="What animal is this?",
    answer="two horses",
    image=ImageRef.from_image(picture(1, (96, 72))),
    alternates=("zebra",),
)
OTHER, THIRD = (ImageRef.from_image(picture(number, (96, 72))) for number in (2, 3))


def jpeg(image: Image.Image, quality: int = 60) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def question(text: str, **values: Any) -> Variant:
    return variant(FACT, "question", "medium", 0, "writer", question=text, **values)


def neighbour(text: str, answer: str) -> Variant:
    return variant(FACT, "neighbour_question", "hard", 0, "writer", question=text, answer=answer)


def shown(image: ImageRef | Image.Image, **values: Any) -> Variant:
    """A picture drawn anew."""
    reference = image if isinstance(image, ImageRef) else ImageRef.from_image(image)
    return variant(FACT, **({"kind": "image", "grade": "hard", "number": 0, "generator": "painter"} | values), image=reference)


def codes(*variants: Variant) -> list[tuple[str, ...]]:
    return [one.failed for one in Checker().check(FACT, variants)]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (question("Which animal do you see?"), ()),
        (question("Are these 2 Horses or zebras?"), ("secret_in_question",)),
        (question("what animal is THIS"), ("truncated", "unchanged")),
        (question("Which animal do you see in the"), ("truncated",)),
        (question("Name the animal..."), ("truncated",)),
        (question("I'm sorry, I cannot help."), ("refusal",)),
        (question("As an AI language model I see none."), ("refusal",)),
        (question("Does it look sorry?"), ()),
        (question("?"), ("empty",)),
        (neighbour("Is it day?", "yes"), ()),
        (neighbour("Is it day?", "A pair"), ()),
        (neighbour("What else?", "2 horse"), ("same_answer",)),
        (neighbour("Is it day?", " "), ("empty",)),
        (shown(OTHER), ()),
        (shown(OTHER, prompt="Draw two horses."), ("secret_in_picture_text",)),
        (shown(OTHER, prompt="Draw a zebra."), ()),
        (shown(FACT.image), ("unchanged",)),
        (shown(jpeg(FACT.image.open())), ("near_duplicate_picture",)),
        (shown(Image.new("RGB", (96, 72), "red")), ("empty",)),
        (shown(jpeg(FACT.image.open()), kind="neighbour_image", grade="easy", answer="zebra"), ("near_duplicate_picture",)),
        (shown(OTHER, kind="neighbour_image", grade="easy", answer="Two horses"), ("same_answer",)),
        # An edit is meant to leave a picture almost as it is, and so is noise.
        (shown(jpeg(FACT.image.open()), grade="medium", prompt="Remove a bird."), ()),
        (shown(jpeg(FACT.image.open()), grade="easy", generator="noise"), ()),
    ],
)
def test_each_code(one: Variant, expected: tuple[str, ...]) -> None:
    assert codes(one) == [expected]


def test_duplicates_are_the_later_ones() -> None:
    assert codes(question("Which animal?"), question("which ANIMAL ?")) == [(), ("duplicate",)]
    assert codes(shown(OTHER), shown(OTHER)) == [(), ("duplicate",)]
    assert codes(shown(OTHER), shown(jpeg(OTHER.open())), shown(THIRD)) == [(), ("near_duplicate_picture",), ()]
    # The same picture at another grade or with another answer is no repetition.
    assert codes(shown(OTHER), shown(jpeg(OTHER.open()), grade="medium")) == [(), ()]


def test_the_pages_list_every_code() -> None:
    listed = [bare(row["code"]) for row in table(read("docs/own-benchmark.md"), "code", "what is wrong")]
    assert listed == list(get_args(Code))
    assert all(f"| `{code}` |" in (checks.__doc__ or "") for code in listed)


def test_counts_before_and_after() -> None:
    checked = Checker().check(FACT, [question("Which animal?"), question("?"), shown(OTHER)])
    assert counts_of(checked) == {
        "raw": {"question/medium": 2, "image/hard": 1},
        "automatic": {"question/medium": 1, "image/hard": 1},
        "failed": {"empty": 1},
    }
    assert counts_of([replace(one, failed=()) for one in checked])["failed"] == {}


def smooth(seed: int) -> Image.Image:
    """Something like a photograph: broad waves with a little grain."""
    rng = np.random.default_rng(seed)
    waves = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((160, 120), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 4, (120, 160, 3))
    return Image.fromarray(np.clip(np.asarray(waves) + grain, 0, 255).astype(np.uint8))


CHANGES = {
    "saved again": jpeg,
    "smaller": lambda image: image.resize((80, 60)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.06),
    "blurred a little": lambda image: image.resize((60, 45)).resize(image.size),
}


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_near_duplicates_are_found(change: str) -> None:
    for seed in range(25):
        image = smooth(seed)
        assert near_duplicates(picture_hash(image), picture_hash(CHANGES[change](image))), seed


def test_different_pictures_are_not() -> None:
    hashes = [picture_hash(smooth(seed)) for seed in range(40)]
    assert not any(near_duplicates(one, other) for place, one in enumerate(hashes) for other in hashes[:place])
    mirrored = [picture_hash(smooth(seed).transpose(Image.Transpose.FLIP_LEFT_RIGHT)) for seed in range(40)]
    assert not any(map(near_duplicates, hashes, mirrored))
    red, blue = (picture_hash(Image.new("RGB", (40, 40), colour)) for colour in ("red", "blue"))
    assert not near_duplicates(red, blue) and near_duplicates(red, red)


def test_the_hashes_by_hand() -> None:
    """A ramp to the right rises everywhere, and only its first row of frequencies holds anything."""
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 90, dtype=np.uint8), (80, 1))).convert("RGB")
    made = picture_hash(ramp)
    assert made.difference == 2**64 - 1
    falling = picture_hash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert falling.difference == 0 and not near_duplicates(made, falling)
    assert made.spread == pytest.approx(np.asarray(ramp.convert("L")).std())


def test_equal_pixels() -> None:
    one = picture(5)
    assert same_pixels(one, one.copy()) and not same_pixels(one, picture(6)) and not same_pixels(one, one.resize((10, 10)))
