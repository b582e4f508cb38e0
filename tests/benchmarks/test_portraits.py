import random
from dataclasses import replace

import pytest

from unsee.benchmarks.portrait_art import IDENTITY, SCENE, portrait
from unsee.benchmarks.portraits import Face, Scene, draw_faces, draw_scene, look_alike

PLAIN = Scene("neutral", "t-shirt", "green", "sky blue")
SOMEBODY = Face("light", "quiff", "red", "none", "none", "none")


def scenes(grade, count=400):
    rng = random.Random(0)
    return [draw_scene(rng, grade) for _ in range(count)]


def smallest_distance(faces, others):
    return min(a.distance(b) for a in faces for b in others if a is not b)


@pytest.mark.parametrize("grade", ["canonical", "near", "far", "foreign"])
def test_portrait_is_deterministic(grade):
    for scene, again in zip(scenes(grade, 6), scenes(grade, 6)):
        picture = portrait(SOMEBODY, scene, size=64)
        assert picture.mode == "RGB" and picture.size == (64, 64)
        assert picture.tobytes() == portrait(SOMEBODY, again, size=64).tobytes()


@pytest.mark.parametrize("attribute", range(len(IDENTITY)))
def test_every_identity_value_looks_different(attribute):
    field = list(SOMEBODY.__dataclass_fields__)[attribute]
    words = list(IDENTITY.values())[attribute]
    pictures = {portrait(replace(SOMEBODY, **{field: w}), PLAIN, size=64).tobytes() for w in words}
    assert len(pictures) == len(words)


@pytest.mark.parametrize("field", ["hair_color", "facial_hair", "glasses"])
@pytest.mark.parametrize("hairstyle", IDENTITY["hairstyle"])
def test_no_hairstyle_hides_another_attribute(hairstyle, field):
    face = replace(SOMEBODY, hairstyle=hairstyle)
    other = replace(face, **{field: IDENTITY[field.replace("_", " ")][-1]})
    assert portrait(face, PLAIN, size=64) != portrait(other, PLAIN, size=64)


@pytest.mark.parametrize("attribute", SCENE)
def test_every_scene_value_looks_different(attribute):
    field = attribute.replace(" ", "_")
    words = SCENE[attribute]
    pictures = {portrait(SOMEBODY, replace(PLAIN, **{field: w}), size=64).tobytes() for w in words}
    assert len(pictures) == len(words)


def test_capacity_distances_and_disjoint_partitions():
    known = draw_faces(380, seed=0, partition="pretraining")
    fictitious = draw_faces(560, seed=1, partition="fictitious", avoid=known)
    assert {face.partition for face in known} == {"pretraining"}
    assert {face.partition for face in fictitious} == {"fictitious"}
    assert smallest_distance(known, known) >= 2
    assert smallest_distance(fictitious, fictitious) >= 2
    assert smallest_distance(known, fictitious) >= 2


def test_draw_faces_repeats_and_extends():
    few = draw_faces(20, seed=3, partition="fictitious")
    assert few == draw_faces(40, seed=3, partition="fictitious")[:20]
    assert few != draw_faces(20, seed=4, partition="fictitious")


def test_partition_is_stable():
    """A changed word or hash would move pretrained people among the fictitious ones."""
    faces = [replace(SOMEBODY, hairstyle=word) for word in IDENTITY["hairstyle"]]
    assert "".join(face.partition[0] for face in faces) == "pfpppppfppppppfpffppfpfp"


def test_draw_faces_says_what_to_change():
    with pytest.raises(ValueError, match="lower count or min_distance"):
        draw_faces(400, seed=0, partition="fictitious", min_distance=5)
    with pytest.raises(ValueError, match="partition"):
        draw_faces(1, seed=0, partition="test")


def test_look_alike_differs_in_one_visible_attribute():
    rng = random.Random(0)
    changed = set()
    for face in draw_faces(60, seed=0, partition="fictitious"):
        first = look_alike(face, rng=rng)
        second = look_alike(face, rng=rng, avoid=[first])
        assert first != second
        for other in (first, second):
            assert face.distance(other) == 1
            assert other.partition == face.partition
            pairs = zip(face.__dataclass_fields__, face.words, other.words)
            changed |= {field for field, mine, theirs in pairs if mine != theirs}
    assert changed == {"hair_color", "facial_hair", "glasses", "skin"}


def test_grades_do_not_overlap():
    for scene in scenes("canonical"):
        assert (scene.rotation, scene.scale, scene.shift, scene.flip) == (0, 1, (0, 0), False)
    for scene in scenes("near"):
        assert abs(scene.rotation) <= 12 and 0.9 <= scene.scale <= 1.1
        assert max(map(abs, scene.shift)) <= 0.05
        assert scene.pattern == "plain" and scene.style == "color"
        assert scene.occlusion is None and scene.light == 1
    for scene in scenes("far"):
        assert 15 <= abs(scene.rotation) <= 30
        assert 0.65 <= scene.scale <= 0.8 or 1.2 <= scene.scale <= 1.35
        assert min(map(abs, scene.shift)) >= 0.07
        assert scene.pattern != "plain"


def test_foreign_is_one_of_three_kinds():
    kinds = set()
    for scene in scenes("foreign"):
        kind = (scene.style != "color", scene.occlusion is not None, scene.light < 1)
        assert sum(kind) == 1
        kinds.add(kind)
        if scene.occlusion:
            left, top, width, height = scene.occlusion
            assert left >= 0 and left + width <= 1 and top >= 0 and top + height <= 1
            assert width * height <= 0.3 + 1e-9
    assert len(kinds) == 3


def test_unknown_word_is_refused():
    with pytest.raises(ValueError, match="hair color 'brown'"):
        replace(SOMEBODY, hair_color="brown")
