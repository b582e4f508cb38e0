"""Methods by name, their options, what they change about samples, and methods from other packages."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from unsee.errors import ConfigError, DataError
from unsee.methods import BUILT_IN, acts_while_answering, described, from_description, load_method, method_names
from unsee.methods.idk import REFUSALS
from unsee.models.questions import letter_question


def test_identifiers():
    first = ("ga", "graddiff", "kl", "npo", "idk", "llmu", "correction", "finetune", "do_nothing", "prompt_guard")
    assert method_names()[:10] == first
    defences = {"fact_erasure", "empty_response", "error_injection", "head_projection", "max_entropy", "input_rephrasing"}
    assert set(method_names()[10:]) == defences
    official = {made.name for made in BUILT_IN if made.variant == "official"}
    assert official == {"ga", "graddiff", "kl", "npo"} | defences - {"fact_erasure"}
    assert load_method("do-nothing") == load_method("do_nothing")
    assert load_method("npo").beta == 0.1
    assert load_method("npo", "official").beta == 0.4


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("npoo", {}, "did you mean 'npo'"),
        ("npo", {"variant": "offical"}, "did you mean 'official'"),
        ("npo", {"betta": 0.1}, "did you mean 'beta'"),
        ("npo", {"beta": "high"}, r"npo\.beta = 'high' is text, expected a number"),
        ("npo", {"beta": True}, "expected a number"),
        ("npo", {"beta": 0}, "must be above 0"),
        ("ga", {"beta": 0.1}, "takes no options"),
        ("idk", {"refusals": []}, "at least one"),
        ("llmu", {"mismatches": 0}, "mismatches = 0 must be at least 1"),
        ("prompt_guard", {"wording": " "}, "wording is empty"),
    ],
)
def test_wrong_names_and_options_say_what_to_change(name, options, message):
    with pytest.raises(ConfigError, match=message):
        load_method(name, **options)


def test_base_class_is_short():
    import unsee.methods.base

    assert len(Path(unsee.methods.base.__file__).read_text().splitlines()) < 80


@pytest.mark.parametrize("made", BUILT_IN, ids=lambda made: f"{made.name}-{made.variant}")
def test_every_method_documents_itself(made):
    """One source of defaults: the dataclass (defect M5); every option has a default and an explanation."""
    source = "".join(Path(sys.modules[parent.__module__].__file__).read_text() for parent in made.__mro__[:-1])
    assert made.__doc__ and len(made.__doc__.split()) > 5
    for field in fields(made):
        assert re.search(rf'    {field.name}: .*\n    """', source), f"{field.name} has no explanation"
    assert made() == load_method(made.name, made.variant)


def test_importing_methods_does_not_import_torch():
    import subprocess

    code = "import sys, unsee.methods, unsee.unlearning, unsee.training, unsee.stopping; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_official_variants_follow_the_published_schedule():
    forget, retain = [1, 2], [7, 8, 9]
    joint = list(load_method("graddiff").schedule(forget, retain))
    assert joint == [(1, 7), (2, 8)]
    for name in ("graddiff", "kl"):
        sequential = list(load_method(name, "official").schedule(forget, retain))
        assert sequential == [(1, None), (2, None), (None, 7), (None, 8), (None, 9)]
    assert list(load_method("ga").schedule(forget, retain)) == [(1, None), (2, None)]
    assert list(load_method("graddiff").schedule([1, 2, 3], [7])) == [(1, 7), (2, 7), (3, 7)]
    by_name = {(made.name, made.variant): made.loss_mask for made in BUILT_IN}
    for name in ("ga", "graddiff", "kl", "npo"):
        assert (by_name[name, "corrected"], by_name[name, "official"]) == (None, "all")


def test_idk_answers_with_refusals_fixed_by_the_id(samples):
    method = load_method("idk")
    refused = method.transform(samples)
    assert [s.id for s in refused] == [s.id for s in samples]
    assert {s.answer for s in refused} <= set(REFUSALS)
    assert len({s.answer for s in refused}) > 3
    assert [s.answer for s in method.transform(samples[::-1])] == [s.answer for s in refused[::-1]]
    assert all(s.images == old.images and not s.options for s, old in zip(refused, samples, strict=True))


def test_idk_keeps_the_form_of_the_question(samples):
    sample = next(s for s in samples if s.options)
    lettered = replace(sample, metadata={**sample.metadata, "form": "letter"})
    assert load_method("idk").transform([lettered])[0].question == letter_question(lettered)


def named(samples):
    return [replace(s, metadata={**s.metadata, "name": f"Person {s.subject}"}) for s in samples]


def test_prompt_guard_names_the_forget_subjects_while_answering(model, samples):
    guard = load_method("prompt_guard", wording="Say nothing of {names}!")
    assert guard.apply(model, named(samples[:10]), [])
    assert model.system == ""
    with model.answering():
        assert model.system == "Say nothing of Person p0, Person p1!"
    assert model.system == ""
    with guard.answering(model):
        assert "Person p1" in model.system


def test_a_generic_prompt_guard_needs_no_names(model, samples):
    guard = load_method("prompt_guard", wording="Do not tell anything private.")
    assert guard.apply(model, samples[:1], [])
    with model.answering():
        assert model.system == "Do not tell anything private."
    assert from_description(described(model.method)) == guard


def test_prompt_guard_is_rebuilt_from_its_description(model, samples):
    load_method("prompt_guard").apply(model, named(samples[:5]), [])
    assert model.method is not None
    again = from_description(json.loads(json.dumps(described(model.method))))
    assert again == model.method
    assert acts_while_answering(again)
    assert not acts_while_answering(load_method("npo"))
    model.method = again
    with model.answering():
        assert "Person p0" in model.system


def test_prompt_guard_needs_names(model, samples):
    with pytest.raises(DataError, match="no metadata 'name'"):
        load_method("prompt_guard").apply(model, samples[:1], [])
    with pytest.raises(ConfigError, match="knows no names"):
        load_method("prompt_guard").answering(model)
