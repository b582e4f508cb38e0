"""What is kept under each rule, and the report about it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

from review.toy_garden import toy_extension
from review.votes import decision, judged
from unsee.benchmarks.extended.files import read_extension, write_extension
from unsee.benchmarks.extended.variants import Extension
from unsee.errors import DataError
from unsee.review.agreement import agreement
from unsee.review.decisions import extension_digest
from unsee.review.filtering import Rule, filter_extension


@pytest.fixture(scope="module")
def small() -> Extension:
    return toy_extension(1)


RULES = {
    ("all", "reject"): {"kk": True, "kr": False, "rr": False, "ku": False, "uu": False, "u": False},
    ("all", "keep"): {"kk": True, "kr": False, "ku": True, "uu": True},
    ("all", "ignore"): {"kk": True, "kr": False, "ku": True, "uu": None, "ru": False},
    ("majority", "reject"): {"kkr": True, "kr": False, "krr": False, "kku": True, "ku": False},
    ("majority", "keep"): {"kr": False, "kur": True, "ru": False},
    ("majority", "ignore"): {"ku": True, "kru": False, "kkru": True},
    ("any", "reject"): {"krr": True, "ru": False, "rr": False},
    ("any", "keep"): {"ru": True, "rr": False},
    ("any", "ignore"): {"ru": False, "ku": True, "u": None},
}


@pytest.mark.parametrize(("keep_if", "unsure"), RULES)
def test_rules(keep_if, unsure) -> None:
    words = {"k": "keep", "r": "reject", "u": "unsure"}
    rule = Rule(keep_if, unsure)
    for letters, expected in RULES[keep_if, unsure].items():
        assert rule.keeps([words[letter] for letter in letters]) is expected, letters
    assert rule.keeps([]) is None


def test_kept_variants_and_counts(small: Extension) -> None:
    # 15 variants, of which one failed; 14 were looked at, 12 of them by both.
    found = filter_extension(small, judged(small, {"Ada": "kkkkkkkkrrru..", "Bo": "kkkkkkkrrrkk.."}))
    assert (found.raw, found.automatic, found.judged, found.manual) == (15, 14, 12, 7)
    assert found.annotators == ("Ada", "Bo") and found.bare == 0 and found.skipped == 0
    passed = [variant for variant in small.variants if not variant.failed]
    assert found.extension.variants == tuple(passed[:7]) and found.extension.facts == small.facts
    assert filter_extension(small, judged(small, {"Ada": "k"}), undecided="keep").manual == 14
    assert filter_extension(small, judged(small, {"Ada": "r"}), undecided="keep").manual == 13
    nothing = filter_extension(small, judged(small, {"Ada": "r"}))
    assert nothing.manual == 0 and nothing.bare == 1


def test_rates_have_wilson_intervals(small: Extension) -> None:
    found = filter_extension(small, judged(small, {"Ada": "kkrkkkkkkkkkkr"}))
    by_grade = {rate.group: (rate.kept, rate.judged) for rate in found.grades}
    assert list(by_grade)[:4] == ["question/easy", "question/medium", "question/hard", "image/easy"]
    assert by_grade["question/easy"] == (2, 2) and by_grade["question/medium"] == (1, 2)
    assert "image/hard" not in by_grade and by_grade["neighbour_image/hard"] == (0, 1)
    assert sum(rate.judged for rate in found.generators) == 14 and [rate.group for rate in found.people] == ["Ada"]
    for rate in (*found.grades, *found.generators, *found.people):
        interval = binomtest(rate.kept, rate.judged).proportion_ci(method="wilson")
        assert (rate.low, rate.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_what_failed_checks_stays_out(small: Extension) -> None:
    (failed,) = (variant for variant in small.variants if variant.failed)
    digest = extension_digest(small)
    given = [decision(failed.id, name, "k", extension=digest) for name in "ab"]
    found = filter_extension(small, [*given, *judged(small, {"a": "kr"})], keep_if="any", undecided="keep")
    assert failed.id not in {variant.id for variant in found.extension.variants}
    assert found.overruled == {"near_duplicate": (2, 2)} and found.judged == 2
    # They count neither as accepted nor for the agreement.
    assert [(rate.group, rate.judged) for rate in found.people] == [("a", 2)] and found.agreement.annotators == ("a",)


def test_reasons_are_counted(small: Extension) -> None:
    digest, items = extension_digest(small), [variant.id for variant in small.variants]
    reasons = ["unclear", "unclear", "  Not  a dog", "not a DOG", ""]
    given = [decision(items[n], "a", "r", extension=digest, reason=text) for n, text in enumerate(reasons)]
    given.append(decision(items[5], "a", "u", extension=digest, reason="unclear"))
    assert filter_extension(small, given).reasons == {"reject": {"unclear": 2, "not a dog": 2}, "unsure": {"unclear": 1}}


def test_agreement_is_that_of_the_decisions(small: Extension) -> None:
    given = judged(small, {"a": "kkrrkukkrrkkku", "b": "kkrkkukrrrkrku"})
    found = filter_extension(small, given, seed=3).agreement
    assert found == agreement(given, seed=3) and found.kappa.value is not None and 0 < found.kappa.value < 1
    apart = filter_extension(small, judged(small, {"a": "kr............", "b": "..kr.........."}))
    assert apart.agreement.kappa.value is None and apart.manual == 2


def test_decisions_that_do_not_fit(small: Extension) -> None:
    given = judged(small, {"a": "kk"})
    stray = [decision("nobody/image/easy/0", "a", extension=extension_digest(small), where="a.jsonl, line 3")]
    with pytest.raises(DataError, match=r"^a\.jsonl, line 3: there is no variant 'nobody/image/easy/0'; .*--skip-invalid$"):
        filter_extension(small, [*given, *stray])
    with pytest.warns(UserWarning, match="1 decision about variants that are not there left out"):
        found = filter_extension(small, [*given, *stray], skip_invalid=True)
    assert found.skipped == 1 and found.manual == 2
    other = [dataclasses.replace(given[0], extension="0" * 64, where="b.jsonl, line 1")]
    for skip in (False, True):
        with pytest.raises(DataError, match=r"b\.jsonl, line 1 was decided about another extension \(000000000000, not "):
            filter_extension(small, [*given, *other], skip_invalid=skip)
    with pytest.raises(DataError, match="hold no decision"):
        filter_extension(small, [])
    assert filter_extension(small, [], undecided="keep").manual == 14


def test_the_history_says_how(small: Extension, tmp_path: Path) -> None:
    extended = dataclasses.replace(small, history=({"step": "extend", "counts": {"raw": 15, "automatic": 14}},))
    given = judged(extended, {"a": "kkkkkkkrrrrrrr", "b": "kkkkkkrrrrrrrr", "c": "kkkkkkrrrrrrru"})
    found = filter_extension(extended, given, keep_if="majority", unsure="ignore")
    write_extension(tmp_path / "kept", found.extension)
    again = read_extension(tmp_path / "kept")
    first, step = again.history
    assert first == extended.history[0]
    assert step["counts"] == {"raw": 15, "automatic": 14, "judged": 14, "manual": 6}
    assert step["options"] == {"keep_if": "majority", "unsure": "ignore", "undecided": "drop"}
    assert step["annotators"] == ["a", "b", "c"] and step["of"] == extension_digest(extended)
    assert step["agreement"]["statistic"] == "fleiss"
    assert step["agreement"]["kappa"]["value"] == found.agreement.kappa.value
    assert len(again.variants) == 6 and json.loads((tmp_path / "kept/extension.json").read_text())["history"][1] == step
