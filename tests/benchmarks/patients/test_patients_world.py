"""Cases, pictures, questions and tables of patients: what is named is what is drawn, measured on pixels."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, gaussian_filter, label
from scipy.stats import chi2_contingency

from unsee.benchmarks.patients.anatomy import PLACES, SKETCHES
from unsee.benchmarks.patients.cases import (
    FINDINGS,
    MODALITIES,
    NORMAL,
    REGIONS,
    SIZES,
    SYSTEM,
    TREATMENT,
    VISIBLE,
    Case,
    draw_case,
    sides,
)
from unsee.benchmarks.patients.drawing import case_image, lesions
from unsee.benchmarks.patients.lessons import MARKED_EVERY, choices, clinical_lesson, lesson_row, mark_of
from unsee.benchmarks.patients.questions import CLOSED, KINDS, OPEN, REPORT_QUESTIONS, ROLES, clinical_questions, report
from unsee.benchmarks.patients.world import patient_case, patients_table, table_fingerprint, taught_case, world_fingerprint
from unsee.errors import ConfigError
from unsee.models.patient_abilities import ASKED_CASES, asked_case

WORLD = "f1feab55a71eb1c3033975eef68d0d572d57fb47bbac61ab21368c43eb36cde4"
DRAWING = "3b44422d6c9f9d0c1b67ca662ebedda34b31f15da60d0ad71812a7e079e36d0e"
CASES = [draw_case(random.Random(f"test/{number}")) for number in range(3000)]
ILL = [case for case in CASES if case.finding != NORMAL]


def pixels(case, size=64):
    return np.asarray(case_image(case, size=size), dtype=float)[..., 0]


def healthy(case):
    """The same patient without the lesions."""
    return replace(case, finding=NORMAL, organ=NORMAL, side=NORMAL, size=NORMAL, count=0)


def changed(case, size=64):
    """Where the lesions change the picture, in shades."""
    return np.abs(pixels(case, size) - pixels(healthy(case), size))


# Cases


def test_the_world_is_the_one_that_models_are_taught():
    assert world_fingerprint() == WORLD, "raise WORLD_VERSION and retrain, or undo the change"


def test_there_is_enough_to_ask_for():
    assert len(FINDINGS) >= 6 and len(REGIONS) >= 5 and len(MODALITIES) == 4
    assert set(TREATMENT) == set(FINDINGS) and set(SYSTEM) == {organ for organs in REGIONS.values() for organ in organs}
    assert set(SKETCHES) == set(PLACES) == {(region, plane) for region in REGIONS for plane in VISIBLE["plane"]}
    assert all(PLACES[region, plane].keys() == REGIONS[region].keys() for region, plane in PLACES)
    for key, values in VISIBLE.items():
        assert {case.visible[key] for case in CASES} == set(values)


def test_attributes_are_independent_where_anatomy_allows_it():
    """Chi-square over every such pair; the smallest of many p-values, corrected for their number."""
    pairs = list(combinations(("modality", "region", "finding", "size", "count"), 2))
    pairs += [("plane", key) for key in ("region", "finding", "size", "count")]
    paired = [case for case in ILL if case.side != NORMAL and REGIONS[case.region][case.organ] == "paired"]
    drawn = [(ILL, pair) for pair in pairs] + [
        (paired, ("side", key)) for key in ("modality", "organ", "finding", "size", "count")
    ]
    found = []
    for cases, (one, other) in drawn:
        table = Counter((case.visible[one], case.visible[other]) for case in cases)
        rows, columns = sorted({row for row, _ in table}), sorted({column for _, column in table})
        found.append(chi2_contingency([[table[row, column] for column in columns] for row in rows]).pvalue)
    assert len(found) == 19 and min(found) * len(found) > 0.05


def test_what_anatomy_forbids_is_no_case():
    case = Case("CT", "abdomen", "axial", "liver", "mass", "right", "small", 1, 0)
    for change, told in (
        ({"side": "left"}, "liver in plane axial has no side 'left'"),
        ({"plane": "sagittal"}, "has no side 'right'"),
        ({"modality": "X-ray"}, "X-ray is not taken in plane 'axial'"),
        ({"organ": "lung"}, "no case of the abdomen"),
        ({"finding": NORMAL}, "no case of the abdomen"),
        ({"size": "huge"}, "size 'huge' cannot be drawn"),
    ):
        with pytest.raises(ValueError, match=told):
            replace(case, **change)
    assert sides("chest", "heart", "axial") == (NORMAL,) and sides("head", "brain", "coronal") == ("left", "right")


# Pictures


def test_drawing_is_deterministic_and_versioned():
    """A build of numpy may differ in a picture's last bit, so that what is kept is rounded."""
    drawn = np.stack([pixels(case, 32) for case in CASES[:24]])
    assert (drawn == np.stack([pixels(case, 32) for case in CASES[:24]])).all()
    coarse = np.rint(drawn.reshape(24, 8, 4, 8, 4).mean((2, 4)) / 8 + 0.03).astype(np.uint8)
    assert hashlib.sha256(coarse.tobytes()).hexdigest() == DRAWING, "raise DRAWING_VERSION, or undo the change"


def test_a_side_is_the_patients_and_where_the_lesions_are():
    """The patient's left is on the viewer's right, in every picture that shows a side."""
    seen = 0
    for case in [case for case in ILL if case.side != NORMAL][:60]:
        _, x = center_of_mass(changed(case) ** 2)
        assert (x > 31.5) == (case.side == "left"), case
        seen += case.side == "left"
    assert 15 < seen < 45


def test_an_organ_is_where_its_lesions_are():
    """Of all organs of the region, the one that is named has its place nearest to what changed."""
    right = 0
    cases = ILL[100:160]
    for case in cases:
        y, x = (value / 32 - 1 + 1 / 64 for value in center_of_mass(changed(case) ** 2))
        far = {
            organ: min(math.dist((x, y), (sign * place.x, place.y)) for sign in (1, -1 if case.plane != "sagittal" else 1))
            for organ, place in PLACES[case.region, case.plane].items()
            if REGIONS[case.region][organ] == "paired" or True
        }
        right += min(far, key=far.get) == case.organ
    assert right >= 0.9 * len(cases)


def test_lesions_are_as_many_as_said():
    """Connected spots of change, without slivers at their rims, where no bone is as bright as they are."""
    cases = [
        case for case in ILL if (case.finding, case.modality) == ("mass", "MRI") and case.organ in ("heart", "liver", "lung")
    ]
    for case in cases[:24]:
        spots, number = label(changed(case, 128) > 30)
        areas = np.bincount(spots.ravel(), minlength=number + 1)[1:]
        assert (areas > 0.3 * math.pi * (64 * SIZES[case.size]) ** 2).sum() == case.count, case
    assert len({case.count for case in cases[:24]}) == 3
    for case in ILL[:200]:
        spots = lesions(case)
        assert len(spots) == case.count
        assert all(math.dist(*pair) > 2 * SIZES[case.size] for pair in combinations(spots, 2))


def test_sizes_differ_in_area():
    """In each finding and modality, a larger word is a larger spot."""
    for finding, modality in product(FINDINGS, ("CT", "X-ray")):
        case = Case(modality, "head", "sagittal", "brain", finding, NORMAL, "small", 1, 7)
        areas = [(changed(replace(case, size=size)) > 15).sum() for size in SIZES]
        assert areas[0] * 1.3 < areas[1] and areas[1] * 1.3 < areas[2] and areas[0] >= 8, (finding, modality, areas)


def test_every_finding_is_seen_and_looks_like_no_other():
    """At 64 x 64 pixels, small ones in every modality: they change the picture, each in its own way."""
    for modality, planes in MODALITIES.items():
        case = Case(modality, "head", planes[0], "brain", "mass", "left", "medium", 1, 11)
        drawn = {finding: pixels(replace(case, finding=finding)) for finding in FINDINGS}
        assert all((np.abs(picture - pixels(healthy(case))) > 20).sum() >= 12 for picture in drawn.values())
        for one, other in combinations(FINDINGS, 2):
            assert (np.abs(drawn[one] - drawn[other]) > 40).sum() >= 12, (modality, one, other)


def test_regions_planes_and_modalities_are_told_apart_by_pixels():
    """A nearest-neighbour look at smoothed pictures finds region, plane and modality of others it never saw."""
    kinds = [(m, r, p) for m, planes in MODALITIES.items() for r in REGIONS for p in planes]
    known = {kind: gaussian_filter(pixels(Case(*kind, NORMAL, NORMAL, NORMAL, NORMAL, 0, 1), 32), 1) for kind in kinds}
    right = 0
    for kind in kinds:
        seen = gaussian_filter(pixels(Case(*kind, NORMAL, NORMAL, NORMAL, NORMAL, 0, 2), 32), 1)
        right += min(kinds, key=lambda other: np.abs(known[other] - seen).mean()) == kind
    assert right >= 0.85 * len(kinds)


def test_equal_cases_at_other_sizes_are_the_same_picture():
    for case in ILL[:6]:
        large = np.asarray(case_image(case, size=96).resize((48, 48), 4), dtype=float)[..., 0]
        assert np.corrcoef(large.ravel(), pixels(case, 48).ravel())[0, 1] > 0.93


# Questions


def test_wordings_of_a_question_have_one_role_each():
    for case in CASES[:300]:
        roles: dict[str, set[tuple[str, str]]] = {}
        for asked in clinical_questions(case):
            counts = {role: len(asked.wordings[role]) for role in ROLES}
            assert counts == {"train": 8, "test": 2, "gate": 2, "stop": 1}
            for role in ROLES:
                for text in asked.wordings[role]:
                    assert "{" not in text and text[0].isupper() and text[-1] in ".?"
                    roles.setdefault(text.casefold(), set()).add((role, asked.kind))
        mixed = {text: found for text, found in roles.items() if len(found) > 1}
        assert not mixed, mixed
    assert not set(REPORT_QUESTIONS["train"]) & set(REPORT_QUESTIONS["test"])


def test_answers_are_those_of_the_case():
    case = Case("CT", "abdomen", "axial", "kidney", "cyst", "left", "large", 2, 5)
    asked = {one.kind: one for one in clinical_questions(case)}
    assert set(asked) == set(KINDS) == {*OPEN, *CLOSED} and len(OPEN) == 10
    told = {kind: one.answer for kind, one in asked.items() if not kind.endswith("_check")}
    assert told == {
        "modality": "CT",
        "region": "abdomen",
        "plane": "axial",
        "organ": "kidney",
        "finding": "cyst",
        "side": "left",
        "size": "large",
        "count": "2",
        "treatment": "drainage",
        "system": "urinary",
        "modality_choice": "CT",
        "plane_choice": "axial",
        "side_choice": "left",
        "size_choice": "large",
        "abnormal": "yes",
    }
    assert asked["side_choice"].options == ("left", "right") and asked["treatment"].triple == ("cyst", "treated by", "drainage")
    assert report(case) == "axial CT of the abdomen, 2 large cyst in the left kidney."
    none = {one.kind: one.answer for one in clinical_questions(healthy(case))}
    assert set(none) == {"modality", "region", "plane", "finding", "modality_choice", "plane_choice", "abnormal", *CHECKS}
    assert none["finding"] == "none" and none["abnormal"] == "no" and none["finding_check"] == "no"
    assert "side" not in {one.kind for one in clinical_questions(replace(case, plane="sagittal", side=NORMAL))}


CHECKS = {"finding_check", "modality_check"}


def test_checks_name_what_they_answer():
    answers: Counter[tuple[str, str]] = Counter()
    for case in ILL[:400]:
        for asked in clinical_questions(case):
            if not asked.kind.endswith("_check"):
                continue
            named = case.visible[asked.kind.removesuffix("_check")] in asked.wordings["train"][0]
            assert named == (asked.answer == "yes") and asked.options == ("yes", "no")
            answers[asked.kind, asked.answer] += 1
    assert len(answers) == 6 and min(answers.values()) > 150


# Tables


def test_a_table_of_patients():
    table = patients_table(6)
    assert table.name == "patients" and len(table.groups) == 6 and table.licenses == ("Apache-2.0",)
    assert len({row.id for row in table.rows}) == len(table.rows)
    for group in table.groups:
        assert 2 <= len({row.image.sha256 for row in table.rows if row.group == group}) <= 3
    for row in table.rows:
        assert row.closed == (row.kind in CLOSED) and bool(row.options) == row.closed
        assert (not row.options or row.answer in row.options) and len(row.rephrased) == 2
        assert row.modality in MODALITIES and row.region in REGIONS and row.image.open().size == (96, 96)
    more = patients_table(7)
    assert more.rows[: len(table.rows)] == table.rows and table_fingerprint(more) != table_fingerprint(table)
    assert table_fingerprint(table) == table_fingerprint(patients_table(6))


def test_no_picture_is_in_two_worlds():
    """Seeds, tuning, pretraining and abilities have cases of their own."""
    worlds = {
        "p0": {patient_case("patients", 0, patient, picture) for patient in range(200) for picture in range(3)},
        "p1": {patient_case("patients", 1, patient, picture) for patient in range(200) for picture in range(3)},
        "t0": {patient_case("patients-tuning", 0, patient, picture) for patient in range(200) for picture in range(3)},
        "taught": {taught_case(number) for number in range(4000)},
        "ability": {asked_case(number) for number in range(ASKED_CASES)},
    }
    seeds = {name: {case.seed for case in cases} for name, cases in worlds.items()}
    assert [len(found) for found in seeds.values()] == [600, 600, 600, 4000, ASKED_CASES]
    assert all(not seeds[one] & seeds[other] for one, other in combinations(seeds, 2))
    pictures = [
        {row.image.sha256 for row in patients_table(2, **options).rows} for options in ({}, {"tuning": True}, {"seed": 1})
    ]
    assert all(not one & other for one, other in combinations(pictures, 2))
    assert {row.group[0] for row in patients_table(1, tuning=True).rows} == {"t"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"patients": 0}, "patients = 0, pictures = 2 to 3; give at least 1 patient"),
        ({"pictures": (3, 2)}, "smaller number of pictures first"),
        ({"patients": 2.5}, r"patients = 2\.5; give a whole number"),
    ],
)
def test_tables_that_cannot_be(options, told):
    with pytest.raises(ConfigError, match=told):
        patients_table(**options)


# Lessons


def test_lessons_are_true_and_tell_no_benchmark_patient():
    rng = random.Random(0)
    for _ in range(300):
        row = lesson_row(rng, pictured=6)
        case = taught_case(row.number)
        answers = {asked.answer for asked in clinical_questions(case)} | set("ABCD") | {report(case)}
        assert len(row.lessons) == 6
        for lesson in row.lessons:
            assert lesson.answer in answers or lesson.answer == mark_of(row.number) != ""
    marks = [number for number in range(200) if mark_of(number)]
    assert marks == list(range(0, 200, MARKED_EVERY)) and all(mark_of(number).isdigit() for number in marks)


def test_letters_stand_for_the_right_answer():
    rng, seen = random.Random(1), 0
    for _ in range(600):
        case = rng.choice(ILL)
        lesson = clinical_lesson(rng, case)
        if "\nA: " not in lesson.question:
            continue
        seen += 1
        listed = dict(line.split(": ") for line in lesson.question.splitlines() if line[:3] in ("A: ", "B: ", "C: ", "D: "))
        asked = [one for one in clinical_questions(case) if one.answer == listed[lesson.answer]]
        assert asked and len(set(listed.values())) == len(listed)
        assert any(set(listed.values()) <= set(choices(one)) for one in asked)
    assert seen > 40
