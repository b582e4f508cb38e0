"""`people` in the official layout: export and load are the identity, and the published scripts can read it."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import mllmu_fixture as hand
from run_fixtures import assert_one_line
from unsee.benchmarks import load_benchmark
from unsee.benchmarks.interviews import LEVELS
from unsee.benchmarks.jsonl import JsonlBenchmark, write_jsonl
from unsee.benchmarks.mllmu_bench import MllmuBench
from unsee.benchmarks.mllmu_bench.export import export_official
from unsee.benchmarks.mllmu_bench.files import evaluation_schema, training_schema
from unsee.benchmarks.people import People
from unsee.cli import main
from unsee.errors import DataError
from unsee.sample import Sample

PEOPLE, FIGURES = 20, 5


@pytest.fixture(scope="module")
def people(world: Any) -> People:
    made = load_benchmark("people", subjects=PEOPLE, celebrities=FIGURES, general=0, world=world)
    assert isinstance(made, People)
    return made


@pytest.fixture(scope="module")
def written(people: People, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("written") / "official"
    counts = export_official(people, out)
    assert counts["Full_Set"] == counts["Test_Set"] == counts["ft_Data"] == PEOPLE
    assert (counts["Retain_Set"], counts["forget_10"], counts["retain_90"]) == (FIGURES, 2, 18)
    assert counts["baseline_train_split/forget_15"] == 3
    return out


@pytest.fixture(scope="module")
def loaded(written: Path) -> MllmuBench:
    made = load_benchmark(written)
    assert isinstance(made, MllmuBench)
    return made


def told(sample: Sample) -> tuple[Any, ...]:
    """What export and load must not change; the layout knows no near-retain set."""
    return (
        sample.subject,
        "retain" if sample.set == "near_retain" else sample.set,
        sample.task,
        sample.modality,
        sample.question,
        sample.answer,
        tuple(sorted(sample.options.items())),
        sample.correct_option,
        sample.image_sha256,
    )


@pytest.mark.parametrize("ratio", [None, 0.05, 0.10, 0.15])
def test_export_and_load_are_the_identity(people: People, loaded: MllmuBench, ratio: float | None) -> None:
    assert loaded.subjects == people.subjects
    mine = Counter(map(told, people.samples(ratio=ratio)))
    theirs = Counter(map(told, loaded.samples(ratio=ratio)))
    assert set(mine.values()) == {1}
    assert not mine - theirs, "nothing is lost or changed"
    added = theirs - mine
    assert {key[1] for key in added} == ({"test"} if ratio is None or people.split(ratio).forget else set())
    assert {key[3] for key in added} == {"image_text"}, "only test questions are asked with the other two pictures as well"
    pictured = sum(key[1] == "test" and key[3] == "image_text" for key in mine)
    assert added.total() == 2 * pictured


def test_each_test_question_is_found_under_its_own_picture(people: People, loaded: MllmuBench) -> None:
    theirs = {told(s): s for s in loaded.samples(set="test")}
    for sample in people.samples(set="test"):
        same = theirs[told(sample)]
        assert same.metadata.get("level") == sample.metadata.get("level")
        if sample.images:
            assert same.metadata["image"] == LEVELS.index(sample.metadata["level"])  # type: ignore[arg-type]


def test_facts_survive(people: People, loaded: MllmuBench) -> None:
    """The files name no attribute and no value: both are found again."""
    theirs = {told(s): s for s in loaded.samples()}
    for sample in people.samples():
        same = theirs[told(sample)]
        assert same.metadata["attribute"] == sample.metadata["attribute"], sample.question
        assert same.metadata.get("value", same.answer) == sample.metadata["value"]
        assert same.metadata["name"] == sample.metadata["name"]


@pytest.mark.parametrize("ratio", [0.05, 0.10, 0.15])
def test_requests_survive(people: People, loaded: MllmuBench, ratio: float) -> None:
    mine, theirs = people.split(ratio), loaded.split(ratio)
    assert (set(theirs.forget), set(theirs.retain)) == (set(mine.forget), set(mine.retain))


def test_training_survives(people: People, loaded: MllmuBench) -> None:
    for request in ({}, {"set": "forget", "ratio": 0.15}, {"set": "retain", "ratio": 0.15}):
        mine = [told(s) for s in people.training(modality="image_text", **request)]  # type: ignore[arg-type]
        theirs = [told(s) for s in loaded.training(modality="image_text", **request)]  # type: ignore[arg-type]
        assert sorted(theirs) == sorted(mine)
    named = loaded.training(modality="text")
    assert len(named) == PEOPLE * 14
    assert all(str(s.metadata["name"]) in s.question for s in named)


def test_probes_can_be_made_of_it(people: People, loaded: MllmuBench) -> None:
    mine = {(p.subject, p.metadata["attribute"], p.modality) for p in people.gate_probes(set="forget", ratio=0.15)}
    theirs = Counter((p.subject, p.metadata["attribute"], p.modality) for p in loaded.gate_probes(set="forget", ratio=0.15))
    assert set(theirs) == mine
    assert set(theirs.values()) == {3}


def test_a_second_export_is_the_same(loaded: MllmuBench, tmp_path: Path) -> None:
    export_official(loaded, tmp_path / "again")
    again = load_benchmark(tmp_path / "again")
    assert Counter(map(told, again.samples(ratio=0.10))) == Counter(map(told, loaded.samples(ratio=0.10)))
    assert Counter(map(told, again.training())) == Counter(map(told, loaded.training()))


def test_the_hand_written_files_survive_as_well(tmp_path: Path) -> None:
    """Ids of official files stay what they are, celebrities included."""
    source = load_benchmark(hand.write_official(tmp_path / "hand"))
    counts = export_official(source, tmp_path / "ours")
    again = load_benchmark(tmp_path / "ours")
    assert again.subjects == source.subjects
    for ratio in (None, 0.05, 0.10, 0.15):
        assert Counter(map(told, again.samples(ratio=ratio))) == Counter(map(told, source.samples(ratio=ratio)))
    assert Counter(map(told, again.training())) == Counter(map(told, source.training()))
    assert counts["forget_5"] == 1
    ids = pq.read_table(tmp_path / "ours/Retain_Set/train-00000-of-00001.parquet")["ID"].to_pylist()
    assert ids == list(hand.CELEBRITIES)


# As the published scripts read it ----------------------------------------------------------------------------------------


def pandas_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows as `pandas.read_parquet(...).iterrows()` gives them: lists are numpy object arrays, structs are dicts."""

    def seen(value: Any) -> Any:
        if isinstance(value, list):
            array = np.empty(len(value), dtype=object)
            array[:] = [seen(item) for item in value]
            return array
        return {key: seen(item) for key, item in value.items()} if isinstance(value, dict) else value

    for row in pq.read_table(path).to_pylist():
        yield {key: seen(value) for key, value in row.items()}


@pytest.mark.parametrize("config", ["Full_Set", "forget_5", "retain_95", "Retain_Set"])
def test_the_published_evaluation_can_read_it(written: Path, people: People, config: str) -> None:
    file = written / config / "train-00000-of-00001.parquet"
    assert pq.read_schema(file).remove_metadata() == evaluation_schema()
    rows = list(pandas_rows(file))
    for row in rows:
        Image.open(io.BytesIO(row["image"].get("bytes"))).convert("RGB")
        biography = json.loads(row["biography"])
        assert {"Name", "Description"} <= set(biography)
        if config != "Retain_Set":  # of celebrities only the facts that are asked are known
            assert {"Born", "Employment", "Annual Salary", "Medical Conditions", "Fun Facts"} <= set(biography)
            assert set(biography["Parents"]) == {"Father", "Mother"}
        assert row["question"] and row["answer"] and row["Directory"].endswith(f"{row['ID']}.png")
        task = row["Classification_Task"]
        for questions in (task.get("Image_Textual_Questions", []), task.get("Pure_Text_Questions", [])):
            assert len(questions) == 5
            for question in questions:
                prompt = "\n".join(f"{letter}: {text}" for letter, text in question["Options"].items())
                assert [line[:3] for line in prompt.split("\n")] == ["A: ", "B: ", "C: ", "D: "]
                assert question["Correct_Answer"] in question["Options"]
                assert question["Question"]
        for column in ("Generation_Task", "Mask_Task"):
            assert Counter(question["Type"] for question in row[column]) == {"Image_Textual": 2, "Pure_Text": 2}
            assert all(question["Question"] and question["Ground_Truth"] for question in row[column])
        assert all("__" in question["Question"] for question in row["Mask_Task"])
    ids = [row["ID"] for row in rows]
    if config != "Retain_Set":
        assert all(len(id_) == 3 and id_.isdigit() for id_ in ids)
        names = {person.name for person in people.population}
        assert {json.loads(row["biography"])["Name"] for row in rows} <= names


def test_the_published_evaluation_can_find_test_rows(written: Path) -> None:
    """Two files of 250 rows in the release; rows are looked up by the ids of the forget config."""
    files = sorted((written / "Test_Set").glob("*.parquet"))
    assert [file.name for file in files] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert all(pq.read_schema(file).remove_metadata() == evaluation_schema(several_pictures=True) for file in files)
    rows = {row["ID"]: row for file in files for row in pandas_rows(file)}
    full = {row["ID"]: row for row in pandas_rows(written / "Full_Set/train-00000-of-00001.parquet")}
    assert set(rows) == set(full)
    for forget in pandas_rows(written / "forget_15/train-00000-of-00001.parquet"):
        row = rows[forget["ID"]]
        assert len(row["images"]) == 3
        assert len({image["bytes"] for image in row["images"]} | {forget["image"]["bytes"]}) == 4
        asked = {q["Question"] for q in row["Classification_Task"]["Pure_Text_Questions"]}
        assert not asked & {q["Question"] for q in forget["Classification_Task"]["Pure_Text_Questions"]}, "paraphrases"


@pytest.mark.parametrize("config", ["ft_Data", "baseline_train_split/forget_10", "baseline_train_split/retain_90"])
def test_the_published_training_can_read_it(written: Path, config: str) -> None:
    file = written / config / "train-00000-of-00001.parquet"
    assert pq.read_schema(file).remove_metadata() == training_schema()
    evaluated = {"ft_Data": "Full_Set"}.get(config, config.rpartition("/")[2])
    ids = [row["ID"] for row in pandas_rows(written / evaluated / "train-00000-of-00001.parquet")]
    rows = list(pandas_rows(file))
    assert [row["ID"] for row in rows] == ids
    for row in rows:
        Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
        pairs = json.loads(row["metadata"])
        assert len(pairs) == 14
        assert all(set(pair) == {"Question", "Answer", "ID"} and pair["ID"] == row["ID"] for pair in pairs)
        assert all("person" in pair["Question"] and pair["Answer"] for pair in pairs)


# What cannot be written --------------------------------------------------------------------------------------------------


class _Changed(JsonlBenchmark):
    """A benchmark whose samples were changed after it was read."""

    def change(self, **values: Any) -> _Changed:
        part = self._parts["evaluation"]
        part[0] = replace(part[0], **values)
        return self


@pytest.fixture
def small(people: People, tmp_path: Path) -> _Changed:
    folder = tmp_path / "small"
    write_jsonl(people.training()[: 28 * 3], folder / "training.jsonl")
    mine = {s.subject for s in people.training()[: 28 * 3]}
    evaluated = [s for s in people.samples() if s.subject in mine or s.set == "celebrity"]
    write_jsonl(evaluated, folder / "evaluation.jsonl")
    found = _Changed(folder)
    found._parts["evaluation"].sort(key=lambda s: s.set != "retain")
    return found


def test_json_lines_can_be_written_too(small: _Changed, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"forget_5 and retain_95 are left out: a forget ratio of 0\.05 selects 0"):
        counts = export_official(small, tmp_path / "out")
    assert (counts["Full_Set"], counts["Retain_Set"], "forget_5" in counts) == (3, FIGURES, False)
    loaded = load_benchmark(tmp_path / "out")
    assert not Counter(map(told, small.samples())) - Counter(map(told, loaded.samples()))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"system": "Be brief."}, "has a system prompt, which the layout cannot carry"),
        ({"options": {"A": "x", "B": "y"}, "correct_option": "A"}, "has the options A, B, the layout has A, B, C, D"),
        ({"images": ()}, "shows 0 pictures, the layout carries one"),
    ],
)
def test_what_the_layout_cannot_carry(small: _Changed, tmp_path: Path, values: dict[str, Any], says: str) -> None:
    assert (small._parts["evaluation"][0].task, small._parts["evaluation"][0].modality) == ("classification", "image_text")
    with pytest.raises(DataError) as caught:
        export_official(small.change(**values), tmp_path / "out")
    assert says in str(caught.value)
    assert "; " in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_names_and_single_portraits_are_needed(small: _Changed, tmp_path: Path) -> None:
    other = next(s for s in small._parts["evaluation"] if s.set == "celebrity" and s.images)
    with pytest.raises(DataError, match="is shown in several pictures in evaluation, the layout carries one"):
        export_official(small.change(images=other.images), tmp_path / "out")
    for part in ("training", "evaluation"):
        small._parts[part] = [replace(s, metadata={"attribute": "job"}) for s in small._parts[part]]
    with pytest.raises(DataError, match="has no name; the layout needs one, give metadata name"):
        export_official(small, tmp_path / "out")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], small: _Changed) -> None:
    out = tmp_path / "official"
    folder = str(tmp_path / "small")
    assert main(["data", "export", folder, "--format", "mllmu-bench", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert f"{out / 'Full_Set'}: 3 rows" in shown.out
    assert "warning: forget_5 and retain_95 are left out" in shown.err
    assert (out / "ft_Data/train-00000-of-00001.parquet").is_file()
    assert main(["data", "export", folder, "--format", "mllmu-bench", "--out", str(out)]) == 2
    assert_one_line(capsys.readouterr().err, "exists and is not empty")
