"""Rewriters behind a real local server, and picture programs as commands and functions: good, poor, slow, failing, absent."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_drawing
from extending import asked, extended, of
from PIL import Image
from tables_by_hand import encoded, own_rows, picture, write_own

from unsee.benchmarks.extended.extend import Generators
from unsee.benchmarks.extended.files import read_extension
from unsee.benchmarks.extended.picture_makers import CommandMaker, FunctionMaker, MakerError, picture_maker
from unsee.benchmarks.extended.variants import Extension
from unsee.chat import ChatClient, ChatError
from unsee.errors import ConfigError
from unsee.sample import ImageRef

PROGRAM = Path(toy_drawing.__file__)
SHOWN = ImageRef.from_bytes(encoded(1))


def client(url: str, **options: int) -> ChatClient:
    return ChatClient(url, "toy", role="rewriter", **({"retries": 0, "workers": 2, "timeout": 10} | options))


def command(manner: str = "good", *, timeout: float = 30, retries: int = 0) -> CommandMaker:
    return CommandMaker(f"{sys.executable} {PROGRAM} {manner}", role="image-generator", timeout=timeout, retries=retries)


def absent(made: Extension) -> dict[str, int]:
    counts = made.history[0]["counts"]
    assert isinstance(counts, dict)
    return counts["absent"]


# Rewriters -----------------------------------------------------------------------------------------------------------------


def test_a_good_rewriter(serve: Callable[[str], str], shops: Path, tmp_path: Path) -> None:
    url = serve("good")
    made = extended(shops, tmp_path / "made", Generators(rewriter=client(url)), facts=4)
    facts = {fact.id: fact for fact in made.facts if fact.role == "delete"}
    medium, hard = of(made, "question", "medium"), of(made, "neighbour_question", "hard")
    assert len(medium) == 16 and len(hard) == 8
    assert not any(one.failed for one in (*medium, *hard))
    for one in (*medium, *hard):
        assert one.generator == "toy" and facts[one.fact].question in one.prompt and one.parent == one.fact
    assert {(one.question, one.answer) for one in hard} == {("Is it day or night?", "day"), ("Who is there?", "nobody")}
    for fact in facts.values():
        assert {"chess", "darts"} <= set(fact.alternates) and fact.answer not in fact.alternates
        assert not any("long" in text for text in fact.alternates)
    # The paraphraser is not told the answer, and a rewriter that sees nothing is told what else the table asks.
    reworded = [body for body in asked(url) if body["messages"][0]["content"].startswith("You reword")]
    assert len(reworded) == len({fact.question for fact in facts.values()}) and not any(
        "Right answer" in body["messages"][1]["content"] for body in reworded
    )
    near = [body["messages"][1]["content"] for body in asked(url) if "come close" in body["messages"][0]["content"]]
    assert len(near) == 4 and all("What else is known about the picture:\n- " in text for text in near)


def test_a_rewriter_that_sees_is_shown_pictures(serve: Callable[[str], str], tmp_path: Path) -> None:
    """Also where the table asks nothing else about a picture; one that does not see is not asked for neighbours then."""
    data = write_own(tmp_path / "data", own_rows()[::2])
    url = serve("good")
    blind = extended(data, tmp_path / "blind", Generators(rewriter=client(url)), facts=2)
    assert not of(blind, "neighbour_question", "hard")
    assert absent(blind) == {"facts without hard neighbour questions: the rewriter knows nothing else about the picture": 2}
    seeing = extended(data, tmp_path / "seeing", Generators(rewriter=client(url), sees=True), facts=2)
    assert len(of(seeing, "neighbour_question", "hard")) == 4
    shown = [body["messages"][1]["content"][1] for body in asked(url) if isinstance(body["messages"][1]["content"], list)]
    assert len(shown) == 2 and all(one["image_url"]["url"].startswith("data:image/png;base64,") for one in shown)
    assert "base64" not in "".join(one.prompt for one in seeing.variants)


def test_a_poor_rewriter_fails_the_checks(serve: Callable[[str], str], shops: Path, tmp_path: Path) -> None:
    """What it wrote stays with its reasons."""
    made = extended(shops, tmp_path / "made", Generators(rewriter=client(serve("poor"))), facts=3)
    failed = [one.failed for one in of(made, "question", "medium") if one.fact == made.variants[0].fact]
    assert failed[:3] == [("refusal",), ("unchanged",), ("truncated",)]
    near = [one.failed for one in of(made, "neighbour_question", "hard")]
    assert near[:2] == [("same_answer",), ("empty",)]


def test_rewriters_that_are_down_or_say_nothing(serve: Callable[[str], str], shops: Path, tmp_path: Path) -> None:
    with pytest.raises(ChatError, match=r"there is no rewriter at http://127\.0\.0\.1:9/v1"):
        extended(shops, tmp_path / "a", Generators(rewriter=client("http://127.0.0.1:9/v1")))
    for manner in ("down", "empty"):
        with pytest.raises(ChatError, match="gave no answer to 3 questions in a row"):
            extended(shops, tmp_path / manner, Generators(rewriter=client(serve(manner))))
        assert not (tmp_path / manner).exists()


def test_replies_are_kept_and_never_asked_again(serve: Callable[[str], str], shops: Path, tmp_path: Path) -> None:
    """One reply came before the server broke down; the next one is asked for the others only."""
    out = tmp_path / "made"
    with pytest.raises(ChatError, match="run the command again"):
        extended(shops, out, Generators(rewriter=client(serve("once"), workers=1)), facts=3)
    good = serve("good")
    made = extended(shops, out, Generators(rewriter=client(good)), facts=3)
    questions = {fact.question for fact in made.facts if fact.role == "delete"}
    assert len(asked(good)) == len(questions) + 3 + 3 - 1 and len(of(made, "question", "medium")) == 12


def test_a_repaired_server_is_asked_everything(serve: Callable[[str], str], shops: Path, tmp_path: Path) -> None:
    """What a wrong server said to each question is not taken for the rewriter's answer."""
    out, kept = tmp_path / "made", tmp_path / "whole"
    for manner in ("page", "empty"):
        with pytest.raises(ChatError, match="gave no answer to 3 questions in a row"):
            extended(shops, out, Generators(rewriter=client(serve(manner))), facts=2)
    assert (
        extended(shops, out, Generators(rewriter=client(serve("good"))), facts=2).variants and absent(read_extension(out)) == {}
    )
    extended(shops, kept, Generators(rewriter=client(serve("good"))), facts=2)
    assert (out / "variants.jsonl").read_bytes() == (kept / "variants.jsonl").read_bytes()


@pytest.mark.parametrize(("format", "kind"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "png"), ("BMP", "png")])
def test_pictures_are_sent_as_what_they_are(format: str, kind: str, serve: Callable[[str], str], tmp_path: Path) -> None:
    """Kinds that few servers read are sent as PNG."""
    rows = own_rows(6)[::2]
    data = write_own(tmp_path / "data", rows, pictures=6)
    for number in range(6):
        (data / f"images/shop {number}.png").write_bytes(encoded(number, format))
    url = serve("good")
    extended(data, tmp_path / "made", Generators(rewriter=client(url), sees=True), facts=1)
    (sent,) = [body["messages"][1]["content"][1] for body in asked(url) if isinstance(body["messages"][1]["content"], list)]
    head, _, text = sent["image_url"]["url"].partition(";base64,")
    shown = Image.open(io.BytesIO(base64.b64decode(text)))
    assert (head, shown.format) == (f"data:image/{kind}", kind.upper()) and shown.size == picture(1).size


# Programs ------------------------------------------------------------------------------------------------------------------


def test_a_command_and_a_function_draw_the_same() -> None:
    drawn = command().make(SHOWN, "Draw a lamp; quoted 'as it is' $HOME", 7)
    function = FunctionMaker("toy_drawing:draw", role="image-generator").make(SHOWN, "Draw a lamp; quoted 'as it is' $HOME", 7)
    assert drawn is not None and function is not None
    assert list(drawn.getdata()) == list(function.getdata()) and drawn.size == picture(1).size


@pytest.mark.parametrize(
    ("manner", "problem"),
    [
        ("fail", "ended with code 1"),
        ("nothing", "wrote no picture"),
        ("text", "no usable picture"),
        ("huge", "no usable picture"),
        ("slow", "took more than 0.7 s"),
    ],
)
def test_programs_that_fail(manner: str, problem: str) -> None:
    maker = command(manner, timeout=0.7 if manner == "slow" else 30)
    assert maker.make(SHOWN, "Draw.", 0) is None and maker.problem == problem


@pytest.mark.parametrize(("name", "problem"), [("fail", "raised RuntimeError"), ("no_picture", "no usable picture")])
def test_functions_that_fail(name: str, problem: str) -> None:
    maker = FunctionMaker(f"toy_drawing:{name}", role="image-editor", retries=0)
    assert maker.make(SHOWN, "Draw.", 0) is None and maker.problem == problem
    assert maker.make(SHOWN, "Draw.", 0) is None
    with pytest.raises(MakerError, match=f"--image-editor toy_drawing:{name} failed on 3 pictures in a row"):
        maker.make(SHOWN, "Draw.", 0)


def test_a_failed_picture_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []
    monkeypatch.setattr("unsee.benchmarks.extended.picture_makers.time.sleep", tries.append)
    maker = FunctionMaker("toy_drawing:fail", role="image-editor", retries=2)
    assert maker.make(SHOWN, "Draw.", 0) is None and tries == [0.5, 1.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("no-such-program --steps 3", "there is no program no-such-program; give its path"),
        ("draw 'it", "is no command line"),
        (" ", "is empty"),
        ("no_such_module:draw", "module no_such_module cannot be imported"),
        ("toy_drawing:paint", "module toy_drawing has no function paint"),
        ("toy_drawing:PROGRAM", "has no function PROGRAM"),
    ],
)
def test_programs_that_are_not_there(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        picture_maker(given, role="image-generator")


def test_pictures_of_programs_become_variants(shops: Path, tmp_path: Path) -> None:
    """An edit is medium, what is drawn anew is hard, and a neighbour shows the answer that the table's own neighbour has."""
    draw = FunctionMaker("toy_drawing:draw", role="image-generator")
    edit = FunctionMaker("toy_drawing:draw", role="image-editor")
    made = extended(shops, tmp_path / "made", Generators(editor=edit, generator=draw), facts=4)
    facts = {fact.id: fact for fact in made.facts}
    (medium, hard, far) = (of(made, *one) for one in (("image", "medium"), ("image", "hard"), ("neighbour_image", "hard")))
    assert (
        {one.fact for one in medium}
        == {one.fact for one in hard}
        == {one.fact for one in far}
        == {f for f in facts if facts[f].role == "delete"}
    )
    for one in (*medium, *hard, *far):
        if one.generator == "own-table":
            continue
        assert one.generator == "toy_drawing:draw" and one.seed and facts[one.fact].question in one.prompt
        assert facts[one.fact].answer not in one.prompt and not one.failed
    shown = {(one.fact, one.number): one.answer for one in of(made, "neighbour_image", "easy")}
    assert all(one.answer == shown[one.fact, one.number] and one.answer in one.prompt for one in far)
    assert all(one.image.sha256 != facts[one.fact].image.sha256 for one in (*medium, *hard, *far))


def test_a_program_that_fails_now_and_then_is_counted(shops: Path, tmp_path: Path) -> None:
    """A second session tries what failed again, and comes to the same extension, however many of those stand in a row."""
    out = tmp_path / "made"
    made = extended(shops, out, Generators(generator=command("odd")), facts=2, seed=1)
    tried = len(of(made, "neighbour_image", "easy")) + 2
    drawn = [one for one in made.variants if one.generator.endswith("odd")]
    assert 0 < len(drawn) < tried and sum(absent(made).values()) == tried - len(drawn)
    assert all(text.startswith("image-generator: ended with code 1 (") for text in absent(made))


def test_a_program_that_copies_fails_the_checks(shops: Path, tmp_path: Path) -> None:
    made = extended(shops, tmp_path / "made", Generators(generator=command("copy")), facts=1)
    drawn = [one for one in made.variants if one.generator.endswith("copy")]
    assert drawn and all("unchanged" in one.failed for one in drawn)
