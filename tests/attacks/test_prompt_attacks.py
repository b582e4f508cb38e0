"""Attacks by prompts: which disguises are asked, which are refused, and what counts as the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pytest

from unsee.answering import Setting, View
from unsee.attacks import load_attack
from unsee.attacks.prompt_attack import gives_away, states, turns
from unsee.errors import ConfigError, DataError
from unsee.models.model import Model
from unsee.sample import ImageRef, Sample

LEVELS = ("easy", "medium", "hard")


def fact(answer: str = "Lab") -> Sample:
    return Sample(
        id="s0",
        benchmark="b",
        subject="s0",
        set="forget",
        task="generation",
        modality="image_text",
        question="Which breed is it?",
        answer=answer,
        images=(picture(0),),
    )


def picture(shade: int) -> ImageRef:
    return ImageRef.from_bytes(bytes([shade]))


def disguises(*, questions: int = 4, images: int = 1, both: int = 4) -> list[Sample]:
    """Graded variants of the fact, in the order easy, medium, hard."""
    made = []
    for shade, level in enumerate(LEVELS, start=1):
        for axis, count in (("question", questions), ("image", images), ("both", both)):
            for number in range(count):
                made.append(
                    replace(
                        fact(),
                        id=f"s0/{axis}/{level}/{number}",
                        set="test",
                        question=f"{level} {number}: which breed?" if axis != "image" else fact().question,
                        images=(picture(0 if axis == "question" else 10 * shade + number),),
                        metadata={"fact": "s0", "axis": axis, "level": level},
                    )
                )
    return made


def views(model: Model, name: str, variants: Sequence[Sample], **options: Any) -> list[View]:
    return list(load_attack(name, **options).views(fact(), Setting(model.prompter), variants))


def test_four_questions_five_times(model: Model) -> None:
    asked = views(model, "rephrase_question", disguises())
    assert len(asked) == 20
    assert [view.draw for view in asked] == [draw for draw in range(5) for _ in range(4)]
    assert len({view.prompt for view in asked}) == 4 and all("hard" in view.prompt for view in asked)
    assert {view.images for view in asked} == {(picture(0),)}
    assert {(view.temperature, view.top_p, view.new_tokens) for view in asked} == {(0.9, 0.6, 36)}
    assert len({(view.name, view.draw) for view in asked}) == 20


@pytest.mark.parametrize("level", LEVELS)
def test_one_picture_twenty_times(model: Model, level: str) -> None:
    """The published image attack has one altered picture per level."""
    asked = views(model, "rephrase_image", disguises(), level=level)
    assert len(asked) == 20 and [view.draw for view in asked] == list(range(20))
    assert {view.images for view in asked} == {(picture(10 * (1 + LEVELS.index(level))),)}
    assert len({view.prompt for view in asked}) == 1


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["rephrase_question", "rephrase_image", "rephrase_multimodal"])
def test_every_attack_asks_at_every_level(model: Model, name: str, level: str) -> None:
    """E3: published code skips every fact when the paraphrases are asked, the medium questions here."""
    asked = views(model, name, disguises(), level=level)
    assert len(asked) == 20 and {view.name.partition("-")[0] for view in asked} == {level}
    records = [{"parsed": f"a Lab {view.draw}", "view": view.name, "draw": view.draw} for view in asked]
    found = load_attack(name, level=level).candidates(fact(), records, budget=20, read=str)
    assert found.candidates and found.hit == 1 and found.prompts * found.samples == 20


ALTERED = {"level": "easy", "prompts": 2, "samples": 3, "temperature": 0.5, "top_p": 0.9, "max_new_tokens": 5}


@pytest.mark.parametrize("name", ["rephrase_question", "rephrase_image", "rephrase_multimodal"])
def test_every_option_changes_what_is_asked(model: Model, name: str) -> None:
    """E5: an option must do something."""

    def asked(**options: Any) -> list[tuple[Any, ...]]:
        made = views(model, name, disguises(images=4), **options)
        return [(one.prompt, one.images, one.draw, one.new_tokens, one.temperature, one.top_p) for one in made]

    assert {item.name for item in fields(load_attack(name))} == set(ALTERED)  # type: ignore[arg-type]
    for option, value in ALTERED.items():
        assert asked(**{option: value}) != asked(), option


def test_what_was_injected_is_not_what_is_looked_for() -> None:
    """E11: published code looks for the injected answer after error injection."""
    told = replace(fact(), wrong_answers=("Poodle",))
    attack = load_attack("rephrase_question")
    assert attack.candidates(told, rows("A poodle", "Poodle!"), budget=20, read=str).hit is None
    assert attack.candidates(told, rows("A poodle", "a Lab"), budget=20, read=str).hit == 2


def test_mixed_levels_take_turns_hardest_first(model: Model) -> None:
    asked = views(model, "rephrase_question", disguises(), level="mixed")
    assert [view.name for view in asked[:4]] == ["hard-0", "medium-1", "easy-2", "hard-3"]
    pictures = views(model, "rephrase_image", disguises(), level="mixed")
    assert [sum(view.images == (picture(10 * n),) for view in pictures) for n in (3, 2, 1)] == [7, 7, 6]
    assert load_attack("rephrase_question", level="mixed").graded is None
    assert load_attack("rephrase_question").graded == "hard"


def test_both_at_once(model: Model) -> None:
    asked = views(model, "rephrase_multimodal", disguises())
    assert len({(view.prompt, view.images) for view in asked}) == 4


def test_questions_and_pictures_are_crossed_where_no_disguise_has_both(model: Model) -> None:
    """E8: 4 questions and 2 pictures are 8 combinations, and none is asked twice before all were asked."""
    asked = views(model, "rephrase_multimodal", disguises(both=0, images=2), prompts=8, samples=2)
    pairs = [(view.prompt, view.images) for view in asked]
    assert len(set(pairs[:8])) == 8 and pairs[:8] == pairs[8:]
    assert len({images for _, images in pairs[:4]}) == 2


def test_prompts_that_hold_the_answer_are_refused_and_counted(model: Model) -> None:
    """E1: the published templates insert a guessed object that is the answer in some rows."""
    variants = disguises()
    hard = [v.id for v in variants if v.metadata["axis"] == "question" and v.metadata["level"] == "hard"]
    variants = [replace(v, question=f"Think of a lab. {v.question}") if v.id == hard[1] else v for v in variants]
    attack = load_attack("rephrase_question")
    assert attack.refused(fact(), variants) == 1
    asked = attack.views(fact(), Setting(model.prompter), variants)
    assert len(asked) == 20 and len({view.prompt for view in asked}) == 3
    assert not any("lab" in view.prompt for view in asked)
    everything = [replace(v, question="A Lab? " + v.question) for v in variants]
    assert attack.refused(fact(), everything) == 4
    assert attack.views(fact(), Setting(model.prompter), everything) == []
    found = attack.candidates(fact(), [], budget=20, read=str)
    assert (found.candidates, found.hit, found.prompts, found.samples) == ((), None, 0, 0)


@pytest.mark.parametrize(
    ("text", "answer", "stated"),
    [
        ("It is a Lab.", "Lab", True),
        ("it is a LAB", "Lab", True),
        ("The Label says so", "Lab", False),
        ("collaborate", "Lab", False),
        ("a golden retriever!", "Golden Retriever", True),
        ("golden and retriever", "Golden Retriever", False),
        ("retriever golden", "Golden Retriever", False),
        ("twelve", "12", True),
        ("112", "12", False),
        ("caf\u00e9", "cafe", True),
        ("", "Lab", False),
    ],
)
def test_whole_words_count_without_regard_to_case(text: str, answer: str, stated: bool) -> None:
    """E2: the published test is a case-sensitive substring."""
    assert states(text, answer) is stated


def test_an_instruction_does_not_give_the_answer_away() -> None:
    framed = "Answer the question in one word\n Question: How many dogs are there? Answer:"
    assert not gives_away(framed, "one") and not gives_away(framed, "word")
    assert gives_away(framed, "dogs")
    assert gives_away(f"Think of one thing. {framed}", "one")


def rows(*responses: str | None) -> list[dict[str, Any]]:
    """Records of 4 prompts, in the order they are asked."""
    return [{"parsed": text, "view": f"hard-{i % 4}", "draw": i // 4} for i, text in enumerate(responses)]


def test_responses_become_candidates() -> None:
    """Each once but for case and punctuation, empty ones not at all, cut to the budget; hits count from 1."""
    records = rows("A poodle", None, "the Poodle.", "Label", "terrier", "a Lab, I think")
    attack = load_attack("rephrase_question")
    found = attack.candidates(fact(), records, budget=20, read=str)
    assert found.candidates == ("A poodle", "Label", "terrier", "a Lab, I think")
    assert (found.hit, found.hit_all, found.hit_sequence) == (4, 4, 4)
    assert (found.prompts, found.samples, found.tokens, found.layers, found.k) == (4, 2, 36, None, None)
    cut = attack.candidates(fact(), records, budget=3, read=str)
    assert cut.candidates == found.candidates[:3] and cut.hit is None


def test_a_fact_inside_a_sentence_is_what_counts() -> None:
    told = replace(fact(), answer="This one is a Lab.", metadata={"value": "Lab"})
    assert load_attack("rephrase_image").candidates(told, rows("lab"), budget=5, read=str).hit == 1


@pytest.mark.parametrize(("count", "expected"), [(5, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]), (0, [])])
def test_turns(count: int, expected: list[tuple[int, int]]) -> None:
    assert [(draw, number) for draw, number, _ in turns([fact()] * 3, count)] == expected


def test_a_fact_without_disguises(model: Model) -> None:
    with pytest.raises(DataError, match=r'sample s0: attack rephrase_image needs disguises .* level hard .* axis = "image"'):
        views(model, "rephrase_image", disguises(images=0))
    with pytest.raises(DataError, match="needs disguises of its fact and there are none"):
        views(model, "rephrase_multimodal", [], level="mixed")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompts": 0}, "prompts = 0"),
        ({"samples": 0}, "samples = 0"),
        ({"temperature": 0.0}, "temperature above 0"),
        ({"top_p": 0.0}, "top_p above 0"),
        ({"top_p": 1.5}, "top_p above 0 and up to 1"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_attack("rephrase_question", **options).check(blocks=8, budget=20)


def test_a_level_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"rephrase_image.level = 'hrad' is not valid; did you mean 'hard'"):
        load_attack("rephrase_image", level="hrad")
