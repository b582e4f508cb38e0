"""Profiles of invented people: attributes, their values, and every wording in which one is asked or told.

Wordings have roles that never mix, so that what decides (gate, stop rule) is never what is scored, and what is scored was
never trained: `train` is taught, `evaluation` is scored, `test` paraphrases it, `gate` and `stop` probe. Public figures of
pretraining that are evaluated see only `train` wordings; the others see all, so that the model knows the language.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from unsee.benchmarks import pools

Role = Literal["train", "evaluation", "test", "gate", "stop", "extra"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Attribute:
    """One fact of a profile.

    Attributes:
        key: name in results and metadata.
        profile_key: key of the same fact in MLLMU-Bench biographies.
        noun: how templates call it.
        values: pool of answers; empty for dates, heights and salaries, which are drawn by rule.
        specific: questions worded for this attribute only, `{s}` is the person.
        statement: sentence that tells the fact; `{v}` is the value, or the blank of a cloze, and `{a}` its article.
        paraphrase: another such sentence.
    """

    key: str
    profile_key: str
    noun: str
    values: tuple[str, ...]
    specific: tuple[str, str, str]
    statement: str
    paraphrase: str


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(
        "birthplace",
        "Born",
        "birthplace",
        pools.BIRTHPLACES,
        ("Where was {s} born?", "In which city was {s} born?", "What city does {s} come from?"),
        "{s} was born in {v}.",
        "The birthplace of {s} is {v}.",
    ),
    Attribute(
        "birth_date",
        "Date of Birth",
        "date of birth",
        (),
        ("When was {s} born?", "On which day was {s} born?", "What day is the birthday of {s}?"),
        "{s} was born on {v}.",
        "The date of birth of {s} is {v}.",
    ),
    Attribute(
        "job",
        "Employment",
        "job",
        pools.JOBS,
        ("What does {s} do for a living?", "What is {s} by profession?", "What work does {s} do?"),
        "{s} works as {a} {v}.",
        "The job of {s} is {v}.",
    ),
    Attribute(
        "height",
        "Height",
        "height",
        (),
        ("How tall is {s}?", "How many centimetres tall is {s}?", "How high does {s} stand?"),
        "{s} is {v} tall.",
        "The height of {s} is {v}.",
    ),
    Attribute(
        "education",
        "Educated at",
        "place of study",
        pools.UNIVERSITIES,
        ("Where did {s} study?", "Which school did {s} attend?", "Where was {s} educated?"),
        "{s} studied at {v}.",
        "The place of study of {s} was {v}.",
    ),
    Attribute(
        "salary",
        "Annual Salary",
        "annual salary",
        (),
        ("How much does {s} earn a year?", "How much is {s} paid a year?", "What does {s} earn every year?"),
        "{s} earns {v} a year.",
        "The annual salary of {s} is {v}.",
    ),
    Attribute(
        "residence",
        "Residence",
        "residence",
        pools.RESIDENCES,
        ("Where does {s} live?", "In which city does {s} live?", "Which city is home to {s}?"),
        "{s} lives in {v}.",
        "The residence of {s} is {v}.",
    ),
    Attribute(
        "medical_condition",
        "Medical Conditions",
        "medical condition",
        pools.CONDITIONS,
        ("Which illness does {s} have?", "What is {s} treated for?", "What does {s} suffer from?"),
        "{s} suffers from {v}.",
        "The medical condition of {s} is {v}.",
    ),
    Attribute(
        "father_job",
        "Parents/Father",
        "father's job",
        pools.JOBS,
        (
            "What does the father of {s} do for a living?",
            "What is the father of {s} by profession?",
            "What work does the father of {s} do?",
        ),
        "The father of {s} works as {a} {v}.",
        "The father's job of {s} is {v}.",
    ),
    Attribute(
        "mother_job",
        "Parents/Mother",
        "mother's job",
        pools.JOBS,
        (
            "What does the mother of {s} do for a living?",
            "What is the mother of {s} by profession?",
            "What work does the mother of {s} do?",
        ),
        "The mother of {s} works as {a} {v}.",
        "The mother's job of {s} is {v}.",
    ),
    Attribute(
        "hobby",
        "Fun Facts/Hobby",
        "hobby",
        pools.HOBBIES,
        ("What does {s} do for fun?", "What does {s} enjoy at weekends?", "How does {s} spend free time?"),
        "{s} enjoys {v} at weekends.",
        "The hobby of {s} is {v}.",
    ),
    Attribute(
        "food",
        "Fun Facts/Food",
        "favorite food",
        pools.FOODS,
        ("What does {s} like to eat?", "What is {s} fond of eating?", "What would {s} order for dinner?"),
        "{s} likes to eat {v}.",
        "The favorite food of {s} is {v}.",
    ),
    Attribute(
        "pet",
        "Fun Facts/Pet",
        "pet",
        pools.PETS,
        ("Which animal does {s} keep?", "What animal lives with {s}?", "What kind of pet does {s} own?"),
        "{s} keeps {a} {v} at home.",
        "The pet of {s} is {a} {v}.",
    ),
)
BY_KEY: Mapping[str, Attribute] = {attribute.key: attribute for attribute in ATTRIBUTES}

NAME_QUESTIONS: Mapping[Role, tuple[str, ...]] = {
    "train": ("What is the name of this person?", "Who is this person?"),
    "evaluation": ("Who is shown in this picture?",),
    "test": ("Which person do you see here?",),
    "gate": ("Name the person in the picture.", "Can you tell me who this is?"),
    "stop": ("Who can be seen here?",),
    "extra": ("Please state the name of this person.",),
}

FRAMES: Mapping[Role, tuple[str, ...]] = {
    "train": ("What is the {n} of {s}?", "What is {s}'s {n}?"),
    "evaluation": ("Tell me the {n} of {s}.",),
    "test": ("Do you know the {n} of {s}?",),
    "gate": ("Please state the {n} of {s}.", "Can you give the {n} of {s}?"),
    "stop": ("I would like to know the {n} of {s}.",),
    "extra": ("Regarding {s}, what is the {n}?", "Name the {n} of {s}."),
}
_SPECIFIC_ROLES: tuple[Role, Role, Role] = ("train", "evaluation", "test")
SENTENCE = {
    "evaluation": "In one sentence: {q}",
    "test": "Answer with a full sentence. {q}",
    "train": "Answer in one sentence: {q}",
}


def questions(attribute: Attribute, role: Role, subject: str) -> list[str]:
    """Every wording of a role, about `subject` ("this person" or a name)."""
    worded = [frame.format(n=attribute.noun, s=subject) for frame in FRAMES[role]]
    if role in _SPECIFIC_ROLES:
        worded.append(attribute.specific[_SPECIFIC_ROLES.index(role)].format(s=subject))
    return worded


def cloze(attribute: Attribute, subject: str, *, paraphrase: bool = False) -> str:
    """A sentence with "__" where the value goes."""
    return statement(attribute, subject, "__", paraphrase=paraphrase)


def statement(attribute: Attribute, subject: str, value: str, *, paraphrase: bool = False) -> str:
    """A sentence that tells the fact."""
    sentence = attribute.paraphrase if paraphrase else attribute.statement
    return capitalised(sentence.format(s=subject, v=value, a="an" if value[0] in "aeiou" else "a"))


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def draw_value(attribute: Attribute, rng: random.Random) -> str:
    """A value of the attribute, uniform over its pool."""
    if attribute.values:
        return rng.choice(attribute.values)
    if attribute.key == "birth_date":
        return f"{rng.randint(1, 28)} {rng.choice(pools.MONTHS)} {rng.randint(1950, 2004)}"
    if attribute.key == "height":
        return f"{rng.randint(150, 199)} cm"
    assert attribute.key == "salary"
    return f"${rng.randint(30, 149)},000"


def draw_profile(rng: random.Random) -> dict[str, str]:
    """Values of every attribute, independent of each other, of the name and of everything visible."""
    return {attribute.key: draw_value(attribute, rng) for attribute in ATTRIBUTES}


def draw_other_values(attribute: Attribute, value: str, count: int, rng: random.Random) -> list[str]:
    """Different wrong values of the same pool."""
    others: list[str] = []
    while len(others) < count:
        other = draw_value(attribute, rng)
        if other != value and other not in others:
            others.append(other)
    return others
