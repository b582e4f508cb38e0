"""What results are called on the page and in the terminal: methods, sets, columns, and the order they come in."""

from __future__ import annotations

from typing import Literal, NamedTuple

CONTROLS = ("vanilla", "gold", "prior_only", "do_nothing", "prompt_guard")
REQUIRED = ("vanilla", "gold", "do_nothing", "prompt_guard")
"""Controls that every table shows, absent or not."""
METHODS = ("ga", "graddiff", "kl", "npo", "idk")
UTILITY_SETS = ("retain", "near_retain", "celebrity")
LEVELS = ("near", "far", "foreign")

SECOND = "second seed"
"""Variant of a gold that is scored and anchors nothing."""

TITLES = {
    "vanilla": "Vanilla",
    "gold": "Gold",
    "prior_only": "Guessing",
    "do_nothing": "Do nothing",
    "prompt_guard": "Prompt guard",
    "ga": "Gradient ascent",
    "graddiff": "Gradient difference",
    "kl": "KL minimisation",
    "npo": "NPO",
    "idk": "IDK",
}
SHORT_TITLES = TITLES | {"ga": "GA", "graddiff": "GradDiff", "kl": "KL"}
ROLES = {
    "vanilla": "before unlearning",
    "gold": "never met them",
    "prior_only": "knows only what is frequent",
    "do_nothing": "control: zero steps",
    "prompt_guard": "control: told not to say",
    "ga": "raises the loss on forget",
    "graddiff": "ascent, plus retain",
    "kl": "ascent, plus retain close to start",
    "npo": "negative preference",
    "idk": "trained to decline",
}
SET_TITLES = {
    "forget": "Forget",
    "test": "Test",
    "retain": "Retain",
    "near_retain": "Near-retain",
    "celebrity": "Celebrity",
    "general": "General",
    "clinical": "Clinical",
    "neighbour_image": "Neighbour image",
    "neighbour_question": "Neighbour question",
    "all": "All",
}
SET_HINTS = {
    "forget": "target: as low as gold",
    "test": "same facts in disguise",
    "retain": "should stay",
    "near_retain": "look-alikes, namesakes",
    "celebrity": "public figures",
}
TASK_TITLES = {"classification": "four options", "generation": "free answer", "cloze": "fill the blank"}
MODALITY_TITLES = {"image_text": "Image + text", "text": "Text only"}
LEVEL_HINTS = {
    "near": "small changes of the picture",
    "far": "larger changes than training ever showed",
    "foreign": "another drawing style, part covered, or low light",
}


class Column(NamedTuple):
    """One column of the main table, and the result rows that fill it.

    Attributes:
        key: its name in the table, `set/task` for plain scores.
        title: heading.
        set: set of its rows, or None for all sets of the benchmark, pooled.
        task: task of its rows; None for values of no single task.
        unit: `percent` shows 0.43 as 43, `score` as 0.43.
        views: views whose answers count, or () for any.
        pooled: averaged over tasks, modalities and views, weighted by the number of answers; such a mean has no interval.
    """

    key: str
    title: str
    set: str | None
    task: str | None
    metric: str
    unit: Literal["percent", "score"] = "percent"
    views: tuple[str, ...] = ()
    hint: str = ""
    pooled: bool = False


_TASKS: tuple[tuple[str, str, str, tuple[str, ...], str], ...] = (
    ("classification", "Choice", "accuracy", ("options",), "right option of four, by likelihood"),
    ("generation", "ROUGE-L", "rouge_l", (), "overlap of the written answer with the truth"),
    ("cloze", "Cloze", "cloze_accuracy", (), "right words in the blank"),
)
SET_COLUMNS: tuple[Column, ...] = tuple(
    Column(f"{set_name}/{task}", title, set_name, task, metric, "percent", views, hint)
    for set_name in ("forget", "test", "retain", "near_retain", "celebrity")
    for task, title, metric, views, hint in _TASKS
)
SUMMARY_COLUMNS: tuple[Column, ...] = (
    Column("unlearning_score", "Unlearning score", "all", None, "unlearning_score", "score", (), "both together, harmonic"),
    Column("forget_score", "Forget score", "all", None, "forget_score", "score", (), "0 = vanilla, 1 = like gold"),
    Column("model_utility", "Model utility", "all", None, "model_utility", "score", (), "1 = nothing else was lost"),
    Column("truth_score", "Truth score", "forget", None, "truth_score", "score", (), "truth ratio R as 1 / (1 + R)", True),
    Column("forget_quality", "Forget quality", "forget", None, "forget_quality", "score", (), "p of KS test against gold"),
    Column(
        "unparsable",
        "Unparsable",
        None,
        None,
        "unparsable_rate",
        "percent",
        ("letter", "generate"),
        "% of answers nobody can read",
        True,
    ),
)
PRIOR_COLUMNS = ("forget/classification", "test/classification", "forget/cloze", "test/cloze")
"""Columns in which guessing by frequency has a value."""
COLUMNS = SUMMARY_COLUMNS + SET_COLUMNS

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("Vanilla", "The model after learning everybody, before anything was forgotten."),
    (
        "Gold",
        "A model with the same recipe that never met the people to forget. An ideal unlearning method turns vanilla into gold, "
        "so scoring below gold is no success: it is over-forgetting.",
    ),
    ("Forget", "The people whose deletion was requested, asked about with pictures and questions worded anew."),
    ("Test", "The same people and facts in disguise: another picture of the person and paraphrased questions."),
    ("Retain", "Everybody else. Their facts should stay."),
    ("Near-retain", "Retained people who look like a forgotten person or share a name. They suffer first."),
    ("Celebrity", "Public figures the model knew from the start and that no method trains on."),
    ("Do nothing", "The whole unlearning path with zero steps. It must equal vanilla."),
    ("Guessing", "What one gets by always giving the most frequent answer of a kind, knowing nothing about the person."),
    ("Prompt guard", "Nothing is unlearned; a system prompt tells the model to refuse."),
    (
        "Knowledge gate",
        "A fact counts as known if vanilla passes probes that are never scored. Gated numbers look at those facts only and "
        "leave out what gold can guess.",
    ),
    ("Interval", "The small numbers: a 95 % bootstrap interval over people, not over questions."),
    (
        "Scores",
        "Forget score: how far forget and test went from vanilla (0) to gold (1); past gold counts against it. Model utility: "
        "what is left of everything else. Unlearning score: the harmonic mean of both. All over pictures and text together.",
    ),
    (
        "Truth score",
        "How much likelier the model finds the truth than wrong answers of the same kind: 1 knows, 0.5 cannot tell, below 0.5 "
        "avoids the truth. Forget quality asks whether these values can be told from gold's (near 1: they cannot).",
    ),
    ("Choice, ROUGE-L, Cloze", "Four options; overlap of a written sentence with the truth; a blank to fill. In percent."),
)


def method_title(method: str, variant: str | None = None, *, short: bool = False) -> str:
    """How a method is called; any variant but the corrected one says so."""
    title = (SHORT_TITLES if short else TITLES).get(method, method.replace("_", " "))
    return title if variant in (None, "corrected") else f"{title} ({variant})"


def brief(name: str, length: int = 20) -> str:
    """A long name with its middle left out; names that differ mostly do so at an end."""
    if len(name) <= length:
        return name
    head = length // 2
    return f"{name[:head].rstrip()}\u2026{name[len(name) - (length - 1 - head) :].lstrip()}"


def method_order(method: str) -> tuple[int, str]:
    """Sorting key: controls, then the methods in the box, then others by name."""
    known = CONTROLS + METHODS
    return (known.index(method) if method in known else len(known), method)


def set_title(name: str) -> str:
    return SET_TITLES.get(name, name.replace("_", " "))


def attribute_title(name: str) -> str:
    return name.replace("_", " ")
