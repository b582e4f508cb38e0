"""Clinical questions about a case, open and closed, in wordings whose roles never mix.

`train` wordings are taught, `test` wordings are what scores ask, `gate` and `stop` wordings probe and are never scored. The
first `train` wording is a row's own question in the benchmark, and its `test` wordings are the row's rephrasings.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from unsee.benchmarks.patients.cases import FINDINGS, MODALITIES, NORMAL, REGIONS, SYSTEM, TREATMENT, VISIBLE, Case

Role = Literal["train", "test", "gate", "stop"]
ROLES: tuple[Role, ...] = get_args(Role)
YES_NO = ("yes", "no")

_OPEN: Mapping[Role, tuple[str, ...]] = {
    "train": ("Name the {n}.", "State the {n}.", "Tell me the {n}.", "What would you call the {n}?"),
    "test": ("Could you give the {n}?",),
    "gate": ("Please write down the {n}.",),
    "stop": ("I would like to know the {n}.",),
}
_CLOSED: Mapping[Role, tuple[str, ...]] = {
    "train": ("Tell me whether {n}.", "Say if {n}.", "Decide whether {n}.", "Would you say that {n}?"),
    "test": ("Can you see whether {n}?",),
    "gate": ("Judge whether {n}.",),
    "stop": ("I would like to know whether {n}.",),
}
"""Frames around what a kind asks for."""

_SPECIFIC: Mapping[str, tuple[str, Mapping[Role, tuple[str, ...]]]] = {
    "modality": (
        "imaging modality",
        {
            "train": (
                "What imaging modality was used?",
                "Which modality is this?",
                "How was this picture taken?",
                "What kind of scan is this?",
            ),
            "test": ("By which technique was this acquired?",),
            "gate": ("What type of imaging is shown?",),
        },
    ),
    "region": (
        "body region",
        {
            "train": (
                "Which body region is shown?",
                "What part of the body is this?",
                "Which part of the body was scanned?",
                "What region does this picture show?",
            ),
            "test": ("Where in the body was this taken?",),
            "gate": ("Which region was examined?",),
        },
    ),
    "plane": (
        "imaging plane",
        {
            "train": (
                "In which plane was this picture taken?",
                "What plane is this?",
                "Which plane is shown?",
                "How is this section oriented?",
            ),
            "test": ("Along which plane is the body cut?",),
            "gate": ("What is the orientation of this picture?",),
        },
    ),
    "organ": (
        "affected organ",
        {
            "train": (
                "Which organ is affected by the {f}?",
                "Where is the {f}?",
                "In which organ is the {f}?",
                "What organ holds the {f}?",
            ),
            "test": ("Where does the {f} sit?",),
            "gate": ("Which organ shows the {f}?",),
        },
    ),
    "finding": (
        "abnormal finding",
        {
            "train": (
                "Which abnormality is seen?",
                "What is abnormal in this picture?",
                "What is the finding?",
                "What pathology is present?",
            ),
            "test": ("What lesion does this patient have?",),
            "gate": ("What did the examination find?",),
        },
    ),
    "side": (
        "affected side",
        {
            "train": (
                "On which side is the {f}?",
                "Which side is affected by the {f}?",
                "What side is the {f} on?",
                "Which side of the body shows the {f}?",
            ),
            "test": ("On what side of the patient does the {f} lie?",),
            "gate": ("Which side has the {f}?",),
        },
    ),
    "size": (
        "size of the {f}",
        {
            "train": (
                "How large is the {f}?",
                "How big is the {f}?",
                "What size is the {f}?",
                "Of what size is the {f}?",
            ),
            "test": ("How extended is the {f}?",),
            "gate": ("Which size does the {f} have?",),
        },
    ),
    "count": (
        "number of lesions",
        {
            "train": (
                "How many lesions are there?",
                "How many lesions do you see?",
                "Count the lesions.",
                "How many lesions of this kind are visible?",
            ),
            "test": ("How often does the {f} occur here?",),
            "gate": ("What is the count of lesions?",),
        },
    ),
    "treatment": (
        "usual treatment of the {f}",
        {
            "train": (
                "What is the treatment of the {f} in this picture?",
                "How is the {f} in this picture treated?",
                "What does the {f} in this picture call for?",
                "What should be done about the {f} in this picture?",
            ),
            "test": ("Which therapy suits the {f} in this picture?",),
            "gate": ("What is advised against the {f} in this picture?",),
        },
    ),
    "system": (
        "organ system that is affected",
        {
            "train": (
                "Which organ system is affected?",
                "To which organ system does the affected organ belong?",
                "What organ system is the {f} in?",
                "The affected organ is part of which system?",
            ),
            "test": ("Which system of the body suffers from the {f}?",),
            "gate": ("What system does the affected organ serve?",),
        },
    ),
    "modality_choice": (
        "this is {o}",
        {
            "train": ("Is this {o}?", "Was this taken by {o}?", "Which is it: {o}?", "Does this picture come from {o}?"),
            "test": ("Does this look like {o}?",),
            "gate": ("Was {o} used here?",),
        },
    ),
    "plane_choice": (
        "the plane is {o}",
        {
            "train": ("Is the plane {o}?", "Is this picture {o}?", "Which plane is it: {o}?", "Is this section {o}?"),
            "test": ("Does the cut run {o}?",),
            "gate": ("Is the orientation {o}?",),
        },
    ),
    "side_choice": (
        "the {f} is on the {o}",
        {
            "train": (
                "Is the {f} on the left or the right?",
                "Is the {f} on the {o} side?",
                "Which side is it: {o}?",
                "Does the {f} lie on the {o}?",
            ),
            "test": ("Is it the {o} side that shows the {f}?",),
            "gate": ("Does the {f} affect the {o} side?",),
        },
    ),
    "size_choice": (
        "the {f} is {o}",
        {
            "train": ("Is the {f} {o}?", "Which size is it: {o}?", "Is it a {o} {f}?", "Does the {f} look {o}?"),
            "test": ("Do you consider the {f} {o}?",),
            "gate": ("Does the {f} appear {o}?",),
        },
    ),
    "abnormal": (
        "there is an abnormality",
        {
            "train": (
                "Is there an abnormality in this picture?",
                "Is this picture abnormal?",
                "Does this picture show any lesion?",
                "Is anything wrong in this picture?",
            ),
            "test": ("Do you notice a pathology?",),
            "gate": ("Does this patient have a lesion?",),
        },
    ),
    "finding_check": (
        "there is evidence of {a} {x}",
        {
            "train": (
                "Is there evidence of {a} {x}?",
                "Is {a} {x} present?",
                "Does this picture show {a} {x}?",
                "Do you see {a} {x}?",
            ),
            "test": ("Does this patient have {a} {x}?",),
            "gate": ("Is {a} {x} visible?",),
        },
    ),
    "organ_check": (
        "the {f} is in the {x}",
        {
            "train": (
                "Is the {f} in the {x}?",
                "Does the {x} show the {f}?",
                "Is the {x} affected?",
                "Is the {f} located in the {x}?",
            ),
            "test": ("Does the {f} sit in the {x}?",),
            "gate": ("Is it the {x} that holds the {f}?",),
        },
    ),
    "modality_check": (
        "this is {a} {x}",
        {
            "train": ("Is this {a} {x}?", "Is this picture {a} {x}?", "Was {x} used?", "Was this taken by {x}?"),
            "test": ("Does this come from {x}?",),
            "gate": ("Are we looking at {a} {x}?",),
        },
    ),
}
"""Kind -> what its frames ask for, and wordings of its own.

`{f}`: the finding, `{o}`: options, `{x}`: what is checked, `{a}`: its article."""
KINDS = tuple(_SPECIFIC)
CLOSED = tuple(kind for kind in KINDS if kind.endswith(("choice", "check")) or kind == "abnormal")
OPEN = tuple(kind for kind in KINDS if kind not in CLOSED)

REPORT_QUESTIONS: Mapping[Literal["train", "test"], tuple[str, ...]] = {
    "train": ("Write a short report.", "Report what you see.", "What does the radiologist note?", "Give a brief report."),
    "test": ("Put the findings into one sentence.",),
}


@dataclass(frozen=True)
class Clinical:
    """One question about a case with its answer.

    Attributes:
        kind: one of `KINDS`.
        wordings: role -> the question in other words.
        options: answers to choose from; empty where it is open.
        triple: the statement of the knowledge graph behind it, or None.
    """

    kind: str
    wordings: Mapping[Role, tuple[str, ...]]
    answer: str
    options: tuple[str, ...] = ()
    triple: tuple[str, str, str] | None = None


def clinical_questions(case: Case) -> tuple[Clinical, ...]:
    """Every question that makes sense for a case, in the order of `KINDS`.

    What checks ask for is drawn by the case's seed: in half of them it is there.
    """
    return tuple(made for kind in KINDS if (made := _ASKED[kind](kind, case)) is not None)


@lru_cache(maxsize=65_536)
def wordings(
    kind: str, *, finding: str = "lesion", options: tuple[str, ...] = (), checked: str = ""
) -> Mapping[Role, tuple[str, ...]]:
    """Role -> every wording of it.

    Args:
        finding: what the question calls the lesion.
        options: what it lets choose from.
        checked: what it asks after.
    """
    noun, own = _SPECIFIC[kind]
    *some, last = options or ("", "")
    words = {
        "f": finding,
        "o": f"{', '.join(some)} or {last}",
        "x": checked,
        "a": "an" if checked[:1] in (*"aeiouMX",) else "a",
    }
    frames = _CLOSED if kind in CLOSED else _OPEN
    noun = noun.format(**words)
    return {
        role: (*(text.format(**words) for text in own.get(role, ())), *(text.format(n=noun) for text in frames[role]))
        for role in ROLES
    }


def report(case: Case) -> str:
    """A case in one sentence."""
    seen = f"{case.plane} {case.modality} of the {case.region}"
    if case.finding == NORMAL:
        return f"{seen}, no lesion."
    side = "" if case.side == NORMAL else f"{case.side} "
    return f"{seen}, {case.count} {case.size} {case.finding} in the {side}{case.organ}."


def _plain(kind: str, case: Case) -> Clinical:
    """What stands in the case, whether there is a lesion or not."""
    return Clinical(kind, wordings(kind), case.visible[kind])


def _of_lesion(kind: str, case: Case) -> Clinical | None:
    answer = case.visible[kind]
    return None if answer in (NORMAL, "0") else Clinical(kind, wordings(kind, finding=case.finding), answer)


def _known(kind: str, case: Case) -> Clinical | None:
    """What the knowledge graph says."""
    if case.finding == NORMAL:
        return None
    head, relation, tail = (
        (case.finding, "treated by", TREATMENT[case.finding])
        if kind == "treatment"
        else (case.organ, "part of system", SYSTEM[case.organ])
    )
    return Clinical(kind, wordings(kind, finding=case.finding), tail, triple=(head, relation, tail))


def _choice(kind: str, case: Case) -> Clinical | None:
    key = kind.removesuffix("_choice")
    if case.visible[key] == NORMAL:
        return None
    options = tuple(value for value in VISIBLE[key] if value != NORMAL)
    return Clinical(kind, wordings(kind, finding=case.finding, options=options), case.visible[key], options)


def _abnormal(kind: str, case: Case) -> Clinical:
    return Clinical(kind, wordings(kind), "no" if case.finding == NORMAL else "yes", YES_NO)


def _check(kind: str, case: Case) -> Clinical | None:
    key = kind.removesuffix("_check")
    right = case.visible[key]
    if key == "organ" and right == NORMAL:
        return None
    values = {"modality": tuple(MODALITIES), "finding": FINDINGS, "organ": tuple(REGIONS[case.region])}[key]
    rng = random.Random(f"{case.seed}/{kind}")
    others = [value for value in values if value != right]
    checked = right if right != NORMAL and rng.random() < 0.5 else rng.choice(others)
    return Clinical(kind, wordings(kind, finding=case.finding, checked=checked), "yes" if checked == right else "no", YES_NO)


_ASKED: Mapping[str, Callable[[str, Case], Clinical | None]] = {
    **dict.fromkeys(("modality", "region", "plane", "finding"), _plain),
    **dict.fromkeys(("organ", "side", "size", "count"), _of_lesion),
    **dict.fromkeys(("treatment", "system"), _known),
    **dict.fromkeys(("modality_choice", "plane_choice", "side_choice", "size_choice"), _choice),
    "abnormal": _abnormal,
    **dict.fromkeys(("finding_check", "organ_check", "modality_check"), _check),
}
