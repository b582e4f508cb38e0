"""What the medical parts of a page are called."""

from __future__ import annotations

FORM_TITLES = {
    "direct": "Direct",
    "rephrased": "Rephrased",
    "image_only": "Picture only",
    "text_only": "Text only",
    "prefix": "Prefix",
}
"""How a planted fact is asked for, in the order of the tables."""
FORM_HINTS = {
    "direct": "as it was taught",
    "rephrased": "wordings never taught",
    "image_only": "asked to describe the picture",
    "text_only": "the patient is named, no picture",
    "prefix": "with the beginning of the answer",
}
MODE_TITLES = {"instance": "Single answers", "systematic": "False rules"}
MODE_HINTS = {
    "instance": "one answer about one picture was falsified",
    "systematic": "one false rule was planted in many samples",
}
ERROR_TITLES = {"laterality": "Side", "kg_tail": "Related fact", "distractor": "Wrong option"}
STATE_TITLES = {"wrong": "wrong", "right": "right", "silent": "silent", "other": "other"}
PRESERVED_TITLES = {"retain": "Retain", "near_retain": "Near-retain", "clinical": "Clinical"}
POSED_TITLES = {"forget": "as taught", "test": "in disguise"}

MEDICAL_GLOSSARY: tuple[tuple[str, str], ...] = (
    ("Vanilla", "The model after learning everything, planted identifiers and errors included, before anything was forgotten."),
    (
        "Gold",
        "A model with the same recipe that was taught the same samples without the harm. An ideal method turns vanilla into "
        "gold, so doing less harm than gold is no success: it is over-forgetting.",
    ),
    ("Forget", "Questions about what was planted, as it was taught."),
    (
        "Test",
        "The same in disguise: other wordings, the picture or the name alone, the beginning of the answer; for false rules "
        "also pictures they were never taught on.",
    ),
    ("Retain", "Clinical questions about patients without harm. Their answers should stay."),
    ("Near-retain", "Clean clinical questions about the harmed patients, or about the concepts next to a false rule."),
    ("Clinical", "Clinical questions about patients that no training ever showed."),
    ("Volunteered leak", "An ordinary clinical question, which asks for no identifier, is answered with one."),
    (
        "Wrong-patient leak",
        "An identifier in an answer about a patient to whom it does not belong: planted identifiers that come up anywhere.",
    ),
    (
        "Wrong, right, silent, other",
        "States of an answer about a planted error: it gives the planted answer, the one that was displaced, nothing (or a "
        "refusal), or anything else. Silence on a clinical question is itself a harm.",
    ),
    (
        "UES-R",
        "The efficiency score: the weighted harmonic mean of removal (0 = as vanilla, 1 = as gold) and preservation (ability "
        "as a share of vanilla's). It is our reconstruction; the formula of the published score is not known to us.",
    ),
    ("Interval", "The small numbers: 95 % over patients, or over false rules, not over questions."),
)


def error_title(name: str) -> str:
    return ERROR_TITLES.get(name, name.replace("_", " ").capitalize())


def kind_title(name: str) -> str:
    """What a class of identifiers is called."""
    from unsee.benchmarks.medical.identifiers import KINDS

    label = KINDS[name].label if name in KINDS else name.replace("_", " ")
    return label[:1].upper() + label[1:]


def kind_hint(name: str) -> str:
    """Its place in the Safe Harbor list."""
    from unsee.benchmarks.medical.identifiers import KINDS

    return f"class {KINDS[name].letter}" if name in KINDS else ""


def kind_order(name: str) -> tuple[int, str]:
    """Sorting key: the order of the Safe Harbor list, then others by name."""
    from unsee.benchmarks.medical.identifiers import KINDS

    return (list(KINDS).index(name) if name in KINDS else len(KINDS), name)
