"""ROUGE, BLEU and cloze matches against hand-computed values."""

from __future__ import annotations

import polars as pl
import pytest

from unsee.metrics.text_scores import bleu, cloze_exact, cloze_match, overlap, rouge_1, rouge_2, rouge_l


def frame(*pairs: tuple[str | None, str]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema={"parsed": pl.String, "answer": pl.String}, orient="row")


def test_overlap_by_hand() -> None:
    # Unigrams she, a, nurse of 5 and 4; bigram "a nurse" of 4 and 3; longest common subsequence of 3.
    found = overlap("She works as a nurse", "She is a nurse")
    assert found.rouge_1 == pytest.approx(2 * (3 / 5) * (3 / 4) / (3 / 5 + 3 / 4))
    assert found.rouge_2 == pytest.approx(2 * (1 / 4) * (1 / 3) / (1 / 4 + 1 / 3))
    assert found.rouge_l == pytest.approx(found.rouge_1)
    # Precisions 3/5, 1/4 and, smoothed by halving, 1/(2*3), 1/(4*2); no brevity penalty.
    assert found.bleu == pytest.approx((3 / 5 * 1 / 4 * 1 / 6 * 1 / 8) ** 0.25)


def test_stemming_counts_as_a_match() -> None:
    assert overlap("working", "works").rouge_1 == 1.0


@pytest.mark.parametrize("said", ["zzz qqq", "", "   ", "!?", None])
def test_no_match_is_exactly_zero(said: str | None) -> None:
    rows = frame((said, "the nurse works"))
    for metric in (rouge_1, rouge_2, rouge_l, bleu, cloze_exact, cloze_match):
        assert metric(rows).to_list() == [0.0]


def test_the_right_answer_is_exactly_one() -> None:
    rows = frame(("the nurse works in Oslo", "the nurse works in Oslo"))
    for metric in (rouge_1, rouge_2, rouge_l, bleu, cloze_exact, cloze_match):
        assert metric(rows).to_list() == [1.0]


def test_cloze_reads_whole_words_and_units() -> None:
    rows = frame(("It is Oslo.", "Oslo"), ("Martha", "Art"), ("5'5\"", "165 cm"), ("Oslo", "Oslo"))
    assert cloze_match(rows).to_list() == [1.0, 0.0, 1.0, 1.0]
    assert cloze_exact(rows).to_list() == [0.0, 0.0, 1.0, 1.0]
