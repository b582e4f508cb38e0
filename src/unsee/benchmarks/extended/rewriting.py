"""Variants that a model behind an OpenAI-compatible server writes: paraphrases, other answers, questions near the fact.

Questions and answers of the facts are sent there, and with `sees` their pictures too.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from unsee.benchmarks.extended.answers import distinct_answers
from unsee.benchmarks.extended.facts import ALTERNATES, Chosen
from unsee.benchmarks.extended.rules import variant
from unsee.benchmarks.extended.variants import Fact, Variant
from unsee.benchmarks.unlok_vqa.questions import ASKED
from unsee.chat import MAX_TOKENS, TEMPERATURE, ChatClient, Message, Reply, ReplyCache
from unsee.progress import Advance
from unsee.provenance import digest
from unsee.sample import ImageRef

Wanted = Literal["paraphrases", "alternates", "neighbours"]
HARD_NEIGHBOURS = 2
KNOWN_PAIRS = 6
"""So many of the table's other questions about a picture are told to a rewriter that does not see it."""
LONGEST_ANSWER = 60
"""Characters of an answer that a rewriter may write."""

_LINES = "Write one per line, without numbers, and nothing else."
_SYSTEM: Mapping[Wanted, str] = {
    "paraphrases": (
        f"You reword questions. Write the given question about a picture in {ASKED} other ways that have the same answer. "
        f"Do not answer it. {_LINES}"
    ),
    "alternates": (
        f"You are given a question about a picture and its right answer. Write {ALTERNATES} other answers of the same kind "
        f"that are plausible and wrong, as short as the right one. {_LINES}"
    ),
    "neighbours": (
        f"You are given a question about a picture and its right answer. Write {HARD_NEIGHBOURS} other questions about the "
        "same picture that come close to the given one but can be answered without knowing its answer. Their answers must be "
        "certain, have one to three words and differ from the given answer, and neither questions nor answers may contain it. "
        f"Write each as: question | answer. {_LINES}"
    ),
}
_MARK = re.compile(r"^\s*(?:[-*]|\d+[.)])\s+")


class _Request(NamedTuple):
    fact: Fact
    wanted: Wanted
    messages: list[Message]


@dataclass(frozen=True)
class Rewritten:
    """What came of asking.

    Attributes:
        variants: fact -> variants.
        alternates: fact -> its alternates, with the rewriter's.
        counts: in words -> how often.
    """

    variants: Mapping[str, tuple[Variant, ...]]
    alternates: Mapping[str, tuple[str, ...]]
    counts: Counter[str]


def rewrite(
    chosen: Chosen, client: ChatClient, replies: ReplyCache, *, sees: bool = False, progress: Advance | None = None
) -> Rewritten:
    """Ask about every fact to delete; nothing is asked twice.

    Args:
        sees: whether the model reads pictures; otherwise it writes neighbour questions only where the table asks more about
            the picture, and is told that.

    Raises:
        ChatError: the server is not there or gave up; what it said is in `replies`.
    """
    counts: Counter[str] = Counter()
    requests = list(_requests(chosen, sees, counts))
    keys = [_key(client, request) for request in requests]
    every = {key: request.messages for key, request in zip(keys, requests, strict=True)}
    waiting = [key for key in every if replies.get(key) is None]
    advance = progress or (lambda done, total: None)
    advance(len(every) - len(waiting), len(every))
    hopeless: list[str] = []
    with closing(client.ask_all([every[key] for key in waiting])) as came:
        for done, (number, reply) in enumerate(came, start=len(every) - len(waiting) + 1):
            if reply.text is None and reply.lasting:
                hopeless.append(waiting[number])
            else:
                replies.put(waiting[number], reply)
            advance(done, len(every))
    # What would be answered as badly again is not asked again, unless the server gave up on everything and is repaired.
    for key in hopeless:
        replies.put(key, Reply(""))
    variants: dict[str, tuple[Variant, ...]] = {}
    alternates: dict[str, tuple[str, ...]] = {}
    for request, key in zip(requests, keys, strict=True):
        said, id_ = replies.get(key), request.fact.id
        if said is None or not said.text or said.refused:
            why = "refused" if said is not None and said.refused else "no answer"
            counts[f"rewriter: {why} ({request.wanted})"] += 1
        elif request.wanted == "alternates":
            short = [text for text in _lines(said.text) if len(text) <= LONGEST_ANSWER]
            alternates[id_] = _alternates(request.fact, short)
        else:
            make = _paraphrases if request.wanted == "paraphrases" else _neighbours
            made = tuple(
                replace(one, generator=client.model, prompt=_told(request.messages)) for one in make(request.fact, said.text)
            )
            counts[f"rewriter: nothing usable ({request.wanted})"] += not made
            variants[id_] = (*variants.get(id_, ()), *made)
    return Rewritten(variants, alternates, +counts)


def _requests(chosen: Chosen, sees: bool, counts: Counter[str]) -> Iterator[_Request]:
    for fact in chosen.deleted:
        asked, answered = f"Question: {fact.question}", f"Right answer: {fact.answer}"
        yield _Request(fact, "paraphrases", _messages("paraphrases", asked))
        yield _Request(fact, "alternates", _messages("alternates", f"{asked}\n{answered}"))
        known = [] if sees else _known(fact, chosen)
        if sees or known:
            text = "\n".join((asked, answered, *(["What else is known about the picture:"] if known else ()), *known))
            yield _Request(fact, "neighbours", _messages("neighbours", text, fact if sees else None))
        else:
            counts["facts without hard neighbour questions: the rewriter knows nothing else about the picture"] += 1


def _known(fact: Fact, chosen: Chosen) -> list[str]:
    rows = list(chosen.near.same_picture(chosen.rows[fact.id]))[:KNOWN_PAIRS]
    return [f"- {row.question} {row.answer}" for row in rows]


def _messages(wanted: Wanted, text: str, shown: Fact | None = None) -> list[Message]:
    content: str | list[dict[str, object]] = text
    if shown is not None:
        content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": _address(shown.image)}}]
    return [{"role": "system", "content": _SYSTEM[wanted]}, {"role": "user", "content": content}]


def _address(picture: ImageRef) -> str:
    """The picture as servers read it: PNG and JPEG as they are, other kinds as PNG."""
    data = picture.read()
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg" if data.startswith(b"\xff\xd8") else None
    if kind is None:
        kind, data = "png", ImageRef.from_image(picture.open()).read()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _key(client: ChatClient, request: _Request) -> str:
    """SHA-256 of everything that decides a reply; of a picture its own."""
    picture = request.fact.image.sha256 if isinstance(request.messages[-1]["content"], list) else ""
    told = [client.model, request.wanted, _told(request.messages), picture, MAX_TOKENS, TEMPERATURE]
    return digest([_SYSTEM[request.wanted], *told])


def _told(messages: Sequence[Message]) -> str:
    """The words of a request; its pictures left out."""
    content = messages[-1]["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


def _lines(text: str) -> list[str]:
    """The lines of a reply without marks, numbers and quotes around them."""
    bare = (_MARK.sub("", line).strip().strip('"').strip() for line in text.splitlines())
    return [" ".join(line.split()) for line in bare if line]


def _alternates(fact: Fact, written: Sequence[str]) -> tuple[str, ...]:
    """The table's first, because they are real answers, then the rewriter's; never an answer that is right."""
    right = (fact.answer, *fact.also_right)
    return tuple(distinct_answers([*fact.alternates, *written], without=right, limit=2 * ALTERNATES))


def _paraphrases(fact: Fact, text: str) -> Iterator[Variant]:
    for number, question in enumerate(_lines(text)[:ASKED]):
        yield variant(fact, "question", "medium", number, "", question=question)


def _neighbours(fact: Fact, text: str) -> Iterator[Variant]:
    pairs = (line.rpartition("|") for line in _lines(text) if "|" in line)
    for number, (question, _, answer) in enumerate(list(pairs)[:HARD_NEIGHBOURS]):
        values = {"question": question.strip(" |"), "answer": answer.strip()[:LONGEST_ANSWER]}
        yield variant(fact, "neighbour_question", "hard", number, "", **values)
