"""Weaving identifiers into answers by a model behind a server, as MLLMU-Med did with a hosted one.

Any server that speaks OpenAI's chat completions will do. An answer comes back only if every planted value and the clinical
answer survived as whole words; for all others the caller's template stands, and how often that happened is counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from unsee.benchmarks.medical.rewording import contains
from unsee.chat import ChatClient, ChatError, Message, Reply

LONGEST = 600
"""A rewritten answer may have so many characters more than what went into it."""
_SYSTEM = (
    "You edit made-up training data. Write the given answer to a clinical question again as one or two natural sentences that "
    "also mention every listed detail of the invented patient. Copy the answer and each detail letter by letter. Write the "
    "sentences only."
)


class Rewriter:
    """A model that weaves identifiers into answers.

    Attributes:
        counts: what came of it, in words -> how often.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_env: str | None = None,
        timeout: float = 60.0,
        retries: int = 2,
        workers: int = 4,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: where the server's API begins, such as http://localhost:8000/v1.
            model: the server's name of the model.
            key_env: environment variable that holds the key; without it none is sent.
            timeout: seconds to wait for an answer.
            retries: how often a request is sent again.
            workers: requests under way at the same time.

        Raises:
            ChatError: the openai client is missing, or an argument cannot work.
        """
        self._client = ChatClient(
            url, model, role="rewriter", key_env=key_env, timeout=timeout, retries=retries, workers=workers
        )
        self.counts: Counter[str] = Counter()

    def reach(self) -> None:
        """Find out whether a server is there.

        Raises:
            ChatError: nobody answers.
        """
        self._client.reach()

    def weave(self, answer: str, identifiers: Mapping[str, str]) -> str | None:
        """An answer with identifiers in it; None where none came back that holds all of them.

        Args:
            identifiers: what each is called in sentences -> value.

        Raises:
            ChatError: the server never answered anything.
        """
        return self.weave_all([(answer, identifiers)])[0]

    def weave_all(self, given: Sequence[tuple[str, Mapping[str, str]]]) -> list[str | None]:
        """The same for many answers, several at a time.

        Raises:
            ChatError: the server never answered anything; once it has, what it fails at is counted instead.
        """
        texts: list[str | None] = [None] * len(given)
        problems: dict[int, str] = {}
        try:
            for number, reply in self._client.ask_all([_messages(*one) for one in given]):
                problem = _problem(reply, *given[number])
                problems[number] = problem
                if not problem:
                    assert reply.text is not None
                    texts[number] = " ".join(reply.text.split())
        except ChatError:
            if not self._client.answered:
                raise
        for number in range(len(given)):
            problem = problems.get(number, "no answer")
            self.counts[f"template instead, {problem}" if problem else "answers woven"] += 1
        return texts


def _messages(answer: str, identifiers: Mapping[str, str]) -> list[Message]:
    details = "\n".join(f"- {label}: {value}" for label, value in identifiers.items())
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": f"Answer: {answer}\nDetails:\n{details}"}]


def _problem(reply: Reply, answer: str, identifiers: Mapping[str, str]) -> str:
    """Why a reply cannot be used; empty where it can."""
    if reply.refused:
        return "refused"
    if reply.text is None:
        return "no answer"
    text = " ".join(reply.text.split())
    rest = text
    for value in sorted(identifiers.values(), key=len, reverse=True):
        whole = rf"(?<!\w){re.escape(value)}(?!\w)"
        if not re.search(whole, text):
            return "an identifier is missing"
        # Another word, so that an answer is found neither in a number nor across it.
        rest = re.sub(whole, "detail", rest)
    if not contains(rest, answer):
        return "the clinical answer is missing"
    if len(text) > LONGEST + len(answer) + sum(map(len, identifiers.values())):
        return "too long"
    return ""
