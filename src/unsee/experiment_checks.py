"""What in an experiment cannot work, found before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unsee.answering import load_protocol
from unsee.attacks import Attack, attack_name
from unsee.errors import ConfigError, nearest
from unsee.experiment_tables import NOISE_SEED_STEP
from unsee.method_plans import CONTROLS, split_variant
from unsee.methods import method_names
from unsee.settings import show

if TYPE_CHECKING:
    from unsee.experiment import Experiment


def check(experiment: Experiment) -> None:
    """Refuse what cannot work before anything is loaded.

    Raises:
        ConfigError: the key, the value and what would be right.
    """
    unlearn, learn, answer, states = experiment.unlearn, experiment.learn, experiment.answer, experiment.states
    for ratio in unlearn.forget_ratios:
        if not 0 < ratio <= 1:
            raise ConfigError(f"unlearn.forget_ratios holds {ratio:g}; a ratio lies between 0 and 1, for example 0.05 for 5 %")
    for key, values in (
        ("seeds", experiment.seeds),
        ("unlearn.forget_ratios", unlearn.forget_ratios),
        ("unlearn.modalities", unlearn.modalities),
        ("unlearn.methods", unlearn.methods),
        ("unlearn.controls", unlearn.controls),
        ("unlearn.modules", unlearn.modules),
        ("answer.protocols", answer.protocols),
        ("states.bits", states.bits),
        ("states.sets", states.sets),
        ("attack.attacks", experiment.attack.attacks),
        ("attack.budgets", experiment.attack.budgets),
        ("unlearn.sequence", unlearn.sequence),
        ("unlearn.scenarios", unlearn.scenarios),
    ):
        may_be_empty = ("unlearn.controls", "unlearn.methods", "unlearn.sequence", "unlearn.scenarios", "states.", "attack.")
        if not values and not key.startswith(may_be_empty):
            raise ConfigError(f"{key} is empty; name at least one")
        if len(set(values)) != len(values):
            raise ConfigError(f"{key} = {show(list(values))} names one thing twice; remove the second")
    for key, number, least in (
        ("benchmark.subjects", experiment.benchmark.subjects, 2),
        ("benchmark.facts", experiment.benchmark.facts, 1),
        ("benchmark.celebrities", experiment.benchmark.celebrities, 0),
        ("benchmark.general", experiment.benchmark.general, 0),
        ("unlearn.lora", unlearn.lora, 1),
        ("unlearn.side_by_side", unlearn.side_by_side, 1),
        ("states.path", states.path, 0),
        ("states.relearn_epochs", states.relearn_epochs, 1),
        ("states.relearn_batch_size", states.relearn_batch_size, 1),
        ("answer.batch_size", answer.batch_size, 1),
        ("answer.retain_subjects", answer.retain_subjects, 1),
    ):
        if number is not None and number < least:
            raise ConfigError(f"{key} = {number} is too small; it must be at least {least}")
    if experiment.quantize is not None:
        if unlearn.lora is None:
            raise ConfigError(f"quantize = {experiment.quantize} needs weights that stay as they are; give unlearn.lora a rank")
        if states.relearn or states.bits:
            moved = "states.relearn" if states.relearn else "states.bits"
            raise ConfigError(f"{moved} changes weights, which quantize = {experiment.quantize} forbids; leave one out")
        named = zip(experiment.attack.attacks, experiment.attacks, strict=True)
        training = [f"attack {entry}" for entry, one in named if type(one).prepare is not Attack.prepare]
        training += ["unlearn.sequence"] if unlearn.sequence else []
        if training:
            raise ConfigError(
                f"{training[0]} trains models on that carry an adapter, and quantize = {experiment.quantize} forbids to merge "
                "it; leave one out"
            )
    for width in states.bits:
        if not 2 <= width <= 16:
            raise ConfigError(f"states.bits holds {width}; weights are rounded to 2 to 16 bits, for example 8 and 4")
    if not 0 <= states.relearn < 1:
        raise ConfigError(
            f"states.relearn = {states.relearn:g} is a share of the forget facts; give a number from 0 to below 1"
        )
    for seed in experiment.seeds:
        if not 0 <= seed < NOISE_SEED_STEP:
            raise ConfigError(f"seeds holds {seed}; a seed must lie between 0 and {NOISE_SEED_STEP - 1}")
    if learn.gold_model is not None and learn.epochs:
        raise ConfigError(
            f"learn.gold_model = {show(learn.gold_model)} is for facts that a model knows already; with learn.epochs = "
            f"{learn.epochs} gold is taught like vanilla, so set learn.epochs = 0 or leave gold_model out"
        )
    if learn.golds not in (1, 2):
        raise ConfigError(f"learn.golds = {learn.golds} is not valid; use 1, or 2 for a noise floor")
    if not experiment.name.strip() or set(experiment.name) & set("/\\\0\n") or experiment.name.strip(".") == "":
        raise ConfigError(f"name = {show(experiment.name)} cannot name a folder; use letters, digits and dashes")
    if learn.seed != 0:
        raise ConfigError(f"learn.seed = {learn.seed} has no effect in an experiment; set seeds = [{learn.seed}] instead")
    for protocol in answer.protocols:
        load_protocol(protocol)
    _check_attack(experiment)
    for name in unlearn.methods:
        if name in CONTROLS:
            raise ConfigError(f"unlearn.methods names {name!r}, which is a control; controls need not be named")
    choices = [name for name in method_names() if name not in CONTROLS]
    for name in (*unlearn.methods, *experiment.method):
        base = split_variant(name)[0]
        if base not in method_names():
            raise ConfigError(f"unknown method {show(name)}; {nearest(base, choices)}")
    used = (*unlearn.methods, *unlearn.controls)
    for name in experiment.method:
        if name not in used:
            raise ConfigError(f"method.{name} is set, but {name} is not among unlearn.methods; add it there")
    for name in used:
        probed = experiment.plan(name).stop.probed
        if probed and unlearn.deletes_facts:
            key, value = next(iter(probed.items()))
            raise ConfigError(
                f"method.{name}.{key} = {value} looks at probe questions, which single facts have none of; "
                f"set method.{name}.loss_below or steps instead"
            )


def _check_attack(experiment: Experiment) -> None:
    """The part of `check` about attacks and single facts."""
    table = experiment.attack
    made = experiment.attacks
    for budget in table.budgets:
        if budget < 1:
            raise ConfigError(f"attack.budgets holds {budget}; an attacker tries at least 1 candidate")
    named = {attack_name(entry) for entry in table.attacks} | set(table.attacks)
    for name in table.options:
        if name not in named:
            raise ConfigError(f"attack.options.{name} is set, but {name} is not among attack.attacks; add it there")
    for entry, one in zip(table.attacks, made, strict=True):
        twin = next((e for e, other in zip(table.attacks, made) if e != entry and one.shares_rows(other)), None)
        if twin is not None:
            raise ConfigError(
                f"attack.attacks names {show(entry)} and {show(twin)}, whose results could not be told apart; keep one"
            )
    if table.never_learned and not table.attacks:
        raise ConfigError("attack.never_learned has nothing to do without attacks; name some in attack.attacks")
    sequence = experiment.unlearn.sequence
    if sequence and (min(sequence) < 2 or experiment.unlearn.requests != "single_fact"):
        raise ConfigError(
            f"unlearn.sequence = {list(sequence)} counts single facts (unlearn.requests = single_fact) that are deleted from "
            "one model; give numbers of at least 2"
        )
    if experiment.unlearn.deletes_facts and experiment.states.asked:
        raise ConfigError("[states] cannot be asked where single facts are forgotten; leave its settings out")
