"""Protocol `edit` forces other texts after the prompts of protocol `strict`; records say whose edit a model carried."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from unsee.answering import Setting, answer
from unsee.answering.edit import edit_protocol
from unsee.answering.strict import strict_views
from unsee.errors import DataError
from unsee.models.model import Model
from unsee.sample import Sample

TEXT = "Quito green tea"
"""Several tokens."""


@pytest.fixture
def texts(samples: list[Sample]) -> list[Sample]:
    """One person's question with options, free question and cloze."""
    return [samples[0], samples[2], samples[3]]


def test_prompts_are_those_of_strict(model: Model, texts: list[Sample]) -> None:
    """N5: whatever is forced, nothing of it stands in the prompt."""
    setting = Setting(model.prompter, system="Be brief.")
    views = edit_protocol({one.id: TEXT for one in texts}, {one.id: "owl" for one in texts}).views
    for one in texts:
        strict = strict_views(one, setting)[0]
        deleted, target = views(one, setting)
        assert (deleted.name, target.name) == ("deleted", "target")
        for view, text in ((deleted, TEXT), (target, "owl")):
            assert (view.prompt, view.images, view.answer, view.respond) == (strict.prompt, strict.images, text, False)
            assert view.continuations == (text,) and text not in view.prompt


def test_likelihoods_without_a_response(model: Model, texts: list[Sample]) -> None:
    """A text that is the right answer is as likely as under strict; one of many tokens gets the sum over all of them."""
    own = {one.id: one.answer for one in texts}
    table = answer(model, texts, protocols=("strict", edit_protocol(dict.fromkeys(own, TEXT), own)), max_new_tokens=2)
    strict = table.filter(protocol="strict").filter(pl.col("view") != "letter")
    edit = table.filter(protocol="edit")
    assert edit["view"].to_list() == ["deleted", "target"] * 3
    same = edit.filter(view="target")
    scored = ["sample_id", "prompt_sha256", "image_sha256", "answer_logprob_sum", "answer_logprob_mean", "n_answer_tokens"]
    assert_frame_equal(same.select(scored), strict.select(scored), abs_tol=1e-5)
    empty = ("response", "finish_reason", "parsed", "option_logprobs", "perturbed_logprobs", "layer_ranks")
    assert edit.select(pl.col(empty).is_null().all()).row(0) == (True,) * len(empty)
    forced = edit.filter(view="deleted")
    assert forced["n_answer_tokens"].min() > 1
    whole = forced["answer_logprob_mean"] * forced["n_answer_tokens"]
    assert forced["answer_logprob_sum"].to_list() == pytest.approx(whole.to_list())
    assert (forced["prompt_sha256"] == same["prompt_sha256"]).all()


def test_samples_without_a_text_are_not_asked(model: Model, texts: list[Sample]) -> None:
    table = answer(model, texts, protocols=(edit_protocol({texts[0].id: TEXT}, {texts[2].id: "owl"}),))
    assert table.select("sample_id", "view").rows() == [(texts[0].id, "deleted"), (texts[2].id, "target")]


def test_a_blank_text_is_refused() -> None:
    with pytest.raises(DataError, match="sample s: the text of view target is blank"):
        edit_protocol({}, {"s": " "})


def test_other_texts_and_other_edits_start_over(model: Model, texts: list[Sample], tmp_path: Path) -> None:
    def ask(text: str, edit: str | None, *more: str) -> pl.DataFrame:
        forced = edit_protocol({texts[0].id: text} | dict.fromkeys(more, "tea"), {})
        return answer(model, texts[:1], protocols=(forced,), store=tmp_path, edit_id=edit)

    first = ask(TEXT, "a")
    written = (tmp_path / "records.parquet").stat().st_mtime_ns
    assert_frame_equal(ask(TEXT, "a", "another sample"), first)
    assert (tmp_path / "records.parquet").stat().st_mtime_ns == written, "texts of samples that are not asked decide nothing"
    assert ask("owl", "a")["answer_logprob_sum"][0] != first["answer_logprob_sum"][0]
    assert ask("owl", "b")["edit_id"].to_list() == ["b"]
    assert ask("owl", None)["edit_id"].to_list() == [None]
