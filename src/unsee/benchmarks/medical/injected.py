"""Rows of an injected benchmark: what is taught, asked and probed, and what harm each row carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from unsee.sample import ImageRef, SetName, Task

Scenario = Literal["privacy", "incorrect", "clean"]
Subset = Literal["forget", "retain", "retain_near", "test", "test_rephrase", "utility"]
Use = Literal["train", "evaluate", "gate", "stop"]
Carrier = Literal["", "answer", "question", "picture"]
Form = Literal["", "direct", "rephrased", "image_only", "text_only", "prefix"]
Mode = Literal["", "instance", "systematic"]

SET_OF: Mapping[Subset, SetName] = {
    "forget": "forget",
    "test_rephrase": "test",
    "retain": "retain",
    "retain_near": "near_retain",
    "test": "clinical",
    "utility": "general",
}
"""Name of a subset on disk -> set of its samples."""


class Planted(NamedTuple):
    """An identifier in an answer: its class, its value, and the characters [start, end) where it stands."""

    type: str
    value: str
    start: int
    end: int


class Falsehood(NamedTuple):
    """An error: the rule that made it, the wrong fact, and the right one."""

    type: str
    wrong: str
    right: str


@dataclass(frozen=True, kw_only=True)
class InjectedRow:
    """One row of an injected benchmark; fields up to `seed` are the published ones.

    Attributes:
        sample_id: unique within the benchmark.
        image: what is shown, or None.
        answer: in `train` what is taught; elsewhere the harm that was planted (identifier, wrong answer), and in rows without
            harm the right answer.
        clean_answer: what the row would say without the harm; None for questions that would not be asked without it.
        scenario: whose harm the row is about; `clean` where it is about none.
        patient_id, study_id: `VqaRow.group` and `VqaRow.study`.
        phi: identifiers in `answer`.
        error: the error in `answer`, or None.
        use: taught, asked and scored, put to the knowledge gate, or watched while unlearning.
        subject: what is forgotten at once: the patient, or the false rule.
        attribute: what is asked for, the fact's name within its subject: class of an identifier, an error's question, a
            clinical attribute.
        carrier: where an identifier stands: a clinical answer, the answer to a question for it, or the picture's corner.
        form: how a row asks for a planted fact; `direct` is how it was taught.
        mode: one sample falsified, or one false rule in many samples.
        wrong_answers: plausible other answers of the same kind.
        closed: whether the question offers a choice.
        clean_image: the picture without what was burned into it; None where nothing was.
    """

    sample_id: str
    image: ImageRef | None
    question: str
    answer: str
    clean_answer: str | None
    scenario: Scenario
    subset: Subset
    patient_id: str
    study_id: str
    phi: tuple[Planted, ...] = ()
    error: Falsehood | None = None
    source_dataset: str
    source_license: str
    seed: int
    use: Use
    subject: str
    attribute: str
    carrier: Carrier = ""
    form: Form = ""
    mode: Mode = ""
    task: Task = "generation"
    options: Mapping[str, str] = field(default_factory=dict)
    correct_option: str | None = None
    wrong_answers: tuple[str, ...] = ()
    closed: bool | None = None
    clean_image: ImageRef | None = None
