"""Experiments: exact errors, the resolved form, cells and their ids, and nothing but UserErrors for any bytes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unsee.errors import ConfigError, DataError, UserError
from unsee.experiment import Experiment, parse_experiment, ratio_text, read_experiment
from unsee.method_plans import method_plan
from unsee.training_options import TrainOptions

EXAMPLES = Path(__file__).parent.parent / "examples"


def parsed(text: str) -> Experiment:
    return parse_experiment(tomllib.loads(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metod = 1", "unknown key 'metod'; did you mean 'method'?"),
        ("[unlearn]\nmethod = ['npo']", "unknown key 'unlearn.method'; did you mean 'methods'?"),
        ("model = 3", "model = 3 is a whole number, expected text"),
        ("seeds = ['a']", "seeds = 'a' is text, expected a whole number"),
        ("seeds = [true]", "seeds = True is true or false, expected a whole number"),
        ("[learn]\nepochs = 2.5", "learn.epochs = 2.5 is a number, expected a whole number"),
        ("[learn]\nepochs = -1", "epochs = -1 must not be negative"),
        ("[learn]\nlearn_modality = 'image'", "learn.learn_modality = 'image' is not valid; did you mean 'image_text'?"),
        ("[learn]\nreplay = 0.9", "learn.replay = 0.9 is a share of the data; give a number from 0 to 0.5"),
        ("[learn]\ngolds = 3", "learn.golds = 3 is not valid; use 1, or 2 for a noise floor"),
        ("[learn]\nseed = 4", "learn.seed = 4 has no effect in an experiment; set seeds = [4] instead"),
        ("[unlearn]\nmethods = ['npoo']", "unknown method 'npoo'; did you mean 'npo'?"),
        ("[unlearn]\nmethods = ['gold']", "unlearn.methods names 'gold', which is a control"),
        ("[unlearn]\nmethods = ['npo', 'npo']", "unlearn.methods = ['npo', 'npo'] names one thing twice"),
        ("[unlearn]\nforget_ratios = [0.0]", "unlearn.forget_ratios holds 0; a ratio lies between 0 and 1"),
        ("[unlearn]\nforget_ratios = [1.5]", "unlearn.forget_ratios holds 1.5; a ratio lies between 0 and 1"),
        ("[unlearn]\nforget_ratios = [nan]", "unlearn.forget_ratios holds nan; a ratio lies between 0 and 1"),
        ("[unlearn]\nforget_ratios = []", "unlearn.forget_ratios is empty; name at least one"),
        ("[unlearn]\nmodalities = ['img']", "unlearn.modalities = 'img' is not valid; did you mean 'image_text'?"),
        ("[unlearn]\nlora = 0", "unlearn.lora = 0 is too small; it must be at least 1"),
        (
            'quantize = "4bit"\n[unlearn]\nlora = "none"',
            "quantize = 4bit needs weights that stay as they are",
        ),
        ('quantize = "4bit"\n[states]\nbits = [8]', "states.bits changes weights, which quantize = 4bit forbids"),
        ('quantize = "4bit"\n[attack]\nattacks = ["finetune_lens"]', "attack finetune_lens trains models on that carry"),
        ("unlearn = 3", "unlearn = 3 is a whole number, expected a table"),
        ("[method]\nnpo = 3", "method.npo = 3 is a whole number, expected a table"),
        ("[method.npo]\nbeta = 'x'", "npo.beta = 'x'"),
        ("[method.npo]\nbeat = 1", "unknown key 'method.npo.beat'; did you mean 'beta'?"),
        ("[method.npo]\nseed = 1", "method.npo.seed cannot be set for one method; use seeds"),
        ("[method.nop]\nbeta = 1", "unknown method 'nop'; did you mean 'npo'?"),
        ("[method.npo_official]\nbeta = 1", "method.npo_official is set, but npo_official is not among unlearn.methods"),
        ("[attack]\nattacks = ['lens']", "there is no attack 'lens'; did you mean 'finetune_lens'?"),
        ("[answer]\nprotocols = ['strickt']", "'strickt'"),
        ("[answer]\nbatch_size = 0", "answer.batch_size = 0 is too small; it must be at least 1"),
        ("name = '../x'", "name = '../x' cannot name a folder"),
        ("seeds = [-1]", "seeds holds -1; a seed must lie between 0 and 999"),
    ],
)
def test_mistakes_are_named_exactly(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_syntax_errors_name_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text('name = "x"\nseeds = [0\nmodel = "tiny"\n')
    with pytest.raises(DataError, match=r"broken\.toml is no valid TOML: .*line 3"):
        read_experiment(file)
    file.write_bytes(b'name = "x"\nmodel = "\xff"\n')
    with pytest.raises(DataError, match=r"broken\.toml, line 2: not UTF-8"):
        read_experiment(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_experiment(tmp_path / "absent.toml")


def test_resolved_form_repeats_the_experiment() -> None:
    first = parsed(
        "seeds = [1, 2]\n[unlearn]\nmethods = ['npo', 'ga_official']\nlora = 'none'\n[method.npo]\nbeta = 0.3\ntarget = 0.2"
    )
    again = parsed(first.to_toml())
    assert again.hash == first.hash
    assert again.to_toml() == first.to_toml()
    assert [cell.id for cell in again.cells] == [cell.id for cell in first.cells]
    assert again.plan("npo") == first.plan("npo")
    assert first.tree["method"]["npo"]["beta"] == 0.3
    assert first.unlearn.lora is None


def test_hash_ignores_what_decides_nothing() -> None:
    base = Experiment()
    assert parsed("name = 'other'").hash == base.hash
    assert parsed("[answer]\nbatch_size = 3").hash == base.hash
    assert parsed("[method.npo]\nbeta = 0.2").hash != base.hash
    assert parsed("[learn]\nepochs = 3").hash != base.hash


def test_cells_cover_ratios_methods_modalities_and_seeds() -> None:
    experiment = parsed("seeds = [0, 1]\n[unlearn]\nmethods = ['npo', 'npo_official', 'ga']\nforget_ratios = [0.05, 0.125]")
    ids = [cell.id for cell in experiment.cells]
    assert len(set(ids)) == len(ids) == 2 * 2 * (1 + 2 + 2 + 3 * 3)
    assert all(re.fullmatch(r"\w+-(05|12\.5)-(none|image_text|text|mixed)-s\d+-[0-9a-f]{8}", one) for one in ids)
    assert {cell.seed for cell in experiment.cells if cell.method == "gold" and cell.draw == 1} == {1, 1001}
    assert sum(cell.is_noise_gold for cell in experiment.cells) == 4
    assert {cell.variant for cell in experiment.cells if cell.method == "npo"} == {"corrected", "official"}
    one_gold = parsed("[learn]\ngolds = 1")
    assert not any(cell.is_noise_gold for cell in one_gold.cells)


def test_an_id_changes_with_its_own_settings_only() -> None:
    def ids(text: str) -> dict[tuple[str, float, str], str]:
        return {(cell.method, cell.ratio, cell.modality): cell.id for cell in parsed(text).cells if not cell.is_noise_gold}

    before, after = ids(""), ids("[method.npo]\nbeta = 0.2")
    assert {key[0] for key in before if before[key] != after[key]} == {"npo"}
    assert before == ids("[unlearn]\nforget_ratios = [0.05, 0.1, 0.15]\nmodalities = ['mixed', 'text', 'image_text']")


def test_ratio_text() -> None:
    assert [ratio_text(ratio) for ratio in (0.05, 0.1, 0.15, 0.125, 0.005)] == ["05", "10", "15", "12.5", "0.5"]


def test_overrides_win_and_reach_methods() -> None:
    experiment = read_experiment(
        EXAMPLES / "people.toml",
        tables={"seeds": [7], "unlearn": {"methods": ["npo"]}},
        overrides=("npo.beta=0.4", "learn.epochs=3", "npo.learning-rate=1e-3", "model=some/folder"),
    )
    assert experiment.seeds == (7,)
    assert experiment.unlearn.methods == ("npo",)
    assert experiment.model == "some/folder"
    assert experiment.learn.epochs == 3
    plan = experiment.plan("npo")
    assert plan.settings()["beta"] == 0.4
    assert plan.options.learning_rate == 1e-3
    with pytest.raises(ConfigError, match="has no key or no value"):
        read_experiment(overrides=("npo.beta",))
    with pytest.raises(ConfigError, match="unknown key 'npx'"):
        read_experiment(overrides=("npx.beta=1",))
    with pytest.raises(ConfigError, match=r"model\.x cannot be set: model is no table"):
        read_experiment(tables={"model": "tiny"}, overrides=("model.x=1",))


def test_published_variants_use_published_settings() -> None:
    assert method_plan("npo_official", {}, model="tiny").options.learning_rate == 2e-5
    assert method_plan("npo", {"variant": "official"}, model="tiny").method.variant == "official"
    assert method_plan("npo", {}, model="tiny").options.learning_rate != 2e-5
    for name in ("ga", "graddiff", "kl", "npo"):
        made = method_plan(f"{name}_official", {}, model="tiny")
        schedule = "constant" if name == "graddiff" else "linear"
        assert made.options == TrainOptions(weight_decay=0.0, max_grad_norm=None, schedule=schedule)
        assert made.options == TrainOptions(**made.method.training)  # as `unlearn` takes them without options
        given = method_plan(f"{name}_official", {"max_grad_norm": 0.5}, model="tiny").options
        assert (given.max_grad_norm, given.weight_decay) == (0.5, 0.0)
        assert method_plan(name, {}, model="tiny").options.max_grad_norm == TrainOptions.max_grad_norm


def test_a_model_trained_like_an_embedded_one_takes_its_tuned_settings(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "recipe.json").write_text('{"name": "tiny", "version": "tiny-2-people-s1"}')
    models = ("tiny", str(folder), "tiny-patients")  # the last falls back on the first until it has settings of its own
    rates = [parse_experiment({"model": model}).plan("npo").options.learning_rate for model in models]
    assert rates[0] == rates[1] == rates[2]
    (folder / "recipe.json").unlink()
    assert parse_experiment({"model": str(folder)}).plan("npo").options.learning_rate != rates[0]


def test_attacks_take_the_options_tuned_for_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def tables(options: dict[str, Any], model: str = "tiny") -> Experiment:
        attack = {"attacks": ["finetune_lens", "lens_prob_delta"], "options": options}
        return parse_experiment({"model": model, "benchmark": {"name": "creatures"}, "attack": attack})

    plain = tables({})
    untuned = plain.hash
    tuned = {("tiny", "finetune_lens"): {"learning_rate": 1e-3, "examples": 4}}
    monkeypatch.setattr("unsee.experiment.tuned", lambda model, name: tuned.get((model, name), {}))
    found = tables({})
    assert (found.attacks[0].learning_rate, found.attacks[0].examples) == (1e-3, 4)
    assert found.attacks[1] == plain.attacks[1]
    assert tables({}, model="micro").attacks == plain.attacks
    own = tables({"finetune_lens": {"examples": 2}})
    assert (own.attacks[0].learning_rate, own.attacks[0].examples) == (1e-3, 2)
    assert found.hash != untuned
    # The resolved file repeats the run whatever is tuned later.
    text = found.to_toml()
    monkeypatch.undo()
    assert parsed(text).attacks == found.attacks
    assert parsed(text).hash == found.hash


def test_cells_keep_the_ids_they_had_with_rows_of_192_tokens() -> None:
    usual, before, other = (
        read_experiment(tables={"learn": rows, "method": {"npo": rows}})
        for rows in ({}, {"max_row_tokens": 192}, {"questions_per_picture": 4})
    )
    assert usual.hash == before.hash != other.hash
    assert [cell.id for cell in usual.cells] == [cell.id for cell in before.cells]
    assert usual.tree["learn"]["max_row_tokens"] == "none", "what is written down is what was asked for"


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.toml")), ids=lambda file: file.name)
def test_examples_are_valid(file: Path) -> None:
    experiment = read_experiment(file)
    assert parsed(experiment.to_toml()).hash == experiment.hash


def attempt(make: Any) -> None:
    """Whatever goes in, an experiment or one line comes out."""
    try:
        experiment = make()
    except UserError as error:
        assert str(error)
        assert "\n" not in str(error)
    else:
        assert parsed(experiment.to_toml()).hash == experiment.hash


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "any.toml"
    file.write_bytes(data)
    attempt(lambda: read_experiment(file))


KEYS = st.sampled_from(
    "name seeds model benchmark learn unlearn method answer attack subjects epochs methods forget_ratios modalities lora npo "
    "beta variant target betas protocols replay golds path names wording controls other".split()
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["npo", "ga", "none", "mixed", "strict"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_tables(tree: dict[str, Any]) -> None:
    attempt(lambda: parse_experiment(tree))
