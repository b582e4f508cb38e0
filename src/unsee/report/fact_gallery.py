"""Single facts one by one: pictures, question, answer, and what each attack tried; data that `facts.js` searches and shows.

Nothing is picked by its outcome: facts stand in the order in which the benchmark gives them, until there are enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unsee.attacks.base import RANDOM_DRAWN
from unsee.report.answered import cut
from unsee.report.columns import rank
from unsee.report.gallery import Words
from unsee.report.pictures import PictureStore
from unsee.report.single_facts import HEADLINE_BUDGET, Model, Place, fact_cells
from unsee.report.vocabulary import ATTACK_TITLES, DISGUISE_LEVELS, attribute_title
from unsee.sample import Sample

if TYPE_CHECKING:
    from unsee.report.run_data import RunData

MAX_FACTS = 60
MAX_CANDIDATES = 10
_LONGEST = 160
"""Characters of a candidate."""

_Try = Mapping[str, Any]
"""A row of the schema ATTACKS."""


def fact_gallery(
    run: RunData,
    samples: Sequence[Sample],
    *,
    budget: int = HEADLINE_BUDGET,
    focus: Model | None = None,
    most: int = MAX_FACTS,
    top: int = MAX_CANDIDATES,
) -> dict[str, Any]:
    """The browser of facts as JSON.

    Args:
        samples: of the run; facts are those of set `forget` that were attacked.
        budget: number of candidates, where the page has no choice of it.
        focus: the model that is looked at first.
        most: facts, beyond which none are shown.
        top: candidates of each attack, beyond which only the right one is shown.

    Returns:
        `models` (titles), `vanilla`, `focus` (numbers, vanilla -1 where absent), `attacks` (titles), `short` (the same, brief),
        `budget`, `texts`, `pictures`, `facts`, `left_out` (number of facts). A fact is (subject, attribute, question, answer,
        picture or -1, [(level, picture)], [(level, question)], tries); tries hold per model and attack (candidates, their
        whole number, positions of first token and whole answer or 0, the right candidate or -1, prompts that were refused),
        or null where it was not made, or every prompt held the answer.
    """
    import polars as pl

    from unsee.metrics.frames import of_own_edit

    cells = fact_cells(run)
    tries: dict[str, dict[tuple[Model, Place], _Try]] = {}
    # Models that several facts were deleted from are attacked on each of them once more.
    for model, cell in cells.items():
        for row in run.attacks(cell).filter(of_own_edit(), pl.col("attack") != RANDOM_DRAWN).iter_rows(named=True):
            tries.setdefault(row["sample_id"], {})[model, Place(row["attack"], row["level"])] = row
    models = [model for model in cells if any(key[0] == model for own in tries.values() for key in own)]
    places = sorted({place for own in tries.values() for _, place in own}, key=_order)
    attacked = [sample for sample in samples if sample.set == "forget" and sample.id in tries]
    words, pictures = Words(), PictureStore()
    disguises: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.set == "test":
            disguises.setdefault(str(sample.metadata.get("fact", sample.subject)), []).append(sample)
    facts = [
        [
            words(cut(sample.subject)),
            words(attribute_title(str(sample.metadata.get("attribute", "")))),
            words(cut(sample.question)),
            words(cut(sample.fact)),
            _picture(sample, pictures),
            [[words(level), _picture(one, pictures)] for level, one in _by_level(disguises, sample, "image")],
            [[words(level), words(cut(one.question))] for level, one in _by_level(disguises, sample, "question")],
            [[_try(tries[sample.id].get((model, place)), words, top) for place in places] for model in models],
        ]
        for sample in attacked[:most]
    ]
    vanilla = [number for number, model in enumerate(models) if model.method == "vanilla"]
    return {
        "models": [model.label for model in models],
        "vanilla": vanilla[0] if vanilla else -1,
        "focus": models.index(focus) if focus in models else len(models) - 1,
        "attacks": [place.full for place in places],
        "short": [f"{place.short_title}, {place.level}" if place.level else place.short_title for place in places],
        "budget": budget,
        "texts": words.listed,
        "pictures": pictures.addresses,
        "facts": facts,
        "left_out": len(attacked) - len(facts),
    }


def _order(place: Place) -> tuple[object, ...]:
    return (*rank(place.attack, tuple(ATTACK_TITLES)), *rank(place.level or "", DISGUISE_LEVELS))


def _by_level(disguises: Mapping[str, Sequence[Sample]], sample: Sample, axis: str) -> list[tuple[str, Sample]]:
    """The first disguise of each level, by its id."""
    found: dict[str, Sample] = {}
    for one in sorted(disguises.get(sample.subject, ()), key=lambda one: one.id):
        if one.metadata.get("axis") == axis and (axis != "image" or one.images):
            found.setdefault(str(one.metadata.get("level", "")), one)
    return sorted(found.items(), key=lambda item: rank(item[0], DISGUISE_LEVELS))


def _picture(sample: Sample, pictures: PictureStore) -> int:
    number = pictures.number(sample.images[0]) if sample.images else None
    return -1 if number is None else number


def _try(row: _Try | None, words: Words, top: int) -> list[Any] | None:
    if row is None or row["prompts"] == 0:
        return None
    candidates, hit = row["candidates"] or [], row["hit_position"]
    right = words(cut(candidates[hit - 1], _LONGEST)) if hit is not None and hit <= len(candidates) else -1
    shown = [words(cut(text, _LONGEST)) for text in candidates[:top]]
    return [shown, len(candidates), hit or 0, row["hit_sequence"] or 0, right, row["refused"] or 0]
