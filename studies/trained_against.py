"""Whether a defence was trained against an attack, from what its loss reads and what the attack reads.

| mark | state | white-box attack | attack by prompts |
|---|---|---|---|
| † | the same | reads D_l, only in layers that the loss reads | rewords questions at the level of the defence's rewordings |
| ‡ | the same kind | reads other layers too, differences, or a model tuned since | another level, or another picture too |
| | no | the loss reads the model's own output alone | the defence trains the question as it is |

The attacks' own prompts are never trained on (`check_trainable` in src/unsee/fact_edits.py), whatever the mark.
"""

from __future__ import annotations

from typing import Literal

from unsee.attacks.base import Attack
from unsee.attacks.finetune_lens import FinetuneLens
from unsee.attacks.lens_attack import LensAttack
from unsee.attacks.prompt_attack import PromptAttack
from unsee.methods.base import Method
from unsee.methods.lens_defence import LensReader
from unsee.sample import Sample

State = Literal["same", "kind", "no"]
MARKS: dict[State, str] = {"same": " †", "kind": " ‡", "no": ""}
_REACH = {"layers": (0,), "first": (0, 1), "second": (-1, 0, 1)}
"""Layers whose distributions make a quantity, from its own index on."""


def trained_against(method: Method, attack: Attack, sample: Sample, *, blocks: int) -> State:
    """What the table above says.

    Args:
        sample: any question that the defence is trained on.
        blocks: decoder layers of the model.
    """
    if isinstance(attack, PromptAttack):
        level = reworded_level(method, sample)
        if level is None or attack.axis not in ("question", "both"):
            return "no"
        return "same" if (attack.axis, attack.level) == ("question", level) else "kind"
    reading = lens_of(attack)
    if reading is None or not isinstance(method, LensReader):
        return "no"
    same = reading is attack and reading.quantity == "layers" and distributions(reading, blocks) <= layers_seen(method, blocks)
    return "same" if same else "kind"


def lens_of(attack: Attack) -> LensAttack | None:
    """How an attack reads hidden layers, None for one that does not."""
    if isinstance(attack, FinetuneLens):
        return attack.reading
    return attack if isinstance(attack, LensAttack) else None


def layers_seen(method: Method, blocks: int) -> frozenset[int]:
    """Layers l whose D_l a defence's loss reads; the last one, the model's own output, is always among them."""
    return frozenset({blocks, *(method.layers_of(blocks) if isinstance(method, LensReader) else ())})


def distributions(reading: LensAttack, blocks: int) -> frozenset[int]:
    """Layers l whose D_l an attack reads, alone or in differences."""
    return frozenset(index + step for index in reading.chosen(blocks) for step in _REACH[reading.quantity])


def reworded_level(method: Method, sample: Sample) -> str | None:
    """Level of the disguises that a defence's own rewordings are: a text before the whole question is easy, others medium."""
    reworded = [one.question for one in method.transform([sample]) if one.question != sample.question]
    if not reworded:
        return None
    return "easy" if all(question.endswith(sample.question) for question in reworded) else "medium"
