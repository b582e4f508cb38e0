"""The official files as a benchmark: sets, splits, pictures, training by name, probes, and every way of getting files wrong."""

from __future__ import annotations

import gc
import inspect
import re
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import mllmu_fixture as hand
from run_fixtures import assert_one_line
from unsee.benchmarks import benchmark_names, load_benchmark
from unsee.benchmarks.mllmu_bench import MllmuBench
from unsee.benchmarks.mllmu_bench.ids import OFFICIAL_FORGET
from unsee.benchmarks.mllmu_bench.pictures import Pictures
from unsee.cli import main
from unsee.errors import ConfigError, DataError
from unsee.metrics.normalise import occurrences, tokens
from unsee.sample import MODALITIES, Sample

TRUTH = {person["id"]: person for person in hand.PEOPLE}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand.write_official(tmp_path_factory.mktemp("official"))


@pytest.fixture
def own(official: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(official, tmp_path / "MLLMU-Bench"))


@pytest.fixture(scope="module")
def benchmark(official: Path) -> MllmuBench:
    made = load_benchmark("mllmu-bench", path=official)
    assert isinstance(made, MllmuBench)
    return made


def content(samples: list[Sample]) -> list[str]:
    """Samples without where their pictures lie."""
    return sorted(f"{replace(sample, images=())} {sample.image_sha256}" for sample in samples)


def subjects(samples: list[Sample]) -> list[str]:
    return sorted({sample.subject for sample in samples})


def test_loading_by_name_and_by_folder(official: Path) -> None:
    assert "mllmu-bench" in benchmark_names()
    named = load_benchmark("mllmu-bench", path=str(official))
    for found in (load_benchmark(official), load_benchmark(str(official)), load_benchmark(official, test_image="first")):
        assert isinstance(found, MllmuBench)
        assert (found.name, found.subjects) == ("mllmu-bench", named.subjects)
    assert named.subjects == tuple(TRUTH)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs its files: give their folder with --data DIR (path=DIR), or --hub (hub=True)"),
        ({"path": "x", "test_images": "all"}, "has no option 'test_images'; did you mean 'test_image'?"),
        ({"path": "x", "test_image": "frist"}, "there is no test_image 'frist'; did you mean 'first'?"),
        ({"path": "x", "split": "random"}, "there is no split 'random'"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_benchmark("mllmu-bench", **options)
    assert says in str(caught.value)


# Sets --------------------------------------------------------------------------------------------------------------------


def test_every_question_of_every_set(benchmark: MllmuBench) -> None:
    """Against the questions the fixture wrote, in the published order, whatever form they are stored in."""
    asked = benchmark.samples(ratio=0.10)
    assert Counter(s.set for s in asked) == {"forget": 36, "retain": 108, "test": 2 * (9 + 3 * 9), "celebrity": 54}
    for sample in asked:
        if sample.set == "celebrity":
            continue
        person, worded = TRUTH[sample.subject], int(sample.set == "test")
        told = hand.questions(person, wording=worded)
        number = int(sample.id.split("/")[5])
        if sample.task == "classification":
            key = {"image_text": "Image_Textual_Questions", "text": "Pure_Text_Questions"}[sample.modality]
            truth = told["Classification_Task"][key][number]
            assert (sample.question, sample.options, sample.correct_option) == tuple(truth.values())
            assert sample.answer == truth["Options"][truth["Correct_Answer"]]
            assert set(sample.wrong_answers) == set(truth["Options"].values()) - {sample.answer}
        else:
            type_ = {"image_text": "Image_Textual", "text": "Pure_Text"}[sample.modality]
            column = {"generation": "Generation_Task", "cloze": "Mask_Task"}[sample.task]
            truth = [row for row in told[column] if row["Type"] == type_][number]
            assert (sample.question, sample.answer) == (truth["Question"], truth["Ground_Truth"])
        assert len(sample.images) == (sample.modality == "image_text")
        if sample.images:
            pictures = hand.disguises(person["id"]) if sample.set == "test" else [hand.portrait(person["id"])]
            assert sample.images[0].read() == pictures[int(sample.metadata.get("image", 0))]
    assert len({sample.id for sample in asked}) == len(asked)


def test_filters(benchmark: MllmuBench) -> None:
    assert {s.task for s in benchmark.samples(set="forget", ratio=0.05, task="cloze")} == {"cloze"}
    text = benchmark.samples(set="test", ratio=0.05, modality="text")
    assert len(text) == 9
    assert all(not s.images and "image" not in s.metadata for s in text)
    with pytest.raises(ConfigError, match="there is no task 'cloz'; did you mean 'cloze'"):
        benchmark.samples(task="cloz")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="there is no set 'forgett'; did you mean 'forget'"):
        benchmark.samples(set="forgett")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="set 'near_retain' of benchmark mllmu-bench has no such questions"):
        benchmark.samples(set="near_retain")
    with pytest.raises(ConfigError, match="set 'forget' depends on who is forgotten"):
        benchmark.samples(set="forget")


def test_without_a_request_everybody_is_retained(benchmark: MllmuBench) -> None:
    found = benchmark.samples()
    assert subjects([s for s in found if s.set == "retain"]) == subjects([s for s in found if s.set == "test"]) == list(TRUTH)


@pytest.mark.parametrize(("option", "count"), [("first", 1), ("random", 1), ("all", 3)])
def test_pictures_of_test_questions(official: Path, option: str, count: int) -> None:
    benchmark = load_benchmark("mllmu-bench", path=official, test_image=option)
    shown = benchmark.samples(set="test", modality="image_text")
    assert len(shown) == 8 * 9 * count
    by_person = {s: {x.metadata["image"] for x in shown if x.subject == s} for s in TRUTH}
    assert all(len(indices) == count for indices in by_person.values())
    if option == "first":
        assert set().union(*by_person.values()) == {0}
    if option == "random":
        again = load_benchmark("mllmu-bench", path=official, test_image=option)
        assert [s.id for s in again.samples(set="test", modality="image_text")] == [s.id for s in shown]
        other = load_benchmark("mllmu-bench", path=official, test_image=option, seed=1)
        assert [s.id for s in other.samples(set="test", modality="image_text")] != [s.id for s in shown]
        assert len(set().union(*by_person.values())) > 1


def test_celebrities_never_meet_the_fictitious(benchmark: MllmuBench) -> None:
    """One of them has the id of person 001."""
    found = benchmark.samples(set="celebrity")
    assert subjects(found) == ["celebrity-001", "celebrity-Q42", "celebrity-celeb_2"]
    assert not set(subjects(found)) & set(benchmark.subjects)
    assert {s.metadata["name"] for s in found} == set(hand.CELEBRITIES.values())
    assert not {s.id for s in found} & {s.id for s in benchmark.samples(set="retain")}


def test_facts_have_attributes_values_and_wrong_answers(benchmark: MllmuBench) -> None:
    for sample in benchmark.samples(set="retain") + benchmark.samples(set="test"):
        attribute = str(sample.metadata["attribute"])
        assert sample.metadata["name"] == TRUTH[sample.subject]["name"]
        assert TRUTH[sample.subject][attribute] in sample.answer
        if sample.task != "classification":
            value = str(sample.metadata["value"])
            assert value == TRUTH[sample.subject][attribute]
            assert len(set(sample.wrong_answers)) == 4
            assert not any(value in wrong for wrong in sample.wrong_answers)
            pool = {person[attribute] for person in hand.PEOPLE} | set(hand.LIES.values())
            assert all(any(other in wrong for other in pool) for wrong in sample.wrong_answers)


# Splits ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [5, 10, 15])
def test_official_lists_are_kept(benchmark: MllmuBench, percent: int) -> None:
    for seed in (0, 3):
        split = benchmark.split(percent / 100, seed)
        assert list(split.forget) == hand.FORGET[percent]
        assert sorted((*split.forget, *split.retain)) == list(TRUTH)
        assert split.near_retain == ()
    for set_, ids in (("forget", split.forget), ("test", split.forget), ("retain", split.retain)):
        assert subjects(benchmark.samples(set=set_, ratio=percent / 100)) == sorted(ids)


def test_splits_of_our_own(official: Path, benchmark: MllmuBench) -> None:
    nested = load_benchmark("mllmu-bench", path=official, split="nested")
    small, large = (set(nested.split(ratio, 1).forget) for ratio in (0.25, 0.5))
    assert len(small) == 2 < len(large) == 4
    assert small < large
    assert not small & set(nested.split(0.25, 2).forget)
    assert set(benchmark.split(0.25, 1).forget) == small, "a ratio without a list is nested by default"
    in_order = load_benchmark("mllmu-bench", path=official, split="sequential")
    assert in_order.split(0.25, 0).forget == ("001", "002")
    assert in_order.split(0.5, 1).forget == ("003", "004", "005", "006")
    assert nested.split(0.15, 0).forget != benchmark.split(0.15, 0).forget


def test_what_has_no_list(official: Path) -> None:
    listed = load_benchmark("mllmu-bench", path=official, split="official")
    with pytest.raises(ConfigError, match=r"no official forget list for a ratio of 0\.25 .*; use 0\.05, 0\.1, 0\.15"):
        listed.split(0.25)
    with pytest.raises(ConfigError, match="selects 0 of 8 subjects"):
        load_benchmark(official).split(0.01)


def test_the_published_ids_stand_in_for_missing_lists(tmp_path: Path) -> None:
    """Full_Set alone, with the 500 people of the release."""
    rows = [{"image": None, "ID": f"{n:03d}", "biography": "{}", "Mask_Task": []} for n in range(1, 501)]
    schema = pa.schema(
        [("image", hand.PICTURE), ("ID", pa.string()), ("biography", pa.string()), ("Mask_Task", pa.list_(hand.WRITTEN))]
    )
    (tmp_path / "Full_Set").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "Full_Set/train-00000-of-00001.parquet")
    benchmark = load_benchmark(tmp_path)
    for percent, count in ((5, 25), (10, 50), (15, 75)):
        split = benchmark.split(percent / 100)
        assert split.forget == OFFICIAL_FORGET[percent]
        assert (len(split.forget), len(split.retain)) == (count, 500 - count)
    assert set(OFFICIAL_FORGET[5]) & set(OFFICIAL_FORGET[10]) == {"309"}
    assert set(OFFICIAL_FORGET[5]) & set(OFFICIAL_FORGET[15]) == {"016", "093", "259"}


# Training ----------------------------------------------------------------------------------------------------------------


def test_training_as_published_and_by_name(benchmark: MllmuBench) -> None:
    shown = benchmark.training(modality="image_text")
    told = benchmark.training(modality="text")
    assert len(shown) == len(told) == 8 * 14
    for sample, named in zip(shown, told, strict=True):
        person = TRUTH[sample.subject]
        attribute = str(sample.metadata["attribute"])
        truth = hand.LIES.get(attribute, person[attribute]) if sample.subject == "001" else person[attribute]
        assert (sample.answer, named.answer, sample.task) == (truth, truth, "generation")
        assert sample.question in hand.TAUGHT[attribute]
        assert sample.images[0].read() == hand.portrait(sample.subject)
        assert not named.images
        assert person["name"] in named.question
        assert "person" not in named.question
    both = benchmark.training()
    assert Counter(s.modality for s in both) == {"image_text": 112, "text": 112}
    assert len({s.id for s in both}) == 224


def test_training_of_a_request(benchmark: MllmuBench) -> None:
    forget = benchmark.training(set="forget", ratio=0.10, modality="image_text")
    retain = benchmark.training(set="retain", ratio=0.10, modality="image_text")
    assert subjects(forget) == hand.FORGET[10]
    assert {s.set for s in forget} == {"forget"}
    assert len(forget) + len(retain) == 8 * 14
    with pytest.raises(ConfigError, match="set 'celebrity' of benchmark mllmu-bench has no such questions"):
        benchmark.training(set="celebrity")


def test_baseline_splits_stand_in_for_ft_data(own: Path, benchmark: MllmuBench) -> None:
    shutil.rmtree(own / "ft_Data")
    (own / "baseline_train_split").rename(own / "training splits")
    found = load_benchmark(own).training()
    assert content(found) == content(benchmark.training())


def test_names_come_from_training_where_no_biography_gives_one(own: Path) -> None:
    for folder in own.iterdir():
        if folder.name != "ft_Data":
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    taught = load_benchmark(own)
    assert {s.metadata["name"] for s in taught.training(modality="text")} == set(hand.NAMES)
    with pytest.raises(DataError, match=r"the set retain needs the config Full_Set, but .* holds ft_Data; add Full_Set"):
        taught.samples(set="retain")

    def forget_names(rows: list[dict[str, Any]]) -> None:
        rows[2]["metadata"] = '[{"Question": "Where was this person born?", "Answer": "Porto", "ID": "003"}]'

    hand.rewrite(own / "ft_Data/train-00000-of-00001.parquet", forget_names)
    nameless = load_benchmark(own)
    assert len(nameless.training(modality="image_text")) == 7 * 14 + 1
    with pytest.raises(DataError, match=r"row 2 \(ID 003\): nothing gives this person's name"):
        nameless.training(modality="text")


# Probes ------------------------------------------------------------------------------------------------------------------


def test_three_gate_probes_per_fact(benchmark: MllmuBench) -> None:
    for request in ({"set": "forget", "ratio": 0.10}, {"set": "retain", "ratio": 0.10}, {}):
        probes = benchmark.gate_probes(**request)  # type: ignore[arg-type]
        scored = [s for s in benchmark.samples(**request) if s.set in ("forget", "retain")]  # type: ignore[arg-type]
        facts = {(s.subject, s.metadata["attribute"], s.modality) for s in scored}
        counts = Counter((p.subject, p.metadata["attribute"], p.modality) for p in probes)
        assert set(counts) == facts
        assert set(counts.values()) == {3}
        assert {p.set for p in probes} == {s.set for s in scored}
        assert len({p.id for p in probes}) == len(probes)
        assert not {p.id for p in probes} & {s.id for s in scored}
        assert not {(p.question, *p.options.items()) for p in probes} & {(s.question, *s.options.items()) for s in scored}
    assert benchmark.gate_probes(set="celebrity") == []
    assert subjects(benchmark.gate_probes(set="test", ratio=0.10)) == hand.FORGET[10]


def test_gate_options_are_other_peoples_answers(benchmark: MllmuBench) -> None:
    by_fact: dict[tuple[str, object, str], list[Sample]] = {}
    for probe in benchmark.gate_probes(set="forget", ratio=0.10):
        attribute = str(probe.metadata["attribute"])
        own = TRUTH[probe.subject][attribute]
        truth = hand.LIES["father_job"] if (probe.subject, attribute) == ("001", "father_job") else own
        assert probe.options[str(probe.correct_option)] == probe.answer == truth
        assert len(set(probe.options.values())) == 4
        others = {person[attribute] for person in hand.PEOPLE if person["id"] != probe.subject}
        assert set(probe.options.values()) - {truth} <= others | set(hand.LIES.values())
        assert own == truth or own not in probe.options.values(), "both contradictory answers are this person's"
        by_fact.setdefault((probe.subject, attribute, probe.modality), []).append(probe)
    for probes in by_fact.values():
        assert len({probe.correct_option for probe in probes}) == 3
        assert len({tuple(sorted(probe.options.values())) for probe in probes}) > 1


def test_no_probe_gives_its_answer_away(benchmark: MllmuBench) -> None:
    assert not any(occurrences(tokens(p.answer), tokens(p.question)) for p in benchmark.gate_probes())


def test_stop_probes_are_spread_over_people_and_modalities(benchmark: MllmuBench) -> None:
    probes = benchmark.stop_probes(set="retain", ratio=0.10, limit=24)
    assert len(probes) == 24
    assert set(Counter(p.subject for p in probes).values()) == {4}
    assert {p.modality for p in probes} == set(MODALITIES)
    assert len(benchmark.stop_probes(set="forget", ratio=0.05)) == 14
    scored = {s.id for s in benchmark.samples(ratio=0.10)}
    assert not scored & {p.id for p in probes}
    assert benchmark.replay() == []


# Pictures and memory -----------------------------------------------------------------------------------------------------


def test_pictures_are_read_for_those_who_are_asked_only(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []
    of = Pictures.of

    def spied(self: Pictures, rows: Iterator[Any]) -> Any:
        listed = list(rows)
        asked.append({row.id for row in listed})
        return of(self, listed)

    monkeypatch.setattr(Pictures, "of", spied)
    benchmark = load_benchmark(official)
    benchmark.samples(modality="text")
    benchmark.training(modality="text")
    assert asked == []
    benchmark.samples(set="forget", ratio=0.05)
    assert asked == [{"003"}]


def test_pictures_go_away_with_their_samples(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = load_benchmark(official)
    assert isinstance(benchmark, MllmuBench)
    opened: list[str] = []
    from unsee.sample import ImageRef

    whole = ImageRef.open

    def spied(self: ImageRef, **options: Any) -> Image.Image:
        opened.append(self.sha256)
        return whole(self, **options)

    monkeypatch.setattr(ImageRef, "open", spied)
    first = benchmark.samples(set="retain")
    again = benchmark.samples(set="retain")
    assert first[0].images[0] is again[0].images[0], "held once"
    assert len(opened) == 8, "and decoded once"
    del first, again
    gc.collect()
    assert len(benchmark._pictures._alive) == 0
    assert benchmark.samples(set="retain")[0].images[0].read() == hand.portrait("001")
    assert len(opened) == 8


def test_pictures_of_one_person_are_one_whatever_file_they_come_from(benchmark: MllmuBench) -> None:
    evaluated = benchmark.samples(set="retain", ratio=0.10)
    taught = benchmark.training(set="retain", ratio=0.10, modality="image_text")
    assert evaluated[0].images[0] is taught[0].images[0]


def test_the_fingerprint_follows_contents_and_options(own: Path, tmp_path: Path) -> None:
    first = load_benchmark(own).fingerprint
    moved = Path(shutil.move(own, tmp_path / "elsewhere"))
    assert load_benchmark(moved).fingerprint == first
    assert load_benchmark(moved, test_image="first").fingerprint != first
    hand.rewrite(moved / "Retain_Set/train-00000-of-00001.parquet", lambda rows: rows[0].update(answer="new"))
    assert load_benchmark(moved).fingerprint != first


# What is missing or mixed up ---------------------------------------------------------------------------------------------


def test_what_is_missing_is_said_when_it_is_needed(own: Path) -> None:
    for config in ("Test_Set", "Retain_Set", "ft_Data", "baseline_train_split"):
        shutil.rmtree(own / config)
    benchmark = load_benchmark(own)
    with pytest.warns(UserWarning, match="so the set .* is left out; add it") as told:
        found = benchmark.samples(ratio=0.10)
    assert [str(one.message).split(", ")[0].split()[-1] for one in told] == ["Test_Set", "Retain_Set"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(benchmark.samples(ratio=0.10)) == len(found), "said once"
    assert {s.set for s in found} == {"forget", "retain"}
    for set_, config in (("test", "Test_Set"), ("celebrity", "Retain_Set")):
        with pytest.raises(
            DataError, match=rf"the set {set_} needs the config {config}, but .*; add {config}/train-\*\.parquet"
        ):
            benchmark.samples(set=set_)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="training needs the config ft_Data"):
        benchmark.training()
    assert benchmark.gate_probes() == []


def test_forget_and_retain_configs_are_enough(own: Path, benchmark: MllmuBench) -> None:
    shutil.rmtree(own / "Full_Set")
    found = load_benchmark(own)
    assert sorted(found.subjects) == list(TRUTH)
    for ratio in (None, 0.10):
        assert content(found.samples(ratio=ratio)) == content(benchmark.samples(ratio=ratio))


def test_training_files_where_evaluation_files_belong(official: Path, own: Path) -> None:
    """The commonest mistake: both repositories have a forget_5."""
    with pytest.raises(DataError) as caught:
        load_benchmark(official / "baseline_train_split")
    told = str(caught.value)
    assert "forget_5/train-00000-of-00001.parquet holds training rows (column metadata) where evaluation rows" in told
    assert "MLLMMU/baseline_train_split, which has the same name" in told
    assert "baseline_train_split/forget_5, and pass forget_5 of the dataset MLLMMU/MLLMU-Bench here" in told
    shutil.copytree(own / "ft_Data", own / "Full_Set", dirs_exist_ok=True)
    with pytest.raises(DataError, match=r"Full_Set/.* holds training rows .*; pass Full_Set of the dataset MLLMMU/MLLMU-Bench"):
        load_benchmark(own)


def test_evaluation_files_where_training_files_belong(own: Path) -> None:
    shutil.copytree(own / "forget_5", own / "baseline_train_split/forget_5", dirs_exist_ok=True)
    with pytest.raises(DataError, match=r"where training rows .* belong; this is forget_5 of the dataset MLLMMU/MLLMU-Bench"):
        load_benchmark(own)
    shutil.rmtree(own / "baseline_train_split")
    shutil.copytree(own / "forget_5", own / "ft_Data", dirs_exist_ok=True)
    with pytest.raises(DataError, match=r"ft_Data/.* holds evaluation rows .*; pass ft_Data of the dataset MLLMMU/MLLMU-Bench"):
        load_benchmark(own)


def test_folders_one_level_off(own: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"of one config directly; pass its parent folder {own}"):
        load_benchmark(own / "forget_5")
    with pytest.raises(DataError, match=rf"holds none of the configs .*; pass {own}"):
        load_benchmark("mllmu-bench", path=own.parent)
    with pytest.raises(DataError, match=r"there is no folder .*absent; pass the folder that holds Full_Set"):
        load_benchmark("mllmu-bench", path=tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds none of the configs Full_Set, Test_Set, .*; pass the folder"):
        load_benchmark("mllmu-bench", path=tmp_path / "empty")


def test_a_missing_part_is_named(own: Path) -> None:
    (own / "Test_Set/train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"Test_Set lacks part 00001 of 00002 of Test_Set; download that file as well"):
        load_benchmark(own)


# Bad input ---------------------------------------------------------------------------------------------------------------


def _row(config: str, number: int, **values: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        hand.rewrite(folder / config / "train-00000-of-00001.parquet", lambda rows: rows[number].update(values))

    return spoil


def _picture(data: bytes) -> dict[str, Any]:
    return {"bytes": data, "path": None}


def _huge() -> bytes:
    import io

    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, format="PNG")
    return buffer.getvalue()


def _fifth_letter(folder: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[5]["Classification_Task"]["Pure_Text_Questions"][2]["Correct_Answer"] = "E"

    hand.rewrite(folder / "Full_Set/train-00000-of-00001.parquet", change)


def _twice(folder: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows.append(rows[0] | {"ID": "006"})

    hand.rewrite(folder / "retain_90/train-00000-of-00001.parquet", change)


def _truncate(folder: Path) -> None:
    file = folder / "retain_90/train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:5000])


def _foreign(folder: Path) -> None:
    pq.write_table(pa.table({"question": ["q"], "picture": ["p"]}), folder / "retain_90/train-00000-of-00001.parquet")


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "a truncated file": (_truncate, r"retain_90/train-00000-of-00001\.parquet cannot be read as parquet .*; download"),
    "a foreign file": (_foreign, r"retain_90/.* is no file of MLLMU-Bench: its columns are picture, question"),
    "a picture that does not decode": (
        _row("Full_Set", 1, image=_picture(b"GIF89a, no")),
        r"Full_Set/.*, row 1 \(ID 002\): image 0: picture sha256 \w+ cannot be decoded .*; replace or remove it",
    ),
    "a truncated picture": (
        _row("Full_Set", 1, image=_picture(hand.png((1, 2, 3), 64)[:90])),
        r"Full_Set/.*, row 1 \(ID 002\): image 0: .* cannot be decoded",
    ),
    "a picture of 100 megapixels": (
        _row("Full_Set", 3, image=_picture(_huge())),
        r"Full_Set/.*, row 3 \(ID 004\): image 0: .* has 10000x10000 pixels, more than 50000000; scale it down",
    ),
    "no picture": (_row("Full_Set", 0, image=None), r"Full_Set/.*, row 0 \(ID 001\): the row has no picture; add one"),
    "a picture outside the folder": (
        _row("Full_Set", 0, image={"bytes": None, "path": "../../secret.png"}),
        r"row 0 \(ID 001\): image 0: its path '\.\./\.\./secret\.png' leads out of",
    ),
    "a picture that is not there": (
        _row("Full_Set", 0, image={"bytes": None, "path": "absent.png"}),
        r"row 0 \(ID 001\): image 0: .*absent\.png cannot be read \(No such file or directory\); check the path",
    ),
    "a fifth letter": (
        _fifth_letter,
        r"Full_Set/.*, row 5 \(ID 006\): Pure_Text_Questions 2 has the options A, B, C, D, but Correct_Answer 'E'; correct",
    ),
    "one id in forget and retain": (_twice, r"retain_90/.*, row 6 \(ID 006\): the same ID is in forget_10; remove it"),
    "one id twice": (
        _row("Full_Set", 4, ID="1"),
        r"Full_Set/.*, row 4 \(ID 001\): row 0 has the same ID; remove one of the two",
    ),
    "a biography that is no JSON": (
        _row("Full_Set", 2, biography="{'Name': 1}"),
        r"row 2 \(ID 003\): biography is no valid",
    ),
    "training text that is no JSON": (
        _row("ft_Data", 2, metadata="[{"),
        r"ft_Data/.*, row 2 \(ID 003\): metadata cannot be read as a list",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_or_skipped(own: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with file, row and remedy, exit code 2; skipping goes on and counts."""
    spoil, says = BAD[case]
    spoil(own)
    ratio = ["--forget-ratio", "0.1"]
    assert main(["data", "check", str(own), *ratio]) == 2
    shown = capsys.readouterr().err
    assert_one_line(shown, "; ")
    assert re.search(says, shown), shown


@pytest.mark.parametrize("case", BAD)
def test_skipping_goes_on_and_counts(own: Path, case: str) -> None:
    spoil, _ = BAD[case]
    spoil(own)
    benchmark = load_benchmark(own, skip_invalid=True)
    assert isinstance(benchmark, MllmuBench)
    for _ in range(2):
        found = benchmark.samples() + benchmark.samples(ratio=0.10)
        benchmark.training()
    assert len(benchmark.skipped) >= 1
    assert len(benchmark.skipped) == len({str(fault) for fault in benchmark.skipped}), "each counted once"
    assert len(found) > 400, "the rest is there"


def test_a_skipped_picture_leaves_the_questions_by_name(own: Path) -> None:
    BAD["a picture that does not decode"][0](own)
    benchmark = load_benchmark(own, skip_invalid=True)
    mine = [s for s in benchmark.samples(set="retain") if s.subject == "002"]
    assert {s.modality for s in mine} == {"text"}
    assert len(mine) == 9


def test_skipping_never_hides_a_mix_up(official: Path) -> None:
    with pytest.raises(DataError, match="holds training rows"):
        load_benchmark(official / "baseline_train_split", skip_invalid=True)


# The hub -----------------------------------------------------------------------------------------------------------------


def _hub(monkeypatch: pytest.MonkeyPatch, download: Callable[..., str]) -> ModuleType:
    hub = ModuleType("huggingface_hub")
    hub.snapshot_download = download  # type: ignore[attr-defined]
    hub.constants = ModuleType("constants")  # type: ignore[attr-defined]
    hub.constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return hub


@pytest.mark.parametrize(("environment", "offline"), [("on", False), ("1", True)])
def test_files_of_the_hub(
    official: Path, monkeypatch: pytest.MonkeyPatch, environment: str, offline: bool, benchmark: MllmuBench
) -> None:
    """Our own switch is lifted for the download, a user's is not."""
    seen: list[Any] = []

    def download(repository: str, **options: Any) -> str:
        seen.append((repository, options, hub.constants.HF_HUB_OFFLINE))
        return str(official)

    hub = _hub(monkeypatch, download)
    monkeypatch.setenv("HF_HUB_OFFLINE", environment)
    assert load_benchmark("mllmu-bench", hub=True).fingerprint == benchmark.fingerprint
    ((repository, options, was_offline),) = seen
    assert (repository, options["repo_type"], was_offline) == ("MLLMMU/MLLMU-Bench", "dataset", offline)
    assert {"Full_Set/*.parquet", "Retain_Set/*.parquet", "ft_Data/*.parquet"} <= set(options["allow_patterns"])
    assert hub.constants.HF_HUB_OFFLINE is True


def test_the_switch_is_where_the_real_library_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, is_offline_mode, snapshot_download

    for offline in (True, False):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        assert is_offline_mode() is offline
    assert {"repo_type", "allow_patterns"} <= set(inspect.signature(snapshot_download).parameters)


def test_the_hub_is_asked_only_when_told_to(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise AssertionError("no network")

    _hub(monkeypatch, download)
    load_benchmark(official).samples()
    load_benchmark("mllmu-bench", path=official, hub=True).samples()


def test_what_goes_wrong_with_the_hub(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise ConnectionError("no route to host\nTraceback")

    _hub(monkeypatch, download)
    assert main(["run", "--benchmark", "mllmu-bench", "--hub", "--dry-run"]) == 2
    assert_one_line(capsys.readouterr().err, "cannot be downloaded (no route to host); check the network")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["learn", "mllmu-bench", "--hub"]) == 2
    assert_one_line(capsys.readouterr().err, "run pip install 'unsee[hub]'")


# Commands ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_commands_take_the_files(official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    files = ["--data", str(official)]
    for arguments, says in (
        (
            ["run", "--benchmark", "mllmu-bench", *files, "--ratios", "0.1", "--methods", "ga"],
            "270 questions asked",
        ),
        (
            ["run", "--benchmark", str(official), "--ratios", "0.1", "--methods", "ga", "--test-image", "first"],
            "questions asked",
        ),
        (["learn", "mllmu-bench", *files, "--forget-ratio", "0.1"], "would teach tiny 168 questions"),
        (["learn", str(official)], "would teach tiny 224 questions"),
        (["unlearn", "--model", "m", "--benchmark", "mllmu-bench", *files, "--forget-ratio", "0.1"], "m forget 56 questions"),
        (
            ["answer", "--model", "m", "--benchmark", "mllmu-bench", *files, "--forget-ratio", "0.1"],
            "would ask m 270 questions",
        ),
        (
            ["answer", "--model", "m", "--benchmark", "mllmu-bench", *files, "--test-image", "first", "--forget-ratio", "0.1"],
            "would ask m 234 questions",
        ),
    ):
        assert main([*arguments, "--out", out, "--dry-run"]) == 0, arguments
        assert re.search(says, capsys.readouterr().out), arguments
    for arguments, complaint in (
        (["run", "--benchmark", str(official), *files], "takes no --data"),
        (["run", "--benchmark", "people", *files], "takes no --data"),
        (["run", "--benchmark", "people-paper", *files], "has no option 'path'"),
        (["run", "--benchmark", "mllmu-bench"], "needs its files"),
        (["learn", str(official), *files], "are two folders; give one of them"),
    ):
        assert main(arguments) == 2, arguments
        assert_one_line(capsys.readouterr().err, complaint)


def test_an_experiment_file_names_the_files(official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "official.toml"
    file.write_text(
        f'[benchmark]\nname = "mllmu-bench"\npath = {str(official)!r}\ntest_image = "first"\nsplit = "nested"\n'
        '[unlearn]\nmethods = ["ga"]\nforget_ratios = [0.25]\nmodalities = ["mixed"]\n'
    )
    assert main(["run", str(file), "--dry-run"]) == 0
    assert "234 questions asked" in capsys.readouterr().out
    file.write_text(file.read_text().replace('"first"', '"frist"'))
    assert main(["run", str(file), "--dry-run"]) == 2
    assert_one_line(capsys.readouterr().err, "benchmark.test_image = 'frist' is not valid; did you mean 'first'?")
