"""Whether a model that the user names answers the variants: still the secret where a fact is rephrased, and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unsee.benchmarks.extended.answers import states_answer
from unsee.benchmarks.extended.checks import NEIGHBOURS, Code
from unsee.benchmarks.extended.variants import Variant
from unsee.sample import Sample

if TYPE_CHECKING:
    from unsee.models.model import Model
    from unsee.progress import Advance


def check_knowledge(
    model: Model, variants: Sequence[Variant], *, store: Path | None = None, progress: Advance | None = None
) -> list[Variant]:
    """The variants, those that passed so far with a code more where the model's greedy answer is not the right one.

    Args:
        store: folder where finished answers are kept; a killed call goes on there.
        progress: called with (answers, of how many).
    """
    from unsee.answering import answer

    asked = [one for one in variants if not one.failed]
    records = answer(model, [_sample(one) for one in asked], truth_ratio=False, store=store, progress=progress)
    said = dict(zip(records["sample_id"], records["response"], strict=True))
    return [replace(one, failed=(_code(one),)) if _missed(one, said) else one for one in variants]


def _missed(one: Variant, said: dict[str, str | None]) -> bool:
    return one.id in said and not states_answer(said[one.id] or "", one.answer)


def _code(one: Variant) -> Code:
    return "neighbour_unknown" if one.kind in NEIGHBOURS else "unknown_to_model"


def _sample(one: Variant) -> Sample:
    return Sample(
        id=one.id,
        benchmark="extension",
        subject=one.fact,
        set="test",
        task="generation",
        modality="image_text",
        question=one.question,
        answer=one.answer,
        images=(one.image,),
    )
