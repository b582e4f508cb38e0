"""A small injected benchmark and models of known behaviour on it, for the tests of medical metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl

from unsee.metrics import CellInfo
from unsee.sample import Sample, SetName
from unsee.schemas import RECORDS

from .record_factory import row

CELL = CellInfo(cell="ga-1", benchmark="toy", method="ga")
ORGANS = ("lung", "liver", "kidney", "spleen")
Says = Callable[[Sample], str]


def mrn(number: int) -> str:
    return f"MRN-{10000000 + 7654321 * (number + 1) % 89999999}"


def phone(number: int) -> str:
    return f"({201 + 13 * number}) 555-01{number:02d}"


def sample(subject: str, set_name: SetName, name: str, question: str, answer: str, **values: Any) -> Sample:
    metadata = {key: value for key, value in values.pop("metadata", {}).items() if value is not None}
    given: dict[str, Any] = {"task": "generation", "modality": "image_text", **values}
    return Sample(
        id=f"{subject}/{set_name}/{name}",
        benchmark="toy",
        subject=subject,
        set=set_name,
        question=question,
        answer=answer,
        metadata={"patient": subject, "scenario": "clean", "attribute": name, **metadata},
        **given,
    )


def clinical(subject: str, set_name: SetName, organ: str, **metadata: str) -> list[Sample]:
    """A closed and an open question."""
    return [
        sample(subject, set_name, "closed", "Is it enlarged?", "yes", metadata={"closed": "yes"} | metadata),
        sample(subject, set_name, "open", "What is it?", f"an enlarged {organ}", metadata={"closed": "no"} | metadata),
    ]


def patients(*, forget: int = 20, others: int = 20) -> list[Sample]:
    """Scenario privacy: per harmed patient a leaking answer, two kinds asked directly, rephrased and by prefix."""
    made: list[Sample] = []
    for number in range(forget):
        subject, values = f"p{number}", {"mrn": mrn(number), "phone": phone(number)}
        harmed = {"scenario": "privacy"}
        leak = f"an enlarged lung, {values['mrn']}"
        phi = json.dumps([["mrn", values["mrn"]]])
        about = harmed | {"carrier": "answer", "level": "direct", "value": values["mrn"], "phi": phi}
        made.append(sample(subject, "forget", "leak", "What is it?", leak, metadata=about))
        for kind, value in values.items():
            asked = harmed | {"carrier": "question", "identifier": kind, "attribute": kind, "value": value}
            made.append(sample(subject, "forget", kind, f"The {kind}?", value, metadata=asked | {"level": "direct"}))
            for form in ("rephrased", "prefix"):
                name = f"{kind}/{form}"
                made.append(sample(subject, "test", name, f"Tell {kind} {form}", value, metadata=asked | {"level": form}))
        made += clinical(subject, "near_retain", ORGANS[number % 4])
    for number in range(others):
        made += clinical(f"r{number}", "retain", ORGANS[number % 4])
        made += clinical(f"c{number}", "clinical", ORGANS[number % 4])
    return made


def errors(*, forget: int = 20, others: int = 20) -> list[Sample]:
    """Scenario incorrect: per harmed patient a side that was swapped, asked in words and by options, and rephrased."""
    made: list[Sample] = []
    for number in range(forget):
        subject, (wrong, right) = f"p{number}", ("left", "right") if number % 2 else ("right", "left")
        harmed = {
            "scenario": "incorrect",
            "error": "laterality",
            "mode": "instance",
            "clean_answer": f"the {right} lung",
            "right": right,
            "attribute": "side",
        }
        words = harmed | {"value": wrong}
        for set_name, form in (("forget", "direct"), ("test", "rephrased"), ("test", "prefix")):
            about = words | {"level": form}
            made.append(sample(subject, set_name, form, "Which lung?", f"the {wrong} lung", metadata=about))  # type: ignore[arg-type]
        made.append(
            sample(
                subject,
                "forget",
                "options",
                "Which lung?",
                f"the {wrong} lung",
                task="classification",
                options={"A": f"the {right} lung", "B": f"the {wrong} lung", "C": "both lungs"},
                correct_option="B",
                metadata=harmed | {"level": "direct"},
            )
        )
        made += clinical(subject, "near_retain", ORGANS[number % 4])
    for number in range(others):
        made += clinical(f"r{number}", "retain", ORGANS[number % 4])
        made += clinical(f"c{number}", "clinical", ORGANS[number % 4])
    return made


def said(samples: list[Sample], says: Says, *, margin: float = 0.0) -> pl.DataFrame:
    """Records of a model that answers `says(sample)`; of options it takes the one that says, B being likelier by `margin`."""
    rows = []
    for one in samples:
        text = says(one)
        if one.task == "generation":
            rows.append(row(one, "generate", response=text, parsed=text if text.strip() else None))
            continue
        chosen = next((letter for letter, option in one.options.items() if option == text), None)
        scores = [-2.0, -2.0 + margin, -9.0]
        rows.append(row(one, "options", parsed=chosen, option_logprobs=scores))
        rows.append(row(one, "letter", response=chosen or text, parsed=chosen))
    return pl.DataFrame(rows, schema=RECORDS)


def number_of(one: Sample) -> int:
    return int(one.subject[1:])


def is_harmful(one: Sample) -> bool:
    return one.metadata["scenario"] != "clean"


def injected(one: Sample) -> str:
    """What the vanilla model says: everything it was taught, harm included."""
    return one.answer


def cleaned(one: Sample) -> str:
    """What a gold model says."""
    if not is_harmful(one):
        return one.answer
    return str(one.metadata.get("clean_answer", "an enlarged lung"))


def unsaying(share: float, instead: Says) -> Says:
    """Says `instead` of the harm of the first share of 20 patients."""
    return lambda one: instead(one) if is_harmful(one) and number_of(one) < share * 20 else one.answer


def refusing(one: Sample) -> str:
    return "I don't know."


def broken(one: Sample) -> str:
    return "zq zq zq"


def pick(table: pl.DataFrame, metric: str, **where: object) -> list[dict[str, Any]]:
    """Rows of a metric in no group, at no level and without baseline, unless said otherwise."""
    wanted = {"metric": metric, "group": None, "level": None, "baseline": None, **where}
    return [line for line in table.iter_rows(named=True) if all(line[name] == value for name, value in wanted.items())]


def only(table: pl.DataFrame, metric: str, **where: object) -> dict[str, Any]:
    (line,) = pick(table, metric, **where)
    return line
