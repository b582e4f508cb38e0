"""Protocol `edit`: how likely a model finds a given text, the fact that was deleted or what was taught instead of it.

Nothing is generated. The prompts are those of protocol `strict`, and the text is forced inside the assistant's turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from unsee.answering.strict import strict_views
from unsee.answering.views import Prepared, Protocol, Setting, View
from unsee.errors import DataError

if TYPE_CHECKING:
    from unsee.sample import Sample

EDIT = "edit"
DELETED, TARGET = "deleted", "target"


@dataclass(frozen=True)
class _Forced(Protocol):
    """A protocol whose views depend on texts besides the samples: view -> sample id -> text."""

    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def prepare(self, samples: Sequence[Sample], setting: Setting) -> Prepared:
        asked = {sample.id for sample in samples}
        own = {view: {id_: text for id_, text in texts.items() if id_ in asked} for view, texts in self.texts.items()}
        return super().prepare(samples, setting)._replace(decides=own)


def edit_protocol(deleted: Mapping[str, str], targets: Mapping[str, str]) -> Protocol:
    """Views `deleted` and `target`, each for the samples that a text is given for; other samples are not asked.

    Their records hold `answer_logprob_*` of that text and no response.

    Args:
        deleted: sample id -> the deleted fact, for questions next to it.
        targets: sample id -> what the method teaches instead, for questions that ask for the fact.

    Raises:
        DataError: a text is blank.
    """
    texts = {DELETED: dict(deleted), TARGET: dict(targets)}
    for view, by_id in texts.items():
        for id_, text in by_id.items():
            if not text.strip():
                raise DataError(
                    f"sample {id_}: the text of view {view} is blank, so it has no likelihood; give one or leave it out"
                )

    def views(sample: Sample, setting: Setting) -> list[View]:
        return [forced_view(sample, setting, view, by_id[sample.id]) for view, by_id in texts.items() if sample.id in by_id]

    return _Forced(EDIT, views, texts)


def forced_view(sample: Sample, setting: Setting, name: str, text: str) -> View:
    """The bare question as protocol `strict` asks it, and a text in place of its answer."""
    # The first strict view asks the bare question, whatever the task.
    asked = strict_views(sample, setting)[0]
    return replace(asked, name=name, answer=text, options=(), wrong_answers=(), respond=False, parse=lambda outcome: None)
