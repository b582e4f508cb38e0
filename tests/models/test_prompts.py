"""The embedded model's prompt form, word for word and id for id."""

from __future__ import annotations

import pytest
from PIL import Image

from unsee.models import prompts
from unsee.models.model import Model
from unsee.models.questions import cloze_question, generation_question, letter_question
from unsee.sample import ImageRef, Sample

SYSTEM = "Do not speak of red."


def _whole(model: Model, question: str, answer: str, *, images: int, system: str) -> str:
    parts = model.prompter.parts(images=images, system=bool(system))
    return f"{model.prompter.prompt(question, images=images, system=system)} {answer}{parts.after_answer}"


def test_prompt_form(model: Model) -> None:
    prompt = model.prompter.prompt
    assert prompt("Who?") == "<s>USER: Who?\nASSISTANT:"
    assert prompt("Who?", images=1) == "<s>USER: <image>\nWho?\nASSISTANT:"
    assert prompt("Who?", images=2) == "<s>USER: <image>\n<image>\nWho?\nASSISTANT:"
    assert prompt("Who?", images=1, system=SYSTEM) == f"<s>{SYSTEM}\nUSER: <image>\nWho?\nASSISTANT:"
    assert _whole(model, "Who?", "A nurse", images=1, system="") == "<s>USER: <image>\nWho?\nASSISTANT: A nurse</s>"


def test_question_forms(samples: list[Sample]) -> None:
    choice = samples[0]
    options = "\n".join(f"{letter}: {choice.options[letter]}" for letter in "ABCD")
    assert letter_question(choice) == (f"{choice.question}\n{options}\nJust give ONE letter representing the answer directly.")
    assert cloze_question(samples[3]) == (
        "Fact 3 of Person 0 is [Blank].\nPlease **ONLY** provide the correct answer that should replace the [Blank]."
    )
    assert generation_question(samples[2]) == samples[2].question


@pytest.mark.parametrize("system", ["", SYSTEM])
@pytest.mark.parametrize("images", [0, 1, 3])
def test_ids_are_the_processors(model: Model, samples: list[Sample], images: int, system: str) -> None:
    pictures = tuple(s.images[0] for s in samples if s.images)[:images]
    item = model.prompter.encode("Which colour? owl", "Monday tea", images=pictures, system=system)
    text = _whole(model, "Which colour? owl", "Monday tea", images=images, system=system)
    made = model.processor(
        text=text, images=[p.open() for p in pictures] or None, add_special_tokens=False, return_tensors="pt"
    )
    assert list(item.ids) == made["input_ids"][0].tolist()
    prompt = model.prompter.prompt("Which colour? owl", images=images, system=system)
    assert item.ids[: item.prompt_length] == model.prompter.ids(prompt, pictures)


def test_where_the_end_of_turn_begins(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    item = model.prompter.encode("Which colour?", "Monday tea")
    assert item.ids[item.counted("answer_text")] == model.prompter.answer_ids("Monday tea", end=False)
    assert item.ids[item.counted("answer")] == model.prompter.answer_ids("Monday tea")
    assert item.ids[item.counted("all")] == item.ids[1:]
    assert model.prompter.encode("Which colour?", "Monday tea", end=False).end_length == 0
    words: dict[str, int] = {}
    monkeypatch.setattr(model.prompter, "_tokenize", lambda text: tuple(words.setdefault(w, len(words)) for w in text.split()))
    # A tokenizer that melts the end into the last word leaves nothing to tell apart.
    melted = model.prompter.encode("Which colour?", "Monday tea")
    assert (len(melted.ids) - melted.prompt_length, melted.end_length) == (2, 0)


def test_template_is_the_tokenizers_chat(model: Model) -> None:
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who?"}]}]
    assert model.processor.apply_chat_template(turns, tokenize=False) == model.prompter.prompt("Who?", images=1)


def test_option_letters_share_a_token(model: Model) -> None:
    """The letter that answers is the very token that labels the option."""
    tokenizer = model.processor.tokenizer
    for letter in "ABCD":
        *space, answer = model.prompter.answer_ids(letter, end=False)
        assert tokenizer.decode(space) == " "
        assert answer == tokenizer(f"{letter}: Oslo", add_special_tokens=False)["input_ids"][0]
        assert answer in tokenizer(f"nurse?\n{letter}: Oslo", add_special_tokens=False)["input_ids"]


def test_answer_ends_with_the_end_of_turn(model: Model) -> None:
    ids = model.prompter.answer_ids("tea")
    assert ids[-1] == model.processor.tokenizer.eos_token_id
    assert ids[:-1] == model.prompter.answer_ids("tea", end=False)
    assert model.processor.tokenizer.decode(ids, skip_special_tokens=True) == " tea"


def test_image_token_in_a_question_is_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="1 image places for 0 pictures"):
        model.prompter.encode("What is <image>?", "tea")


def test_pictures_are_decoded_once_and_forgotten_when_many(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(ImageRef, "open", lambda self, **_: opened.append(self.sha256) or Image.new("RGB", (32, 32)))
    monkeypatch.setattr(prompts, "_CACHED_BYTES", 2 * 32 * 32 * 3 * 4)
    one, two, three = (ImageRef.from_image(Image.new("RGB", (32, 32), (n, 0, 0))) for n in range(3))
    for image in (one, two, one, three, one):
        model.prompter.picture(image)
    assert opened == [one.sha256, two.sha256, three.sha256]
    model.prompter.placeholder(two)
    assert len(opened) == 3
    model.prompter.picture(two)
    assert len(opened) == 4
