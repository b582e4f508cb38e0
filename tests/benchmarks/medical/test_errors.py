"""Right answers made wrong: each rule on hand-written rows and on words that only look like its own."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from vqa_rows import image, row, table

from unsee.benchmarks.medical.errors import RULES, Falsified, falsify
from unsee.benchmarks.medical.table import VqaRow
from unsee.errors import ConfigError

SEEDS = range(12)


def wrong(given: VqaRow, *others: VqaRow, rule: str | None = None) -> dict[str, Falsified]:
    """Wrong answers that some seed draws."""
    whole = table(given, *others)
    made = [falsify(given, whole, rules=rule and (rule,), seed=seed) for seed in SEEDS]
    return {one.answer: one for one in made if one is not None}


def only(given: VqaRow, *others: VqaRow, rule: str | None = None) -> tuple[str, str, str, str]:
    """The one wrong answer there is, the type of its error, and its facts."""
    (made,) = wrong(given, *others, rule=rule).values()
    return made.answer, *made.error


def test_order_of_preference_and_two_valued_rules() -> None:
    assert list(RULES) == ["laterality", "negation", "modality", "organ", "plane", "number", "distractor", "kg_tail"]
    assert [rule.name for rule in RULES.values() if rule.two_valued] == ["laterality", "negation"]


@pytest.mark.parametrize(
    ("answer", "expected", "fact", "right"),
    [
        ("left", "right", "right", "left"),
        ("LEFT", "RIGHT", "RIGHT", "LEFT"),
        ("In the Left lung.", "In the Right lung.", "Right", "Left"),
        ("Right-sided effusion", "Left-sided effusion", "Left-sided", "Right-sided"),
        ("left lung, left base", "right lung, right base", "right", "left"),
        ("leftward shift", "rightward shift", "rightward", "leftward"),
        ("an RLL mass", "an LLL mass", "LLL", "RLL"),
        ("The patient has left lower lobe pneumonia", "The patient has right lower lobe pneumonia", "right", "left"),
        ("The affected side is right.", "The affected side is left.", "left", "right"),
        ("The tube left of the midline", "The tube right of the midline", "right", "left"),
    ],
)
def test_laterality(answer: str, expected: str, fact: str, right: str) -> None:
    assert only(row(answer)) == (expected, "laterality", fact, right)


@pytest.mark.parametrize(
    "answer",
    [
        *("bilateral", "both sides", "left and right", "shift from left to right", "bilaterally, left more than right"),
        *("leftover tissue", "left-over tissue", "upright", "rightly so", "brightness", "cleft"),
        *("That is right.", "The right answer", "all right", "at a right angle", "right away", "the right amount"),
        *("no fluid left", "nothing left", "left in place", "The patient left the room", "left untreated"),
        *("right middle lobe", "an RML mass", "the left lingula"),
    ],
)
def test_no_laterality_where_no_side_or_both_are_meant(answer: str) -> None:
    assert wrong(row(answer), rule="laterality") == {}


def test_right_may_mean_correct_and_the_question_tells() -> None:
    assert wrong(row("Right.", "Is the report right or wrong?"), rule="laterality") == {}
    assert wrong(row("It is right", "Is the diagnosis right?"), rule="laterality") == {}
    assert only(row("It is right", "Which side is affected?")) == ("It is left", "laterality", "left", "right")
    assert only(row("Right.", "Which lung is smaller?")) == ("Left.", "laterality", "Left", "Right")


def test_a_side_that_the_question_grants_is_left_alone() -> None:
    made = only(row("Yes, there is a mass in the left lung.", "Is there a mass in the left lung?"))
    assert made == ("No, there is no mass in the left lung.", "negation", "No", "Yes")
    assert only(row("The left one", "Is the left or the right one larger?")).count("right") == 1


@pytest.mark.parametrize(
    ("answer", "expected", "fact", "right"),
    [
        ("Yes", "No", "No", "Yes"),
        ("no", "yes", "yes", "no"),
        ("YES.", "NO.", "NO", "YES"),
        ("Yes, there is a nodule.", "No, there is no nodule.", "No", "Yes"),
        ("No, there is no mass in the liver.", "Yes, there is a mass in the liver.", "Yes", "No"),
        ("Yes, the heart is enlarged", "No, the heart is not enlarged", "No", "Yes"),
        ("No pneumothorax", "Pneumothorax", "Pneumothorax", "No pneumothorax"),
        ("no evidence of fracture", "evidence of fracture", "evidence of fracture", "no evidence of fracture"),
        ("No mass is seen.", "A mass is seen.", "A mass", "No mass"),
        (
            "There is no effusion on this side",
            "There is an effusion on this side",
            "There is an effusion",
            "There is no effusion",
        ),
        ("There is pneumonia.", "There is no pneumonia.", "There is no pneumonia", "There is pneumonia"),
        ("There are no nodules.", "There are nodules.", "There are nodules", "There are no nodules"),
        ("The film shows no fracture", "The film shows a fracture", "shows a fracture", "shows no fracture"),
        ("A mass is present.", "A mass is absent.", "absent", "present"),
        ("Absence of air", "Presence of air", "Presence", "Absence"),
        ("a normal heart", "an abnormal heart", "abnormal", "normal"),
        ("The line isn't visible", "The line is visible", "is visible", "isn't visible"),
        ("The aorta is dilated", "The aorta is not dilated", "is not dilated", "is dilated"),
        ("MRI without contrast", "MRI with contrast", "with", "without"),
    ],
)
def test_negation(answer: str, expected: str, fact: str, right: str) -> None:
    assert only(row(answer)) == (expected, "negation", fact, right)


@pytest.mark.parametrize(
    "answer",
    [
        *("nodule", "Nodule in the apex", "Norfolk", "notable swelling", "eyes", "yesterday", "No. 3", "noncontrast"),
        *("There are two nodules", "no longer there", "cannot be determined", "It is not applicable", "Yes/No"),
        *("consistent with pneumonia", "within normal limits", "at present", "The image is a CT scan", "both"),
        *("Yes, in the apex", "Yes, bilateral", "without doubt"),
    ],
)
def test_no_negation_where_nothing_is_denied_or_the_rest_would_contradict(answer: str) -> None:
    assert wrong(row(answer), rule="negation") == {}


def test_a_bare_finding_is_denied_where_its_presence_is_asked_for() -> None:
    assert only(row("Pneumothorax", "Is there any abnormality?"))[:2] == ("No pneumothorax", "negation")
    assert only(row("an infarct.", "Does the picture show something?"))[:2] == ("no infarct.", "negation")
    assert wrong(row("pneumothorax", "What is the diagnosis?")) == {}
    assert wrong(row("pneumothorax", "Is it pneumothorax or effusion?"), rule="negation") == {}
    offered = row("Effusion", "Pick one.", options=("effusion", "No effusion", "Fracture"))
    assert only(offered)[:2] == ("No effusion", "negation")


def test_what_a_question_grants_is_not_denied() -> None:
    assert wrong(row("The mediastinum is abnormal", "Which part is abnormal?"), rule="negation") == {}
    assert only(row("It is abnormal", "Is it normal or abnormal?"))[:2] == ("It is normal", "negation")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("CT", {"MRI", "X-ray", "Ultrasound"}),
        ("X-Ray", {"CT", "MRI", "Ultrasound"}),
        ("ct", {"mri", "x-ray", "ultrasound"}),
        ("a CT scan", {"an MRI scan", "an X-ray scan", "an ultrasound scan"}),
        ("an MRI", {"a CT", "an X-ray", "an ultrasound"}),
        ("MR.", {"CT.", "X-ray.", "Ultrasound."}),
        ("US of the neck", {"CT of the neck", "MRI of the neck", "X-ray of the neck"}),
        ("a chest radiograph", {"a chest CT", "a chest MRI", "a chest ultrasound"}),
        ("two plain films", {"two CTs", "two MRIs", "two ultrasounds"}),
        ("Magnetic Resonance Imaging", {"Computed Tomography", "Radiography", "Ultrasonography"}),
        ("ULTRASOUND", {"CT", "MRI", "X-RAY"}),
        ("The xray. This xray", {"The CT. This CT", "The MRI. This MRI", "The ultrasound. This ultrasound"}),
    ],
)
def test_modality(answer: str, expected: set[str]) -> None:
    made = wrong(row(answer), rule="modality")
    assert set(made) == expected
    assert {one.error.type for one in made.values()} == {"modality"}


@pytest.mark.parametrize("answer", ["CT and MRI", "MR, T2 weighted", "Mr Smith", "given to us", "contact", "ACTH", "PET-CT"])
def test_no_modality_where_several_or_none_are_meant(answer: str) -> None:
    assert wrong(row(answer), rule="modality") == {}


def test_a_choice_named_by_the_question_is_taken() -> None:
    assert only(row("CT", "Is this a CT or an MRI?"))[:2] == ("MRI", "modality")
    assert only(row("Liver", "Which is larger, the liver or the heart?"))[:2] == ("Heart", "organ")
    assert set(wrong(row("large", "How large is the cyst?"))) == {"small", "medium"}
    assert set(wrong(row("small", "How large is the cyst?"))) == {"medium", "large"}
    assert set(wrong(row("small", "Is it small or large?"))) == {"large"}
    assert wrong(row("The CT shows ascites", "What does the CT show?"), rule="modality") == {}


@pytest.mark.parametrize(
    ("answer", "region", "some", "never"),
    [
        ("Liver", "", {"Spleen", "Pancreas"}, {"Heart", "Brain", "Liver"}),
        ("in the heart.", "", {"in the trachea.", "in the aorta."}, {"in the spleen.", "in the Trachea."}),
        ("An aorta", "chest lung", {"A heart", "An esophagus"}, {"A liver"}),
        ("An aorta", "ABD", {"A liver", "A kidney"}, {"A heart"}),
        ("Lung, Heart", "", {"Trachea, Heart"}, {"Heart, Heart", "Lung, Trachea"}),
        ("Kidneys", "", {"Liver", "Adrenal glands"}, {"Livers", "Adrenal gland"}),
        ("a Gall Bladder polyp", "", {"a Liver polyp", "an Adrenal Gland polyp"}, {"a gall Liver polyp"}),
        ("RENAL", "", {"HEPATIC", "SPLENIC"}, {"hepatic"}),
        ("frontal lobe", "", {"temporal lobe", "parietal lobe"}, {"brain"}),
    ],
)
def test_organ(answer: str, region: str, some: set[str], never: set[str]) -> None:
    found = [falsify(row(answer, region=region), table(), rules=("organ",), seed=seed) for seed in range(100)]
    made = {one.answer for one in found if one is not None}
    assert some <= made and not never & made


def test_organs_agree_with_the_words_around_them() -> None:
    assert only(row("The lungs are clear"), rule="organ")[0] == "The ribs are clear"
    assert only(row("pleural effusion"))[0] == "pericardial effusion"
    assert only(row("both kidneys are small"), rule="organ")[0] == "both adrenal glands are small"


@pytest.mark.parametrize(
    "answer", ["heartburn", "heart rate", "heart failure", "kidney stones", "semi-colon", "delivery", "both lungs", "ribbon"]
)
def test_no_organ_in_other_words(answer: str) -> None:
    assert wrong(row(answer), rule="organ") == {}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Axial", {"Coronal", "Sagittal"}),
        ("Transverse Plane", {"Coronal Plane", "Sagittal Plane"}),
        ("frontal", {"axial", "sagittal"}),
        ("an axial section", {"a coronal section", "a sagittal section"}),
        ("A SAGITTAL VIEW", {"AN AXIAL VIEW", "A CORONAL VIEW"}),
    ],
)
def test_plane(answer: str, expected: set[str]) -> None:
    assert set(wrong(row(answer), rule="plane")) == expected


@pytest.mark.parametrize(
    "answer",
    [
        *("frontal lobe", "frontal sinuses", "transverse process", "transverse colon", "coronal suture", "extra-axial mass"),
        *("axial and coronal", "frontal radiograph", "coaxial", "axial skeleton"),
    ],
)
def test_no_plane_in_other_words(answer: str) -> None:
    assert wrong(row(answer), rule="plane") == {}


def test_a_frontal_radiograph_is_no_section() -> None:
    assert wrong(row("frontal", modality="X-ray"), rule="plane") == {}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("3", {"1", "2", "4", "5"}),
        ("1", {"0", "2", "3"}),
        ("0", {"1", "2"}),
        ("Two.", {"Zero.", "One.", "Three.", "Four."}),
        ("three nodules", {"two nodules", "four nodules", "five nodules"}),
        ("TWELVE", {"TEN", "ELEVEN"}),
        ("0 nodules", {"2 nodules"}),
        ("3.2 cm", {"1.6 cm", "2.4 cm", "4.8 cm", "6.4 cm"}),
        ("a 4-mm node", {"a 2-mm node", "a 3-mm node", "a 6-mm node", "an 8-mm node"}),
        ("3 x 4 cm", {"2 x 4 cm", "4 x 4 cm", "6 x 4 cm"}),
        ("10x6 mm", {"5x6 mm", "8x6 mm", "15x6 mm", "20x6 mm"}),
        ("90%", {"45%", "68%"}),
        ("a 60-year-old woman", {"a 30-year-old woman", "a 45-year-old woman", "a 90-year-old woman"}),
        ("80 years", {"40 years", "60 years"}),
        ("2 weeks", {"3 weeks", "4 weeks"}),
        ("grade 3", {"grade 1", "grade 2", "grade 4"}),
        ("40 lesions", {"20 lesions", "30 lesions", "60 lesions", "80 lesions"}),
        ("Large", {"Small", "Medium"}),
        ("a small node", {"a medium node", "a large node"}),
        ("at T12, 2 cm wide", {"at T12, 1 cm wide", "at T12, 3 cm wide", "at T12, 4 cm wide"}),
    ],
)
def test_number(answer: str, expected: set[str]) -> None:
    whole = table(row(answer))
    found = [falsify(row(answer), whole, rules=("number",), seed=seed) for seed in range(60)]
    assert {one.answer for one in found if one is not None} == expected


@pytest.mark.parametrize(
    "answer",
    [
        *("T2", "L4", "3D", "COVID-19", "type 2 diabetes", "figure 3", "2019", "12/03/2015", "2015-03-12", "12:30", "1,200"),
        *("3-5 mm", "10 to 15", "1st rib", "24/7", "twenty-one", "someone", "one of them", "the other one", "1 nodule"),
        *("1 week", "-5 HU", "weight", "small bowel", "enlarged", "larger", "small or large"),
    ],
)
def test_no_number_that_counts_or_measures_nothing(answer: str) -> None:
    assert wrong(row(answer), rule="number") == {}


def test_the_fact_of_a_size_is_number_and_unit() -> None:
    made = falsify(row("a 3.5 cm mass"), table(), seed=1)
    assert made is not None
    assert made.error.right == "3.5 cm"
    assert re.fullmatch(r"(1.8|2.6|5.2|7.0) cm", made.error.wrong)


def test_distractor() -> None:
    options = ("Pneumonia", "Asthma", "Gout", "Pneumonia and gout")
    made = wrong(row("Pneumonia", options=options))
    assert set(made) == {"Asthma", "Gout"}
    assert made["Gout"].error == ("distractor", "Gout", "Pneumonia")
    assert set(wrong(row("It is pneumonia.", options=options))) == {"It is asthma.", "It is gout."}
    assert wrong(row("Pneumonia")) == {}
    assert wrong(row("Pneumonia", options=("pneumonia.",))) == {}


def test_other_rules_only_give_answers_that_are_offered() -> None:
    options = ("Left lung", "Spleen", "Right lung")
    assert only(row("Left lung", options=options))[:2] == ("Right lung", "laterality")
    assert only(row("CT", options=("CT", "Endoscopy")))[:2] == ("Endoscopy", "distractor")
    assert only(row("CT", options=("CT", "MRI", "Endoscopy")))[:2] == ("MRI", "modality")


def test_kg_tail() -> None:
    given = row("Smoking harms.", triple=("COPD", "cause", "smoking"))
    others = [
        row("dust", id="a", triple=("Silicosis", "cause", "Dust")),
        row("air", id="b", triple=("COPD", "cause", "Polluted air")),
        row("rest", id="c", triple=("Flu", "treatment", "Rest")),
    ]
    assert only(given, *others) == ("Dust harms.", "kg_tail", "Dust", "Smoking")
    assert wrong(given, *others[1:]) == {}
    assert wrong(row("Tobacco", triple=("COPD", "cause", "smoking")), *others) == {}


def test_a_triple_with_places_only_stands_for_the_answer() -> None:
    given = row("To cleanse blood", triple=("vhead", "function", "_"))
    other = row("To pump blood", id="a", image=image("two"), triple=("vhead", "function", "_"))
    assert only(given, other) == ("To pump blood", "kg_tail", "To pump blood", "To cleanse blood")


def test_answers_that_occur_in_the_table_are_drawn_first() -> None:
    there = [row(answer, "Where?", id=answer) for answer in ("spleen", "Pancreas.", "Heart")]
    assert set(wrong(row("Liver"), *there)) == {"Spleen", "Pancreas"}
    assert set(wrong(row("in the liver", "Spleen or liver?"), *there)) == {"in the spleen"}


def test_another_right_answer_to_the_same_question_is_not_wrong() -> None:
    given, other = row("Esophagus", region="neck"), row("larynx", id="other", region="neck")
    asked = row("Pharynx", id="third", region="neck")
    assert "Trachea" in wrong(asked, other) and "Larynx" not in wrong(asked, other)
    elsewhere = replace(other, image=image("two"))
    assert "Larynx" in wrong(asked, elsewhere)
    assert given.answer not in wrong(given)


@pytest.mark.parametrize("answer", ["pneumonia", "", "...", "The cause is unknown", "gout and asthma"])
def test_none_where_no_rule_applies(answer: str) -> None:
    assert falsify(row(answer), table(row(answer)), seed=0) is None


def test_rules_can_be_chosen_and_keep_their_order() -> None:
    given = row("a CT of the left lung")
    assert [wrong(given, rule=name) != {} for name in RULES] == [True, False, True, True, False, False, False, False]
    made = falsify(given, table(given), rules=("organ", "modality"), seed=0)
    assert made is not None and made.error.type == "modality"
    assert falsify(given, table(given), rules=(), seed=0) == falsify(given, table(given), seed=0)
    with pytest.raises(ConfigError, match="'lateral'; did you mean 'laterality'"):
        falsify(given, table(given), rules=("lateral",), seed=0)


def test_an_error_depends_on_row_and_seed_alone() -> None:
    rows = [row("Liver", id=f"{number}", image=image(f"{number}")) for number in range(40)]
    whole, turned = table(*rows), table(*reversed(rows[:20]))
    first = [falsify(one, whole, seed=3) for one in rows]
    assert first == [falsify(one, table(*rows), seed=3) for one in rows]
    assert first[:20] == [falsify(one, turned, rules=("organ",), seed=3) for one in rows[:20]]
    assert first != [falsify(one, whole, seed=4) for one in rows]
    assert len(set(first)) > 5
