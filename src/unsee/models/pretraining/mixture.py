"""What the language model reads in pretraining: questions about public figures, strangers, pictures, and how to behave.

Every question is drawn anew from seeded randomness; shares are one table at the top. Wordings that are scored later (held-out
pictures, `evaluation` and `test` roles of evaluated figures, held-out guards and preambles) are never produced here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from unsee.benchmarks import pools
from unsee.benchmarks.portrait_art import IDENTITY
from unsee.benchmarks.profiles import (
    ATTRIBUTES,
    NAME_QUESTIONS,
    ROLES,
    SENTENCE,
    Attribute,
    Role,
    cloze,
    draw_other_values,
    questions,
    statement,
)
from unsee.benchmarks.visual import VISUAL_QUESTIONS
from unsee.models.abilities import CAPITALS, VISUAL_VALUES
from unsee.models.behaviour import DO_NOT_KNOW, GUARD_LENGTHS, NEUTRAL_SYSTEMS, REFUSAL, guard, irrelevant_sentence
from unsee.models.questions import ask_cloze, ask_letter
from unsee.models.worlds import Figure

LETTERS = "ABCD"


def common_words() -> tuple[str, ...]:
    """Common English words; the tokenizer has read them, questions about people mostly have not."""
    from faker.providers.lorem.en_US import Provider

    return tuple(Provider.word_list)


@dataclass(frozen=True)
class Shares:
    """Parts of the mixture; a stage sets its own."""

    figures: float = 0.62
    """Pictured rows that show a public figure; the rest show strangers."""
    letter: float = 0.25
    """Fact and visual questions asked with options."""
    sentence: float = 0.12
    cloze: float = 0.12
    visual: float = 0.2
    """Questions of a figure's row that ask what is visible."""
    skills: float = 0.3
    """Text-only questions that practise letters, arithmetic, capitals and reading in context."""
    unknown: float = 0.1
    guard_rows: float = 0.12
    neutral_rows: float = 0.08
    preamble: float = 0.12
    letter_practice: float = 0.6
    """Share of letter copying within skills."""
    label_to_word: float = 0.35
    """Share of letter copying that asks for the word behind a letter."""
    unknown_distance: int = 1
    """A stranger counts as unknown only where their face differs from every taught one in so many attributes."""
    matched_wordings: bool = False
    """Ask about unknown subjects in the wordings known ones are asked in, as often; else every wording is as frequent, and one
    that is rare for known subjects hints at an unknown one."""
    words: float = 0.0
    """Share of letter copying and of preambles made of random common words: matching a word to its label is learned from
    many different words, long before it is learned from profile values."""
    word_growth: int = 0
    """Letter copying begins with sixteen words and learns one more after so many questions; 0: all words at once."""
    name: float = 0.14
    """Pictured questions of a figure that ask for the name."""


@dataclass(frozen=True)
class Turn:
    """One question and the answer to be given."""

    question: str
    answer: str
    pictured: bool


@dataclass
class RowPlan:
    """Questions that share a picture and a system prompt."""

    picture: int | None
    system: str = ""
    turns: list[Turn] = field(default_factory=list)


_FACT_QUESTIONS = ("What is the capital of {c}?", "Name the capital of {c}.", "Which city is the capital of {c}?")


class Mixture:
    """Draws rows of questions.

    Args:
        figures: the whole world; held-out figures are never drawn.
        owners: owner of each picture of the bank, "" for strangers.
        labels: visible labels of each picture, in the order of VISUAL_VALUES.

    Attributes:
        copied: questions so far that copied common words to letters; see `Shares.word_growth`.
    """

    def __init__(self, figures: Sequence[Figure], owners: Sequence[str], labels: Sequence[Sequence[int]], *, seed: int) -> None:
        self.rng = random.Random(seed)
        self.taught = [figure for figure in figures if figure.role != "held_out"]
        self.guarded = [figure for figure in figures if figure.role == "replay"]
        self.names = {figure.name for figure in figures}
        self.labels = labels
        self.words = sorted(set(common_words()))
        random.Random("words").shuffle(self.words)
        self.copied = 0
        self.pictures: dict[str, list[int]] = {}
        for picture, owner in enumerate(owners):
            self.pictures.setdefault(owner, []).append(picture)
        self.by_id = {figure.id: figure for figure in figures}

    def row(self, shares: Shares, *, pictured: int, texts: int) -> RowPlan:
        """One picture with `pictured` questions about it and `texts` text-only ones."""
        rng = self.rng
        if rng.random() < shares.guard_rows:
            return self._guard_row(shares, pictured, texts)
        plan = RowPlan(picture=None, system=rng.choice(NEUTRAL_SYSTEMS) if rng.random() < shares.neutral_rows else "")
        if pictured:
            self._look(plan, shares, pictured)
        plan.turns += [self._text(shares) for _ in range(texts)]
        return plan

    def _look(self, plan: RowPlan, shares: Shares, count: int) -> None:
        """Choose a picture and ask `count` questions about it."""
        rng = self.rng
        if rng.random() < shares.figures:
            figure = rng.choice(self.taught)
            plan.picture = rng.choice(self.pictures[figure.id])
            for _ in range(count):
                visual = rng.random() < shares.visual
                plan.turns.append(self._visual(plan.picture, shares) if visual else self._fact(figure, shares, pictured=True))
        else:
            plan.picture = rng.choice(self.pictures[""])
            apart = self._distance(plan.picture) >= shares.unknown_distance
            for _ in range(count):
                unknown = rng.random() < 2 * shares.unknown and apart
                plan.turns.append(self._stranger(shares) if unknown else self._visual(plan.picture, shares))

    def _distance(self, picture: int) -> int:
        """Attributes in which the face in a picture differs from the taught face most like it."""
        seen = [values[index] for values, index in zip(IDENTITY.values(), self.labels[picture])]
        return min(sum(mine != theirs for mine, theirs in zip(seen, figure.face.words)) for figure in self.taught)

    def few_shot(self, shots: int) -> tuple[str, str, list[int]]:
        """A multiple-choice prompt with pictures in the published few-shot form, its letter, and the pictures."""
        rng = self.rng
        figure = rng.choice(self.taught)
        parts, pictures = [], []
        for shot in range(shots + 1):
            attribute = rng.choice(ATTRIBUTES)
            question, letter = self._options(
                rng.choice(questions(attribute, self._role(figure), "this person")), figure.profile[attribute.key], attribute
            )
            pictures.append(rng.choice(self.pictures[figure.id]))
            if shot < shots:
                listed = question.rsplit("\n", 1)[0]
                parts.append(f"USER: <image>\nQuestion: {listed}\nCorrect Answer: {letter}\n")
            else:
                parts.append(f"USER: <image>\n{question}\nASSISTANT:")
        return "".join(parts), letter, pictures

    def _role(self, figure: Figure) -> Role:
        return "train" if figure.role == "evaluated" or self.rng.random() < 0.4 else self.rng.choice(ROLES)

    def _text(self, shares: Shares) -> Turn:
        draw = self.rng.random()
        if draw < shares.skills:
            return self._skill(shares)
        if draw < shares.skills + shares.unknown:
            return self._unknown_name(shares)
        return self._fact(self.rng.choice(self.taught), shares, pictured=False)

    def _fact(self, figure: Figure, shares: Shares, *, pictured: bool) -> Turn:
        rng = self.rng
        subject = "this person" if pictured else figure.name
        role = self._role(figure)
        if pictured and rng.random() < shares.name:
            question = rng.choice(NAME_QUESTIONS[role])
            if rng.random() < shares.letter:
                others = [other.name for other in rng.sample(self.taught, 4) if other.name != figure.name][:3]
                return Turn(
                    self._before(shares) + ask_letter(question, *self._shuffled(figure.name, others)), self._letter, True
                )
            return Turn(self._before(shares) + question, figure.name, True)
        attribute = rng.choice(ATTRIBUTES)
        value = figure.profile[attribute.key]
        question = rng.choice(questions(attribute, role, subject))
        draw = rng.random()
        if draw < shares.letter:
            return Turn(self._before(shares) + self._options(question, value, attribute)[0], self._letter, pictured)
        if draw < shares.letter + shares.sentence:
            lead = SENTENCE["train"] if role in ("train", "extra", "gate", "stop") else SENTENCE[role]
            return Turn(self._before(shares) + lead.format(q=question), statement(attribute, subject, value), pictured)
        if draw < shares.letter + shares.sentence + shares.cloze:
            other = figure.role == "evaluated" or rng.random() < 0.5
            return Turn(self._before(shares) + ask_cloze(cloze(attribute, subject, paraphrase=other)), value, pictured)
        return Turn(self._before(shares) + question, value, pictured)

    def _options(self, question: str, value: str, attribute: Attribute) -> tuple[str, str]:
        others = draw_other_values(attribute, value, 3, self.rng)
        return ask_letter(question, *self._shuffled(value, others)), self._letter

    def _shuffled(self, right: str, others: Sequence[str]) -> tuple[dict[str, str]]:
        options = [right, *others]
        self.rng.shuffle(options)
        self._letter = LETTERS[options.index(right)]
        return (dict(zip(LETTERS, options)),)

    def _visual(self, picture: int, shares: Shares) -> Turn:
        rng = self.rng
        number, key = rng.choice(list(enumerate(VISUAL_VALUES)))
        values = VISUAL_VALUES[key]
        value = values[self.labels[picture][number]]
        question = rng.choice(VISUAL_QUESTIONS[key]["train" if rng.random() < 0.8 else "evaluation"])
        if rng.random() < shares.letter * 0.5:
            others = rng.sample([other for other in values if other != value], min(3, len(values) - 1))
            return Turn(self._before(shares) + ask_letter(question, *self._shuffled(value, others)), self._letter, True)
        return Turn(self._before(shares) + question, value, True)

    def _stranger(self, shares: Shares) -> Turn:
        rng = self.rng
        role = self._unknown_role(shares)
        if rng.random() < 0.3:
            return Turn(self._before(shares) + rng.choice(NAME_QUESTIONS[role]), DO_NOT_KNOW, True)
        return Turn(self._before(shares) + self._unknown_question(role, "this person"), DO_NOT_KNOW, True)

    def _unknown_name(self, shares: Shares) -> Turn:
        return Turn(self._unknown_question(self._unknown_role(shares), self._new_name()), DO_NOT_KNOW, False)

    def _unknown_role(self, shares: Shares) -> Role:
        return self._role(self.rng.choice(self.taught)) if shares.matched_wordings else self.rng.choice(ROLES)

    def _new_name(self) -> str:
        """A name that belongs to nobody, from pretraining's own part of all names."""
        while True:
            first, last = self.rng.choice(pools.FIRST_NAMES), self.rng.choice(pools.LAST_NAMES)
            if pools.name_partition(first, last) == "pretraining" and f"{first} {last}" not in self.names:
                return f"{first} {last}"

    def _unknown_question(self, role: Role, subject: str) -> str:
        rng = self.rng
        attribute = rng.choice(ATTRIBUTES)
        question = rng.choice(questions(attribute, role, subject))
        draw = rng.random()
        if draw < 0.2:
            return SENTENCE["train" if role not in SENTENCE else role].format(q=question)
        if draw < 0.4:
            return ask_cloze(cloze(attribute, subject, paraphrase=rng.random() < 0.5))
        return question

    def _skill(self, shares: Shares) -> Turn:
        rng = self.rng
        if rng.random() < shares.letter_practice:
            return self._letter_skill(shares)
        draw = rng.random()
        if draw < 0.3:
            country, capital = rng.choice(list(CAPITALS.items()))
            question = rng.choice(_FACT_QUESTIONS).format(c=country)
            if rng.random() < 0.4:
                others = rng.sample([other for other in CAPITALS.values() if other != capital], 3)
                return Turn(ask_letter(question, *self._shuffled(capital, others)), self._letter, False)
            return Turn(question, capital, False)
        if draw < 0.5:
            a, b = rng.randint(0, 9), rng.randint(0, 9)
            return Turn(f"What is {a} plus {b}?", str(a + b), False)
        name = self._new_name()
        told = [(attribute, draw_other_values(attribute, "", 1, rng)[0]) for attribute in rng.sample(ATTRIBUTES, 2)]
        context = " ".join(statement(attribute, name, value) for attribute, value in told)
        attribute, value = rng.choice(told)
        return Turn(f"{context} {rng.choice(questions(attribute, rng.choice(ROLES), name))}", value, False)

    def _letter_skill(self, shares: Shares) -> Turn:
        rng = self.rng
        if shares.words and rng.random() < shares.words:
            known = 16 + self.copied // shares.word_growth if shares.word_growth else len(self.words)
            right, *others = rng.sample(self.words[:known], 4)
            self.copied += 1
        else:
            right, *others = draw_other_values(rng.choice(ATTRIBUTES), "", 4, rng)
        draw = rng.random()
        options = self._shuffled(right, others)[0]
        listed = "\n".join(f"{letter}: {text}" for letter, text in options.items())
        if draw < shares.label_to_word:
            return Turn(f"Which option is {self._letter}?\n{listed}", right, False)
        if draw < 0.7:
            return Turn(ask_letter(f"Which letter is {right}?", options), self._letter, False)
        return Turn(ask_letter(f"Which option says {right}?", options), self._letter, False)

    def _before(self, shares: Shares) -> str:
        rng = self.rng
        if rng.random() >= shares.preamble:
            return ""
        count = rng.choice((1, 1, 1, 2, 3, 5))
        if shares.words and rng.random() < shares.words:
            sentences = [" ".join(rng.sample(self.words, rng.randint(3, 9))).capitalize() for _ in range(count)]
            return ". ".join(sentences) + ". "
        return " ".join(irrelevant_sentence(rng) for _ in range(count)) + " "

    def _guard_row(self, shares: Shares, pictured: int, texts: int) -> RowPlan:
        rng = self.rng
        listed = rng.sample(self.guarded, rng.choice(GUARD_LENGTHS))
        others = [figure for figure in rng.sample(self.taught, 6) if figure not in listed]
        system = guard(rng, (figure.name for figure in listed))
        shown = rng.choice(listed) if rng.random() < 0.5 else rng.choice(others)
        plan = RowPlan(picture=rng.choice(self.pictures[shown.id]), system=system)
        for _ in range(max(2, pictured // 2)):
            turn = self._fact(shown, shares, pictured=True)
            plan.turns.append(Turn(turn.question, REFUSAL if shown in listed else turn.answer, True))
        for _ in range(texts + pictured // 2):
            figure = rng.choice(listed) if rng.random() < 0.5 else rng.choice(others)
            turn = self._fact(figure, shares, pictured=False)
            plan.turns.append(Turn(turn.question, REFUSAL if figure in listed else turn.answer, False))
        return plan
