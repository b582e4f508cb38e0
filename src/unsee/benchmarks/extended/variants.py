"""Facts of a user's table, and the variants made of each: rephrased questions and pictures, neighbour questions and pictures.

Grades are those of UnLOK-VQA (arXiv 2505.01456).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from unsee.sample import ImageRef

Role = Literal["delete", "keep"]
Kind = Literal["question", "image", "neighbour_question", "neighbour_image"]
Grade = Literal["easy", "medium", "hard"]

GRADES: Mapping[Kind, tuple[Grade, ...]] = {
    "question": ("easy", "medium", "hard"),
    "image": ("easy", "medium", "hard"),
    "neighbour_question": ("easy", "hard"),
    "neighbour_image": ("easy", "hard"),
}
"""Grades of each kind of variant; those of rephrased questions and pictures and of neighbour pictures are the paper's."""
KIND_NAMES: Mapping[Kind, str] = {
    "question": "rephrased question",
    "image": "rephrased picture",
    "neighbour_question": "neighbour question",
    "neighbour_image": "neighbour picture",
}
"""What a kind of variant is called where people read it."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A picture, a question and the answer that may have to be deleted.

    Attributes:
        id: unique within the benchmark.
        role: facts to `delete` have variants; facts to `keep` are the retain panel.
        also_right: other answers that the table calls right.
        attribute: what kind of thing is asked for, as the table says; `fact` where it does not.
        span: what the question is about, a part of it that templates may name; "" where none is known.
        alternates: other answers of the same kind, none of them right.
        source_row: where the fact stands in the user's table, for messages.
    """

    id: str
    role: Role
    question: str
    answer: str
    image: ImageRef
    also_right: tuple[str, ...] = ()
    attribute: str = "fact"
    span: str = ""
    alternates: tuple[str, ...] = ()
    source_row: str = ""
    source: str = ""
    source_license: str = ""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One variant of a fact, and how it was made.

    Attributes:
        id: `<fact>/<kind>/<grade>/<number>`, unique within the benchmark.
        fact: id of the fact it was made of.
        number: from 0 within its kind and grade.
        question: what is asked instead; the fact's own question for pictures.
        image: what is shown instead; the fact's own picture for questions.
        answer: the right answer to it; the fact's own for rephrased questions and pictures.
        generator: what made it, such as `noise`, `prefix`, `own-table`, or the name of a server's model or a command.
        prompt: what the generator was told; "" for rules.
        seed: of the generator.
        parent: id of the variant or fact it was derived from.
        source_row: where in the user's table its picture, question or answer stands, where those are another row's.
        failed: reason codes of automatic checks it did not pass; empty where it may be used.
    """

    id: str
    fact: str
    kind: Kind
    grade: Grade
    number: int
    question: str
    image: ImageRef
    answer: str
    generator: str
    prompt: str = ""
    seed: int = 0
    parent: str
    source_row: str = ""
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Extension:
    """A user's table with its variants.

    Attributes:
        name: what the benchmark is called in results.
        facts: in the order of the table.
        variants: grouped by fact, in its order.
        history: steps so far, each with its name, options and counts (raw, automatic, manual); written as JSON.
    """

    name: str
    facts: tuple[Fact, ...]
    variants: tuple[Variant, ...]
    history: tuple[Mapping[str, object], ...] = field(default_factory=tuple)
