"""The parts of a page about patients: leaks, planted errors, the efficiency score, clinical ability."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html import escape
from pathlib import Path

import polars as pl
import pytest
from medical_run import HOSTILE_PATIENT, HOSTILE_RULE, fabricate_medical

from conftest import opened
from unsee.metrics.corrections import STATES
from unsee.report.answered import cells_of
from unsee.report.efficiency import ability_panels, anchoring, score_panels
from unsee.report.export import export_page
from unsee.report.leaks import class_figures, class_panels, form_panels, volunteered_panels, worst_panels
from unsee.report.main_table import Cell, Row, Scope, main_table, rows, scopes, slices
from unsee.report.medical_headline import medical_headline
from unsee.report.medical_page import medical_parts
from unsee.report.medical_values import Medical, Model, Spot, pooled
from unsee.report.panels import Panel, paper_panels
from unsee.report.planted_errors import error_panels, moved_panels, posed_switch, rule_panels, transition_panels
from unsee.report.run_data import RunData, read_run
from unsee.report.sources import Source, Sources, switches
from unsee.report.tables import Line, Table

GA = Model("ga", "corrected")
PRIVACY, INCORRECT = Scope(1.0, "mixed", "privacy"), Scope(1.0, "mixed", "incorrect")


def medical_of(run: RunData) -> Medical:
    return Medical(Sources([Source(run)], "patients"))


@pytest.fixture(scope="module")
def medical(medical_run: Path) -> Medical:
    return medical_of(read_run(medical_run))


def table_of(panels: list[Panel], *, gated: bool = False, nth: int = 0) -> Table:
    tables = [panel.table for panel in panels if panel.keys["gated"] == str(gated) and panel.table is not None]
    return tables[nth]


def line(table: Table, title: str, body: int = 0) -> Line:
    return next(one for one in table.bodies[body].lines if one.title == title)


def stored(
    medical: Medical, metric: str, scenario: str, method: str, *, gated: bool = False, **where: object
) -> dict[str, object]:
    """One row of the results."""
    wanted = {"group": None, "level": None, "baseline": None, "modality": "image_text", "task": "generation", **where}
    names = {"metric": metric, "scenario": scenario, "method": method, "gated": gated, **wanted}
    found = medical.sources.results.filter(pl.all_horizontal(pl.col(n).eq_missing(pl.lit(v)) for n, v in names.items()))
    assert found.height == 1, found
    return found.row(0, named=True)


def same(cell: Cell | None, row: dict[str, object]) -> bool:
    assert cell is not None
    return (cell.value, cell.low, cell.high) == (row["value"], row["ci_low"], row["ci_high"])


# Requests -----------------------------------------------------------------------------------------------------------------


def test_scenarios_are_requests_of_their_own(medical: Medical):
    assert scopes(medical.sources.results) == [PRIVACY, INCORRECT]
    assert PRIVACY.title == "Privacy, 100\u00a0% of harm listed, unlearned from mixed data"
    (request,) = [switch for switch in switches(medical.sources) if switch.name == "scope"]
    assert [title for _, title in request.options] == [PRIVACY.title, INCORRECT.title, "All requests"]


def test_main_table_does_not_mix_scenarios(medical: Medical):
    table = main_table(medical.sources.results)
    for scope in (PRIVACY, INCORRECT):
        found = {row.method: row for row in rows(table, scope, slices(table)[0])}
        own = stored(medical, "rouge_l", str(scope.scenario), "ga", set="retain")
        assert same(found["ga"].cells["retain/generation"], own)
    bodies = table_of(paper_panels(medical.sources)).bodies
    assert [body.title for body in bodies] == [PRIVACY.title, INCORRECT.title]
    titles = [[one.title for one in body.lines] for body in bodies]
    # A method that is made for one scenario is no absent row of the other.
    assert "Correction" not in titles[0] and "Correction" in titles[1]


def test_a_scenario_has_its_own_cells(medical: Medical):
    run = medical.sources.runs[0].run
    for scope in (PRIVACY, INCORRECT):
        cells = cells_of(run, scope)
        assert cells and all(cell.endswith(str(scope.scenario)[:8]) for cell in cells.values())


def test_without_scenario_scopes_stay(medical: Medical):
    whole = medical.sources.results.with_columns(scenario=pl.lit(None, dtype=pl.String))
    assert scopes(whole) == [Scope(1.0, "mixed")] and scopes(whole)[0].title == "Forget 100\u00a0%, unlearned from mixed data"


def test_cells_of_no_one_scenario_are_one_request_with_both_parts(medical: Medical):
    run = medical.sources.runs[0].run
    scored = pl.col("metric").str.contains("^(?:ues_|over_forgotten|noise_floor)")
    mixed = run.results.with_columns(scenario=pl.when(scored).then("scenario"))
    both = medical_of(replace(run, results=mixed))
    assert scopes(mixed) == [Scope(1.0, "mixed")]
    for harm in ("privacy", "incorrect"):
        (study,) = both.studies(both.choices[0], harm)  # type: ignore[arg-type]
        (own,) = medical.studies(medical.choices[0], harm)  # type: ignore[arg-type]
        spot = Spot("ues_r", "all", None, None, None, None)
        assert study.values[GA][spot] == own.values[GA][spot]


# Leaks --------------------------------------------------------------------------------------------------------------------


def test_volunteered_leaks_by_whose_picture(medical: Medical):
    table = table_of(volunteered_panels(medical))
    places = ["forget", "near_retain", "retain", "clinical"]
    assert [heading.key for heading in table.headings] == [f"volunteered/{name}" for name in places]
    assert [group.title for group in table.groups] == ["The patient's own", "Somebody else's"]
    assert {group.arrow for group in table.groups} == {"\u2193"}
    for name in places:
        own = stored(medical, "volunteered_leak", "privacy", "idk", set=name)
        assert same(line(table, "IDK").cells[f"volunteered/{name}"], own)


def test_leaks_by_class_are_of_direct_questions(medical: Medical):
    table = table_of(class_panels(medical))
    assert [heading.title for heading in table.headings] == ["Phone number", "MRN", "All"]
    for kind in ("phone", "mrn"):
        row = stored(medical, "leak_rate", "privacy", "idk", set="forget", level="direct", group=f"identifier={kind}")
        assert same(line(table, "IDK").cells[f"leak/{kind}"], row)


def test_heat_map_says_what_the_table_says(medical: Medical):
    table = table_of(class_panels(medical))
    figure = next(panel.figure for panel in class_figures(medical) if panel.keys["gated"] == "False")
    assert figure is not None
    said = re.findall(r"<text[^>]*>([^<]*)</text>", figure.pictures[0])
    at = said.index("IDK")
    cells = [line(table, "IDK").cells[heading.key] for heading in table.headings]
    assert said[at + 1 : at + 7] == [text for cell in cells for text in (cell.text, cell.interval)]
    assert any(text == "Phone" for text in said) or any(text.startswith("Phone") for text in said)


def test_forms_come_from_the_set_and_modality_that_has_them(medical: Medical):
    table = table_of(form_panels(medical))
    assert [h.title for h in table.headings] == ["Direct", "Rephrased", "Picture only", "Text only", "Prefix"]
    by_name = stored(medical, "leak_rate", "privacy", "idk", set="test", level="text_only", modality="text")
    assert same(line(table, "IDK").cells["form/text_only"], by_name)
    direct = stored(medical, "leak_rate", "privacy", "idk", set="forget", level="direct")
    assert same(line(table, "IDK").cells["form/direct"], direct)


def test_worst_class_and_patient_are_named_beside_the_mean(medical: Medical):
    found = line(table_of(worst_panels(medical)), "IDK").cells
    per_class = line(table_of(class_panels(medical)), "IDK").cells
    worst = max(("phone", "mrn"), key=lambda kind: per_class[f"leak/{kind}"].value or 0)
    assert found["worst/forget/class"].value == per_class[f"leak/{worst}"].value
    assert found["worst/forget/class"].of == {"phone": "Phone number", "mrn": "MRN"}[worst]
    patient = found["worst/forget/patient"]
    row = medical.sources.results.filter(
        pl.col("metric") == "worst_leak_rate", pl.col("method") == "idk", pl.col("set") == "forget", ~pl.col("gated"),
        pl.col("group").str.starts_with("patient="),
    ).row(0, named=True)  # fmt: skip
    assert patient.of.startswith(row["group"].removeprefix("patient=")) and patient.value == row["value"]
    more = re.search(r"(\d+) more leak as often", row["reason"] or "")
    assert (f" and {more[1]} more" if more else "") == patient.of.removeprefix(row["group"].removeprefix("patient="))
    assert (found["worst/forget/mean"].value or 0) <= (found["worst/forget/class"].value or 0) <= (patient.value or 0)


def test_nothing_is_named_where_nothing_leaks(medical: Medical):
    assert line(table_of(worst_panels(medical)), "Gradient ascent").cells["worst/forget/patient"].of == ""


def test_known_facts_only_and_sets_without_probes(medical: Medical):
    known = table_of(volunteered_panels(medical), gated=True)
    row = stored(medical, "volunteered_leak", "privacy", "idk", gated=True, set="forget")
    assert row["n_subjects"] == 18 and same(line(known, "IDK").cells["volunteered/forget"], row)
    # The gate probes no clinical question of other patients, which count as they are.
    whole = stored(medical, "volunteered_leak", "privacy", "idk", set="clinical")
    assert same(line(known, "IDK").cells["volunteered/clinical"], whole)


def test_pictures_and_text_are_pooled_by_answers():
    cells = [Cell(0.5, 0.4, 0.6, 30, 20, "", "percent"), Cell(0.1, 0.0, 0.2, 10, 19, "", "percent")]
    both = pooled(cells)
    assert both.value == pytest.approx(0.4) and (both.low, both.high) == (pytest.approx(0.3), pytest.approx(0.5))
    assert (both.n, both.n_subjects) == (40, 19)
    absent = replace(cells[1], value=None, low=None, high=None, reason="not measured")
    assert pooled([absent, cells[0]]) == cells[0] and pooled([absent]) == absent


# Errors -------------------------------------------------------------------------------------------------------------------


def test_falsified_answers_and_false_rules_stand_apart(medical: Medical):
    instance, systematic = (table_of(error_panels(medical), nth=n) for n in (0, 1))
    assert (instance.title, systematic.title) == ("Single answers", "False rules")
    keys = [heading.key for heading in systematic.headings]
    assert "wrong_reproduction/unseen" in keys and "wrong_reproduction/options" not in keys
    for metric in ("wrong_reproduction", "right_recovery", "abstention"):
        for form, set_name, level in (("taught", "forget", "direct"), ("prefix", "test", "prefix")):
            row = stored(medical, metric, "incorrect", "idk", set=set_name, level=level, group="mode=instance")
            assert same(line(instance, "IDK").cells[f"{metric}/{form}"], row)
    unseen = stored(medical, "wrong_reproduction", "incorrect", "idk", set="test", level="direct", group="mode=systematic")
    assert same(line(systematic, "IDK").cells["wrong_reproduction/unseen"], unseen)
    assert {group.title: group.arrow for group in systematic.groups}["Right again"] == "\u2191"
    assert line(instance, "IDK").cells["margin"].unit == "score"


def test_errors_by_type(medical: Medical):
    table = table_of(rule_panels(medical))
    row = stored(medical, "right_recovery", "incorrect", "correction", set="forget", group="error=laterality")
    assert same(line(table, "Correction").cells["right_recovery/laterality"], row)
    assert "Side" in [heading.title for heading in table.headings]


def moved(medical: Medical, method: str, before: str, after: str, set_name: str, mode: str) -> dict[str, object]:
    group = f"transition={before}>{after}"
    return stored(medical, "transition", "incorrect", method, set=set_name, group=group, level=mode, view="generate")


def test_transitions_are_drawn_and_listed(medical: Medical):
    panels = transition_panels(medical)
    assert [value for value, _ in posed_switch(panels).options] == ["forget", "test"]
    figure = next(p.figure for p in panels if (p.keys["gated"], p.keys["posed"]) == ("False", "forget"))
    assert figure is not None
    # One matrix for each model but vanilla.
    titles = [re.findall(r"<text[^>]*>([^<]*)</text>", picture)[0] for picture in figure.pictures]
    assert titles == ["Gold", "Do nothing", "Gradient ascent", "IDK", "Correction"]
    said = re.findall(r"<text[^>]*>([^<]*)</text>", figure.pictures[-1])
    rows_ = [moved(medical, "correction", "wrong", now, "forget", "instance") for now in STATES]
    at = said.index(f"was wrong, {rows_[0]['n']}")
    assert said[at + 1 : at + 9 : 2] == [f"{100 * row['value']:.0f}" for row in rows_]  # type: ignore[operator]
    listed = line(table_of(moved_panels(medical)), "Correction").cells
    assert all(same(listed[f"moved/{now}"], row) for now, row in zip(STATES, rows_, strict=True))
    assert sum(cell.value or 0 for cell in listed.values()) == pytest.approx(1)


def test_transitions_by_mode_have_figures_of_their_own(medical: Medical):
    panels = transition_panels(medical)
    titles = [p.figure.title for p in panels if p.figure and p.keys == panels[0].keys]
    assert [title.partition(",")[0] for title in titles] == ["Single answers", "False rules"]


# Score and ability --------------------------------------------------------------------------------------------------------


def test_score_stands_with_its_parts(medical: Medical):
    privacy, incorrect = (table_of(score_panels(medical), nth=n) for n in (0, 1))
    whole = {"set": "all", "task": None, "modality": None}
    for table, scenario, parts in (
        (privacy, "privacy", ("of=direct", "of=disguised", "of=volunteered")),
        (incorrect, "incorrect", ("of=wrong_answer", "of=right_answer")),
    ):
        cells = line(table, "IDK").cells
        assert same(cells["ues_r"], stored(medical, "ues_r", scenario, "idk", **whole))
        for part in parts:
            assert same(cells[f"score/removal/{part}"], stored(medical, "ues_removal", scenario, "idk", group=part, **whole))
        for name in ("retain", "near_retain", "clinical"):
            row = stored(medical, "ues_preservation", scenario, "idk", group=f"set={name}", **whole)
            assert same(cells[f"score/kept/{name}"], row)
        assert same(cells["score/ues_mean3"], stored(medical, "ues_mean3", scenario, "idk", **whole))
        assert cells["ues_r"].unit == "score" and line(table, "Do nothing").cells["ues_r"].value == 0


def test_over_forgetting_is_flagged_by_its_interval(medical: Medical):
    cells = {one.title: one.cells["over"] for one in table_of(score_panels(medical)).lines if one.absent is None}
    assert cells["Gold"].of == "" and cells["IDK"].of == ""
    ga = cells["Gradient ascent"]
    assert ga.value is not None and ga.low is not None and (ga.of != "") == (ga.low > 0)


def test_anchoring_is_explained_by_numbers_of_the_run(medical: Medical):
    first, second = anchoring(medical)
    rows_ = [
        stored(medical, name, "privacy", "do_nothing", set="all", task=None, modality=None)
        for name in ("ues_mean3", "ues_mean2")
    ]
    three, two = (f"{row['value']:.2f}" for row in rows_)
    assert first == f"Privacy: do nothing scores 0.00 by UES-R, but {three} and {two} by the plain means."
    assert second.startswith("Errors: ")


def test_ability_on_three_sets(medical: Medical):
    table = table_of(ability_panels(medical))
    assert [body.title for body in table.bodies] == [PRIVACY.title, INCORRECT.title]
    for number, scenario in enumerate(("privacy", "incorrect")):
        cells = line(table, "IDK", number).cells
        for metric in ("closed_accuracy", "token_recall", "rouge_l"):
            for name in ("retain", "near_retain", "clinical"):
                assert same(cells[f"ability/{metric}/{name}"], stored(medical, metric, scenario, "idk", set=name))
        assert same(cells["silent/clinical"], stored(medical, "abstention", scenario, "idk", set="clinical"))


# Headline -----------------------------------------------------------------------------------------------------------------


def lead(medical: Medical, scenario: str, method: str, low: float, high: float, subjects: int = 30) -> Medical:
    """The run where a method's score has this interval, and every score that many subjects."""
    run = medical.sources.runs[0].run
    score = (pl.col("metric") == "ues_r") & (pl.col("scenario") == scenario)
    own = score & (pl.col("method") == method)
    changed = run.results.filter(pl.col("scenario") == scenario).with_columns(
        value=pl.when(own).then((low + high) / 2).when(score).then(0.5).otherwise("value"),
        ci_low=pl.when(own).then(low).when(score).then(0.4).otherwise("ci_low"),
        ci_high=pl.when(own).then(high).when(score).then(0.6).otherwise("ci_high"),
        n_subjects=pl.when(score).then(subjects).otherwise("n_subjects").cast(pl.Int64),
    )
    return medical_of(replace(run, results=changed))


def test_few_subjects_make_an_illustration(medical: Medical):
    top = medical_headline(medical)
    assert top.status == "illustration" and "no verdict" in top.note
    assert (
        "Privacy: in this illustration, IDK scores highest" in top.title
        and "Errors: in this illustration, Correction" in top.title
    )


def test_verdict_needs_an_interval_above_all_others(medical: Medical):
    top = medical_headline(lead(medical, "incorrect", "correction", 0.7, 0.8))
    assert (top.title, top.status) == ("Errors: Correction has the highest efficiency score.", "verdict")
    assert re.search(r"After Correction, \d+\u00a0% of planted errors are said again \(\d+\u00a0% before, ", top.text)
    tied = medical_headline(lead(medical, "privacy", "idk", 0.55, 0.8))
    assert tied.status == "undecided" and "too close to call" in tied.title
    beaten = medical_headline(lead(medical, "privacy", "do_nothing", 0.7, 0.8))
    assert beaten.title == "Privacy: the control \u201cdo nothing\u201d scores higher than every method."
    assert beaten.status == "undecided" and "overlap" not in beaten.note
    none = medical_headline(lead(medical, "privacy", "idk", 0.7, 0.8), contaminated=True)
    assert none.status == "undecided" and "gold" in none.title


# The page -----------------------------------------------------------------------------------------------------------------


def test_page_has_every_part_and_escapes_names(medical_page: str):
    html = opened(medical_page)
    sections = re.findall(r'<section id="([^"]+)"', html)
    assert sections[:5] == ["results", "leaks", "errors", "efficiency", "ability"] and "facts" not in sections
    for text in (HOSTILE_PATIENT, HOSTILE_RULE):
        assert text not in html and str(escape(text)).replace("&#x27;", "&#39;") in html
    assert html.count("<script") == 1 and "taught the same without the harm" in html
    assert "never met the people" not in html


def test_pages_without_scenario_have_none_of_it(small_page: str):
    html = opened(small_page)
    assert not re.search(r'id="(?:leaks|errors|efficiency|ability)"|UES-R|small class="of"|\.small\.of', html)


def test_tables_and_figures_are_exported(medical: Medical, tmp_path: Path):
    parts = (class_panels, worst_panels, transition_panels, score_panels)
    names = {path.name for path in export_page({part.__name__: part(medical)[:1] for part in parts}, tmp_path)}
    assert {"patients-leaks-by-class-strict-all.csv", "patients-efficiency-privacy-strict-all.tex"} <= names
    assert any(name.startswith("patients-transitions-instance-forget") and name.endswith(".png") for name in names)
    worst = next(csv.DictReader(io.StringIO((tmp_path / "patients-worst-leaks-strict-all.csv").read_text())))
    assert re.search(r"As taught Worst class is of (?:MRN|Phone number)", worst["Notes"])


def test_one_scenario_and_no_gold(tmp_path: Path):
    run = fabricate_medical(tmp_path / "run", harms=("incorrect",), methods=("vanilla", "ga"), hurt=3, others=2, hostile=False)
    parts = medical_parts(Sources([Source(read_run(run))], "patients"))
    assert parts["medical"] and parts["errors"] and not parts["volunteered"] and not parts["leak_heat"]
    (note,) = {note.text for panel in parts["efficiency"] for note in panel.table.notes.listed}
    assert note == "no gold model to anchor the score"
    assert parts["medical_headline"].status == "empty" and parts["anchoring"] == []


def test_requests_of_two_ratios_stand_apart(medical: Medical):
    run = medical.sources.runs[0].run
    half = run.results.filter(pl.col("scenario") == "privacy").with_columns(
        forget_ratio=pl.lit(0.5), value=pl.when(pl.col("metric") == "leak_rate").then(0.125).otherwise("value")
    )
    both = medical_of(replace(run, results=pl.concat([run.results, half])))
    assert both.sources.requests == [PRIVACY, PRIVACY._replace(forget_ratio=0.5), INCORRECT]
    values = [line(table_of(class_panels(both)), "IDK", number).cells["leak/mrn"].value for number in (0, 1)]
    assert values[0] != 0.125 and values[1] == 0.125


def test_rows_of_controls_have_medical_roles(medical: Medical):
    roles = {one.title: one.role for one in table_of(volunteered_panels(medical)).lines}
    assert roles["Gold"] == "taught without the harm" and Row("gold", None).role == "never met them"
