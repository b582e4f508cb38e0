"""Edit scores and damage by hand; what the published evaluation gets wrong (E7, E9, N5) does not happen here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from unsee.errors import DataError
from unsee.metrics import CellInfo, edit_scores
from unsee.metrics.bootstrap import wilson
from unsee.metrics.edit_scores import FLOOR, erased, sign_flip_p, taught, untouched
from unsee.sample import Sample, SetName
from unsee.schemas import RECORDS, RESULTS

from .record_factory import row

FACTS = ("f0", "f1")


def sample(fact: str, set: SetName, name: str = "", answer: str = "tea", **metadata: str) -> Sample:
    return Sample(
        id=f"{fact}/{set}/{name}",
        benchmark="b",
        subject=fact,
        set=set,
        task="generation",
        modality="image_text",
        question="What?",
        answer=answer,
        metadata=metadata,
    )


def record(
    one: Sample, p: float | None, *, edit: str | None = None, view: str = "generate", said: str | None = None, **fields: Any
) -> dict[str, object]:
    """An answer of probability p, forced after the strict question or by protocol `edit`."""
    total = None if p is None else -math.inf if p == 0 else math.log(p)
    protocol = "strict" if view == "generate" else "edit"
    told = {"answer_logprob_sum": total, "edit_id": edit, "protocol": protocol, "parsed": said}
    return row(one, view, **told | fields)


def table(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=RECORDS)


def moved(samples: Sequence[Sample], before: Sequence[float], after: Sequence[float | None], **fields: Any) -> Any:
    """(records, before) of samples under the edits of their own facts."""
    records = [record(one, p, edit=one.subject, **fields) for one, p in zip(samples, after, strict=True)]
    return records, [record(one, p, **fields) for one, p in zip(samples, before, strict=True)]


def scores(records: Any, before: Any, samples: Sequence[Sample], **options: Any) -> pl.DataFrame:
    return edit_scores(table(*records), samples, before=table(*before), cell=CellInfo(cell="c", method="m"), **options)


def one_row(results: pl.DataFrame, metric: str, **where: Any) -> dict[str, Any]:
    for name, value in ({"group": None, "level": None, "metric": metric} | where).items():
        results = results.filter(pl.col(name).eq_missing(pl.lit(value)))
    return results.row(0, named=True) if results.height == 1 else pytest.fail(f"{results.height} rows of {metric}")


def value(results: pl.DataFrame, metric: str, **where: Any) -> float | None:
    return one_row(results, metric, **where)["value"]


FORGET = [sample(fact, "forget") for fact in FACTS]
NEARBY = [sample(fact, "neighbour_question", answer="red") for fact in FACTS]
WORDS = [sample(fact, "test", "words", axis="question", level="medium") for fact in FACTS]


@pytest.mark.parametrize(
    ("formula", "before", "after", "score"),
    [
        (erased, 0.8, 0.2, 0.75),
        (erased, 0.5, 0.0, 1.0),
        (erased, 0.2, 0.5, 0.0),
        (erased, 0.0, 0.5, None),
        (erased, FLOOR / 2, 0.0, None),
        (erased, FLOOR, FLOOR / 4, 0.75),
        (erased, 0.5, None, None),
        (taught, 0.1, 0.91, 0.9),
        (taught, 0.0, 1.0, 1.0),
        (taught, 0.3, 0.2, 2e-8),
        (taught, 0.3, 0.3, 2e-8),
        (taught, 1.0, 1.0, None),
        (taught, 1 - FLOOR / 2, 0.5, None),
        (taught, None, 0.5, None),
        (untouched, 0.1, 0.1, 1.0),
        (untouched, 0.1, 0.3, 1 - 0.2 / 0.9),
        (untouched, 0.7, 0.3, 1 - 0.4 / 0.7),
        (untouched, 0.0, 1.0, 0.0),
        (untouched, 1.0, 0.0, 0.0),
        (untouched, 0.0, 0.0, 1.0),
    ],
)
def test_formulas_by_hand(formula: Any, before: float | None, after: float | None, score: float | None) -> None:
    frame = pl.DataFrame({"before": [before], "after": [after]}, schema={"before": pl.Float64, "after": pl.Float64})
    made = frame.select(formula(pl.col("before"), pl.col("after")).alias("made"))["made"][0]
    assert made == (None if score is None else pytest.approx(score))


def test_rewrite_of_a_method_that_erases() -> None:
    """0.8 -> 0.2 is 3/4 erased, 0.5 -> 0.6 not at all; of two facts a draw has both, or one of them twice."""
    results = scores(*moved(FORGET, [0.8, 0.5], [0.2, 0.6]), FORGET, n_edits=3)
    assert results.schema == RESULTS
    found = one_row(results, "rewrite_score")
    assert found["value"] == pytest.approx(0.375)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((0.0, 0.75))
    assert (found["n"], found["n_subjects"], found["n_edits"], found["set"], found["task"]) == (2, 2, 3, "forget", "generation")
    assert (found["protocol"], found["view"], found["cell"], found["method"]) == ("strict", "generate", "c", "m")
    assert (found["metric_version"], found["reason"]) == (1, "fewer than 20 subjects: no verdict")
    assert set(results["n_edits"]) == {3}
    same = one_row(results, "rewrite_score", group="of=answer")
    assert [same[name] for name in ("value", "ci_low", "ci_high")] == [found[name] for name in ("value", "ci_low", "ci_high")]


def test_rewrite_of_a_method_that_teaches() -> None:
    """The target 0.1 -> 0.91 is taught by 0.9; the true answer 0.8 -> 0.4 is half erased. Targets' start is in the records."""
    records, before = moved(FORGET[:1], [0.8], [0.4])
    records += [record(FORGET[0], 0.91, edit="f0", view="target"), record(FORGET[0], 0.1, view="target")]
    results = scores(records, before, FORGET)
    own, answer = one_row(results, "rewrite_score"), one_row(results, "rewrite_score", group="of=answer")
    assert (own["value"], own["protocol"], own["view"]) == (pytest.approx(0.9), "edit", "target")
    assert (answer["value"], answer["protocol"], answer["view"]) == (pytest.approx(0.5), "strict", "generate")


def test_one_fact_has_no_interval() -> None:
    found = one_row(scores(*moved(FORGET[:1], [0.8], [0.2]), FORGET), "rewrite_score")
    assert (found["value"], found["ci_low"], found["ci_high"]) == (pytest.approx(0.75), None, None)


def test_facts_that_were_not_known_are_left_out_and_counted() -> None:
    results = scores(*moved(FORGET, [0.8, 0.0], [0.2, 0.3]), FORGET)
    found = one_row(results, "rewrite_score")
    assert (found["value"], found["n"], found["n_subjects"]) == (pytest.approx(0.75), 1, 1)
    assert "1 of 2 questions left out: the answer's probability was below 1e-06 before the edit" in found["reason"]
    none = one_row(scores(*moved(FORGET, [0.0, 0.0], [0.0, 0.0]), FORGET), "rewrite_score")
    assert (none["value"], none["n"], none["ci_low"]) == (None, 0, None)
    assert none["reason"] == "2 of 2 questions left out: the answer's probability was below 1e-06 before the edit"


def test_a_target_that_was_certain_and_a_likelihood_that_is_no_number_are_left_out() -> None:
    records, before = moved(FORGET, [0.5, 0.5], [0.4, 0.4])
    records += [record(one, 0.9, edit=one.subject, view="target") for one in FORGET]
    start = [record(FORGET[0], 1.0, view="target"), record(FORGET[1], 0.5, view="target")]
    found = one_row(scores(records + start, before, FORGET), "rewrite_score")
    assert (found["value"], found["n"]) == (pytest.approx(0.8), 1)
    assert "1 of 2 questions left out: the target's probability was above 1 - 1e-06 before the edit" in found["reason"]
    broken = one_row(scores(*moved(FORGET, [0.5, 0.5], [None, 0.1]), FORGET), "rewrite_score")
    assert (broken["value"], broken["n"]) == (pytest.approx(0.8), 1)
    assert "1 of 2 questions left out: a likelihood is no number" in broken["reason"]


def test_every_fact_has_one_vote() -> None:
    """f0 is asked in three disguises, erased by 0, 0.5 and 1, f1 in one, erased by 1: 3/4 and not 5/8."""
    own = [sample("f0", "test", name, axis="question", level=name) for name in ("easy", "medium", "hard")]
    samples = [*own, WORDS[1]]
    results = scores(*moved(samples, [0.4] * 4, [0.4, 0.2, 0.0, 0.0]), samples)
    found = one_row(results, "paraphrase_score")
    assert (found["value"], found["n"], found["n_subjects"]) == (pytest.approx(0.75), 4, 2)
    levels = [
        value(results, "paraphrase_score", group="axis=question", level=level) for level in (None, "easy", "medium", "hard")
    ]
    assert levels == pytest.approx([0.75, 0.0, 0.75, 1.0])


def test_rephrased_pictures_are_scored_on_their_own_answers() -> None:
    """E7: the published score of a rephrased picture shows the original one. Targets are asked of questions only."""
    picture = sample("f0", "test", "picture", axis="image", level="hard")
    both = sample("f0", "test", "both", axis="both", level="easy")
    samples = [FORGET[0], WORDS[0], picture, both]
    records, before = moved(samples, [0.8, 0.8, 0.5, 0.4], [0.0, 0.2, 0.5, 0.3])
    for one, p, was in ((FORGET[0], 0.95, 0.5), (WORDS[0], 0.7, 0.4)):
        records += [record(one, p, edit="f0", view="target"), record(one, was, view="target")]
    results = scores(records, before, samples)
    assert value(results, "rewrite_score") == pytest.approx(0.9)
    assert value(results, "paraphrase_score") == pytest.approx(0.5)
    assert value(results, "paraphrase_score", group="axis=question") == pytest.approx(0.5)
    assert value(results, "paraphrase_score", group="of=answer") == pytest.approx(0.75)
    for group, level, left in (("axis=image", "hard", 0.0), ("axis=both", "easy", 0.25)):
        found = one_row(results, "paraphrase_score", group=group, level=level)
        assert (found["value"], found["view"]) == (pytest.approx(left), "generate")


def test_neighbourhood_is_about_the_deleted_answer() -> None:
    """The right answer to the neighbouring question is another one, and does not count here."""
    records, before = moved(NEARBY, [0.1, 0.7], [0.3, 0.3], view="deleted")
    own, own_before = moved(NEARBY, [0.9, 0.9], [0.1, 0.1])
    found = one_row(scores(records + own, before + own_before, NEARBY), "neighbourhood_score")
    assert found["value"] == pytest.approx(((1 - 0.2 / 0.9) + (1 - 0.4 / 0.7)) / 2)
    assert (found["set"], found["protocol"], found["view"]) == ("neighbour_question", "edit", "deleted")


def everything(erased_to: Sequence[float], rephrased_to: Sequence[float], nearby_to: Sequence[float]) -> pl.DataFrame:
    samples = [*FORGET, *WORDS, *NEARBY]
    records, before = moved([*FORGET, *WORDS], [0.5] * 4, [*erased_to, *rephrased_to])
    deleted, deleted_before = moved(NEARBY, [0.5] * 2, nearby_to, view="deleted")
    return scores(records + deleted, before + deleted_before, samples)


def test_edit_score_is_the_harmonic_mean_in_every_draw() -> None:
    """Rewrite (1, 0.5), paraphrase (0.5, 0.5), neighbourhood (1, 0.2): draws hold both facts, or one of them twice."""
    found = one_row(everything([0.0, 0.25], [0.25, 0.25], [0.5, 0.1]), "edit_score")
    both, first, second = (3 / sum(1 / part for part in parts) for parts in ((0.75, 0.5, 0.6), (1, 0.5, 1), (0.5, 0.5, 0.2)))
    assert found["value"] == pytest.approx(both)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((second, first))
    assert (found["set"], found["n"], found["n_subjects"], found["task"], found["view"]) == ("all", 6, 2, None, None)


def test_edit_score_without_a_part() -> None:
    assert value(everything([0.5, 0.5], [0.0, 0.0], [0.5, 0.5]), "edit_score") == 0.0
    found = one_row(scores(*moved(FORGET, [0.8, 0.5], [0.2, 0.6]), FORGET), "edit_score")
    assert (found["value"], found["reason"]) == (None, "no paraphrase_score and no neighbourhood_score")
    absent = one_row(scores(*moved(FORGET, [0.8, 0.5], [0.2, 0.6]), FORGET), "paraphrase_score")
    assert (absent["value"], absent["reason"]) == (None, "no such question was asked after an edit")


def test_probabilities_are_of_whole_answers() -> None:
    """N5: sums over the tokens, as they are forced inside the assistant's turn; lengths do not matter."""
    records = [record(FORGET[0], 0.2, edit="f0", answer_logprob_mean=-9.0, n_answer_tokens=3)]
    before = [record(FORGET[0], 0.8, answer_logprob_mean=-0.1, n_answer_tokens=3)]
    assert value(scores(records, before, FORGET), "rewrite_score") == pytest.approx(0.75)


PANEL = [sample(f"r{i}", "retain", answer=answer) for i, answer in enumerate(("soup", "rice"))]
"""Asked after every edit."""


def damaged(said: Sequence[tuple[str, str]], before: Sequence[str | None] = ("It eats soup.", "rice")) -> pl.DataFrame:
    """Results of a panel of two questions after an edit of each fact."""
    records = [
        record(one, 0.5, edit=fact, said=text)
        for fact, texts in zip(FACTS, said, strict=True)
        for one, text in zip(PANEL, texts, strict=True)
    ]
    return scores(records, [record(one, 0.5, said=text) for one, text in zip(PANEL, before, strict=True)], PANEL)


def test_damage_is_paired_over_one_panel() -> None:
    """E9: both edits are asked the same two questions. Right before: both; after: both, then none."""
    results = damaged([("Soup", "some rice"), ("tea", "licorice")])
    found = one_row(results, "delta_accuracy", set="retain")
    assert (found["value"], found["n"], found["n_subjects"]) == (0.5, 4, 2)
    assert (found["ci_low"], found["ci_high"], found["higher_is_better"]) == (0.0, 1.0, False)
    after = one_row(results, "accuracy_after_edit", set="retain")
    assert (after["value"], after["higher_is_better"]) == (0.5, True)
    p = one_row(results, "delta_accuracy_p", set="retain")
    assert (p["value"], p["higher_is_better"], p["ci_low"], p["n"]) == (1.0, None, None, 4)


def test_damage_may_be_negative_and_pairs_by_question() -> None:
    """One of two is right before; the other one after the first edit (no change), both after the second."""
    results = damaged([("tea", "rice"), ("soup", "rice")], before=("soup", "tea"))
    assert value(results, "delta_accuracy", set="retain") == -0.25
    assert value(results, "accuracy_after_edit", set="retain") == 0.75
    same = damaged([("soup", "rice"), ("soup", "rice")])
    found = one_row(same, "delta_accuracy", set="retain")
    assert (found["value"], found["ci_low"], found["ci_high"]) == (0.0, 0.0, 0.0)
    assert value(same, "delta_accuracy_p", set="retain") == 1.0
    right = one_row(same, "accuracy_after_edit", set="retain")
    assert (right["value"], right["ci_low"], right["ci_high"]) == pytest.approx((1.0, *wilson(2, 2)))


def test_unparsable_and_denied_answers_are_wrong() -> None:
    results = damaged([("It is not soup.", "rice"), (None, "rice")])  # type: ignore[list-item]
    assert value(results, "accuracy_after_edit", set="retain") == 0.5


def test_neighbouring_pictures_stand_by_level_too() -> None:
    pictures = [sample(fact, "neighbour_image", level, level=level) for fact in FACTS for level in ("easy", "hard")]
    said = ["tea", "ham", "tea", "tea"]
    records = [record(one, 0.5, edit=one.subject, said=text) for one, text in zip(pictures, said, strict=True)]
    results = scores(records, [record(one, 0.5, said="tea") for one in pictures], pictures)
    found = [value(results, "delta_accuracy", set="neighbour_image", level=level) for level in (None, "easy", "hard")]
    assert found == [0.25, 0.0, 0.5]
    assert value(results, "accuracy_after_edit", set="neighbour_image", level="hard") == 0.5
    absent = one_row(results, "delta_accuracy_p", set="neighbour_question")
    assert (absent["value"], absent["reason"]) == (None, "no such question was asked after an edit")


@pytest.mark.parametrize(
    ("differences", "p"),
    [([1, 0.5, -0.25], 4 / 8), ([1, 0.5, 0.25], 2 / 8), ([0.5, -0.5], 1.0), ([0.5, 0, 0], 1.0), ([0, 0], 1.0), ([], 1.0)],
)
def test_sign_flips_by_hand(differences: list[float], p: float) -> None:
    """Of +-1 +-0.5 +-0.25 four in eight are at least 1.25 away from 0."""
    assert sign_flip_p(differences) == pytest.approx(p)


def test_sign_flips_equal_an_enumeration() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1.0, size=9)
    flipped = [abs(sum(s * d for s, d in zip(signs, differences))) for signs in product((-1, 1), repeat=9)]
    exact = np.mean([total >= abs(differences.sum()) - 1e-12 for total in flipped])
    assert sign_flip_p(differences) == pytest.approx(exact)
    assert sign_flip_p([*differences, *[0.0] * 30]) == pytest.approx(exact), "facts that did not change change nothing"
    many = np.full(20, 0.1)
    assert sign_flip_p(many) == sign_flip_p(many) == pytest.approx(2 / 10_000)


def test_other_protocols_and_the_order_of_rows_change_nothing() -> None:
    records, before = moved([*FORGET, *WORDS], [0.8, 0.5, 0.7, 0.4], [0.2, 0.6, 0.1, 0.3])
    plain = scores(records, before, [*FORGET, *WORDS])
    noise = [row(one, "lens", protocol="lens", answer_logprob_sum=-1.0, edit_id=one.subject) for one in FORGET]
    noise += [row(FORGET[0], "generate", protocol="rephrase_image-easy", draw=1, answer_logprob_sum=-1.0, edit_id="f0")]
    assert_frame_equal(scores([*noise, *records[::-1]], before[::-1], [*FORGET, *WORDS]), plain, check_exact=True)


def test_directions_and_ranges() -> None:
    results = everything([0.0, 0.25], [0.25, 0.25], [0.5, 0.1])
    directions = dict(results.select("metric", "higher_is_better").unique().rows())
    better = {"rewrite_score", "paraphrase_score", "neighbourhood_score", "edit_score", "accuracy_after_edit"}
    assert directions == dict.fromkeys(better, True) | {"delta_accuracy": False, "delta_accuracy_p": None}
    assert results.filter(pl.col("value").is_null() & pl.col("reason").is_null()).is_empty()


def test_records_that_do_not_fit() -> None:
    records, before = moved(FORGET, [0.8, 0.5], [0.2, 0.6])
    with pytest.raises(DataError, match="sample 'f1/forget/', view generate of edit 'f1', was not asked before the edit"):
        scores(records, before[:1], FORGET)
    with pytest.raises(DataError, match="records: sample 'f1/forget/' is recorded but not among the samples"):
        scores(records, before, FORGET[:1])
    with pytest.raises(DataError, match="records: sample 'f0/forget/' is recorded twice in one view"):
        scores([*records, records[0]], before, FORGET)
    with pytest.raises(DataError, match="records before the edits: sample 'f0/forget/' is recorded twice"):
        scores(records, [*before, before[0]], FORGET)
    with pytest.raises(DataError, match="no row carries an edit"):
        scores(before, before, FORGET)
    target = record(FORGET[0], 0.9, edit="f0", view="target")
    with pytest.raises(DataError, match="sample 'f0/forget/', view target of edit 'f0', was not asked before the edit"):
        scores([*records, target], before, FORGET)
    with pytest.raises(DataError, match="sample 'f1/forget/' has no view target under edit 'f1'; others"):
        scores([*records, target, record(FORGET[0], 0.1, view="target")], before, FORGET)


def test_a_panel_that_changes_from_edit_to_edit_is_refused() -> None:
    """E9: the published panel is drawn anew for every edit, without a seed."""
    before = [record(one, 0.5, said="soup") for one in PANEL]
    records = [record(PANEL[0], 0.5, edit="f0", said="soup"), record(PANEL[1], 0.5, edit="f1", said="rice")]
    with pytest.raises(DataError, match="retain sample 'r0/retain/' is not asked after every edit"):
        scores(records, before, PANEL)
