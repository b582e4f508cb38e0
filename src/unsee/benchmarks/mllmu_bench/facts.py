"""What a biography of MLLMU-Bench says, and which of its facts a question asks for.

Keys of biographies are inconsistent (`Heights`, `Educated at:`, `Annual Salary: `), parents and fun facts are an object, a list
or a sentence, and questions carry no attribute. Attributes get the names that `people` uses, so that tables can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from unsee.metrics.normalise import occurrences, tokens

OTHER = "other"
"""Attribute of a question that no rule understands."""
SINGLE_VALUED = (
    "name",
    "birthplace",
    "birth_date",
    "gender",
    "job",
    "height",
    "salary",
    "residence",
    "father_job",
    "mother_job",
)
"""Attributes of which a person has one value, so that two values contradict each other."""

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "full name"),
    "birthplace": ("born", "birthplace", "place of birth"),
    "birth_date": ("date of birth", "birth date", "birthday"),
    "gender": ("gender", "sex"),
    "job": ("employment", "occupation", "job"),
    "height": ("height", "heights"),
    "education": ("educated at", "education"),
    "salary": ("annual salary", "salary"),
    "residence": ("residence", "residences"),
    "medical_condition": ("medical conditions", "medical condition"),
    "parents": ("parents", "parent"),
    "fun_fact": ("fun facts", "fun fact"),
    "description": ("description",),
}
_BY_ALIAS = {alias: attribute for attribute, aliases in _ALIASES.items() for alias in aliases}
_FUN_WORDS = {
    "hobby": r"hobb|pastime|free time|leisure|weekend|for fun|enjoy|spare time",
    "food": r"food|\beat|dish|cuisine|meal|snack|dinner|dessert",
    "pet": r"\bpets?\b|animal|\bkeeps?\b|\bdogs?\b|\bcats?\b",
}
_WORDS: Mapping[str, str] = {
    "father_job": r"\bfather|\bdad\b",
    "mother_job": r"\bmother|\bmom\b|\bmum\b",
    "parents": r"\bparents?\b",
    "medical_condition": r"medical|condition|illness|disease|disorder|health|allerg|diagnos|suffer|treated",
    "salary": r"salary|salaries|\bearn|income|wage|\bpaid\b|compensation",
    "height": r"height|\btall\b|centimet|\bstands?\b",
    "education": r"educat|\bstud(?:y|ied|ies)\b|universit|college|school|degree|graduat|alma mater",
    "birth_date": r"date of birth|birth ?date|birthday|(?:when|\bday|\byear) .*\bborn\b|\bborn (?:on|in the year)\b|how old",
    "birthplace": r"birth ?place|place of birth|where .*\bborn\b|\bborn\b|come from|comes from|native|home ?town",
    **_FUN_WORDS,
    "residence": r"resid|\blives?\b|\bliving in\b|\bhome\b|located|\bbased\b",
    "gender": r"\bgender\b|\bsex\b",
    "fun_fact": r"fun fact|interesting|unique|unusual|trivia|known for|special|favou?rite|talent|collect",
    "job": r"\bjob\b|occupation|employ|profession|\bworks?\b|\bworking\b|for a living|career",
    "name": r"\bname\b|\bcalled\b|\bwho\b|which person",
}
"""Attribute -> words of its questions; the more telling attributes come first."""
_EMPTY_WORDS = frozenset("works work working lives currently person this that with from year father mother".split())
_PERSON = re.compile(r"\b(?:this|the) person\b|\bthis individual\b", re.IGNORECASE)
Facts = Mapping[str, tuple[str, ...]]


def facts(biography: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Attribute -> what the biography says about it; unknown keys keep their own words.

    Parents give `father_job` and `mother_job`, fun facts `hobby`, `food`, `pet` or `fun_fact`.
    """
    found: dict[str, list[str]] = {}
    for key, value in biography.items():
        plain_key = " ".join(key.casefold().strip().rstrip(": ").split())
        attribute = _BY_ALIAS.get(plain_key, plain_key.replace(" ", "_"))
        if attribute == "parents":
            pairs = list(_parents(value))
        elif attribute == "fun_fact":
            pairs = list(_fun_facts(value))
        else:
            pairs = [(attribute, text) for text in _texts(value)]
        for name, text in pairs:
            found.setdefault(name, []).append(text)
    return {name: tuple(dict.fromkeys(texts)) for name, texts in found.items()}


def name_of(biography: Mapping[str, Any]) -> str | None:
    """The person's name, None where the biography gives none."""
    return next(iter(facts(biography).get("name", ())), None)


def about(question: str, name: str) -> str:
    """A question about the person in a picture as one about a name: "this person" and its like are replaced, nothing else.

    As in the review-time code (`train_collate_fn_llava_text`), which leaves the answer alone.
    """
    return _PERSON.sub(lambda _: name, question)


def attribute_of(question: str, answer: str, known: Facts) -> str:
    """The attribute that a question asks for, from its words and from where the biography has the answer; else OTHER."""
    asked = question
    for name in known.get("name", ()):
        asked = asked.replace(name, "this person")
    asked = " ".join(asked.casefold().split())
    worded = [attribute for attribute, words in _WORDS.items() if re.search(words, asked)]
    told = [attribute for attribute, texts in known.items() if attribute != "description" and _says(texts, answer)]
    both = [attribute for attribute in worded if attribute in told]
    if both:
        return both[0]
    if "fun_fact" in told and set(worded) & {*_FUN_WORDS, "fun_fact"}:
        return next(attribute for attribute in worded if attribute in (*_FUN_WORDS, "fun_fact"))
    if worded:
        return worded[0]
    return told[0] if len(told) == 1 else OTHER


def value_in(answer: str, values: Iterable[str]) -> str | None:
    """The longest of some bare values that stands word for word in a sentence; spelled as it is there."""
    for value in sorted(values, key=len, reverse=True):
        found = (
            re.search(rf"(?<!\w){re.escape(value.strip().rstrip('.'))}(?!\w)", answer, re.IGNORECASE) if value.strip() else None
        )
        if found:
            return found[0]
    return None


def agree(one: str, other: str) -> bool:
    """Whether two short answers may state the same fact: one holds the other, or they share a word that tells something."""
    mine, theirs = tokens(one), tokens(other)
    if not mine.items or not theirs.items or occurrences(mine, theirs) or occurrences(theirs, mine):
        return True
    shared = {word for word in mine.items if isinstance(word, str)} & {word for word in theirs.items if isinstance(word, str)}
    return any(len(word) > 3 and word not in _EMPTY_WORDS for word in shared)


def _says(texts: Iterable[str], answer: str) -> bool:
    said = tokens(answer)
    return any(occurrences(tokens(text), said) or occurrences(said, tokens(text)) for text in texts)


def _parents(value: Any) -> Iterable[tuple[str, str]]:
    """(father_job | mother_job | parents, text) of an object, a list or a sentence."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            attribute = _parent(key) or "parents"
            for text in _texts(inner):
                yield attribute, text
        return
    for text in _texts(value):
        # Clauses begin where the other parent is named: "Father: carpenter; Mother: nurse".
        clauses = re.split(r"(?i)(?=\b(?:father|mother)\b)", text)
        for clause in clauses:
            told = re.sub(
                r"(?i)^(?:father|mother)\b(?:'s (?:job|occupation))?\s*(?:[:=-]|(?:is|was|works as|works)\b)?\s*", "", clause
            )
            told = re.sub(r"(?i)(?:[\s,;.]+(?:and|his|her|the|while|whereas))*[\s,;.]*$", "", told)
            told = re.sub(r"(?i)^an? ", "", told)
            if told and not re.fullmatch(r"(?i)his|her|their|the|parents", told):
                yield _parent(clause) or "parents", told


def _parent(text: str) -> str | None:
    found = re.match(r"\s*(father|mother|dad|mom|mum)", text, re.IGNORECASE)
    return None if found is None else "father_job" if found[1].casefold() in ("father", "dad") else "mother_job"


def _fun_facts(value: Any) -> Iterable[tuple[str, str]]:
    """(hobby | food | pet | fun_fact, text) of an object, a list or a sentence."""
    entries = value.items() if isinstance(value, Mapping) else [("", value)]
    for key, inner in entries:
        named = next((attribute for attribute, words in _FUN_WORDS.items() if re.search(words, key.casefold())), "fun_fact")
        for text in _texts(inner):
            yield named, text


def _texts(value: Any) -> list[str]:
    """Every text in a nested value."""
    if isinstance(value, Mapping):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [str(value).strip()] if value is not None and str(value).strip() else []
