"""What results are called on the page and in the terminal: methods, sets, columns, and the order they come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from unsee.attacks.base import NEVER_KNOWN, NEVER_LEARNED

CONTROLS = ("vanilla", "gold", "prior_only", "do_nothing", "prompt_guard")
REQUIRED = ("vanilla", "gold", "do_nothing", "prompt_guard")
"""Controls that every table shows, absent or not."""
DEFENCES = ("fact_erasure", "empty_response", "error_injection", "head_projection", "max_entropy", "input_rephrasing")
METHODS = ("ga", "graddiff", "kl", "npo", "idk", "llmu", "correction", *DEFENCES)
ATTACK_TITLES = {
    "lens_head_projection": "Head projection",
    "lens_prob_delta": "Probability delta",
    "lens_prob_delta2": "Probability delta squared",
    "finetune_lens": "Fine-tuning, then lens",
    "rephrase_question": "Question rephrase",
    "rephrase_image": "Image rephrase",
    "rephrase_multimodal": "Multimodal rephrase",
}
"""Attacks in the order of the paper."""
ATTACK_SHORT_TITLES = {
    "lens_head_projection": "Head proj.",
    "lens_prob_delta": "Prob. \u0394",
    "lens_prob_delta2": "Prob. \u0394\u00b2",
    "finetune_lens": "Fine-tune",
    "rephrase_question": "Question",
    "rephrase_image": "Image",
    "rephrase_multimodal": "Both",
}
DISGUISE_LEVELS = ("easy", "medium", "hard")
SETS = ("forget", "test", "retain", "celebrity", "near_retain", "general", "clinical", "neighbour_image", "neighbour_question")
"""Sets in the order of the tables: the paper's four first."""
TASKS = ("classification", "generation", "cloze")
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
    "llmu": "LLMU",
    "correction": "Correction",
    "fact_erasure": "Fact erasure",
    "empty_response": "Empty response",
    "error_injection": "Error injection",
    "head_projection": "Head projection",
    "max_entropy": "Max-entropy",
    "input_rephrasing": "Input rephrasing",
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
    "llmu": "ascent, plus random answers, plus retain",
    "correction": "trained on the right answer",
    "fact_erasure": "lowers the answer's probability",
    "empty_response": "trained to say it does not know",
    "error_injection": "trained on a wrong answer",
    "head_projection": "answer out of the lens's top",
    "max_entropy": "layers made undecided",
    "input_rephrasing": "erasure over rephrasings",
}
SCENARIO_TITLES = {"privacy": "Privacy", "incorrect": "Errors"}
MEDICAL_ROLES = {"gold": "taught without the harm", "prompt_guard": "control: told not to say"}
"""Roles that differ where harm was woven into training data."""
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
    "general": "other abilities",
}
MEDICAL_SET_HINTS = {
    "forget": "target: as low as gold",
    "test": "the same in disguise",
    "retain": "patients without harm",
    "near_retain": "harmed patients, clean questions",
    "clinical": "patients never shown",
}
ARROWS = {"forget": "\u2193", "test": "\u2193"}
"""Which way is better; up for every other set."""
TASK_TITLES = {"classification": "four options", "generation": "free answer", "cloze": "fill the blank"}
PANEL_TITLES = {"classification": "Four options", "generation": "Written answer", "cloze": "Fill the blank"}
MODALITY_TITLES = {"image_text": "Image + text", "text": "Text only"}
UNLEARNED_FROM = {"image_text": "image + text", "text": "text only", "mixed": "mixed data", "both": "mixed data"}
AXIS_TITLES = {"question": "Question", "image": "Image", "both": "Both"}
"""What a disguise changes."""
LEVEL_HINTS = {
    "near": "small changes of the picture",
    "far": "larger changes than training ever showed",
    "foreign": "another drawing style, part covered, or low light",
}


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
    (
        "Choice, ROUGE-L, Factual, Cloze",
        "Four options; overlap of a written sentence with the truth; whether that sentence states the fact; a blank to fill. "
        "All in percent.",
    ),
    (
        "Distance to gold",
        "How far the log-probability of the right answer lies from gold's, per token. To the right of zero the answer is "
        "likelier than under gold (not yet forgotten), to the left less likely (over-forgotten).",
    ),
    (
        "Protocol",
        "Strict: options are compared by likelihood, answers are normalised. Official: the published prompts, first letter, "
        "and a search for the words of the truth.",
    ),
)


FACT_GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "Single facts",
        "Each fact is deleted by an edit of its own, from the same weights, or a batch of all facts by one edit; every edited "
        "model is then asked and attacked.",
    ),
    ("Vanilla", "The model that knows the facts, before any edit."),
    ("Never learned", "The same attacks on facts of the same kind that the model was never taught: what luck and habit find."),
    (
        "Never known",
        "Where no never-learned facts were attacked: the same attacks on vanilla and the facts that it does not know by the "
        "knowledge gate. They may be harder than those it knew, or half known, so the excess over them may be too large or too "
        "small.",
    ),
    (
        "Gold",
        "A model like vanilla that was never taught the facts. Where there is none, never-learned or never-known facts take "
        "its place.",
    ),
    ("Do nothing", "The whole path of an edit with zero steps. It must equal vanilla."),
    ("Prompt guard", "Nothing is edited; a system prompt tells the model to refuse."),
    (
        "Success at B",
        "An attack makes a list of candidates and succeeds where the answer is among its first B. A lens attack finds the "
        "answer's first token; as whole answer, all of its tokens have to come up together.",
    ),
    (
        "Excess",
        "Success minus success on never-learned facts, or on never-known ones where those were not attacked. It is what an "
        "attack finds in the model, and the number to judge by.",
    ),
    (
        "White-box, black-box",
        "White-box attacks read the layers (what the model would say if it stopped there), or train the model first. Black-box "
        "attacks ask the question in other words, with another picture, or both, several times at random.",
    ),
    (
        "Random tokens, answer prior",
        "B tokens drawn blindly; the B most frequent answers to such questions. Neither looks at the model.",
    ),
    (
        "Rewrite, paraphrase",
        "How far the edit reached its own goal on the edited question, and on the same question in other words: 100 is all the "
        "way. What that goal is differs between defences; the detailed table also measures all of them by the true answer.",
    ),
    ("Neighbourhood", "How little the deleted answer moved at other questions about the same picture: 100 is not at all."),
    ("Edit score", "The harmonic mean of the three."),
    (
        "Damage",
        "Points of accuracy that an edit costs on other facts (random), other questions about the picture, and other pictures "
        "with the same question. Above zero is damage; p tests the same questions before and after, paired over facts.",
    ),
    (
        "Interval",
        "The small numbers: a 95 % bootstrap interval over facts. That of a mean over attacks is the mean of their intervals, "
        "as a rule wider than it need be.",
    ),
)


class ReferenceWords(NamedTuple):
    """What a reference is called: in a heading, in an apposition, and as facts of which something is found."""

    title: str
    about: str
    facts: str


REFERENCES: Mapping[str, ReferenceWords] = {
    NEVER_LEARNED: ReferenceWords("Never learned", "never-learned facts", "facts that were never learned"),
    NEVER_KNOWN: ReferenceWords("Never known", "never-known facts", "facts that vanilla did not know"),
}


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
