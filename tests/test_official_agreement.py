"""On one checkpoint the protocol `official` and the published rules, applied one prompt at a time, give the same numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from official_people import PublishedScript, official_samples
from toy import learn_by_heart
from unsee.answering import answer, draw_shots, records
from unsee.answering.engine import Engine
from unsee.metrics import CellInfo, score
from unsee.metrics.official_results import official_results
from unsee.models.loading import load_model
from unsee.models.model import Model
from unsee.models.questions import cloze_question, letter_question
from unsee.models.shared_prompts import SharedPrompts
from unsee.sample import Sample

TAUGHT: dict[str, Any] = {}


@pytest.fixture(scope="module")
def people() -> list[Sample]:
    return official_samples()


@pytest.fixture
def taught(model: Model, people: list[Sample]) -> Model:
    """A model that learned some answers by heart and some letters, so that it is right, wrong and babbles."""
    if not TAUGHT:
        turns = []
        for sample in people:
            if sample.subject in {"001", "c0"}:
                asked = sample.question
                if sample.options:
                    asked = letter_question(sample)
                elif sample.task == "cloze":
                    asked = cloze_question(sample)
                reply = f"It is {sample.answer}" if sample.subject == "c0" else sample.correct_option or sample.answer
                turns.append(model.prompter.encode(asked, reply, images=sample.images))
        learn_by_heart(model, turns, steps=60)
        TAUGHT.update(model.network.state_dict())
    model.network.load_state_dict(TAUGHT)
    return model


def agreement(model: Model, samples: Sequence[Sample]) -> tuple[pl.DataFrame, PublishedScript]:
    """The protocol's records and the published script's replies, after checking that they agree to the last digit."""
    table = answer(model, samples, protocols=("official",))
    drawn = {key: draw.subjects for key, draw in draw_shots(samples).draws.items()}
    script = PublishedScript(model, samples, drawn)
    scores = script.run()
    assert table.height == len(script.said)
    rows = {row["sample_id"]: row for row in table.to_dicts()}
    for said in script.said:
        row = rows[said.sample.id]
        if said.sample.task == "classification":
            first = said.response[:1].upper()
            assert row["parsed"] == (first if first in said.sample.options else None)
        else:
            assert (row["parsed"] or "") == said.response
    ours = official_results(table, samples, name="x")["x_final_evaluation_results.json"]
    assert {mode: list(parts) for mode, parts in ours.items()} == {mode: list(parts) for mode, parts in scores.items()}
    results = score(table, samples, cell=CellInfo(cell="x"), bootstrap=10)
    for mode, parts in scores.items():
        for part, values in parts.items():
            assert ours[mode][part].keys() == values.keys()
            for key, value in values.items():
                assert ours[mode][part][key] == pytest.approx(value, abs=1e-9), (mode, part, key)
    forget = results.filter(
        (pl.col("set") == "forget") & pl.col("baseline").is_null() & pl.col("group").is_null() & pl.col("level").is_null()
    )
    for metric, modality, value in (
        ("accuracy", "text", scores["Forget Set Results"]["classification"]["Pure Text Question Accuracy"] / 100),
        ("cloze_accuracy", "image_text", scores["Forget Set Results"]["fill_in_the_blank"]["image_textual_accuracy"] / 100),
        ("bleu", "text", scores["Forget Set Results"]["generation"]["Average BLEU (Pure_Text)"]),
    ):
        found = forget.filter((pl.col("metric") == metric) & (pl.col("modality") == modality))
        assert found["value"].to_list() == pytest.approx([value], abs=1e-9)
    return table, script


def test_a_taught_model_agrees(taught: Model, people: list[Sample]) -> None:
    table, script = agreement(taught, people)
    shots = [said for said in script.said if said.prompt.count("USER:") > 1]
    assert len(shots) > 20 and any("<image>" in said.prompt for said in shots)
    parsed = table.filter(pl.col("view") == "letter")["parsed"]
    assert parsed.null_count() > 0 and parsed.drop_nulls().len() > 0
    right = {s.id: s.answer for s in people}
    cloze = table.filter(pl.col("task") == "cloze")
    hits = [right[name].lower() in (said or "").lower() for name, said in cloze.select("sample_id", "parsed").iter_rows()]
    assert 0 < sum(hits) < len(hits), "the model must be right sometimes and wrong sometimes"


@pytest.mark.slow
def test_a_random_model_agrees(model: Model) -> None:
    table, _ = agreement(model, official_samples(forget=3, retain=2, near=1, celebrity=1, questions=1))
    assert "length" in set(table["finish_reason"])


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load_model("tiny")


@pytest.fixture(scope="module")
def handful() -> list[Sample]:
    """Everything about three forgotten people, three others and a public figure, less the test set."""
    from unsee.benchmarks import load_benchmark

    samples = load_benchmark("people", subjects=12, celebrities=1, general=0).samples(ratio=0.25)
    kept = sorted({s.subject for s in samples if s.set in ("retain", "near_retain")})[:3]
    return [s for s in samples if s.set in ("forget", "celebrity") or (s.set != "test" and s.subject in kept)]


@pytest.mark.slow
def test_the_embedded_model_agrees(tiny: Model, handful: list[Sample], one_thread: None) -> None:
    table, _ = agreement(tiny, handful)
    assert table["parsed"].null_count() < table.height
    assert table.filter(pl.col("set") == "celebrity").height == 18


def test_a_bos_of_the_tokenizer_is_kept(taught: Model, people: list[Sample]) -> None:
    """LLaVA's tokenizer adds a BOS to any text; the published script then cuts BOS and the first token off."""
    from tokenizers.processors import TemplateProcessing

    bare = answer(taught, people, protocols=("official",))
    backend = taught.processor.tokenizer.backend_tokenizer
    backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    table, _ = agreement(taught, people)
    assert table["response"].to_list() != bare["response"].to_list()


def test_batch_size_and_packing_change_nothing(taught: Model, people: list[Sample], one_thread: None) -> None:
    reference = answer(taught, people, protocols=("official",), batch_size=1)
    for options in ({"batch_size": 4}, {"batch_size": 16}, {"batch_size": 16, "pack": False}):
        assert_frame_equal(answer(taught, people, protocols=("official",), **options), reference)
    with_strict = answer(taught, people, protocols=("strict", "official"))
    assert_frame_equal(with_strict.filter(pl.col("protocol") == "official"), reference)
    assert_frame_equal(with_strict.filter(pl.col("protocol") == "strict"), answer(taught, people), check_exact=True)


def test_shared_beginnings_are_read_once(taught: Model, people: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    plain = SharedPrompts.__init__

    def spy(self: SharedPrompts, model: Model, beginnings: Any) -> None:
        plain(self, model, beginnings)
        begun.extend(len(ids) for ids, _ in self.beginnings)

    assert taught.prefix_cache.available
    monkeypatch.setattr(SharedPrompts, "__init__", spy)
    answer(taught, people, protocols=("official",))
    draws = draw_shots(people).draws.values()
    begun = [length for length in begun if length > 20]  # others are pictures that are shown without shots
    assert len(begun) == len({tuple(one.id for one in shown) for draw in draws for shown in draw.shown.values()}) > 8


def test_a_model_that_places_tokens_its_own_way_reads_prompts_whole(
    taught: Model, people: list[Sample], monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    reference = answer(taught, people, protocols=("official",))
    plain, completed = SharedPrompts._forward, []

    def misplaced(self: SharedPrompts, ids: Any, seen: Any, places: Any, pictures: Any, cache: Any = None) -> Any:
        return plain(self, ids, seen, places if cache is None else places + 40, pictures, cache)

    monkeypatch.setattr(SharedPrompts, "_forward", misplaced)
    monkeypatch.setattr(SharedPrompts, "complete", lambda self, *_: completed.append(self))
    taught.prompter.prefix_cache = None
    with pytest.warns(UserWarning, match="every prompt is read whole"):
        assert_frame_equal(answer(taught, people, protocols=("official",)), reference)
    assert not completed


def test_two_runs_are_byte_identical_and_name_whom_they_showed(
    taught: Model, people: list[Sample], tmp_path: Path, one_thread: None
) -> None:
    """R1: the published script draws people and pictures without a seed."""
    one = answer(taught, people, protocols=("official",), seed=3, store=tmp_path / "a")
    two = answer(taught, people, protocols=("official",), seed=3, store=tmp_path / "b")
    assert_frame_equal(one, two, check_exact=True)
    assert (tmp_path / "a/records.parquet").read_bytes() == (tmp_path / "b/records.parquet").read_bytes()
    written = json.loads((tmp_path / "a/shots.json").read_text())
    assert written == json.loads((tmp_path / "b/shots.json").read_text())
    assert written == {"official": draw_shots(people, seed=3).manifest()}
    other = answer(taught, people, protocols=("official",), seed=4)
    assert set(other["sample_id"]) != set(one["sample_id"])


def test_shots_from_the_retain_set_leave_every_forget_question(taught: Model, people: list[Sample], tmp_path: Path) -> None:
    table = answer(taught, people, protocols=("official",), shots="retain", store=tmp_path)
    asked = {s.id for s in people if s.set in ("forget", "test", "celebrity")}
    assert asked <= set(table["sample_id"])
    assert json.loads((tmp_path / "shots.json").read_text())["official"]["shots"] == "retain"
    nobody = answer(taught, people, protocols=("official",), shots="none", store=tmp_path / "none")
    assert nobody.height == len(people)
    assert not (tmp_path / "none" / "shots.json").exists()


def test_an_interrupted_call_goes_on(
    taught: Model, people: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    def stop(done: int, _: int) -> None:
        if done >= 30:
            raise KeyboardInterrupt

    monkeypatch.setattr(records, "CHUNK", 16)
    both = ("strict", "official")
    whole = answer(taught, people, protocols=both, max_new_tokens=6)
    with pytest.raises(KeyboardInterrupt):
        answer(taught, people, protocols=both, max_new_tokens=6, store=tmp_path, progress=stop)
    parts = len(list((tmp_path / "records.parts").glob("*.parquet")))
    assert parts >= 1
    asked: list[str] = []
    plain = Engine.generate
    monkeypatch.setattr(Engine, "generate", lambda self, jobs: asked.extend(j.sample.id for j in jobs) or plain(self, jobs))
    assert_frame_equal(answer(taught, people, protocols=both, max_new_tokens=6, store=tmp_path), whole, check_exact=True)
    assert len(set(asked)) <= len(people) - 16 * parts
    asked.clear()
    answer(taught, people, protocols=both, max_new_tokens=6, store=tmp_path)
    assert not asked


def test_other_shots_start_over(taught: Model, people: list[Sample], tmp_path: Path) -> None:
    """Also where only the wording of somebody shown changed, whose question is in no record."""
    asked = [s for s in people if s.task == "classification" and s.set == "retain"]
    one = answer(taught, asked, protocols=("official",), store=tmp_path)
    shown = next(iter(draw_shots(asked).draws["retain_shared", "classification"].shown["text"]))
    changed = [replace(s, question="Which one?") if s.id == shown.id else s for s in asked]
    two = answer(taught, changed, protocols=("official",), store=tmp_path)
    assert set(one["sample_id"]) == set(two["sample_id"]) and shown.id not in set(one["sample_id"])
    assert one["prompt_sha256"].to_list() != two["prompt_sha256"].to_list()
    assert answer(taught, asked, protocols=("official",), seed=1, store=tmp_path).equals(
        answer(taught, asked, protocols=("official",), seed=1)
    )
