"""What works with a model, found out on the model itself: a few short passes over two small pictures.

    for name, feature in load_model("my-llava").features.items():
        print(name, feature.available, feature.reason)

Nothing here knows a family. A check that fails names the feature that is missing; everything else goes on working.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unsee.errors import UserError, first_line
from unsee.models.batches import Batch, collate
from unsee.models.lens import Lens
from unsee.models.lora import linear_paths
from unsee.models.prompts import CROSS_ATTENTION_MASK, Encoded
from unsee.models.quantized import is_quantized
from unsee.models.reference import evaluating
from unsee.models.shared_prompts import Piece, Prompt, SharedPrompts
from unsee.models.single_precision import single_precision

if TYPE_CHECKING:
    from unsee.methods.scope import Part
    from unsee.models.model import Model
    from unsee.sample import ImageRef

TOLERANCE = 1e-4
"""How far log-probabilities of two ways may lie apart in single precision."""

_ROUNDINGS = 4
_QUESTION, _ANSWER, _OTHER_ANSWER = "What is it?", "tea", "A red dog"
_CROSS_ATTENTION = "the model looks at pictures by cross-attention, with a mask of its own for every row"
_OWN_WAY = "answers in shared rows differ from those alone: the model places or masks the tokens of a picture its own way"
# What networks and processors raise where they are asked for something they cannot do.
_PROBING_FAILED = (UserError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, NotImplementedError)


@dataclass(frozen=True)
class Feature:
    """One verdict; `reason` says why a feature is missing."""

    available: bool
    reason: str = ""


@dataclass(frozen=True)
class Features:
    """Verdicts on one model. A field's text says what the feature is."""

    prompt: Feature
    """prompts have the token ids that the family's own processor makes"""
    answer_mask: Feature
    """exactly the answer and its end count in the loss, and no token sees what it predicts"""
    pictures: Feature
    """a picture changes what follows it and nothing before it"""
    shared_prefix: Feature
    """questions about one picture share its tokens in one row (packing), exactly"""
    several_pictures: Feature
    """prompts about several pictures have the token ids that the processor makes, too"""
    lens: Feature
    """hidden layers can be read; the last one gives the model's own logits"""
    language: Feature
    """LoRA on the decoder"""
    projector: Feature
    """LoRA between vision tower and decoder"""
    vision: Feature
    """LoRA on the vision tower"""
    all_linear: Feature
    """LoRA on every linear layer"""
    mlp_down: Feature
    """LoRA on the last linear layer of each MLP of the decoder"""

    def items(self) -> Iterator[tuple[str, Feature]]:
        """Names and verdicts, in order."""
        return ((field.name, getattr(self, field.name)) for field in fields(self))

    def missing(self) -> Mapping[str, str]:
        """Why each missing feature is missing."""
        return {name: feature.reason for name, feature in self.items() if not feature.available}


def check(model: Model) -> Features:
    """All verdicts on a model; `Model.features` keeps them."""
    parts: dict[str, Part] = {
        "language": "language",
        "projector": "projector",
        "vision": "vision",
        "all_linear": "all-linear",
        "mlp_down": "mlp-down",
    }
    return Features(
        prompt=_verdict(model, partial(_check_prompt, pictures=1)),
        answer_mask=_verdict(model, _check_answer_mask),
        pictures=_verdict(model, _check_pictures),
        shared_prefix=model.shared_prefix,
        several_pictures=_verdict(model, partial(_check_prompt, pictures=2)),
        lens=_verdict(model, _check_lens),
        **{name: _verdict(model, partial(_check_scope, part=part)) for name, part in parts.items()},
    )


def check_shared_prefix(model: Model) -> Feature:
    """Whether packed rows say what plain rows say, computed in fp32 whatever the weights are kept in.

    The only verdict that training and answering wait for.
    """
    return _verdict(model, _check_shared_prefix)


def check_prefix_cache(model: Model) -> Feature:
    """Whether prompts read in two pieces, the first of them once for all, go on as whole prompts do."""
    return _verdict(model, _check_prefix_cache)


def expected_shared_prefix(model: Model) -> Feature:
    """The same verdict for a model without values, by what its network takes and its processor makes.

    Networks that want a type of every token place or mask those of pictures their own way. Packed rows do so, too, where the
    processor gives grids, or types that tell the tokens of pictures from others.
    """
    taken, prompter = signature(model.base.forward).parameters.keys(), model.prompter
    if CROSS_ATTENTION_MASK in taken:
        return Feature(False, _CROSS_ATTENTION)
    untold = "token_type_ids" in taken and not prompter.token_types.get("token_type_ids")
    if untold or ("mm_token_type_ids" in taken and not prompter.has_grids):
        return Feature(False, _OWN_WAY)
    return Feature(True)


class _Missing(UserError):
    """Why a feature is not there."""


def _verdict(model: Model, checked: Callable[[Any], None]) -> Feature:
    try:
        with evaluating(model):
            checked(model)
    except _PROBING_FAILED as error:
        return Feature(False, first_line(error))
    return Feature(True)


@lru_cache(maxsize=1)
def _pictures() -> tuple[ImageRef, ImageRef, ImageRef]:
    """Two pictures of one size, and a smaller one of another shape."""
    from PIL import Image

    from unsee.sample import ImageRef

    rising = Image.linear_gradient("L").convert("RGB")
    falling = rising.rotate(90)
    return (
        ImageRef.from_image(rising.resize((64, 48))),
        ImageRef.from_image(falling.resize((64, 48))),
        ImageRef.from_image(falling.resize((36, 60))),
    )


def _plain(model: Model, *items: Encoded) -> Batch:
    return collate(items, prompter=model.prompter, pack=False).to(model.device)


def _logits(model: Model, item: Encoded) -> Tensor:
    """Logits at every token of one conversation, [tokens, vocabulary] in fp32."""
    logits: Tensor = model.base(**_plain(model, item).inputs).logits[0].float()
    return logits


def _apart(one: Tensor, other: Tensor, dtype: torch.dtype) -> bool:
    """Whether two results differ by more than rounding: 1e-4 in single precision, a few per cent of the spread in half."""
    half = torch.finfo(dtype).bits < 32
    allowed = 2 * torch.finfo(dtype).eps ** 0.5 * float(one.std()) if half else TOLERANCE
    return bool((one - other).abs().nan_to_num(nan=0.0).max() > allowed) if one.numel() else False


def _dtype(model: Model) -> torch.dtype:
    dtype: torch.dtype = model.base.get_output_embeddings().weight.dtype
    # Layers in 8 bits round what they read by what else is in the batch, in single precision, too.
    rounds = not dtype.is_floating_point or (is_quantized(model) and dtype == torch.float32)
    return torch.float16 if rounds else dtype


def _check_prompt(model: Model, *, pictures: int) -> None:
    prompter, shown = model.prompter, _pictures()[::2][:pictures]
    text = prompter.prompt(_QUESTION, images=pictures)
    ours = prompter.ids(text, shown)
    opened = [picture.open() for picture in shown]
    # Some processors put BOS and a last line break themselves.
    bare = text.replace(str(prompter.tokenizer.bos_token), "").removesuffix("\n")
    for given in (text, bare):
        # A list of one conversation, because some processors take a flat list of pictures for one picture each.
        made = model.processor(text=[given], images=[opened], return_tensors="pt", add_special_tokens=False)
        theirs = tuple(made["input_ids"][0].tolist())
        if ours == theirs:
            return
    first = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    raise _Missing(f"prompts differ from those of {type(model.processor).__name__} from token {first} on")


def _check_answer_mask(model: Model) -> None:
    prompter, picture = model.prompter, _pictures()[0]
    item, other = (prompter.encode(_QUESTION, answer, images=[picture]) for answer in (_ANSWER, _OTHER_ANSWER))
    batch = collate([item], prompter=prompter, pack=False)
    counted = batch.target.tolist()
    said = prompter.tokenizer.decode(counted, skip_special_tokens=True).strip()
    if batch.position.tolist() != list(range(item.prompt_length - 1, len(item.ids) - 1)) or said != _ANSWER:
        raise _Missing(f"the tokens that count read {said!r} where the answer is {_ANSWER!r}")
    if item.end_length < 1 or counted[-1] != prompter.end_id:
        raise _Missing("no token ends an answer, so the model would never learn to stop; give the tokenizer an eos_token")
    if prompter.image_token_id in counted:
        raise _Missing("places of a picture are among the tokens that count")
    last = item.prompt_length - 1
    if _apart(_logits(model, item)[last], _logits(model, other)[last], _dtype(model)):
        raise _Missing("tokens before an answer see it, so its likelihood means nothing")


def _check_pictures(model: Model) -> None:
    prompter = model.prompter
    one, other = (prompter.encode(_QUESTION, _ANSWER, images=[picture]) for picture in _pictures()[:2])
    if one.ids != other.ids:
        raise _Missing("two pictures of one size have different places in the prompt")
    start = prompter.picture_places(one.ids, one.pictures)[0].start
    first, second = _logits(model, one), _logits(model, other)
    # Cross-attention of the published networks lets tokens before a picture see all of it.
    if not prompter.cross_attends and _apart(first[:start], second[:start], _dtype(model)):
        raise _Missing("a picture changes what the model says before it")
    after = slice(one.prompt_length - 1, None)
    if not (first[after] - second[after]).abs().max() > 0:
        raise _Missing("the model's answer does not depend on the picture")
    mixed = [prompter.encode(_QUESTION, _ANSWER, images=images) for images in ([_pictures()[0]], [_pictures()[2]], [])]
    alone = torch.cat([model.token_logprobs(_plain(model, item)) for item in mixed])
    if _apart(alone, model.token_logprobs(_plain(model, *mixed)), _dtype(model)):
        raise _Missing("a picture changes answers about other pictures of its batch; set batch_size to 1")


def _check_shared_prefix(model: Model) -> None:
    prompter, (one, _, other) = model.prompter, _pictures()
    if prompter.cross_attends:
        raise _Missing(_CROSS_ATTENTION)
    asked = [(_QUESTION, _ANSWER, [one]), ("What colour is it?", _OTHER_ANSWER, [one]), (_QUESTION, _OTHER_ANSWER, [one])]
    asked += [(_QUESTION, _ANSWER, [other]), (_QUESTION, _ANSWER, [])]
    items = [prompter.encode(question, answer, images=pictures) for question, answer, pictures in asked]
    if prompter.window is not None and max(len(item.ids) for item in items) > prompter.window:
        raise _Missing(f"some layers look back {prompter.window} tokens, which a question about a picture is longer than")
    # First what types of tokens are for: in 8 bits wrong rows may lie within what is rounded.
    if prompter.token_types.get("token_type_ids"):
        prompter.pictures_both_ways = True
        try:
            return _check_shared_rows(model, items)
        except _Missing:
            prompter.pictures_both_ways = False
    _check_shared_rows(model, items)


def _check_shared_rows(model: Model, items: Sequence[Encoded]) -> None:
    shared = collate(items, prompter=model.prompter)
    assert len(shared.inputs["input_ids"]) < len(items), "nothing is shared, so nothing would be checked"
    # In half precision rounding hides rows that are wrong by several hundredths per token.
    with single_precision(model.network):
        plain, packed = model.token_logprobs(_plain(model, *items)), model.token_logprobs(shared)
        alone = torch.cat([model.token_logprobs(_plain(model, item)) for item in items[:2]])
    rounding = float((plain[: len(alone)] - alone).abs().max())
    if (plain - packed).abs().max() > max(TOLERANCE, _ROUNDINGS * rounding):
        raise _Missing(_OWN_WAY)
    # Linear layers in 8 bits round by what else is in the batch, which leaves room for rows that are wrong.
    expected = expected_shared_prefix(model)
    if rounding > TOLERANCE and not expected.available:
        raise _Missing(expected.reason)


def _check_prefix_cache(model: Model) -> None:
    prompter, (one, _, other) = model.prompter, _pictures()
    if prompter.cross_attends:
        raise _Missing(_CROSS_ATTENTION)
    # Questions and pictures of several lengths, because both pieces are padded.
    asked = [prompter.encode(question, "", images=[one]) for question in (_QUESTION, "What colour is it?")]
    asked.append(prompter.encode(_QUESTION, "", images=[other]))
    prompts = []
    for item in asked:
        ids, first = item.ids[: item.prompt_length], prompter.picture_places(item.ids, item.pictures)[-1].stop
        prompts.append(Prompt(Piece(ids[:first], item.pictures), Piece(ids[first:])))
    with single_precision(model.network):
        asked = [Encoded(item.ids[: item.prompt_length], item.prompt_length, 0, item.pictures) for item in asked]
        whole = [_logits(model, item)[-1].log_softmax(-1) for item in asked]
        read = SharedPrompts(model, [prompt.beginning for prompt in prompts])
        pieces = read.next_logits(prompts).log_softmax(-1)
    if _apart(torch.stack(whole), pieces, _dtype(model) if is_quantized(model) else torch.float32):
        raise _Missing("prompts read in pieces go on otherwise than whole ones: the model places or masks tokens its own way")


def _check_lens(model: Model) -> None:
    lens = Lens(model)
    batch = _plain(model, model.prompter.encode(_QUESTION, _ANSWER, images=[_pictures()[0]]))
    if _apart(model.answer_logits(batch), lens.logits(batch, [lens.layers])[0], _dtype(model)):
        raise _Missing("the last layer does not give the model's own logits where a picture is shown")


def _check_scope(model: Model, part: Part) -> None:
    from unsee.methods.scope import Scope

    linear_paths(model, Scope(modules=part))
