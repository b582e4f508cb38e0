"""An extension as a benchmark: sets, probes, splits, what failed is never asked, and the official layout and back."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from extending import extended, of
from PIL import Image
from tables_by_hand import write_own
from toy_drawing import draw

from unsee.benchmarks import load_benchmark
from unsee.benchmarks.data_report import data_report
from unsee.benchmarks.extended.answers import same_answer
from unsee.benchmarks.extended.benchmark import FORGOTTEN_TOO, ExtendedBenchmark, hardest_levels
from unsee.benchmarks.extended.extend import Generators
from unsee.benchmarks.extended.files import write_extension
from unsee.benchmarks.extended.picture_makers import PictureMaker
from unsee.benchmarks.extended.variants import Extension
from unsee.benchmarks.single_facts import NEIGHBOURS
from unsee.benchmarks.unlok_vqa.export import export_unlok
from unsee.cell_questions import cell_questions
from unsee.errors import ConfigError, DataError
from unsee.experiment import parse_experiment
from unsee.fact_edits import check_trainable
from unsee.methods import load_method
from unsee.sample import ImageRef, Sample


class Painter(PictureMaker):
    """`toy_drawing.draw` without another process."""

    def _try(self, picture: ImageRef, instruction: str, seed: int) -> Image.Image:
        return draw(picture.open(), instruction, seed)


def painter() -> PictureMaker:
    return Painter("painter", role="image-generator", retries=0)


@pytest.fixture(scope="module")
def drawn(shops: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Extension]:
    """The shops with pictures of all grades."""
    out = tmp_path_factory.mktemp("drawn") / "made"
    return out, extended(shops, out, Generators(editor=painter(), generator=painter()))


@pytest.fixture(scope="module")
def benchmark(drawn: tuple[Path, Extension]) -> ExtendedBenchmark:
    loaded = load_benchmark(drawn[0])
    assert isinstance(loaded, ExtendedBenchmark)
    return loaded


def test_sets(benchmark: ExtendedBenchmark, drawn: tuple[Path, Extension]) -> None:
    _, made = drawn
    deleted = [fact.id for fact in made.facts if fact.role == "delete"]
    assert list(benchmark.subjects) == deleted and benchmark.name == "made"
    forget, retain = (benchmark.samples(set=name) for name in ("forget", "retain"))
    assert [sample.subject for sample in forget] == deleted
    assert [sample.subject for sample in retain] == [fact.id for fact in made.facts if fact.role == "keep"]
    fact = next(one for one in made.facts if one.id == deleted[0])
    assert forget[0].question == fact.question and forget[0].answer == forget[0].metadata["value"] == fact.answer
    assert sorted(forget[0].wrong_answers) == sorted(fact.alternates) and forget[0].source_license == "CC-BY-4.0"
    assert len({sample.id for sample in benchmark.samples()}) == len(benchmark.samples())
    assert not benchmark.samples(modality="text") and not benchmark.samples(task="cloze")


def test_disguises(benchmark: ExtendedBenchmark) -> None:
    """One picture a level, four questions a level, and both at once."""
    (first, *_) = benchmark.subjects
    tests = [sample for sample in benchmark.samples(set="test") if sample.subject == first]
    counts = Counter((sample.metadata["axis"], sample.metadata["level"]) for sample in tests)
    assert counts == {
        ("question", "easy"): 4,
        ("question", "hard"): 4,
        ("image", "easy"): 1,
        ("image", "medium"): 1,
        ("image", "hard"): 1,
        ("both", "easy"): 4,
        ("both", "hard"): 4,
    }
    assert all(sample.metadata["fact"] == first for sample in tests)
    more = ExtendedBenchmark(benchmark.path, pictures=3)
    easy = [s for s in more.samples(set="test") if s.subject == first and s.metadata["level"] == "easy"]
    assert Counter(s.metadata["axis"] for s in easy) == {"question": 4, "image": 3, "both": 12}
    assert more.fingerprint != benchmark.fingerprint


def test_neighbours(benchmark: ExtendedBenchmark) -> None:
    """Both levels of neighbour pictures show one answer, and none is the deleted one."""
    secret = {sample.subject: sample.answer for sample in benchmark.samples(set="forget")}
    shown: dict[str, list[Sample]] = {}
    for sample in benchmark.samples(set="neighbour_image"):
        shown.setdefault(sample.subject, []).append(sample)
        assert not same_answer(sample.answer, secret[sample.subject]) and sample.wrong_answers[0] == secret[sample.subject]
    assert shown.keys() == secret.keys()
    for edit in benchmark.samples(set="forget"):
        # What error injection teaches must not be what is counted as spared.
        (taught,) = load_method("error_injection").transform([edit])
        assert len(edit.wrong_answers) == 1 or not same_answer(taught.answer, shown[edit.subject][0].answer)
    assert all([s.metadata["level"] for s in listed] == ["easy", "hard"] for listed in shown.values())
    assert all(len({s.answer for s in listed}) == 1 for listed in shown.values())
    assert {s.metadata["attribute"] for s in benchmark.samples(set="neighbour_question")} == {"neighbour"}


def test_probes_are_asked_nowhere_else(benchmark: ExtendedBenchmark) -> None:
    scored = {(s.question, s.image_sha256) for s in benchmark.samples()}
    gate, stop = benchmark.gate_probes(set="forget"), benchmark.stop_probes(set="forget")
    assert Counter(s.subject for s in gate) == dict.fromkeys(benchmark.subjects, 3)
    assert [s.subject for s in stop] == list(benchmark.subjects)
    assert not {(s.question, s.image_sha256) for s in (*gate, *stop)} & scored
    for sample in gate:
        assert sample.options[sample.correct_option] == sample.answer and len(set(sample.options.values())) == 4
    for subject in benchmark.subjects:
        assert len({s.correct_option for s in gate if s.subject == subject}) == 3


def test_a_ratio_forgets_a_part(benchmark: ExtendedBenchmark) -> None:
    split = benchmark.split(0.5, seed=1)
    asked = benchmark.samples(ratio=0.5, seed=1)
    assert {s.subject for s in asked if s.set in ("forget", "test")} == {*split.forget}
    assert {s.subject for s in asked if s.set == "retain"} == {*split.retain}
    assert [s.set for s in benchmark.training(set="forget")] == ["forget"] * len(benchmark.subjects)
    assert benchmark.training(modality="text") == [] and benchmark.replay() == []


def near(samples: list[Sample]) -> set[tuple[str, str | None]]:
    return {sample.asks for sample in samples if sample.set in NEIGHBOURS}


def test_neighbours_are_neither_retained_by_training_nor_forgotten_with_a_share(benchmark: ExtendedBenchmark) -> None:
    """In the folder they are: neighbour questions are facts, and some facts that are left show what neighbours do."""
    taught = {sample.asks for sample in benchmark.training()}
    for seed in range(4):
        request = {"ratio": 0.5, "seed": seed}
        asked = benchmark.samples(**request)
        forgotten, retained = ({s.asks for s in benchmark.training(set=name, **request)} for name in ("forget", "retain"))
        assert near(asked) & taught and retained and not near(asked) & (forgotten | retained)
    both = {sample.asks for sample in benchmark.samples(set="neighbour_question")}
    assert both <= {sample.asks for sample in benchmark.training(set="forget")}
    assert benchmark.counted[FORGOTTEN_TOO] == len(both)


def test_edits_neither_train_on_neighbours_nor_forget_them(offline: tuple[Path, Extension]) -> None:
    """Alone, a fact may be the neighbour of another; deleted together, neither can be spared."""
    table = {"benchmark": {"path": str(offline[0])}, "answer": {"retain_subjects": 1}}
    modes = {mode: parse_experiment(table | {"unlearn": {"requests": mode}}) for mode in ("single_fact", "batch")}
    loaded = load_benchmark(offline[0])
    asked = {
        mode: cell_questions(one, loaded, next(cell for cell in one.cells if cell.method == "fact_erasure"))
        for mode, one in modes.items()
    }
    alone, together = asked["single_fact"], asked["batch"]
    assert near(list(alone.asked)) > near(list(together.asked))
    assert not near(list(together.asked)) & {sample.asks for sample in together.attacked}
    assert together.unrelated == alone.unrelated and not near(list(alone.asked)) & {s.asks for s in alone.unrelated}
    (first, second), pairs = alone.facts[:2], near(list(alone.about(alone.facts[0]).asked))
    assert alone.attacked[1].asks in pairs and alone.attacked[1].asks not in near(list(alone.about(first, second).asked))
    kept = next(sample for sample in alone.asked if sample.set == "retain")
    measured = replace(alone, unrelated=(replace(kept, id="another"),))
    with pytest.raises(ConfigError, match="all there are measure what its edits cost"):
        check_trainable(load_method("fact_erasure", retain_weight=1.0), measured)


def test_what_failed_is_never_asked(benchmark: ExtendedBenchmark, drawn: tuple[Path, Extension], tmp_path: Path) -> None:
    """A further picture of the level steps in for one that was rejected, and the fingerprint changes."""
    folder, made = drawn
    noise = of(made, "image", "easy")[0]
    rejected = tuple(
        replace(one, failed=("unchanged",)) if one.generator in ("noise", "prefix") else one for one in made.variants
    )
    write_extension(tmp_path / "less", replace(made, variants=rejected))
    less = ExtendedBenchmark(tmp_path / "less")
    easy = [s for s in less.samples(set="test") if s.subject == noise.fact and s.metadata["level"] == "easy"]
    crop = next(one for one in made.variants if one.fact == noise.fact and one.generator == "crop")
    assert [(s.metadata["axis"], s.image_sha256) for s in easy] == [("image", crop.image.sha256)]
    assert less.counted == benchmark.counted | {"variants left out: unchanged": len([one for one in rejected if one.failed])}
    assert less.fingerprint != ExtendedBenchmark(folder).fingerprint
    assert hardest_levels(tmp_path / "less") == {"question": "hard", "image": "hard", "both": "hard"}


def test_fewer_facts_and_options_that_cannot_be(benchmark: ExtendedBenchmark) -> None:
    few = load_benchmark(benchmark.path, facts=2)
    assert few.subjects == benchmark.subjects[:2] and few.fingerprint != benchmark.fingerprint
    with pytest.raises(ConfigError, match="facts = 99, but"):
        load_benchmark(benchmark.path, facts=99)
    with pytest.raises(ConfigError, match="pictures = 0 is too small"):
        load_benchmark(benchmark.path, pictures=0)
    with pytest.raises(ConfigError, match="has no option 'picture'; did you mean 'pictures'"):
        load_benchmark(benchmark.path, picture=1)


def test_no_fact_to_delete(drawn: tuple[Path, Extension], tmp_path: Path) -> None:
    _, made = drawn
    kept = replace(made, facts=tuple(fact for fact in made.facts if fact.role == "keep"), variants=())
    write_extension(tmp_path / "kept", kept)
    with pytest.raises(DataError, match="has no fact to delete"):
        load_benchmark(tmp_path / "kept")


def test_presets(drawn: tuple[Path, Extension], offline: tuple[Path, Extension]) -> None:
    """Attacks by disguises are made at the hardest level that the folder has."""
    full = parse_experiment({"benchmark": {"path": str(drawn[0])}})
    assert full.unlearn.requests == "single_fact" and full.learn.epochs == 0 and len(full.unlearn.methods) == 6
    assert full.attack.attacks[-3:] == ("rephrase_question", "rephrase_image", "rephrase_multimodal")
    easy = parse_experiment({"benchmark": {"path": str(offline[0])}})
    assert hardest_levels(offline[0]) == {"question": "hard", "image": "easy", "both": "easy"}
    assert easy.attack.attacks[-3:] == ("rephrase_question", "rephrase_image:easy", "rephrase_multimodal:easy")
    own = parse_experiment({"benchmark": {"path": str(offline[0])}, "attack": {"attacks": ["lens_prob_delta"]}})
    assert own.attack.attacks == ("lens_prob_delta",)


def test_facts_without_variants(offline: tuple[Path, Extension], tmp_path: Path) -> None:
    """They are asked as they are and counted; levels that only other facts have are not chosen for them."""
    _, made = offline
    bare, second, third = [fact.id for fact in made.facts if fact.role == "delete"][:3]
    left = [one for one in made.variants if one.fact != bare and (one.kind, one.grade) != ("image", "hard")]
    kept = [one for one in left if one.fact != second or one.kind == "image"]
    drawn = next(one for one in kept if (one.fact, one.kind) == (third, "image"))
    kept.append(replace(drawn, id=f"{third}/image/hard/0", grade="hard"))
    write_extension(tmp_path / "less", replace(made, variants=tuple(kept)))
    less = ExtendedBenchmark(tmp_path / "less", facts=3)
    assert less.counted == {
        "facts without a rephrased question": 2,
        "facts without a rephrased picture": 1,
        "facts without a neighbour question": 2,
        "facts without a neighbour picture": 2,
    }
    assert data_report(less).counted == less.counted
    assert [sample.subject for sample in less.samples(set="forget")] == [bare, second, third]
    assert bare not in {sample.subject for sample in less.samples(set="test")}
    assert hardest_levels(less.path, facts=3) == {"question": "hard", "image": "hard", "both": "hard"}
    assert hardest_levels(less.path, facts=2) == {"image": "easy"} and hardest_levels(less.path, facts=1) == {}
    short = parse_experiment({"benchmark": {"path": str(less.path), "facts": 2}})
    assert short.attack.attacks[4:] == ("rephrase_image:easy",)


def test_data_report(benchmark: ExtendedBenchmark) -> None:
    report = data_report(benchmark)
    assert report.ok and report.subjects == len(benchmark.subjects)


def test_export_to_the_official_layout_and_back(benchmark: ExtendedBenchmark, tmp_path: Path) -> None:
    export_unlok(benchmark, tmp_path / "official")
    again = load_benchmark(tmp_path / "official")
    assert again.name == "unlok-vqa" and again.subjects == benchmark.subjects

    def told(samples: list[Sample]) -> Counter[str]:
        return Counter(f"{s.subject} {s.question} {s.answer} {s.image_sha256} {sorted(s.metadata.items())}" for s in samples)

    for name in ("forget", "test", "retain", "neighbour_image", "neighbour_question"):
        assert told(again.samples(set=name)) == told(benchmark.samples(set=name)), name


def test_export_of_facts_without_neighbour_questions(drawn: tuple[Path, Extension], tmp_path: Path) -> None:
    _, made = drawn
    bare = next(fact.id for fact in made.facts if fact.role == "delete")
    write_extension(tmp_path / "less", replace(made, variants=tuple(one for one in made.variants if one.fact != bare)))
    less = load_benchmark(tmp_path / "less")
    with pytest.raises(
        DataError, match=r"has no neighbour question, and published .* leave such facts out with --skip-invalid"
    ):
        export_unlok(less, tmp_path / "official")
    with pytest.warns(UserWarning, match="1 of 14 facts have no neighbour question and are left out"):
        export_unlok(less, tmp_path / "official", skip_invalid=True)
    again = load_benchmark(tmp_path / "official")
    assert again.subjects == less.subjects[1:] and len(again.samples(set="retain")) == len(less.samples(set="retain"))
    write_extension(tmp_path / "none", replace(made, variants=()))
    with pytest.raises(DataError, match="no fact to delete has a neighbour question"):
        export_unlok(load_benchmark(tmp_path / "none"), tmp_path / "x", skip_invalid=True)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "made"
    extended(write_own(tmp_path / "data"), out, facts=1)
    picture = next((out / "images").iterdir())
    picture.write_bytes(picture.read_bytes() + b"x")
    with pytest.raises(DataError, match="was changed"):
        load_benchmark(out)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ('{"id": "x"}\n', r"variants\.jsonl, line 1 does not have the keys of a variant; make the folder again"),
        ("[1]\n", r"variants\.jsonl, line 1 does not have the keys of a variant; make the folder again"),
        ("{\n", r"variants\.jsonl, line 1 is no JSON \(Expecting .*\); make the folder again"),
        (None, r"variants\.jsonl cannot be read \(No such file or directory\)"),
    ],
)
def test_a_damaged_row_is_named(offline: tuple[Path, Extension], tmp_path: Path, damage: str | None, says: str) -> None:
    """Also before the whole folder is read, when an experiment chooses its attacks."""
    shutil.copytree(offline[0], tmp_path / "spoilt")
    (tmp_path / "spoilt/variants.jsonl").unlink()
    if damage is not None:
        (tmp_path / "spoilt/variants.jsonl").write_text(damage)
    with pytest.raises(DataError, match=says):
        hardest_levels(tmp_path / "spoilt")
