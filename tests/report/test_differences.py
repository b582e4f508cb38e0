from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from unsee.report.answered import answers_of
from unsee.report.differences import _domain, compare_switch, difference_panels, distance_panels
from unsee.report.facts import fact_panels
from unsee.report.main_table import Scope
from unsee.report.run_data import read_run
from unsee.report.sources import Source, Sources
from unsee.sample_tables import read_samples


@pytest.fixture(scope="module")
def sources(wide_run: Path) -> Sources:
    return Sources([Source(read_run(wide_run))], "wide")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What the figures were asked to draw."""
    calls: list[dict] = []

    def note(panels, **more) -> str:
        calls.append({"panels": panels, **more})
        return "<svg/>"

    monkeypatch.setattr("unsee.report.differences.bar_panels", note)
    return calls


def value(results: pl.DataFrame, **wanted: object) -> float:
    chosen = results.filter(*(pl.col(name).eq_missing(pl.lit(what)) for name, what in wanted.items()))
    return chosen["value"].item()


def test_bars_are_the_values_of_the_results(sources: Sources, drawn: list[dict]):
    panels = difference_panels(sources)
    first = next(
        n
        for n, p in enumerate(panels)
        if p.keys == {"protocol": "strict", "gated": "False", "scope": "0", "compare": "questions"}
    )
    assert first == 0
    scope = sources.requests[0]
    place = {
        "method": "npo", "forget_ratio": scope.forget_ratio, "unlearn_modality": scope.unlearn_modality, "protocol": "strict",
        "task": "classification", "metric": "accuracy", "view": "options", "gated": False, "level": None, "group": None,
        "modality": "text",
    }  # fmt: skip
    for title, set_name, baseline in (
        ("Forget: points from vanilla", "forget", "vanilla"),
        ("Retain: percent", "retain", None),
    ):
        call = next(call for call in drawn if call["title"] == title)
        bar = next(bar for bar in call["panels"][0].bars if bar.model == "NPO" and bar.series == 1)
        assert bar.value == pytest.approx(100 * value(sources.results, set=set_name, baseline=baseline, **place))
    forget = next(call for call in drawn if call["title"].startswith("Forget"))
    assert [panel.title.partition(":")[0] for panel in forget["panels"]] == ["Four options", "Written answer", "Fill the blank"]
    assert forget["models"] == ["Gold", "GA", "NPO"]
    assert any(call["title"] == "General: percent" for call in drawn)


def test_ways_of_unlearning_are_compared_where_a_run_has_several(sources: Sources, small_run: Path, drawn: list[dict]):
    switch = compare_switch(sources)
    assert switch is not None and [name for name, _ in switch.options] == ["questions", "unlearning"]
    panels = [panel for panel in difference_panels(sources) if panel.keys.get("compare") == "unlearning"]
    # Two modalities of the questions, two protocols, with and without gate.
    assert len(panels) == 2 * 2 * 2 and {panel.keys["scope"] for panel in panels} == {"0 1"}
    assert "unlearned from image + text, hollow: unlearned from text only" in panels[0].figure.title
    assert compare_switch(Sources([Source(read_run(small_run))], "small")) is None


def test_distances_have_a_side(sources: Sources, drawn: list[dict]):
    distance_panels(sources)
    call = next(call for call in drawn if call["title"] == "Forget")
    assert call["mark"] == "dot" and "Gold" not in call["models"] and "Vanilla" in call["models"]
    vanilla = [bar.value for bar in call["panels"][0].bars if bar.model == "Vanilla"]
    assert all(value > 0 for value in vanilla)
    low, high = call["panels"][0].domain
    assert low < 0 < max(vanilla) < high


def test_axes_of_equal_values_are_not_blown_up():
    assert _domain([0.0, 0.0], differs=True, least=10.0) == pytest.approx((-5.6, 5.6))
    low, high = _domain([-40.0, 3.0], differs=True, least=10.0)
    assert -50 < low < -40 and 3 < high < 10
    assert _domain([5.0], differs=False, least=10.0) == (0.0, 104.0)


def test_names_of_figures_are_unique(sources: Sources, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unsee.report.differences.bar_panels", lambda *_, **__: "<svg/>")
    names = [panel.figure.name for panel in (*difference_panels(sources), *distance_panels(sources)) if panel.figure]
    assert len(set(names)) == len(names)


def test_the_matrix_counts_right_answers(small_run: Path, monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, dict] = {}
    monkeypatch.setattr(
        "unsee.report.facts.fact_matrix", lambda shares, **more: seen.setdefault(more["prefix"], shares | more) and ""
    )
    run = read_run(small_run)
    answers = answers_of(run, read_samples(small_run / "samples.parquet"), Scope(0.15, "mixed"))
    panels = fact_panels(answers, name="demo")
    assert [panel.keys["model"] for panel in panels] == [str(n) for n in range(7)]
    npo = ("npo", "corrected")
    about = [q for q in answers.questions if q.subject == "p001" and q.set_name == "forget" and q.fact == "job"]
    right = sum(question.replies[npo].right for question in about)
    assert seen["m5"]["Bruno Lark", "job"] == (right, len(about))
    assert len(seen["m5"]["people"]) == 3 and "5" in seen["m5"]["prefix"]
    assert len(panels[5].figure.pictures) == 2 and len(panels[1].figure.pictures) == 1
