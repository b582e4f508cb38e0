"""`attack`: what an attacker who has the model finds, from the views its attacks need, asked once and stored as records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unsee.answering import Prepared, Protocol, Setting, View, answer
from unsee.attacks import load_attack
from unsee.attacks.base import BUDGETS, Attack, ReadToken
from unsee.attacks.prompt_attack import gives_away
from unsee.attacks.random_tokens import RandomTokens
from unsee.errors import ConfigError, DataError
from unsee.provenance import digest

if TYPE_CHECKING:
    import polars as pl

    from unsee.models.model import Model
    from unsee.sample import Sample

BUDGET = max(BUDGETS)
"""Candidates that are kept by default: the largest budget that results report."""
LENS = "lens"
"""Protocol of the records that all lens attacks share."""

Variants = Mapping[str, Sequence["Sample"]]
"""Fact -> its disguises."""


class Attacked(NamedTuple):
    """What was found and what it was found in.

    Attributes:
        attacks: schema ATTACKS, one row per sample and attack, in the order of both.
        records: schema RECORDS, by `model_key`; "" is the model as it is.
    """

    attacks: pl.DataFrame
    records: dict[str, pl.DataFrame]


def attack(
    model: Model,
    samples: Sequence[Sample],
    *,
    attack: str | Attack = "lens_head_projection",
    variants: Sequence[Sample] = (),
    unrelated: Sequence[Sample] = (),
    budget: int = BUDGET,
    cell: str = "",
    edit_id: str | None = None,
    batch_size: int = 16,
    seed: int = 0,
    store: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Try to extract the answers of samples from a model; its method is switched on where it has one.

    Args:
        samples: questions whose answers are looked for; the bare fact of a sample counts where its answer is a sentence.
        attack: a name (`lens_head_projection`, `rephrase_question`, ...; options as published) or an instance.
        variants: disguises of the facts, for attacks by prompts: samples whose metadata give `fact` (the subject they
            disguise), `axis` and `level`.
        unrelated: samples that have nothing to do with the facts, for attacks that train the model; those about an attacked
            subject or entity are left out.
        budget: number of candidates that are kept of each sample.
        cell, edit_id: copied into every row.
        batch_size: samples per forward pass; it changes speed and memory, not what is found.
        seed: of random responses and of training.
        store: folder for the records; an interrupted call goes on from it.
        progress: called with (samples done, samples in all) of each model that is asked.

    Returns:
        One row per sample in the schema ATTACKS.

    Raises:
        ConfigError: an attack, option or budget that cannot work on this model.
        DataError: a sample that gives its own answer away, or lacks what the attack needs. All before any model time.
    """
    found = attack_all(
        model,
        samples,
        attacks=[attack],
        variants=variants,
        unrelated=unrelated,
        budget=budget,
        cell=cell,
        edit_id=edit_id,
        batch_size=batch_size,
        seed=seed,
        store=store,
        progress=progress,
    )
    return found.attacks


def attack_all(
    model: Model,
    samples: Sequence[Sample],
    *,
    attacks: Sequence[str | Attack],
    variants: Sequence[Sample] = (),
    unrelated: Sequence[Sample] = (),
    budget: int = BUDGET,
    cell: str = "",
    edit_id: str | None = None,
    batch_size: int = 16,
    seed: int = 0,
    skip_missing: bool = False,
    random_tokens: bool = False,
    store: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Attacked:
    """As `attack`, with several attacks at once: what lens attacks read is computed once for all of them.

    Args:
        skip_missing: leave a fact out of an attack that has no disguises of it, instead of refusing the call.
        random_tokens: beside lens attacks also try tokens drawn blindly, in rows of attack `random_tokens_drawn`.
    """
    import polars as pl

    from unsee.schemas import ATTACKS

    chosen = [load_attack(one) if isinstance(one, str) else one for one in attacks]
    disguises = by_fact(variants)
    strangers = strangers_to(samples, unrelated)
    checked: dict[str, Any] = {"variants": disguises, "unrelated": strangers, "budget": budget}
    check_attacks(model, samples, chosen, skip_missing=skip_missing, **checked)
    groups: dict[str, list[Attack]] = {}
    for one in chosen:
        groups.setdefault(model_key(one), []).append(one)
    controls: list[Attack] = []
    if random_tokens and any(one.needs == "lens" for one in chosen):
        controls = [RandomTokens(vocabulary=int(model.base.config.get_text_config().vocab_size), seed=seed)]
    records: dict[str, pl.DataFrame] = {}
    parts = []
    options: dict[str, Any] = {"variants": disguises, "budget": budget, "read": token_reader(model)}
    for key, group in groups.items():
        records[key] = answer(
            group[0].prepare(model, strangers, seed=seed),
            samples,
            protocols=protocols(group, disguises),
            cell=cell,
            edit_id=edit_id,
            batch_size=batch_size,
            seed=seed,
            store=None if store is None else store / key,
            progress=progress,
        )
        for one in group:
            made = [sample for sample in samples if one.applies(sample, disguises.get(sample.subject, ()))]
            parts.append(attack_rows(records[key], made, one, cell=cell, edit_id=edit_id, **options))
    read = next((records[key] for key, group in groups.items() if any(one.needs == "lens" for one in group)), None)
    parts += [attack_rows(read, samples, one, cell=cell, edit_id=edit_id, **options) for one in controls if read is not None]
    turns = pl.DataFrame(
        [(sample.id, one.name, one.graded, turn) for turn, (sample, one) in enumerate(product(samples, [*chosen, *controls]))],
        schema={"sample_id": pl.String, "attack": pl.String, "level": pl.String, "turn": pl.Int64},
        orient="row",
    )
    whole = pl.concat(parts).join(turns, on=["sample_id", "attack", "level"], nulls_equal=True)
    return Attacked(whole.sort("turn").select(ATTACKS.names()), records)


def model_key(attack: Attack) -> str:
    """Name of the model that an attack looks at: "" for the model as it is, else one for each way of tuning it."""
    return f"{attack.name}-{digest([type(attack).__qualname__, asdict(attack)])[:8]}" if attack.tunes else ""


def attack_rows(
    records: pl.DataFrame,
    samples: Sequence[Sample],
    attack: Attack,
    *,
    variants: Variants,
    budget: int,
    read: ReadToken,
    cell: str = "",
    edit_id: str | None = None,
) -> pl.DataFrame:
    """The rows of one attack from records that were stored before; no model runs.

    Args:
        records: schema RECORDS, of the views that the attack asks for.
        variants: facts' disguises, as the records were made from.
        read: token id -> text.
    """
    import polars as pl

    from unsee.schemas import ATTACKS

    protocol = LENS if attack.needs == "lens" else protocol_name(attack)
    by_sample: dict[str, list[dict[str, Any]]] = {}
    for record in records.filter(pl.col("protocol") == protocol).iter_rows(named=True):
        by_sample.setdefault(record["sample_id"], []).append(record)
    rows = []
    for sample in samples:
        own = by_sample.get(sample.id, [])
        found = attack.candidates(sample, own, budget=budget, read=read)
        row: dict[str, Any] = {
            "cell": cell,
            "sample_id": sample.id,
            "subject": sample.subject,
            "attack": attack.name,
            "candidates": found.candidates,
            "hit_position": found.hit,
            "edit_id": edit_id,
            "refused": attack.refused(sample, variants.get(sample.subject, ())),
            "level": attack.graded,
        }
        ledger = ("hit_all", "hit_sequence", "prompts", "samples", "tokens", "layers", "k")
        rows.append(row | {key: getattr(found, key) for key in ledger})
    return pl.DataFrame(rows, schema=ATTACKS)


def check_attacks(
    model: Model,
    samples: Sequence[Sample],
    attacks: Sequence[Attack],
    *,
    variants: Variants,
    unrelated: Sequence[Sample],
    budget: int,
    skip_missing: bool = False,
) -> None:
    """Everything about an attack that can be wrong, before any model time; raises ConfigError or DataError."""
    from unsee.models.lens import check_lens

    config = model.base.config.get_text_config()
    if budget < 1:
        raise ConfigError(f"budget is {budget}; give a number of at least 1")
    if budget > config.vocab_size:
        raise ConfigError(f"budget {budget} is above the {config.vocab_size} tokens of {model.name}'s vocabulary; give less")
    for sample in samples:
        if not sample.fact.strip():
            raise DataError(f"sample {sample.id}: the answer is empty, so nothing could be found; fix or remove the row")
        if gives_away(sample.question, sample.fact):
            raise DataError(
                f"sample {sample.id}: the answer {sample.fact!r} stands in its own question, so finding it would prove "
                "nothing; reword the question or remove the row"
            )
    for number, one in enumerate(attacks):
        if any(one.shares_rows(other) for other in attacks[:number]):
            level = f" of level {one.graded}" if one.graded else ""
            raise ConfigError(f"{one.name}{level} is given twice, and the results could not be told apart; call once for each")
        one.check(blocks=int(config.num_hidden_layers), budget=budget)
        for sample in samples:
            own = variants.get(sample.subject, ())
            if not skip_missing or one.applies(sample, own):
                one.refused(sample, own)
        if one.tunes and samples and not unrelated:
            one.prepare(model, unrelated)
    if any(one.needs == "lens" for one in attacks):
        check_lens(model)


def by_fact(variants: Sequence[Sample]) -> Variants:
    """Disguises by the fact that their metadata name.

    Raises:
        DataError: a sample names none.
    """
    found: dict[str, list[Sample]] = {}
    for one in variants:
        if "fact" not in one.metadata:
            raise DataError(
                f"sample {one.id} is given as a variant but its metadata name no fact; add the subject it disguises"
            )
        found.setdefault(str(one.metadata["fact"]), []).append(one)
    return found


def strangers_to(samples: Sequence[Sample], unrelated: Sequence[Sample]) -> list[Sample]:
    """The unrelated samples that share neither subject nor entity with the attacked ones."""
    subjects = {sample.subject for sample in samples}
    entities = {sample.metadata["entity"] for sample in samples if "entity" in sample.metadata}
    return [one for one in unrelated if one.subject not in subjects and one.metadata.get("entity") not in entities]


def token_reader(model: Model) -> ReadToken:
    """What a token id says, without spaces around it; its name where it says nothing on its own, as half a character does."""
    tokenizer = model.prompter.tokenizer

    @cache
    def read(token: int) -> str:
        text = str(tokenizer.decode([token])).strip()
        return text if text and "\ufffd" not in text else str(tokenizer.convert_ids_to_tokens(token) or f"<{token}>")

    return read


@dataclass(frozen=True)
class _Views(Protocol):
    """Views of attacks as a protocol of `answer`."""

    decides: Mapping[str, Any] = field(default_factory=dict)

    def prepare(self, samples: Sequence[Sample], setting: Setting) -> Prepared:
        names = sorted({view.name for sample in samples[:1] for view in self.views(sample, setting)})
        return Prepared(lambda sample: self.views(sample, setting), decides={**self.decides, "views": names})


def protocols(attacks: Sequence[Attack], variants: Variants) -> list[Protocol]:
    """What `answer` has to ask for some attacks: one protocol for all lens attacks, one for each attack by prompts."""
    lens = [one for one in attacks if one.needs == "lens"]
    groups = {LENS: lens} if lens else {}
    groups |= {protocol_name(one): [one] for one in attacks if one.needs != "lens"}
    return [_protocol(name, group, variants) for name, group in groups.items()]


def protocol_name(attack: Attack) -> str:
    """Protocol of the records of an attack by prompts."""
    return attack.name if attack.graded is None else f"{attack.name}-{attack.graded}"


def _protocol(name: str, attacks: Sequence[Attack], variants: Variants) -> Protocol:
    def views(sample: Sample, setting: Setting) -> list[View]:
        own = variants.get(sample.subject, ())
        made = (view for one in attacks if one.applies(sample, own) for view in one.views(sample, setting, own))
        return list({(view.name, view.draw): view for view in made}.values())

    if name == LENS:
        return _Views(name, views)  # which layers and how many tokens are read is free afterwards
    options = [[one.name, asdict(one)] for one in attacks]
    return _Views(name, views, {"attacks": options, "variants": digest(list(_contents(variants)))})


def _contents(variants: Variants) -> Iterator[Collection[Any]]:
    """Everything of the disguises that shows in prompts."""
    for fact, ones in sorted(variants.items()):
        for one in ones:
            yield [fact, one.id, one.system, one.question, one.image_sha256, sorted(one.metadata.items())]
