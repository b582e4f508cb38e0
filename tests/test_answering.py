"""Records must say what the plain path says, whatever the batch size, and survive an interruption."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from toy import learn_by_heart
from unsee.answering import Outcome, Protocol, Setting, View, answer, records, strict
from unsee.answering.engine import Engine
from unsee.errors import AnsweringError, ConfigError, DataError
from unsee.methods import load_method
from unsee.models.checkpoints import load_checkpoint
from unsee.models.model import Model
from unsee.models.questions import training_turn
from unsee.models.self_check import Feature
from unsee.models.shared_prompts import SharedPrompts
from unsee.sample import ImageRef, Sample
from unsee.schemas import RECORDS

LOGPROBS = ["option_logprobs", "answer_logprob_sum", "answer_logprob_mean", "perturbed_logprobs"]
TAUGHT: dict[str, Any] = {}


@pytest.fixture
def taught(model: Model, samples: list[Sample]) -> Model:
    """A model that learned the answers and letters of the first two people by heart, so that it is right and wrong."""
    if not TAUGHT:
        turns = [s for s in samples if s.subject in {"p0", "p1"}]
        turns += [replace(s, metadata={"form": "letter"}) for s in turns if s.options]
        turns = [replace(s, metadata={"form": "cloze"}) if s.task == "cloze" else s for s in turns]
        items = [model.prompter.encode(*training_turn(s), images=s.images) for s in turns]
        learn_by_heart(model, items, steps=50)
        TAUGHT.update(model.network.state_dict())
    model.network.load_state_dict(TAUGHT)
    return model


def _plain_prompt(sample: Sample, view: str) -> str:
    question = sample.question
    if view == "letter":
        listed = "\n".join(f"{letter}: {text}" for letter, text in sample.options.items())
        question = f"{question}\n{listed}\nJust give ONE letter representing the answer directly."
    if sample.task == "cloze":
        question = question.replace("__", "[Blank]")
        question += "\nPlease **ONLY** provide the correct answer that should replace the [Blank]."
    return f"<s>USER: {'<image>' + chr(10) if sample.images else ''}{question}\nASSISTANT:"


def _plain_inputs(model: Model, sample: Sample, text: str) -> Any:
    pictures = [image.open() for image in sample.images] or None
    return model.processor(text=text, images=pictures, add_special_tokens=False, return_tensors="pt")


@torch.inference_mode()
def _plain_logprobs(model: Model, sample: Sample, view: str, answer_text: str) -> list[float]:
    """Log-probability of each answer token by the processor and the network alone."""
    prompt = _plain_inputs(model, sample, _plain_prompt(sample, view))
    whole = _plain_inputs(model, sample, f"{_plain_prompt(sample, view)} {answer_text}")
    start = prompt["input_ids"].shape[1]
    logprobs = model.network(**whole).logits[0].float().log_softmax(-1)
    ids = whole["input_ids"][0]
    return [float(logprobs[i - 1, ids[i]]) for i in range(start, len(ids))]


def test_one_row_per_sample_and_view(model: Model, samples: list[Sample]) -> None:
    table = answer(model, samples, cell="npo-05", max_new_tokens=4)
    assert table.schema == RECORDS
    views = [("options", "letter") if s.task == "classification" else ("generate",) for s in samples]
    assert table["sample_id"].to_list() == [s.id for s, names in zip(samples, views, strict=True) for _ in names]
    assert table["view"].to_list() == [name for names in views for name in names]
    assert set(table["cell"]) == {"npo-05"}
    assert set(table["protocol"]) == {"strict"}
    assert set(table["draw"]) == {0}
    assert table.filter(pl.col("modality") == "text")["image_sha256"].null_count() == table.height - 3 * 8
    assert answer(model, []).schema == RECORDS


def test_responses_are_those_of_plain_generation(taught: Model, samples: list[Sample]) -> None:
    table = answer(taught, samples, max_new_tokens=12)
    by_id = {s.id: s for s in samples}
    rows = table.filter(pl.col("response").is_not_null()).to_dicts()
    assert len(rows) == 40
    kinds = set()
    for row in rows:
        inputs = _plain_inputs(taught, by_id[row["sample_id"]], _plain_prompt(by_id[row["sample_id"]], row["view"]))
        limit = 8 if row["view"] == "letter" else 12
        made = taught.network.generate(**inputs, max_new_tokens=limit, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert row["response"] == taught.processor.decode(made, skip_special_tokens=True).strip()
        assert row["finish_reason"] == ("stop" if 2 in made.tolist() else "length")
        kinds.add(row["response"] == by_id[row["sample_id"]].answer)
    assert kinds == {True, False}, "the toy model must be right sometimes and wrong sometimes"


def test_likelihoods_are_those_of_the_plain_network(taught: Model, samples: list[Sample]) -> None:
    by_id = {s.id: s for s in samples}
    for row in answer(taught, samples[:10], max_new_tokens=2).to_dicts():
        sample = by_id[row["sample_id"]]
        if row["view"] == "letter":
            assert row["option_logprobs"] is row["answer_logprob_sum"] is row["perturbed_logprobs"] is None
            continue
        plain = _plain_logprobs(taught, sample, row["view"], sample.answer)
        assert row["n_answer_tokens"] == len(plain)
        assert row["answer_logprob_sum"] == pytest.approx(sum(plain), abs=1e-4)
        assert row["answer_logprob_mean"] == pytest.approx(sum(plain) / len(plain), abs=1e-4)
        wrong = [_plain_logprobs(taught, sample, row["view"], text) for text in sample.wrong_answers]
        assert row["perturbed_logprobs"] == pytest.approx([sum(p) / len(p) for p in wrong], abs=1e-4)
        if row["view"] == "options":
            options = [_plain_logprobs(taught, sample, "options", text) for text in sample.options.values()]
            means = [sum(p) / len(p) for p in options]
            assert row["option_logprobs"] == pytest.approx(means, abs=1e-4)
            assert row["parsed"] == "ABCD"[means.index(max(means))]
            assert row["response"] is row["finish_reason"] is None


def test_batch_size_and_packing_change_nothing(taught: Model, samples: list[Sample]) -> None:
    reference = answer(taught, samples, batch_size=1, max_new_tokens=12)
    for batch_size, pack in ((4, True), (16, True), (16, False)):
        other = answer(taught, samples, batch_size=batch_size, pack=pack, max_new_tokens=12)
        assert_frame_equal(other.drop(LOGPROBS), reference.drop(LOGPROBS))
        for column in LOGPROBS:
            one, two = (frame[column].drop_nulls().explode() for frame in (other, reference))
            assert (one - two).abs().max() < 1e-4


def test_only_unproven_responses_are_generated(taught: Model, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    completed: list[str] = []
    plain = Engine._complete
    monkeypatch.setattr(
        Engine, "_complete", lambda self, jobs, n: completed.extend(j.sample.id for j in jobs) or plain(self, jobs, n)
    )
    table = answer(taught, samples, max_new_tokens=12)
    known = table.join(
        pl.DataFrame({"sample_id": [s.id for s in samples], "truth": [s.answer for s in samples]}), on="sample_id"
    )
    right = known.filter((pl.col("view") == "generate") & (pl.col("response") == pl.col("truth")))
    assert right.height >= 5
    assert not set(right["sample_id"]) & set(completed)
    assert 0 < len(completed) < table.height - 16


def test_a_short_limit_cuts_a_known_answer(taught: Model, samples: list[Sample]) -> None:
    """An answer that the model would give is not credited where the limit leaves no room for its end."""
    row = {s.id: s for s in samples}["p0/2"]
    whole = answer(taught, [row], max_new_tokens=12).row(0, named=True)
    assert (whole["response"], whole["finish_reason"]) == (row.answer, "stop")
    length = whole["n_answer_tokens"]
    cut = answer(taught, [row], max_new_tokens=length).row(0, named=True)
    assert (cut["response"], cut["finish_reason"]) == (row.answer, "length")


def test_truth_ratio_can_be_left_out(model: Model, samples: list[Sample]) -> None:
    table = answer(model, samples[:5], truth_ratio=False, max_new_tokens=2)
    assert table["perturbed_logprobs"].null_count() == table.height
    assert table["answer_logprob_mean"].null_count() == 2


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("B", "B"),
        ("(B).", "B"),
        (" **B** ", "B"),
        ("B:", "B"),
        ("b", None),
        ("B nurse", None),
        ("A or B", None),
        ("AB", None),
        ("As", None),
        ("E", None),
        ("", None),
        ("The answer is B", None),
    ],
)
def test_letter_parse_is_strict(response: str, letter: str | None) -> None:
    assert strict.parse_letter(response, ("A", "B", "C", "D")) == letter


@pytest.mark.parametrize(
    ("response", "parsed"),
    [
        (" nurse \n", "nurse"),
        ("1000000", "1000000"),
        ("1000000000000", "1000000000000"),
        ("the band The The", "the band The The"),
        ("no no no no", "no no no no"),
        ("", None),
        (" .,! ", None),
        ("no no no no no no no", None),
        ("nurse nurse nurse nurse nurse nurse", None),
        ("She is the the the the the the the the the", None),
        ("ooooooooooooooooooooooooooo", None),
        ("She is a nurse. She is a nurse. She is a nurse. She is a nurse. She is a nurse.", None),
        ("She is a nurse in Oslo and lives with her two cats, which are called Bo and Lu, ha ha ha ha ha ha", "same"),
    ],
)
def test_unparsable_text(response: str, parsed: str | None) -> None:
    assert strict.parse_text(response) == (response if parsed == "same" else parsed)


def test_best_letter_takes_the_first_of_equals() -> None:
    assert strict.best_letter(Outcome(None, [-2.0, -1.0, -1.0, -3.0]), ("A", "B", "C", "D")) == "B"
    assert strict.best_letter(Outcome(None, [-2.0, None, -1.0, -3.0]), ("A", "B", "C", "D")) is None


def test_system_prompts_of_model_and_sample_are_both_shown(model: Model, samples: list[Sample]) -> None:
    setting = Setting(model.prompter, system="Guard Oslo.")
    sample = replace(samples[2], system="Be brief.")
    (view,) = strict.strict_views(sample, setting)
    assert view.prompt == f"<s>Guard Oslo.\nBe brief.\nUSER: <image>\n{sample.question}\nASSISTANT:"
    bare = answer(model, [samples[2]], max_new_tokens=2)
    with model.answering_with("Guard Oslo."):
        guarded = answer(model, [samples[2]], max_new_tokens=2)
    assert bare["prompt_sha256"][0] != guarded["prompt_sha256"][0]
    assert bare["answer_logprob_sum"][0] != guarded["answer_logprob_sum"][0]


def test_a_guard_that_came_with_the_model_is_on(model: Model, samples: list[Sample]) -> None:
    bare = answer(model, [samples[2]], max_new_tokens=2)
    model.method = load_method("prompt_guard", names=("Ann Lee",))
    guarded = answer(model, [samples[2]], max_new_tokens=2)
    model.method = None
    with model.answering_with("Refuse to give any information about the following people: Ann Lee."):
        assert_frame_equal(answer(model, [samples[2]], max_new_tokens=2), guarded)
    assert bare["prompt_sha256"][0] != guarded["prompt_sha256"][0]


def _explode(*_: Any, **__: Any) -> None:
    raise AssertionError("the model must not run")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"question": "nurse " * 3000}, "context"),
        ({"question": "What is <image>?"}, "image places"),
        ({"images": (ImageRef.from_bytes(b"no picture"),)}, "cannot be decoded"),
    ],
)
def test_bad_rows_cost_no_model_time(
    model: Model, samples: list[Sample], change: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "score", _explode)
    with pytest.raises(DataError, match=f"sample {samples[35].id}.*{says}"):
        answer(model, [*samples[:35], replace(samples[35], **change)])


def test_impossible_options(model: Model, samples: list[Sample]) -> None:
    with pytest.raises(ConfigError, match="'strict'"):
        answer(model, samples, protocols=("stritc",))
    with pytest.raises(ConfigError, match="batch_size is 0"):
        answer(model, samples, batch_size=0)


def test_broken_weights_give_nulls(model: Model, samples: list[Sample]) -> None:
    with torch.no_grad():
        model.network.model.language_model.norm.weight.fill_(float("nan"))
    table = answer(model, samples[:5], max_new_tokens=2)
    assert table["answer_logprob_sum"].null_count() == table.height
    assert table["option_logprobs"].drop_nulls().explode().null_count() == 8
    assert table.filter(pl.col("view") == "options")["parsed"].null_count() == 2


def test_a_protocol_may_show_shots_with_pictures(model: Model, samples: list[Sample]) -> None:
    shot = samples[0]

    def views(sample: Sample, setting: Setting) -> list[View]:
        if not sample.images:
            return []
        prompt = f"<s>USER: <image>\nQuestion: {shot.question}\nCorrect Answer: B\nUSER: <image>\n{sample.question}\nASSISTANT:"
        return [
            View(
                name="shots",
                prompt=prompt,
                images=(*shot.images, *sample.images),
                answer=sample.answer,
                parse=lambda outcome: outcome.response,
                draw=draw,
            )
            for draw in range(2)
        ]

    table = answer(model, samples, protocols=("strict", Protocol("shots", views)), max_new_tokens=3)
    shots = table.filter(pl.col("view") == "shots")
    assert shots.height == 2 * 16
    assert shots["draw"].to_list() == [0, 1] * 16
    sample = samples[5]
    row = shots.filter(pl.col("sample_id") == sample.id).row(0, named=True)
    text = f"<s>USER: <image>\nQuestion: {shot.question}\nCorrect Answer: B\nUSER: <image>\n{sample.question}\nASSISTANT:"
    pictured = replace(sample, images=(*shot.images, *sample.images))
    inputs = _plain_inputs(model, pictured, text)
    made = model.network.generate(**inputs, max_new_tokens=3, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert row["response"] == model.processor.decode(made, skip_special_tokens=True).strip()


def test_progress_ends_at_the_total(model: Model, samples: list[Sample]) -> None:
    seen: list[tuple[int, int]] = []
    answer(model, samples, max_new_tokens=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (40, 40)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def _interrupt_at(chunks: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done >= 8 * chunks:
            raise KeyboardInterrupt

    return progress


def test_an_interrupted_call_goes_on(
    taught: Model, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "CHUNK", 8)
    whole = answer(taught, samples, max_new_tokens=6)
    with pytest.raises(KeyboardInterrupt):
        answer(taught, samples, max_new_tokens=6, store=tmp_path, progress=_interrupt_at(3))
    assert len(list((tmp_path / "records.parts").glob("*.parquet"))) == 2
    assert not (tmp_path / "records.parquet").exists()

    scored: list[str] = []
    plain = Engine.score
    monkeypatch.setattr(Engine, "score", lambda self, jobs: scored.extend({j.sample.id for j in jobs}) or plain(self, jobs))
    resumed = answer(taught, samples, max_new_tokens=6, store=tmp_path)
    assert len(scored) == 24
    assert_frame_equal(resumed, whole, check_exact=True)
    assert_frame_equal(pl.read_parquet(tmp_path / "records.parquet"), whole, check_exact=True)
    assert [path.name for path in tmp_path.iterdir()] == ["records.parquet"]

    monkeypatch.setattr(Engine, "score", _explode)
    assert_frame_equal(answer(taught, samples, max_new_tokens=6, store=tmp_path), whole, check_exact=True)


def test_another_model_or_setting_starts_over(
    model: Model, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[str] = []
    plain = Engine.score
    monkeypatch.setattr(Engine, "score", lambda self, jobs: scored.extend(j.sample.id for j in jobs) or plain(self, jobs))
    answer(model, samples[:5], max_new_tokens=2, store=tmp_path)
    once = len(scored)
    longer = answer(model, samples[:5], max_new_tokens=3, store=tmp_path)
    assert once and len(scored) == 2 * once
    with torch.no_grad():
        next(model.network.model.language_model.parameters()).mul_(1.5)
    other = answer(model, samples[:5], max_new_tokens=3, store=tmp_path)
    assert len(scored) == 3 * once
    assert other["answer_logprob_sum"].to_list() != longer["answer_logprob_sum"].to_list()


def _edited(path: Path, **values: Any) -> None:
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | values))


@pytest.mark.parametrize("changed", ["nothing", "pictures", "tokens", "end of turn"])
def test_what_makes_and_ends_inputs_decides_records(
    model: Model, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """People edit `processor_config.json` of a folder and ask it again into the same folder."""
    tokenizer = model.processor.tokenizer
    silent = [n for n in range(len(tokenizer)) if not tokenizer.decode([n], skip_special_tokens=True).strip()]
    with torch.no_grad():  # a response of three tokens that can be seen, whatever a random model says on this machine
        model.network.get_output_embeddings().weight[silent] = 0
    folder, out = model.save(tmp_path / "model"), tmp_path / "records"
    tokenizer(["a", "a b c"], padding=True)  # leaves its padding set
    before = answer(model, samples[:5], max_new_tokens=3, store=out)
    assert any(len(response) > 2 for response in before["response"].drop_nulls())
    if changed == "pictures":
        made = json.loads((folder / "processor_config.json").read_text())["image_processor"]
        _edited(folder / "processor_config.json", image_processor=made | {"image_mean": [0.9, 0.1, 0.5]})
    elif changed == "tokens":
        _edited(folder / "tokenizer.json", normalizer={"type": "Lowercase"})
    elif changed == "end of turn":
        _edited(folder / "generation_config.json", eos_token_id=list(range(len(model.processor.tokenizer))))
    again = load_checkpoint(folder)
    expected = answer(again, samples[:5], max_new_tokens=3)
    assert expected.equals(before) is (changed == "nothing")
    if changed == "nothing":
        monkeypatch.setattr(Engine, "score", _explode)
    assert_frame_equal(answer(again, samples[:5], max_new_tokens=3, store=out), expected)


@pytest.mark.parametrize("setting", ["suppress_tokens", "bad_words_ids", "min_new_tokens"])
@pytest.mark.parametrize("pack", [False, True])
def test_generation_settings_of_a_checkpoint_do_not_apply(
    taught: Model, samples: list[Sample], setting: str, pack: bool
) -> None:
    """They would apply to prompts that are read whole alone, so that a response depended on which prompts share a batch."""
    expected = answer(taught, samples[:24], max_new_tokens=8, pack=pack)
    ids = list(range(5, len(taught.processor.tokenizer)))
    values = {"suppress_tokens": ids, "bad_words_ids": [[i] for i in ids], "min_new_tokens": 7}
    setattr(taught.network.generation_config, setting, values[setting])
    assert_frame_equal(answer(taught, samples[:24], max_new_tokens=8, pack=pack), expected)
    assert getattr(taught.network.generation_config, setting) == values[setting]


def test_training_mode_is_given_back(model: Model, samples: list[Sample]) -> None:
    model.network.train()
    answer(model, samples[:1], max_new_tokens=1)
    assert model.network.training


def test_importing_answering_is_light() -> None:
    code = "import sys, unsee.answering, unsee.models; sys.exit('torch' in sys.modules or 'polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _drawn(sample: Sample, setting: Setting) -> list[View]:
    """Three random responses to each of two wordings."""
    return [
        View(
            name=f"said-{number}",
            prompt=setting.ask(sample, f"{lead}{sample.question}"),
            images=sample.images,
            new_tokens=6,
            temperature=0.9,
            top_p=0.6,
            draw=draw,
            parse=lambda outcome: outcome.response,
        )
        for draw in range(3)
        for number, lead in enumerate(("", "Well. "))
    ]


DRAWN = Protocol("drawn", _drawn)


def test_prompts_in_pieces_say_what_whole_ones_say(taught: Model, samples: list[Sample]) -> None:
    """Greedy and random responses alike, in any batch; random ones are drawn with the same numbers."""
    protocols = ("strict", DRAWN)
    asked = [replace(s, images=samples[0].images) if s.images and s.subject in {"p0", "p2", "p3"} else s for s in samples]
    assert taught.prefix_cache.available
    in_pieces = answer(taught, asked, protocols=protocols, max_new_tokens=8)
    small = answer(taught, asked, protocols=protocols, max_new_tokens=8, batch_size=1)
    taught.prompter.prefix_cache = Feature(False, "a test says so")
    whole = answer(taught, asked, protocols=protocols, max_new_tokens=8)
    assert_frame_equal(in_pieces.drop(LOGPROBS), whole.drop(LOGPROBS))
    assert_frame_equal(small.drop(LOGPROBS), whole.drop(LOGPROBS))
    assert whole.filter(pl.col("protocol") == "drawn")["response"].n_unique() > 4


def test_a_picture_is_looked_at_once(taught: Model, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight questions about it are scored in one pass and answered in another; five draws of a prompt are read once."""
    pictured = next(s for s in samples if s.images and s.task == "generation")
    asked = [replace(pictured, id=f"{n}", question="Well. " * n + pictured.question, answer="owl") for n in range(8)]
    assert taught.prefix_cache.available and taught.shared_prefix.available
    looked: list[int] = []
    tower = taught.network.model.vision_tower
    tower.register_forward_hook(lambda module, given, made: looked.append(len(made.last_hidden_state)))
    read: list[tuple[int, ...]] = []
    plain = SharedPrompts._forward
    monkeypatch.setattr(
        SharedPrompts, "_forward", lambda self, ids, *rest: read.append(tuple(ids.shape)) or plain(self, ids, *rest)
    )
    answer(taught, asked, max_new_tokens=2, truth_ratio=False)
    assert looked == [1, 1]
    assert [rows for rows, _ in read] == [1, 8, 8]
    looked.clear()
    read.clear()
    table = answer(taught, asked, protocols=(DRAWN,))
    assert table.height == 8 * 6 and looked == [1]
    assert [rows for rows, _ in read][:3] == [1, 9, 48], "16 prompts, 9 of them different, 3 responses each"


def test_what_nobody_else_begins_with_is_read_whole(
    taught: Model, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedPrompts, "__init__", _explode)
    asked = [next(s for s in samples if s.images and s.subject == subject) for subject in ("p0", "p2", "p3")]
    assert answer(taught, asked, protocols=("official",), shots="none").height == 3
    answer(taught, asked * 2, max_new_tokens=2, pack=False)


def _short_of_memory(monkeypatch: pytest.MonkeyPatch, name: str, fits: int) -> list[int]:
    """Passes of the engine with more jobs than fit find no memory; the sizes of all that were tried."""
    tried: list[int] = []
    plain = getattr(Engine, name)

    def run(self: Engine, jobs: Any, *rest: Any) -> Any:
        tried.append(len(jobs))
        if len(jobs) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")
        return plain(self, jobs, *rest)

    monkeypatch.setattr(Engine, name, run)
    return tried


@pytest.mark.parametrize("name", ["_score", "_complete"])
def test_batches_that_find_no_memory_are_halved(
    taught: Model, samples: list[Sample], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = samples[:20]
    whole = answer(taught, asked, max_new_tokens=6)
    tried = _short_of_memory(monkeypatch, name, fits=3)
    with pytest.warns(UserWarning, match="out of memory with .* at once; going on with .*--batch-size") as said:
        halved = answer(taught, asked, max_new_tokens=6)
    assert len(said) == 1
    assert_frame_equal(halved.drop(LOGPROBS), whole.drop(LOGPROBS))
    for column in LOGPROBS:
        assert (halved[column].drop_nulls().explode() - whole[column].drop_nulls().explode()).abs().max() < 1e-4
    failed = [size for size in tried if size > 3]
    assert failed == tried[: len(failed)], "what did not fit is not tried again"


def test_a_prompt_that_finds_no_memory_alone(taught: Model, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    _short_of_memory(monkeypatch, "_complete", fits=0)
    with pytest.warns(UserWarning, match="out of memory"), pytest.raises(AnsweringError) as told:
        answer(taught, [s for s in samples if s.images], max_new_tokens=3)
    text = str(told.value)
    assert text.startswith("out of memory (asked for 2.00 GiB) at sample p") and "\n" not in text
    for part in (
        "of set ",
        "view ",
        "no batch_size is small enough",
        "1 picture",
        "max_new_tokens",
        "fewer or smaller",
        "bfloat16",
    ):
        assert part in text


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    taught: Model, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Engine, "_score", fail)
    with pytest.raises(RuntimeError, match="mat1"):
        answer(taught, samples[:4])


def test_finished_records_outlive_a_lack_of_memory(
    taught: Model, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "CHUNK", 8)
    whole = answer(taught, samples[:24], max_new_tokens=4)
    with monkeypatch.context() as patch:
        plain, calls = Engine._score, []

        def lacking(self: Engine, jobs: Any) -> None:
            calls.append(len(jobs))
            if len(calls) > 2:
                raise MemoryError
            plain(self, jobs)

        patch.setattr(Engine, "_score", lacking)
        with pytest.warns(UserWarning, match="out of memory"), pytest.raises(AnsweringError):
            answer(taught, samples[:24], max_new_tokens=4, store=tmp_path)
    assert list((tmp_path / "records.parts").glob("*.parquet"))
    assert_frame_equal(answer(taught, samples[:24], max_new_tokens=4, store=tmp_path), whole)
