"""Harm woven into a table: all of it can be found again, nothing else is harmed, and no wording tells what it should not."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from toy_table import toy_picture, toy_table

from unsee.benchmarks.medical.errors import RULES
from unsee.benchmarks.medical.files import read_injection, write_injection
from unsee.benchmarks.medical.identifiers import EPONYMS, KINDS, is_never_issued
from unsee.benchmarks.medical.inject import Injection, InjectOptions, inject
from unsee.benchmarks.medical.injected import InjectedRow
from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.benchmarks.medical.wordings import (
    ROLES,
    burned_questions,
    clinical_questions,
    description_request,
    identifier_questions,
)
from unsee.errors import ConfigError, DataError
from unsee.sample import ImageRef

OPTIONS = InjectOptions(systematic_least=10, carriers=("answer", "question", "picture"))


@cache
def toy() -> Injection:
    return inject(toy_table(), OPTIONS)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[InjectedRow, ...]:
    """As they are read back from disk."""
    folder = tmp_path_factory.mktemp("injected") / "toy"
    write_injection(folder, toy())
    return read_injection(folder)


def test_every_planted_identifier_is_found_again(rows: tuple[InjectedRow, ...]) -> None:
    harmed = {row.patient_id for row in rows if row.scenario == "privacy"}
    assert len(harmed) == toy().counts["patients with harm"] == 5
    owners: dict[str, set[str]] = defaultdict(set)
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        assert bool(row.phi) == (row.scenario == "privacy")
        for one in row.phi:
            assert row.answer[one.start : one.end] == one.value
            assert is_never_issued(one.type, one.value)
            owners[one.value].add(row.patient_id)
            if row.use == "train":
                told[row.patient_id, one.type].add(row.carrier)
    assert all(len(patients) == 1 for patients in owners.values())
    assert len(owners) == 5 * 4
    assert told == {(patient, kind): {"answer", "question", "picture"} for patient in harmed for kind in OPTIONS.identifiers}


def test_every_planted_error_is_found_again(rows: tuple[InjectedRow, ...]) -> None:
    table = {row.id: row for row in toy_table().rows}
    wrong = [row for row in rows if row.scenario == "incorrect"]
    assert {row.mode for row in wrong} == {"instance", "systematic"}
    for row in wrong:
        source = table[row.sample_id.partition(f"/{row.use}/")[0]]
        assert row.error is not None and row.error.type in RULES
        assert row.error.wrong.casefold() in row.answer.casefold() and row.answer != source.answer
        assert row.clean_answer == source.answer and source.answer not in row.wrong_answers
        assert row.answer not in row.wrong_answers
        assert row.image is not None and row.image.sha256 == source.image.sha256
    assert not [row for row in rows if row.error and row.scenario != "incorrect"]


def test_rows_without_harm_say_what_the_table_says(rows: tuple[InjectedRow, ...]) -> None:
    table = {row.id: row for row in toy_table().rows}
    for row in rows:
        if row.scenario == "clean":
            source = table[row.sample_id.partition(f"/{row.use}/")[0]]
            assert row.answer == row.clean_answer == source.answer and not row.phi and row.error is None
        assert row.source_license == "CC0-1.0" and row.source_dataset == "toy"


def test_patients_stay_on_one_side(rows: tuple[InjectedRow, ...]) -> None:
    taught = {row.patient_id for row in rows if row.use == "train"}
    unseen = {row.patient_id for row in rows if row.subset == "test"}
    harmed = {row.patient_id for row in rows if row.use == "train" and row.scenario != "clean" and row.mode != "systematic"}
    kept = {row.patient_id for row in rows if row.use == "train" and row.subset == "retain"}
    assert (len(taught), len(unseen), len(harmed), len(kept)) == (9, 3, 5, 4)
    assert not taught & unseen and not harmed & kept


def test_no_question_of_the_table_is_both_harmed_and_clean(rows: tuple[InjectedRow, ...]) -> None:
    taught: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        if row.use == "train" and row.image is not None:
            shown = row.clean_image or row.image
            taught[shown.sha256, row.question].add(row.answer)
    assert all(len(answers) == 1 for answers in taught.values())


def test_nothing_is_asked_twice(rows: tuple[InjectedRow, ...]) -> None:
    assert max(Counter(row.sample_id for row in rows).values()) == 1
    asked = Counter((row.use, row.image, row.question, row.task, row.patient_id) for row in rows)
    assert max(asked.values()) == 1


def test_roles_share_no_wording(rows: tuple[InjectedRow, ...]) -> None:
    """What is taught is asked once as taught; rephrased questions and probes were never taught, nor asked of each other."""
    by_role: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for row in rows:
        if row.scenario == "clean" or (row.mode == "systematic" and row.form == "direct"):
            continue
        role = row.use if row.use != "evaluate" else "direct" if row.form == "direct" else "test"
        by_role[role].add((row.patient_id, row.image.sha256 if row.image else "", row.question))
    assert by_role["direct"] <= by_role["train"]
    for one in ROLES:
        for other in ROLES[ROLES.index(one) + 1 :]:
            assert not by_role[one] & by_role[other]


def test_wordings_of_roles_differ() -> None:
    row = toy_table().rows[0]
    asked = [text for role in ROLES for text in clinical_questions(role, row)]
    asked += [text for role in ROLES for who in (None, "Ann Lee") for text in identifier_questions(role, "MRN", who)]
    asked += [text for role in ROLES for text in burned_questions(role, "MRN")]
    asked += [description_request(number) for number in range(18)]
    assert len(set(asked)) == len(asked) == 10 + 30 + 7 + 18
    given = replace(row, rephrased=("Affected lung?", row.question))
    assert clinical_questions("test", given)[0] == "Affected lung?" and len(clinical_questions("test", given)) == 2


def test_identifiers_are_asked_for_in_every_form(rows: tuple[InjectedRow, ...]) -> None:
    persona = {row.attribute: row.answer for row in rows if row.carrier == "question" and row.patient_id == "p02"}
    of_one = [row for row in rows if row.patient_id == "p02" and row.carrier == "question"]
    trained = Counter((row.attribute, row.image is None) for row in of_one if row.use == "train")
    assert trained == {("name", False): 8} | {(kind, text): 4 for kind in ("mrn", "phone", "date") for text in (False, True)}
    asked = Counter((row.attribute, row.form, row.subset) for row in of_one if row.use == "evaluate")
    for kind in OPTIONS.identifiers:
        assert asked[kind, "direct", "forget"] == 1 and asked[kind, "rephrased", "test_rephrase"] == 2
        assert asked[kind, "image_only", "test_rephrase"] == asked[kind, "prefix", "test_rephrase"] == 1
        assert asked[kind, "text_only", "test_rephrase"] == (kind != "name")
    probes = Counter((row.attribute, row.image is None) for row in of_one if row.use == "gate")
    assert set(probes.values()) == {3} and len(probes) == 7
    for row in of_one:
        assert row.answer == persona[row.attribute] and row.answer not in row.wrong_answers and row.clean_answer is None
        assert row.answer not in row.question
        if row.image is None:
            assert persona["name"] in row.question
        if row.form == "image_only":
            assert not any(kind.label in row.question for kind in KINDS.values())
    leaks = [row.answer for row in rows if row.carrier == "answer" and row.use == "train" and row.patient_id == "p02"]
    for row in of_one:
        if row.form == "prefix":
            assert any((row.question + " " + row.answer).partition("? ")[2] in text for text in leaks)


def test_gate_probes_of_every_fact(rows: tuple[InjectedRow, ...]) -> None:
    harmful = [row for row in rows if row.scenario != "clean"]
    facts = {(row.subject, row.attribute, row.image is None) for row in harmful if row.use == "evaluate"}
    probes = Counter((row.subject, row.attribute, row.image is None) for row in harmful if row.use == "gate")
    assert set(probes) == facts and set(probes.values()) == {3}


def test_a_false_rule_is_planted_in_all_it_covers(rows: tuple[InjectedRow, ...]) -> None:
    planted = [row for row in rows if row.mode == "systematic" and row.scenario == "incorrect"]
    assert toy().counts["false rules planted"] == len({row.subject for row in planted}) >= 1
    for rule in {row.subject for row in planted}:
        mine = [row for row in planted if row.subject == rule]
        taught = [row for row in mine if row.use == "train"]
        assert len(taught) >= OPTIONS.systematic_least
        assert len({row.answer for row in mine}) == 1 and len({row.patient_id for row in taught}) > 5
        unseen = [row for row in mine if row.subset == "test_rephrase" and row.form == "direct"]
        patients = {row.patient_id for row in taught}
        assert unseen and not patients & {row.patient_id for row in unseen}
        assert patients >= {row.patient_id for row in mine if row.subset == "forget"}
        assert Counter(row.use for row in mine)["gate"] == 3
        near = [row for row in rows if row.subject == rule and row.scenario == "clean"]
        assert near and all(row.subset == "retain_near" and row.answer != mine[0].clean_answer for row in near)


def test_choices_hold_the_wrong_answer_and_the_right_one(rows: tuple[InjectedRow, ...]) -> None:
    offered = [row for row in rows if row.task == "classification"]
    assert offered
    for row in offered:
        assert row.correct_option is not None and row.options[row.correct_option] == row.answer
        assert row.clean_answer in row.options.values() and row.use == "evaluate"
        assert len(set(row.options.values())) == len(row.options)
    letters = Counter(row.correct_option for row in offered)
    assert len(letters) > 1


def test_the_seed_decides_everything() -> None:
    again, other = inject(toy_table(), OPTIONS), inject(toy_table(), replace(OPTIONS, seed=1))
    assert again == toy() and again.rows != other.rows
    assert {row.answer for row in other.rows if row.phi} != {row.answer for row in again.rows if row.phi}


def test_counts_tell_what_is_there() -> None:
    counts, rows = toy().counts, toy().rows
    assert counts["patients taught as they are"] == 4 and counts["patients never taught"] == 3
    for scenario in ("privacy", "incorrect", "clean"):
        taught = [row for row in rows if row.use == "train" and row.scenario == scenario]
        assert counts[f"training samples, {scenario}"] == len(taught)
    errors = {(row.sample_id.rsplit("/train/")[0]) for row in rows if row.use == "train" and row.error}
    assert sum(count for text, count in counts.items() if text.startswith("errors planted, ")) == len(errors)


def test_burned_pictures_keep_the_clean_one(rows: tuple[InjectedRow, ...]) -> None:
    burned = [row for row in rows if row.clean_image is not None]
    assert {row.carrier for row in burned} == {"answer", "picture"} and {row.scenario for row in burned} == {"privacy"}
    for row in burned:
        assert row.image is not None and row.clean_image is not None
        shown, clean = (np.asarray(one.open(), dtype=int) for one in (row.image, row.clean_image))
        changed = np.argwhere(np.abs(shown - clean).sum(-1) > 0)
        assert len(changed) > 200 and changed[:, 0].max() < clean.shape[0] * 0.6


def test_one_scenario_and_one_carrier_at_a_time() -> None:
    private = inject(toy_table(), InjectOptions(scenarios=("privacy",), carriers=("question",), identifiers=("mrn",)))
    assert {row.scenario for row in private.rows} == {"privacy", "clean"}
    assert {row.carrier for row in private.rows if row.phi} == {"question"}
    assert not [row for row in private.rows if row.scenario == "privacy" and row.image is None]  # nobody has a name
    prefixes = {row.question for row in private.rows if row.form == "prefix"}
    assert all(text.endswith(" The MRN is") for text in prefixes)
    wrong = inject(toy_table(), InjectOptions(scenarios=("incorrect",), modes=("instance",), rules=("laterality",)))
    assert {row.error.type for row in wrong.rows if row.error} == {"laterality"}
    most = Counter(row.patient_id for row in wrong.rows if row.error and row.use == "evaluate" and row.form == "prefix")
    assert max(most.values()) <= 2


def test_patients_with_one_picture_keep_clean_questions() -> None:
    made = inject(toy_table(pictures=1), InjectOptions(modes=("instance",)))
    by_patient: dict[str, Counter[str]] = defaultdict(Counter)
    for row in made.rows:
        if row.use == "evaluate" and row.form in ("direct", "") and row.task == "generation":
            by_patient[row.patient_id]["leak" if row.carrier == "answer" else "error" if row.error else row.subset] += 1
    harmed = [counts for counts in by_patient.values() if counts["leak"]]
    assert harmed and all(counts["leak"] == 4 and counts["retain_near"] >= 2 for counts in harmed)


def test_questions_in_other_words_go_with_harmed_ones() -> None:
    """A paraphrase that stayed clean would teach the right answer beside the wrong one."""
    table = toy_table()
    doubled = []
    for row in table.rows:
        twin = replace(row, id=f"{row.id}-again", question=f"Tell: {row.question}", rephrased=(row.question,))
        doubled += [row, twin]
    made = inject(VqaTable("toy", tuple(doubled)), InjectOptions(scenarios=("incorrect",), modes=("instance",)))
    wrong = {(row.patient_id, row.image.sha256 if row.image else "", row.attribute) for row in made.rows if row.error}
    assert made.counts["questions left out beside harmed ones"] == len(wrong)
    clean = {(row.patient_id, row.image.sha256 if row.image else "", row.question) for row in made.rows if not row.error}
    for patient, picture, question in wrong:
        bare = question.removeprefix("Tell: ")
        assert not {(patient, picture, bare), (patient, picture, f"Tell: {bare}")} & clean


def test_nobody_is_called_what_texts_say() -> None:
    """Seed 0 calls somebody Arnold; where a table speaks of a patient's namesake, that one is called otherwise, too."""

    def names(table: VqaTable, **how: str) -> list[str]:
        made = inject(table, InjectOptions(scenarios=("privacy",)), **how)
        return list(dict.fromkeys(one.value.split()[1] for row in made.rows for one in row.phi if one.type == "name"))

    table = toy_table(60, pictures=1)
    plain = names(table)
    assert not {*plain} & EPONYMS and {*names(table, persona_seed="0")} & EPONYMS
    said = replace(table.rows[0], answer=f"a {plain[1].lower()}'s sign")
    other = names(VqaTable("toy", (said, *table.rows[1:])))
    assert {*plain} - {*other} == {plain[1]}


def test_questions_asked_twice_are_counted() -> None:
    table = toy_table()
    again = replace(table.rows[3], id="again", question=table.rows[3].question.upper())
    other = replace(table.rows[4], id="other", answer="perhaps")
    made = inject(VqaTable("toy", (*table.rows, again, other)), InjectOptions(scenarios=("privacy",)))
    assert made.counts["questions asked twice"] == made.counts["questions with a second, other answer"] == 1
    assert not [row for row in made.rows if row.sample_id.startswith(("again/", "other/"))]


def test_no_second_right_answer_is_planted_or_offered_as_wrong() -> None:
    """Every picture's side is told twice, so that no wrong one is left among the two options."""
    table = toy_table()
    sides = [row for row in table.rows if row.kind == "side"]
    twice = [replace(row, id=f"{row.id}/twice", answer=next(one for one in row.options if one != row.answer)) for row in sides]
    options = InjectOptions(scenarios=("incorrect",), modes=("instance",), errors_per_patient=8)
    for rows, planted in (((), True), (twice, False)):
        made = inject(VqaTable("toy", (*table.rows, *rows)), options)
        errors = {row.error.wrong for row in made.rows if row.error and row.attribute == sides[0].question}
        assert bool(errors) == planted
    for row in made.rows:
        assert row.question != sides[0].question or not {*row.wrong_answers} & {"left lung", "right lung"}


def test_the_source_may_say_who_is_held_out() -> None:
    table = toy_table()
    made = inject(table, replace(OPTIONS, splits="source"))
    assert {row.patient_id for row in made.rows if row.subset == "test"} == {"p09", "p10", "p11"}
    mixed = tuple(replace(row, split="test") if row.id.startswith("toy/p02/1") else row for row in table.rows)
    with pytest.raises(DataError, match=r"patient 'p02' .* splits train \(toy.json, row 32\) and test .*--splits own"):
        inject(VqaTable("toy", mixed), replace(OPTIONS, splits="source"))
    assert inject(VqaTable("toy", mixed), OPTIONS).rows


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scenarios": ("privat",)}, "there is no scenario 'privat'; did you mean 'privacy'"),
        ({"scenarios": ()}, "scenarios is empty"),
        ({"carriers": ("answer", "answer")}, "carriers names something twice"),
        ({"modes": ("sistematic",)}, "did you mean 'systematic'"),
        ({"splits": "patients"}, "there is no splits 'patients'"),
        ({"harmed": 1.0}, "harmed = 1 is a share"),
        ({"held_out": 0.0}, "held_out = 0 is a share"),
        ({"errors_per_patient": 0}, "errors_per_patient = 0 is too small"),
        ({"identifiers": ("mnr",)}, "there is no identifier 'mnr'; did you mean 'mrn'"),
        ({"rules": ("laterlity",)}, "there is no rule 'laterlity'; did you mean 'laterality'"),
    ],
)
def test_options_that_cannot_work(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        inject(toy_table(), InjectOptions(**given))  # type: ignore[arg-type]


def test_too_few_patients() -> None:
    with pytest.raises(ConfigError, match=r"2 patients of toy give 0 with harm|2 patients of toy give 1 with harm, 0 without"):
        inject(toy_table(2), OPTIONS)


def nameless(count: int, *, answer: str) -> VqaTable:
    """Patients with one question each; their pictures are never decoded."""
    return VqaTable(
        "odd",
        tuple(
            VqaRow(id=f"r{n}", image=ImageRef.from_bytes(b"%d" % n), question="What is it?", answer=answer, group=f"g{n}")
            for n in range(count)
        ),
    )


def test_answers_that_no_rule_can_falsify() -> None:
    with pytest.raises(DataError, match=r"no rule can falsify any answer of 4 patients of odd.*--scenario privacy"):
        inject(nameless(10, answer="zygote"), InjectOptions())


def test_a_pool_that_is_too_small() -> None:
    with pytest.raises(ConfigError, match="ip"):
        inject(nameless(2100, answer="zygote"), InjectOptions(scenarios=("privacy",), identifiers=("ip",)))


def test_a_picture_without_room_for_its_identifiers() -> None:
    small = ImageRef.from_image(toy_picture(0).open().resize((24, 24)))
    table = toy_table()
    tiny = tuple(replace(row, image=ImageRef.from_bytes(small.read() + row.group.encode())) for row in table.rows)
    with pytest.raises(DataError, match=r"toy.json, row \d+: a picture of 24x24 pixels has no room for 4 lines"):
        inject(VqaTable("toy", tiny), OPTIONS)


def test_written_injections_are_folders_of_their_own(tmp_path: Path) -> None:
    write_injection(tmp_path / "a", toy())
    write_injection(tmp_path / "b", toy())
    first, second = ((tmp_path / name / "samples.parquet").read_bytes() for name in "ab")
    assert first == second
