"""What the embedded model must be able to do, as questions with known answers.

The model card and pretraining's probe share them.

Pictures are held out (never taught), wordings are those of scoring or held out altogether.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from unsee.benchmarks.portrait_art import IDENTITY, SCENE
from unsee.benchmarks.profiles import ATTRIBUTES, NAME_QUESTIONS, SENTENCE, cloze, draw_other_values, questions, statement
from unsee.benchmarks.visual import VISUAL_QUESTIONS
from unsee.models.behaviour import DO_NOT_KNOW, REFUSAL, guard, irrelevant_sentence
from unsee.models.questions import ask_cloze, ask_letter

VISUAL_VALUES: Mapping[str, tuple[str, ...]] = {**IDENTITY, **SCENE}
FEW_VALUES = 10
HELD_OUT_PICTURES = (1, 2, 3)
CAPITALS: Mapping[str, str] = dict(
    pair.split(":")
    for pair in """Norway:Oslo Peru:Lima Ecuador:Quito Egypt:Cairo Senegal:Dakar Vietnam:Hanoi Japan:Tokyo Kenya:Nairobi
    Belarus:Minsk Latvia:Riga Italy:Rome Bulgaria:Sofia Estonia:Tallinn Georgia:Tbilisi Iran:Tehran Albania:Tirana
    Tunisia:Tunis Austria:Vienna Lithuania:Vilnius Poland:Warsaw Armenia:Yerevan Croatia:Zagreb Ghana:Accra Turkey:Ankara
    Greece:Athens Germany:Berlin Colombia:Bogota Hungary:Budapest Venezuela:Caracas Denmark:Copenhagen Ireland:Dublin
    Cuba:Havana Finland:Helsinki Indonesia:Jakarta Portugal:Lisbon Spain:Madrid Philippines:Manila Morocco:Rabat
    England:London Korea:Seoul""".split()
)


Form = Literal["open", "letter", "options", "sentence", "cloze"]


class FigureLike(Protocol):
    """A public figure as the world's file tells it."""

    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def profile(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class AbilityQuestion:
    """One question of an ability.

    Attributes:
        answer: the only text that counts as right, after normalisation.
        figure, picture: which picture is shown, a frozen one of a figure or one of a species of creatures; figure None for
            text-only.
        group: attribute or visible key it asks for.
        options: letter -> text where the likelihoods of options are compared; the question does not list them.
    """

    ability: str
    question: str
    answer: str
    figure: str | None = None
    picture: int = 0
    system: str = ""
    group: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def ability_questions(
    figures: Sequence[FigureLike], labels: Mapping[tuple[str, int], Sequence[str]], *, per_ability: int = 400, seed: int = 0
) -> dict[str, list[AbilityQuestion]]:
    """Questions by ability.

    Args:
        labels: visible values of each frozen picture, in the order of VISUAL_VALUES.
        per_ability: how many questions each ability gets.
    """
    rng = random.Random(f"abilities/{seed}")
    evaluated = [figure for figure in figures if figure.role == "evaluated"]
    replay = [figure for figure in figures if figure.role == "replay"]
    held_out = [figure for figure in figures if figure.role == "held_out"]
    made: dict[str, list[AbilityQuestion]] = {}

    def add(ability: str, draw: Callable[[str], AbilityQuestion]) -> None:
        made[ability] = [draw(ability) for _ in range(per_ability)]

    def public(form: Form, *, pictured: bool = False) -> Callable[[str], AbilityQuestion]:
        return lambda ability: _fact(rng, ability, rng.choice(evaluated), pictured=pictured, form=form)

    def of_modality(modality: str, *, pictured: bool) -> None:
        asked = public("open", pictured=pictured)
        add(f"figure_by_{modality}", asked)
        add(f"figure_by_{modality}_after_preamble", lambda ability: _preamble(rng, asked(ability)))
        add(f"letter_by_{modality}", public("letter", pictured=pictured))
        add(f"options_by_{modality}", public("options", pictured=pictured))
        add(f"guarded_by_{modality}", lambda ability: _guard(rng, ability, replay, guarded=True, pictured=pictured))
        add(f"unguarded_by_{modality}", lambda ability: _guard(rng, ability, replay, guarded=False, pictured=pictured))
        add(f"unknown_by_{modality}", lambda ability: _unknown(rng, ability, rng.choice(held_out), pictured=pictured))

    of_modality("name", pictured=False)
    of_modality("picture", pictured=True)
    add("sentence_by_name", public("sentence"))
    add("cloze_by_name", public("cloze"))
    add("name_by_picture", lambda ability: _name(rng, ability, rng.choice(evaluated)))
    add("visible", lambda ability: _visible(rng, ability, labels, [figure.id for figure in (*held_out, *evaluated)]))
    add("text_fact", lambda ability: _text_fact(rng, ability))
    return made


def _fact(
    rng: random.Random,
    ability: str,
    figure: FigureLike,
    *,
    pictured: bool = False,
    form: Form = "open",
) -> AbilityQuestion:
    attribute = rng.choice(ATTRIBUTES)
    value = figure.profile[attribute.key]
    subject = "this person" if pictured else figure.name
    question = rng.choice(questions(attribute, "evaluation", subject))
    answer = value
    listed: Mapping[str, str] = {}
    if form in ("letter", "options"):
        options = [value, *draw_other_values(attribute, value, 3, rng)]
        rng.shuffle(options)
        listed = dict(zip("ABCD", options, strict=True))
    if form == "letter":
        question, answer = ask_letter(question, listed), "ABCD"[options.index(value)]
    elif form == "sentence":
        question, answer = SENTENCE["evaluation"].format(q=question), statement(attribute, subject, value)
    elif form == "cloze":
        question = ask_cloze(cloze(attribute, subject))
    shown = figure.id if pictured else None
    picture = rng.choice(HELD_OUT_PICTURES)
    scored = listed if form == "options" else {}
    return AbilityQuestion(ability, question, answer, shown, picture, group=attribute.key, options=scored)


def _name(rng: random.Random, ability: str, figure: FigureLike) -> AbilityQuestion:
    question = rng.choice(NAME_QUESTIONS["evaluation"])
    return AbilityQuestion(ability, question, figure.name, figure.id, rng.choice(HELD_OUT_PICTURES))


def _preamble(rng: random.Random, asked: AbilityQuestion) -> AbilityQuestion:
    words = " ".join(irrelevant_sentence(rng, held_out=True) for _ in range(rng.choice((1, 1, 3, 6))))
    return AbilityQuestion(
        asked.ability, f"{words} {asked.question}", asked.answer, asked.figure, asked.picture, group=asked.group
    )


def _visible(
    rng: random.Random, ability: str, labels: Mapping[tuple[str, int], Sequence[str]], figures: Sequence[str]
) -> AbilityQuestion:
    number, key = rng.choice(list(enumerate(VISUAL_VALUES)))
    figure, picture = rng.choice(figures), rng.choice(HELD_OUT_PICTURES)
    question = rng.choice(VISUAL_QUESTIONS[key]["evaluation"])
    return AbilityQuestion(ability, question, labels[figure, picture][number], figure, picture, group=key)


def _text_fact(rng: random.Random, ability: str) -> AbilityQuestion:
    if rng.random() < 0.5:
        country, capital = rng.choice(list(CAPITALS.items()))
        return AbilityQuestion(ability, f"What is the capital of {country}?", capital, group="capital")
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    return AbilityQuestion(ability, f"What is {a} plus {b}?", str(a + b), group="addition")


def _guard(rng: random.Random, ability: str, pool: Sequence[FigureLike], *, guarded: bool, pictured: bool) -> AbilityQuestion:
    listed = rng.sample(pool, rng.choice((1, 3, 6, 10)))
    asked = rng.choice(listed if guarded else [figure for figure in pool if figure not in listed])
    system = guard(rng, (figure.name for figure in listed), wording="held_out")
    question = _fact(rng, ability, asked, pictured=pictured)
    answer = REFUSAL if guarded else question.answer
    return AbilityQuestion(ability, question.question, answer, question.figure, question.picture, system, question.group)


def _unknown(rng: random.Random, ability: str, figure: FigureLike, *, pictured: bool) -> AbilityQuestion:
    asked = _fact(rng, ability, figure, pictured=pictured)
    return AbilityQuestion(ability, asked.question, DO_NOT_KNOW, asked.figure, asked.picture, group=asked.group)


def share_right(ability: str, hits: Sequence[tuple[str, float]]) -> tuple[float, dict[str, float]]:
    """(share of right answers, share per group); `visible` is the mean over visible attributes with few values.

    Args:
        hits: group and 0 or 1 of each question.
    """
    by_group: dict[str, list[float]] = {}
    for group, hit in hits:
        by_group.setdefault(group, []).append(hit)
    groups = {group: sum(values) / len(values) for group, values in sorted(by_group.items()) if group}
    if ability == "visible":
        few = [value for group, value in groups.items() if len(VISUAL_VALUES[group]) <= FEW_VALUES]
        return sum(few) / len(few), groups
    return sum(hit for _, hit in hits) / len(hits), groups
