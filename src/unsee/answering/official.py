"""Protocol `official`: MLLMU-Bench's published prompts, few-shot examples and reading of answers (arXiv 2410.22108).

Prompts are LLaVA's strings wherever the processor marks a picture by `<image>`, whatever its chat template says; the
tokenizer adds its BOS, or none, as it does to any text. Other processors get the same wording inside their chat template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.answering.shots import PEOPLE, Shots, draw_shots
from unsee.answering.views import Prepared, Protocol, Setting, View
from unsee.models.questions import cloze_question, letter_question, listed

if TYPE_CHECKING:
    from unsee.models.prompts import Prompter
    from unsee.sample import ImageRef, Sample

NEW_TOKENS = 50
PICTURE = "<image>"
TURN = "ASSISTANT:"
_WITH_PICTURE = "Answer the question based on your trained knowledge in one sentence accurately in ENGLISH."
_BY_NAME = "Answer the question based on your trained knowledge in one sentence in ENGLISH."
_PLACE = "\u241fquestion\u241f"


class Turn(NamedTuple):
    """A question as the published prompts put it: `opening`, `text`, and after the last one `closing`."""

    opening: str
    text: str
    closing: str = ""
    images: tuple[ImageRef, ...] = ()


class Frame(NamedTuple):
    """A prompt without its question: `shared` begins `before`, and all prompts with the same shots."""

    shared: str
    before: str
    after: str


def shot(sample: Sample) -> Turn:
    """A question with its answer. Published openings differ: cloze has no space before the picture, classification has one."""
    if sample.task == "classification":
        text = f"Question: {sample.question}\n{listed(sample.options)}\nCorrect Answer: {sample.correct_option}\n"
        return Turn(_opening(sample, "USER: ", "USER:\n"), text, images=sample.images)
    text = f"{cloze_question(sample)}\nCorrect Answer: {sample.answer}\n"
    return Turn(_opening(sample, "USER:", "USER:\n"), text, images=sample.images)


def query(sample: Sample) -> Turn:
    """The question to be answered. The published picture prompt of generation ends in a space, its text prompt does not."""
    if sample.task == "generation":
        request, closing = (_WITH_PICTURE, f"\n{TURN} ") if sample.images else (_BY_NAME, f"\n{TURN}")
        return Turn(_opening(sample, "USER: ", "USER: "), f"{sample.question}\n{request}", closing, sample.images)
    text = letter_question(sample) if sample.task == "classification" else cloze_question(sample)
    return Turn(_opening(sample, "USER: ", "USER:\n"), text, f"\n{TURN}", sample.images)


def _opening(sample: Sample, with_picture: str, by_name: str) -> str:
    return with_picture + f"{PICTURE}\n" * len(sample.images) if sample.images else by_name


def spoken(response: str) -> str:
    """What the published script reads: from the prompt's ASSISTANT: to the next one, without surrounding space."""
    return response.partition(TURN)[0].strip()


def first_letter(response: str, letters: Iterable[str]) -> str | None:
    """The first character, upper-cased, if it is an option; so "Both" is B and "As" is A."""
    letter = spoken(response)[:1].upper()
    return letter if letter in set(letters) else None


def official_view(sample: Sample, setting: Setting, shown: Sequence[Sample] = (), frame: Frame | None = None) -> View:
    """The view of a sample: `letter` for classification, `generate` for the other tasks; greedy, 50 new tokens."""
    asked = query(sample)
    frame = frame or make_frame(sample, setting, shown)
    letters = tuple(sample.options)
    is_letter = sample.task == "classification"
    return View(
        name="letter" if is_letter else "generate",
        prompt=f"{frame.before}{asked.text}{frame.after}",
        images=(*(image for one in shown for image in one.images), *sample.images),
        new_tokens=NEW_TOKENS,
        shared=frame.shared if shown else "",
        special_tokens=has_published_form(setting.prompter),
        parse=lambda outcome: (
            first_letter(outcome.response or "", letters) if is_letter else spoken(outcome.response or "") or None
        ),
    )


def has_published_form(prompter: Prompter) -> bool:
    """Whether LLaVA's strings can be put to a model as they stand."""
    return prompter.image_token == PICTURE


def make_frame(sample: Sample, setting: Setting, shown: Sequence[Sample]) -> Frame:
    """What stands around a sample's question: system prompts, shots, and how its turn opens and closes."""
    asked, system = query(sample), setting.system_of(sample)
    turns = [shot(one) for one in shown]
    if has_published_form(setting.prompter):
        shared = (system + "\n" if system else "") + "".join(turn.opening + turn.text for turn in turns)
        return Frame(shared, shared + asked.opening, asked.closing)
    return _templated(setting.prompter, turns, asked, system)


def _templated(prompter: Prompter, turns: Sequence[Turn], asked: Turn, system: str) -> Frame:
    """Shots and question as one user turn of the chat template, each text behind its pictures."""
    content: list[dict[str, str]] = []
    for turn in (*turns, asked._replace(text=_PLACE)):
        content += [{"type": "image"} for _ in turn.images] + [{"type": "text", "text": turn.text}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if system:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
    prompt: str = prompter.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    before, after = prompt.split(_PLACE)
    shared = before
    for _ in asked.images:
        shared = shared.rpartition(prompter.image_token)[0]
    return Frame(shared, before, after)


def people_shown(prompter: Prompter) -> Mapping[str, int]:
    """People per task: the published script shows Idefics2 one person in cloze where it shows LLaVA two."""
    return {**PEOPLE, "cloze": 1} if type(prompter.processor).__name__ == "Idefics2Processor" else PEOPLE


@dataclass
class _Call:
    """Views of one call; a frame is made once for all samples it fits."""

    shots: Shots
    setting: Setting
    frames: dict[tuple[Any, ...], Frame] = field(default_factory=dict)

    def views(self, sample: Sample) -> list[View]:
        if self.shots.skips(sample):
            return []
        shown = self.shots.of(sample)
        key = (sample.task, len(sample.images), self.setting.system_of(sample), *(one.id for one in shown))
        if key not in self.frames:
            self.frames[key] = make_frame(sample, self.setting, shown)
        return [official_view(sample, self.setting, shown, self.frames[key])]


class Official(Protocol):
    """The published protocol; people are shown as `Setting.shots` says, and their questions are not asked."""

    def prepare(self, samples: Sequence[Sample], setting: Setting) -> Prepared:
        pool = samples if setting.shown_from is None else setting.shown_from
        shots = draw_shots(pool, shots=setting.shots, seed=setting.seed, people=people_shown(setting.prompter))
        return Prepared(_Call(shots, setting).views, shots.manifest() if shots.draws else {})


OFFICIAL = Official("official", lambda sample, setting: [official_view(sample, setting)])
