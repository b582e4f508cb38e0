"""Patients' pictures as the third part of pretraining: shares, recipes that stay what they were, a toy training, abilities."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from unsee.benchmarks.creatures.species import creature_world
from unsee.benchmarks.patients.cases import VISIBLE
from unsee.benchmarks.patients.lessons import mark_of
from unsee.benchmarks.patients.questions import CLOSED, OPEN, clinical_questions
from unsee.benchmarks.patients.world import taught_case
from unsee.cli import main
from unsee.errors import CheckpointError, ConfigError
from unsee.models import patient_abilities
from unsee.models.card import TARGETS, Ability, measure_abilities, render, taught_patients
from unsee.models.loading import RECIPE, load_model, weights_folder
from unsee.models.patient_abilities import asked_case, asked_picture, patient_questions
from unsee.models.pretraining import portrait_world
from unsee.models.pretraining.creature_part import CreatureRows
from unsee.models.pretraining.language import Rows
from unsee.models.pretraining.mixture import Mixture
from unsee.models.pretraining.patient_part import PatientRows, render_patients
from unsee.models.pretraining.recipe import make_recipe
from unsee.models.pretraining.stages import BOTH, CLINIC, FURTHER, PEOPLE
from unsee.models.pretraining.training import train
from unsee.models.pretraining.vision import VisionOptions
from unsee.models.pretraining.workshop import assemble
from unsee.models.worlds import fingerprints, load_world

FIRST_CASE, CASES = 50_000, 40
FIRST_CREATURE = 10_000


@pytest.fixture(scope="module")
def figures():
    return portrait_world.draw_figures()


def rows_of(figures, *, patients=True):
    owners = [figure.id for figure in figures if figure.role != "held_out"] + [""] * 50
    creatures = {("", 0): FIRST_CREATURE} | {
        (one.id, 0): FIRST_CREATURE + n for n, one in enumerate(creature_world().species, 1)
    }
    clinic = PatientRows({number: FIRST_CASE + number for number in range(CASES)}, seed=0) if patients else None
    rows = Rows(Mixture(figures, owners, [[0] * 10] * len(owners), seed=0), CreatureRows("A", creatures, seed=0), clinic)
    rows.reseed(3)
    return rows


def about(plan):
    picture = -1 if plan.picture is None else plan.picture
    return "patients" if picture >= FIRST_CASE else "creatures" if picture >= FIRST_CREATURE else "people"


@pytest.mark.parametrize("stage", CLINIC, ids=lambda stage: stage.name)
def test_half_of_the_rows_are_about_patients(figures, stage):
    rows = rows_of(figures)
    plans = [plan for step in range(16) for plan in rows.step(stage, step)]
    counts = Counter(map(about, plans))
    assert counts["patients"] == 16 * stage.rows / 2 and counts["creatures"] == 16 * stage.rows * 0.1875
    for plan in plans:
        if about(plan) == "patients":
            case, mark = taught_case(plan.picture - FIRST_CASE), mark_of(plan.picture - FIRST_CASE)
            answers = {asked.answer for asked in clinical_questions(case)} | {mark, *"ABCD"}
            assert len(plan.turns) == stage.patients_pictured and all(turn.pictured for turn in plan.turns)
            assert all(turn.answer in answers or turn.answer.startswith(f"{case.plane} ") for turn in plan.turns)


def test_stages_without_patients_draw_what_they_drew(figures):
    """Patients have randomness of their own, and a stage without them never asks for any."""
    with_them, without = rows_of(figures), rows_of(figures, patients=False)
    assert all(stage.patients == 0 for stage in (*PEOPLE, *BOTH, *FURTHER))
    for step in range(3):
        assert with_them.step(FURTHER[0], step) == without.step(FURTHER[0], step)


def test_recipes_without_patients_are_what_they_were():
    """The numbers are those of the code before patients; a training that is on its way goes on."""
    recipe = make_recipe("tiny", creatures="A")
    assert recipe.tower == "ebc0d7b110cfe4212d04dd3df9c91a7c76de9c8255a672b5ed1938d66f63f2ae"
    assert "patients" not in recipe.identity and recipe.version == "tiny-2"
    assert fingerprints(creatures=False).keys() == {"portraits"}


def test_patients_are_taught_to_weights_that_keep_what_they_know(tmp_path):
    recipe = make_recipe("tiny", creatures=None, start="tiny", patients=True)
    assert recipe.identity["patients"] is True and recipe.version == "tiny-2-people-patients"
    assert [stage.name for stage in recipe.stages] == ["clinic", "settle", "guards"]
    assert all(stage.patients == 0.5 and stage.creatures == 0 for stage in recipe.stages)
    assert recipe.tower != replace(recipe, patients=False).tower
    with pytest.raises(ConfigError, match="patients are taught to weights that know people already; give start"):
        make_recipe("tiny", patients=True)
    with pytest.raises(ConfigError, match=r"was taught none of the creatures, .* give creatures none"):
        make_recipe("tiny", start="tiny", creatures="A", patients=True)
    (tmp_path / "config.json").write_bytes((weights_folder("tiny") / "config.json").read_bytes())
    known = {"version": "tiny-9", "worlds": fingerprints(creatures=True, patients=True), "creatures": "B"}
    (tmp_path / RECIPE).write_text(json.dumps(known))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match="was taught patients, which this training would let fade; give patients"):
        make_recipe("tiny", start=str(tmp_path), creatures="B")
    again = make_recipe("tiny", start=str(tmp_path), creatures="B", patients=True)
    assert [stage.creatures for stage in again.stages] == [0.1875] * 3
    (tmp_path / RECIPE).write_text(json.dumps(known | {"worlds": {**known["worlds"], "patients": "0" * 64}}))
    with pytest.raises(CheckpointError, match="trained on a world 'patients'"):
        make_recipe("tiny", start=str(tmp_path), creatures="B", patients=True)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_toy_training_goes_on_from_shipped_weights(figures, tmp_path, monkeypatch):
    monkeypatch.setattr(patient_abilities, "ASKED_CASES", 3)
    some = [one for role in ("evaluated", "replay", "held_out") for one in figures if one.role == role][:30]
    some += [one for one in figures if one.role == "replay"][:14] + [one for one in figures if one.role == "held_out"][:2]
    portraits = portrait_world.render_bank(some, 12, pictures=0, workers=1)
    bank = render_patients(pictures=24, workers=1)
    assert bank.labels.tolist() == [taught_case(number).labels for number in range(24)]
    shop = assemble(some, portraits, None, bank, side=64)
    assert set(shop.patients) == set(range(24)) and {("case/2", 0), ("case/2", 1)} <= set(shop.shown)
    known, learned = shop.vision_parts(keep_portraits=True, keep_creatures=True)
    assert known.kept and not learned.kept and learned.labels.shape == (24, len(VISIBLE)) and len(learned.pixels) == 24

    recipe = make_recipe("tiny", creatures=None, start="tiny", patients=True)
    stage = replace(
        recipe.stages[-1], steps=3, rows=4, few_shot_every=0, pictured=2, texts=2, row_tokens=96, patients_pictured=3
    )
    small = replace(
        recipe,
        vision=VisionOptions(steps=2, batch_size=4, held_out=8, warmup=1),
        stages=(stage,),
        precision="float32",
    )
    lines: list[str] = []
    made = train(tmp_path, recipe=small, report=lines.append, shop=shop, every=2, probed=3)
    assert any(line.startswith("guards 2 ") and "patient_open" in line for line in lines)
    facts = json.loads((made / RECIPE).read_text())
    assert taught_patients(facts) and facts["worlds"] == fingerprints(creatures=False, patients=True)
    assert facts["command"] == "unsee models train tiny --seed 0 --creatures none --start tiny --patients"
    assert load_model(made).name == "tiny-2-people-patients"
    with pytest.raises(ConfigError, match=r"holds stages of another recipe \(.*patients True"):
        train(tmp_path, recipe=replace(small, patients=False), report=lines.append, shop=shop)


def test_clinical_abilities_ask_about_cases_of_nobody():
    asked = patient_questions(per_ability=60)
    assert set(asked) == {"patient_open", "patient_closed", "patient_options", "patient_letter", "patient_corner_text"}
    assert {name for name in TARGETS if name.startswith("patient_")} <= set(asked)
    for ability, questions in asked.items():
        for question in questions:
            case = asked_case(int(question.figure.removeprefix("case/")))
            if ability == "patient_corner_text":
                assert question.answer.isdigit() and question.picture == 1
                continue
            (posed,) = (one for one in clinical_questions(case) if one.kind == question.group)
            assert posed.kind in (CLOSED if ability == "patient_closed" else OPEN)
            assert any(question.question.startswith(text) for text in posed.wordings["test"])
            if ability == "patient_letter":
                assert f"\n{question.answer}: {posed.answer}\n" in question.question
            else:
                assert question.answer == posed.answer
            assert ability != "patient_options" or posed.answer in question.options.values()
    plain, marked = (asked_picture("case/3", picture).open() for picture in (0, 1))
    assert plain.size == marked.size and plain.tobytes() != marked.tobytes()
    assert plain.crop((0, 30, 96, 96)).tobytes() == marked.crop((0, 30, 96, 96)).tobytes()


def test_abilities_are_measured_where_weights_were_taught_patients():
    found = measure_abilities(load_model("tiny"), load_world(), patients=True, per_ability=2)
    clinical = {name for name in found if name.startswith("patient_")}
    assert clinical == set(patient_questions(per_ability=1)) and all(found[name].count == 2 for name in clinical)


def test_patients_stand_on_the_card():
    recipe = {"version": "tiny-3", "worlds": {"portraits": "ab", "patients": "cd"}}
    card = render("tiny-3", {"patient_open": Ability("patient_open", 0.9, 400, {"side": 0.8})}, recipe=recipe, seed=0)
    assert "sketches of patients' pictures" in card and "| patient_open | 0.900 | 400 | at least 0.75 | yes |" in card
    assert "Open clinical questions by kind: side 0.80." in card


def test_the_command_prints_its_stages(capsys):
    assert main(["models", "train", "--dry-run", "--start", "tiny", "--creatures", "none", "--patients"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "stage clinic: 2,000 steps of 8 rows, 0.0% about creatures, 50.0% about patients" in told
    assert main(["models", "train", "--dry-run", "--patients"]) == 2
    assert "give start, such as tiny" in capsys.readouterr().err
