"""A model behind a server: any that speaks OpenAI's chat completions.

Timeouts, lost connections, 408, 409, 429 and 5xx are tried again by the client library, after waits that double and are
shaken, or as long as the server asks for.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypedDict
from urllib.parse import SplitResult, urlsplit

from unsee.errors import UserError
from unsee.printable import printable

MAX_TOKENS = 700
TEMPERATURE = 0.0
GIVE_UP = 3
"""Questions in a row without an answer after which asking on is pointless."""
LONGEST = 200
"""Characters of a server's words that are shown."""

Role = Literal["judge", "rewriter"]
"""What a model is asked for, as messages and flags call it."""


class Message(TypedDict):
    """One turn of a chat; beside text its content may have parts, such as pictures."""

    role: Literal["system", "user"]
    content: str | list[dict[str, Any]]


class ChatError(UserError):
    """A server that is not there, refuses requests or no longer answers."""


class Reply(NamedTuple):
    """What came back.

    Attributes:
        text: the model's words; None where none came.
        refused: whether the server marks them as a refusal.
        problem: why none came.
        lasting: whether the same question would have the same problem again.
    """

    text: str | None
    refused: bool = False
    problem: str = ""
    lasting: bool = False


class ChatClient:
    """A model behind a server.

    Attributes:
        url, model: which one; `shown_url` is the address without credentials.
        answered: questions it answered so far.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        role: Role = "judge",
        key_env: str | None = None,
        timeout: float = 60.0,
        retries: int = 4,
        workers: int = 4,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: where the server's API begins, such as http://localhost:8000/v1.
            model: the server's name of the model.
            role: what it is for, the word of messages.
            key_env: environment variable that holds the key; without it none is sent.
            timeout: seconds to wait for an answer.
            retries: how often a question is put again.
            workers: questions under way at the same time.

        Raises:
            ChatError: the openai client is missing, or an argument cannot work.
        """
        address = _address(url, role)
        if not model.strip():
            raise ChatError(f"the {role}'s model has no name; give the name that its server lists")
        if not timeout > 0 or workers < 1 or retries < 0:
            raise ChatError(f"timeout {timeout:g}, workers {workers}, retries {retries} cannot be; give positive numbers")
        key = _key(key_env, role)
        try:
            import openai
        except ModuleNotFoundError as error:
            raise ChatError(f"the {role} needs the openai client; install it with pip install 'unsee[judge]'") from error
        self.url, self.model = url, model
        self._role = role
        self.answered = 0
        self._unanswered_in_a_row = 0
        self._timeout, self._workers = timeout, workers
        self.shown_url = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
        self._key_env = key_env
        self._library = openai
        self._server = openai.OpenAI(base_url=url, api_key=key, timeout=timeout, max_retries=retries)

    def reach(self) -> None:
        """Find out whether a server is there, before questions are put and waited for.

        Raises:
            ChatError: nobody answers.
        """
        library = self._library
        try:
            self._server.with_options(max_retries=0).with_raw_response.models.list()
        except library.APITimeoutError as error:
            raise ChatError(
                f"the {self._role} at {self.shown_url} did not answer within {self._timeout:g} s; check that it is up"
            ) from error
        except library.APIConnectionError as error:
            why = printable(str(error.__cause__ or error), LONGEST)
            raise ChatError(f"there is no {self._role} at {self.shown_url} ({why}); start it or check the URL") from error
        except library.APIStatusError:
            return  # somebody is there; not every server lists its models

    def ask(self, messages: Sequence[Message]) -> Reply:
        """Put one question; a reply without text where no answer came.

        Raises:
            ChatError: the key or the model is refused.
        """
        library = self._library
        chat: Any = list(messages)
        try:
            raw = self._server.chat.completions.with_raw_response.create(
                model=self.model, messages=chat, temperature=TEMPERATURE, max_tokens=MAX_TOKENS
            )
        except library.APITimeoutError:
            return Reply(None, problem=f"no answer within {self._timeout:g} s")
        except library.APIConnectionError as error:
            return Reply(None, problem=printable(str(error.__cause__ or error), LONGEST))
        except library.APIStatusError as error:
            if error.status_code in (401, 403):
                named = (
                    f"the key in {self._key_env}"
                    if self._key_env
                    else f"a request without key; name one by --{self._role}-key-env"
                )
                raise ChatError(f"the {self._role} at {self.shown_url} refuses {named} (status {error.status_code})") from error
            if error.status_code == 404:
                raise ChatError(
                    f"the {self._role} at {self.shown_url} has no model {self.model!r}, or its API begins elsewhere "
                    f"(status 404); check --{self._role}-model, and the URL, which often ends in /v1"
                ) from error
            if error.code == "content_filter":
                return Reply(printable(error.message, LONGEST), refused=True)
            told = f"status {error.status_code}: {printable(error.message, LONGEST)}"
            return Reply(None, problem=told, lasting=error.status_code in (400, 413, 422))
        return _reply(raw.text)

    def ask_all(self, questions: Sequence[Sequence[Message]]) -> Generator[tuple[int, Reply], None, None]:
        """Put many questions, several at a time; yields (number, reply) as replies come.

        Raises:
            ChatError: nobody is there, as `ask`, or no answer came to three questions in a row.
        """
        if questions and not self.answered:
            self.reach()
        for number, reply in _in_threads(self.ask, questions, self._workers):
            came = reply.text is not None
            self.answered += came
            self._unanswered_in_a_row = 0 if came else self._unanswered_in_a_row + 1
            yield number, reply
            if self._unanswered_in_a_row >= GIVE_UP:
                kept = "what it said before is kept, run" if self.answered else "check the URL and the server, then run"
                raise ChatError(
                    f"the {self._role} at {self.shown_url} gave no answer to {GIVE_UP} questions in a row "
                    f"(last: {reply.problem}); {kept} the command again"
                )


def _key(variable: str | None, role: Role) -> str:
    """The key in an environment variable.

    None is sent where no variable is named: OPENAI_API_KEY is for OpenAI and not for every server.
    """
    if variable is None:
        return "none"
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ChatError(f"the environment variable {variable} is not set; put the {role}'s key there")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ChatError(f"the environment variable {variable} holds characters that no key has; put the {role}'s key there")
    return key


def _address(url: str, role: Role) -> SplitResult:
    try:
        address = urlsplit(url)
        usable = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        usable = False
    if not usable:
        raise ChatError(f"{role} {printable(url, LONGEST)!r} is no web address; give one such as http://localhost:8000/v1")
    return address


def _reply(body: str) -> Reply:
    """What a completion says; servers differ, so nothing but the message is expected of it."""
    try:
        choice: dict[str, Any] = json.loads(body)["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return Reply(None, problem="the server's reply is no chat completion", lasting=True)
    if refusal or choice.get("finish_reason") == "content_filter":
        return Reply(str(refusal or text or ""), refused=True)
    if not isinstance(text, str) or not text.strip():
        return Reply(None, problem="the server's reply is empty", lasting=True)
    return Reply(text)


def _in_threads(
    ask: Callable[[Sequence[Message]], Reply], questions: Sequence[Sequence[Message]], workers: int
) -> Generator[tuple[int, Reply], None, None]:
    """(number, reply) as they come.

    Threads of their own instead of an executor: an executor waits for requests under way when the program is interrupted.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    # A reply must be taken before the next one is put down, so that an interrupt loses no more than what is under way.
    done: queue.Queue[tuple[int, Reply | Exception]] = queue.Queue(maxsize=1)
    enough = threading.Event()
    for number in range(len(questions)):
        waiting.put(number)

    def work() -> None:
        while not enough.is_set():
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                hand_over(number, ask(questions[number]))
            except Exception as error:  # raised again where the replies are read
                hand_over(number, error)

    def hand_over(number: int, reply: Reply | Exception) -> None:
        while not enough.is_set():
            with suppress(queue.Full):
                return done.put((number, reply), timeout=0.5)

    for _ in range(min(workers, len(questions))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in questions:
            number, reply = done.get()
            if isinstance(reply, Exception):
                raise reply
            yield number, reply
    finally:
        enough.set()
