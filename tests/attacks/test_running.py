"""`attack` from Python and from the command line: rows, records that are asked once, batches, stores and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import unsee
from run_fixtures import assert_one_line
from toy import learn_by_heart
from unsee.answering.engine import Engine
from unsee.attacks import Attack, attack_all, attack_names, attack_rows, load_attack
from unsee.attacks.finetune_lens import FinetuneLens
from unsee.attacks.running import by_fact, token_reader
from unsee.cli import main
from unsee.errors import ConfigError, DataError
from unsee.models.loading import load_model
from unsee.models.model import Model
from unsee.sample import Sample
from unsee.schemas import ATTACKS, RECORDS
from unsee.training_options import TrainOptions

KNOWN: dict[str, Any] = {}


@pytest.fixture
def facts(samples: list[Sample]) -> list[Sample]:
    """Questions with and without pictures, of six people."""
    return [replace(s, set="forget") for s in samples if s.task == "generation"][:12]


@pytest.fixture
def variants(facts: list[Sample]) -> list[Sample]:
    """Disguises of every person's facts; both facts of a person share them, as the toy people have one subject each."""
    return [
        replace(
            s,
            id=f"{s.id}/{axis}/{level}/{number}",
            set="test",
            question=f"Well {number}. {s.question}",
            metadata={"fact": s.subject, "axis": axis, "level": level},
        )
        for s in facts
        for axis in ("question", "image", "both")
        for level in ("easy", "hard")
        for number in range(2)
    ]


@pytest.fixture
def knowing(model: Model, samples: list[Sample]) -> Model:
    """A model that knows some answers."""
    if not KNOWN:
        items = [model.prompter.encode(s.question, s.answer, images=s.images) for s in samples]
        learn_by_heart(model, items, steps=40)
        KNOWN.update(model.network.state_dict())
    model.network.load_state_dict(KNOWN)
    return model


def test_one_row_per_sample(knowing: Model, facts: list[Sample]) -> None:
    table = unsee.attack(knowing, facts, cell="c", edit_id="e")
    assert table.schema == ATTACKS
    assert table["sample_id"].to_list() == [s.id for s in facts]
    assert set(table["attack"]) == {"lens_head_projection"} and set(table["cell"]) == {"c"} and set(table["edit_id"]) == {"e"}
    assert set(table["candidates"].list.len()) == {50}
    assert all(len(set(texts)) == 50 for texts in table["candidates"])
    assert set(table["layers"]) == {5} and table["samples"].null_count() == len(facts)
    assert table["hit_position"].null_count() < len(facts), "a model that knows answers shows some"
    for row, sample in zip(table.iter_rows(named=True), facts, strict=True):
        if row["hit_position"] is not None:
            assert sample.answer.startswith(row["candidates"][row["hit_position"] - 1])
    assert unsee.attack(knowing, []).schema == ATTACKS


def test_all_attacks_at_once(knowing: Model, facts: list[Sample], variants: list[Sample], samples: list[Sample]) -> None:
    """One call gives what separate calls give, and what the lens attacks read is asked once."""
    options: dict[str, Any] = {"variants": variants, "unrelated": samples, "budget": 20}
    found = attack_all(knowing, facts[:3], attacks=attack_names(), **options)
    assert found.attacks["attack"].to_list() == list(attack_names()) * 3
    plain, tuned = (found.records[key] for key in sorted(found.records))
    assert plain.schema == tuned.schema == RECORDS
    assert plain.filter(pl.col("protocol") == "lens").height == tuned.height == 3
    assert plain.height == 3 * (1 + 3 * 20)
    for name in ("lens_prob_delta2", "rephrase_multimodal", "finetune_lens"):
        alone = unsee.attack(knowing, facts[:3], attack=name, **options)
        assert_frame_equal(found.attacks.filter(pl.col("attack") == name), alone)
    rephrased = found.attacks.filter(pl.col("attack").str.starts_with("rephrase"))
    assert set(rephrased["level"]) == {"hard"} and set(rephrased["tokens"]) == {36}
    assert (rephrased["prompts"] * rephrased["samples"] == 20).all()
    assert (found.attacks["candidates"].list.len() <= 20).all()


@pytest.mark.parametrize("batch_size", [4, 16])
def test_the_batch_size_changes_nothing(knowing: Model, facts: list[Sample], variants: list[Sample], batch_size: int) -> None:
    names = ["lens_head_projection", "lens_prob_delta", "rephrase_question"]
    one, other = (
        attack_all(knowing, facts[:6], attacks=names, variants=variants, batch_size=size, budget=10).attacks
        for size in (1, batch_size)
    )
    assert_frame_equal(other.drop("candidates"), one.drop("candidates"))
    asked = pl.col("attack") == "rephrase_question"
    assert_frame_equal(other.filter(asked), one.filter(asked))


def test_stored_records_answer_for_any_budget_and_layers(knowing: Model, facts: list[Sample]) -> None:
    facts = facts[:4]
    records = attack_all(knowing, facts, attacks=["lens_prob_delta"]).records[""]
    read = token_reader(knowing)
    for budget in (1, 5, 10, 20, 50):
        stored = attack_rows(records, facts, load_attack("lens_prob_delta"), variants={}, budget=budget, read=read)
        assert set(stored["candidates"].list.len()) == {budget}
    for name, options in (("lens_prob_delta", {"layers": [2, 3]}), ("lens_prob_delta2", {"k": 2, "fill": False})):
        chosen = load_attack(name, **options)
        stored = attack_rows(records, facts, chosen, variants={}, budget=20, read=read)
        assert_frame_equal(stored, unsee.attack(knowing, facts, attack=chosen, budget=20))


def test_a_smaller_budget_is_the_beginning_of_a_larger_one(knowing: Model, facts: list[Sample]) -> None:
    whole = unsee.attack(knowing, facts, budget=50)
    cut = unsee.attack(knowing, facts, budget=7)
    assert cut["candidates"].to_list() == [texts[:7] for texts in whole["candidates"].to_list()]
    expected = [place if place is not None and place <= 7 else None for place in whole["hit_position"]]
    assert cut["hit_position"].to_list() == expected


def test_an_interrupted_call_goes_on(
    knowing: Model, facts: list[Sample], variants: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(**changes: Any) -> pl.DataFrame:
        options: dict[str, Any] = {"attack": "rephrase_image", "variants": variants, "store": tmp_path, **changes}
        return unsee.attack(knowing, facts[:2], **options)

    first = ask()
    completed: list[int] = []
    plain = Engine._complete
    monkeypatch.setattr(Engine, "_complete", lambda self, jobs, n: completed.append(len(jobs)) or plain(self, jobs, n))
    assert_frame_equal(ask(), first)
    assert not completed
    ask(attack=load_attack("rephrase_image", temperature=1.0))
    assert sum(completed) == 40
    ask(variants=[replace(one, question=f"{one.question} Please.") for one in variants])
    assert sum(completed) == 80


def test_finetuning_trains_a_copy_on_strangers(
    knowing: Model, facts: list[Sample], samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {name: weight.clone() for name, weight in knowing.network.state_dict().items()}
    seen: list[str] = []
    plain = FinetuneLens.prepare

    def prepare(self: FinetuneLens, model: Model, unrelated: Any, *, seed: int = 0) -> Model:
        seen.extend(one.subject for one in unrelated[: self.examples])
        return plain(self, model, unrelated, seed=seed)

    monkeypatch.setattr(FinetuneLens, "prepare", prepare)
    strong = FinetuneLens(learning_rate=1e-2, epochs=3, examples=4, rank=None)
    found = attack_all(knowing, facts[:2], attacks=[strong, "lens_head_projection"], unrelated=samples)
    assert seen == ["p1"] * 4
    assert all(torch.equal(weight, weights[name]) for name, weight in knowing.network.state_dict().items())
    tuned, untuned = found.attacks.filter(pl.col("sample_id") == facts[0].id)["candidates"].to_list()
    assert tuned != untuned
    asleep = FinetuneLens(epochs=0)
    still = attack_all(knowing, facts[:2], attacks=[asleep, "lens_head_projection"], unrelated=samples).attacks
    assert still["candidates"][0].to_list() == still["candidates"][1].to_list()


def test_the_seed_is_also_that_of_the_tuning(knowing: Model, facts: list[Sample], samples: list[Sample]) -> None:
    def scores(seed: int) -> list[Any]:
        tuning = FinetuneLens(learning_rate=1e-2, epochs=2, examples=4)
        (records,) = attack_all(knowing, facts[:1], attacks=[tuning], unrelated=samples, seed=seed).records.values()
        return records["layer_scores"].to_list()

    assert scores(0) == scores(0) != scores(1)


def test_fewer_unrelated_samples_than_asked_for_are_told(knowing: Model, facts: list[Sample], samples: list[Sample]) -> None:
    strangers = [one for one in samples if one.subject not in {fact.subject for fact in facts[:2]}][:3]
    with pytest.warns(UserWarning, match="trains on 3 unrelated samples, as there are no 4"):
        FinetuneLens(epochs=0, examples=4).prepare(knowing, strangers)


def test_a_corrected_fact_is_looked_for_anew(knowing: Model, facts: list[Sample], tmp_path: Path) -> None:
    """Lens views force the bare fact, which may change while the answer around it stays."""
    for value in ("Oslo", "Riga"):
        fact = replace(facts[0], answer="They live in Oslo or Riga.", metadata={"value": value})
        found = attack_all(knowing, [fact], attacks=["lens_head_projection"], store=tmp_path)
        assert knowing.processor.tokenizer.decode(found.records[""]["answer_ids"][0]).strip() == value


@pytest.mark.parametrize(
    "change", [{"examples": 3}, {"learning_rate": 1e-1}, {"epochs": 4}, {"rank": None}], ids=lambda change: next(iter(change))
)
def test_every_option_of_the_tuning_changes_records(
    knowing: Model, facts: list[Sample], samples: list[Sample], change: dict[str, Any]
) -> None:
    """E5: an option must do something; those of the lens it reads with: test_lens_attacks.py."""

    def seen(**options: Any) -> list[Any]:
        attack = FinetuneLens(**{"learning_rate": 3e-2, "epochs": 2, "rank": 4, **options})
        (records,) = attack_all(knowing, facts[:1], attacks=[attack], unrelated=samples).records.values()
        return records["layer_scores"].to_list()

    assert seen() != seen(**change)


def test_attacks_after_error_injection_look_for_the_true_answer(knowing: Model, facts: list[Sample]) -> None:
    """E11: published code looks for the injected answer, which is then found at once."""
    fact = facts[1]
    wrong = next(one.answer for one in facts if one.answer[0] != fact.answer[0])
    fact = replace(fact, wrong_answers=(wrong,))
    options = TrainOptions(learning_rate=0.1, epochs=30, schedule="constant")
    edited = unsee.unlearn(knowing, forget=[fact], method="error_injection", options=options, scope=None)
    for name in ("lens_head_projection", "lens_prob_delta"):
        made = attack_all(edited, [fact], attacks=[name])
        row, records = made.attacks.row(0, named=True), made.records[""]
        assert records["answer_ids"].to_list() == [list(edited.prompter.answer_ids(fact.answer, end=False))]
        place = row["hit_position"]
        assert place is None or fact.answer.startswith(row["candidates"][place - 1])
        assert place != 1
    assert wrong.startswith(unsee.attack(edited, [fact])["candidates"].item().to_list()[0]), "it was injected"


def test_a_facts_own_entity_is_no_stranger(knowing: Model, facts: list[Sample]) -> None:
    asked = replace(facts[0], metadata={"entity": "ann"})
    with pytest.raises(ConfigError, match="needs samples that have nothing to do with the attacked facts"):
        unsee.attack(knowing, [asked], attack="finetune_lens", unrelated=[replace(facts[-1], metadata={"entity": "ann"})])


def _explode(*_: Any, **__: Any) -> None:
    raise AssertionError("the model must not run")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"budget": 4097}, ConfigError, "budget 4097 is above the 4096 tokens of random's vocabulary"),
        ({"budget": 0}, ConfigError, "budget is 0"),
        ({"attack": "lens_prob_delta", "budget": 60}, ConfigError, "budget 60 is above 50"),
        ({"attack": load_attack("lens_head_projection", layers=[40])}, ConfigError, "layer 40 does not exist"),
        ({"attack": "rephrase_image"}, DataError, "sample p0/2: attack rephrase_image needs disguises"),
        ({"attack": "finetune_lens"}, ConfigError, "needs samples that have nothing to do"),
        ({"attack": "rephrase_imag"}, ConfigError, "did you mean 'rephrase_image'"),
    ],
)
def test_mistakes_cost_no_model_time(
    model: Model,
    facts: list[Sample],
    options: dict[str, Any],
    error: type[Exception],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(type(model.network), "forward", _explode)
    with pytest.raises(error, match=says):
        unsee.attack(model, facts, **options)


def test_a_model_without_hidden_states(model: Model, facts: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    model.base.config.get_text_config().num_hidden_layers = 12
    monkeypatch.setattr(FinetuneLens, "prepare", _explode)
    for name in ("lens_head_projection", "finetune_lens"):
        with pytest.raises(ConfigError, match=r"random cannot be read layer by layer .* such as rephrase_question"):
            unsee.attack(model, facts[:2], attack=name, unrelated=facts[-2:])


def test_an_answer_in_its_own_question_proves_nothing(model: Model, facts: list[Sample]) -> None:
    given = replace(facts[1], question=f"Is it {facts[1].answer.upper()}?")
    with pytest.raises(DataError, match=f"sample {given.id}: the answer '{given.answer}' stands in its own question"):
        unsee.attack(model, [facts[0], given])
    with pytest.raises(DataError, match="the answer is empty"):
        unsee.attack(model, [replace(facts[0], metadata={"value": " "})])


def test_a_variant_must_name_its_fact(facts: list[Sample]) -> None:
    with pytest.raises(DataError, match="given as a variant but its metadata name no fact"):
        by_fact([facts[0]])


def test_an_attack_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Attack):
        """Nothing."""

        name = "mine"

    class Entry:
        name, value, dist = "mine", "package:Mine", None

        def load(self) -> Any:
            return self.made

        def __init__(self, made: Any) -> None:
            self.made = made

    def found(made: Any) -> Callable[[str], list[Entry]]:
        return lambda group: [Entry(made)]

    monkeypatch.setattr("unsee.attacks.entries", found(Mine))
    assert isinstance(load_attack("mine"), Mine) and attack_names()[-1] == "mine"
    monkeypatch.setattr("unsee.attacks.entries", found(int))
    with pytest.raises(ConfigError, match=r"not a subclass of unsee.attacks.Attack"):
        load_attack("mine")


# The command ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two facts, four disguised questions of each of which one holds its answer, and a stranger."""
    rows: list[dict[str, Any]] = []
    for subject, question, answer in (("ann", "Where does Ann live?", "Oslo"), ("ben", "What does Ben eat?", "tea soup")):
        rows.append({"subject": subject, "question": question, "answer": answer})
        for number in range(4):
            told = answer if number == 3 else "well"
            about = {"fact": subject, "axis": "question", "level": "hard"}
            rows.append({**rows[-1], "set": "test", "question": f"{told} {number}: {question}", "metadata": about})
            rows[-1]["id"] = f"{subject}/{number}"
    rows.append({"subject": "cleo", "question": "What is Cleo's pet?", "answer": "owl", "set": "retain"})
    file = tmp_path / "facts.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


@pytest.mark.parametrize("name", ["lens-head-projection", "rephrase_question", "finetune_lens"])
def test_the_command(place: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    out = tmp_path / "out"
    command = [
        "attack",
        "--model",
        str(place / "model"),
        "--data",
        str(data),
        "--attack",
        name,
        "--out",
        str(out),
        "--budget",
        "20",
    ]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert all(f"AttackSuccess@{budget} " in shown for budget in (1, 5, 10, 20)) and "AttackSuccess@50" not in shown
    assert "fewer than 20 subjects: no verdict" in shown
    table = pl.read_parquet(out / "attacks.parquet")
    assert table.schema == ATTACKS
    drawn = table.filter(attack="random_tokens_drawn")
    table = table.filter(pl.col("attack") != "random_tokens_drawn")
    assert table["subject"].to_list() == ["ann", "ben"] and drawn.height == (0 if name == "rephrase_question" else 2)
    if name == "rephrase_question":
        assert "2 prompts hold their answer and were not asked" in shown
        assert table["refused"].to_list() == [1, 1] and table["prompts"].to_list() == [3, 3]
    else:
        assert "random tokens 0.5%, drawn ones " in shown and "\n  whole answers: " in shown
    assert list(out.rglob("records.parquet"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--attack", "lens_head_projectoin"],
            "there is no attack 'lens_head_projectoin'; did you mean 'lens_head_projection'?",
        ),
        (["--set", "kk=3"], "unknown key 'lens_head_projection.kk'; did you mean 'k'?"),
        (["--set", "layers=[12]"], "lens_head_projection: layer 12 does not exist"),
        (["--budget", "9999"], "budget 9999 is above the 4096 tokens"),
        (["--attack", "rephrase_image"], "needs disguises of its fact of level hard"),
        (["--data", "absent.jsonl"], "absent.jsonl cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    place: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    base = ["--model", str(place / "model"), "--data", str(data), "--out", str(tmp_path / "out")]
    assert main(["attack", *base, *arguments]) == 2
    assert_one_line(capsys.readouterr().err, says)
    assert not (tmp_path / "out").exists()


def test_a_model_without_hidden_states_is_one_line(
    place: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks cannot be found, as in a network that is no stack of decoder blocks; attacks by prompts still work."""

    def unreadable(path: Any, **options: Any) -> Model:
        model = load_model(path, **options)
        model.base.config.get_text_config().num_hidden_layers = 12
        return model

    monkeypatch.setattr("unsee.models.loading.load_model", unreadable)
    command = ["attack", "--model", str(place / "model"), "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*command, "--attack", "lens-head-projection"]) == 2
    assert_one_line(capsys.readouterr().err, "cannot be read layer by layer")
    assert not (tmp_path / "out").exists()
    assert main([*command, "--attack", "rephrase-question", "--set", "prompts=1"]) == 0


def test_nothing_to_attack(place: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [line for line in data.read_text().splitlines() if '"set"' in line]
    data.write_text("\n".join(kept))
    assert main(["attack", "--model", str(place / "model"), "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert_one_line(capsys.readouterr().err, "holds no row of set forget, so there is nothing to attack")


def test_dry_run_and_list(place: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(place / "model")
    assert main(["attack", "--model", model, "--data", str(data), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    assert f"would attack {model} on 2 questions by lens_head_projection, with 8 disguises" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert main(["list", "attacks"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in attack_names())


@pytest.mark.parametrize("options", [["--before", "nosuch"], ["--dry-run", "--model", "nosuch"]], ids=["before", "plan"])
def test_every_model_is_looked_for_before_any_attack(
    place: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    out = tmp_path / "out"
    assert main(["attack", "--model", str(place / "model"), "--data", str(data), "--out", str(out), *options]) == 2
    assert_one_line(capsys.readouterr().err, "nosuch")
    assert not out.exists()


@pytest.mark.parametrize("name", ["lens-head-projection", "rephrase_question"])
def test_the_command_prints_every_control(
    place: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Against itself a model has lost nothing; a fact whose prompts all hold the answer is left out and counted."""
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    rows += [{**rows[0], "subject": "zoe", "question": "Where does Zoe live?", "metadata": {"never_learned": True}}]
    hard = {"axis": "question", "level": "hard"}
    for subject, question, answer in (("zoe", "Well, where does Zoe live?", "Oslo"), ("dan", "red or not?", "red")):
        about = {"subject": subject, "answer": answer, "set": "test", "metadata": {"fact": subject, **hard}}
        rows.append({**about, "question": question})
    rows.append({"subject": "dan", "question": "Which colour does Dan like?", "answer": "red"})
    data.write_text("\n".join(json.dumps(row) for row in rows))
    model, out = str(place / "model"), tmp_path / "out"
    command = ["attack", "--model", model, "--data", str(data), "--attack", name, "--out", str(out), "--budget", "5"]
    assert main([*command, "--before", model]) == 0
    shown = capsys.readouterr().out
    kind = "first token" if name.startswith("lens") else "answers"
    assert f"  {kind}, before the edit: " in shown and "; difference +0.0 points (+0.0 to +0.0)" in shown
    assert f"  {kind}, never-learned facts: " in shown and f"  {kind}, only told to refuse: " in shown
    assert ("1 of 3 facts left out: every prompt holds the answer" in shown) is (name == "rephrase_question")
    assert (out / "before" / "attacks.parquet").is_file() and (out / "refusal" / "attacks.parquet").is_file()
