import subprocess
import sys
from collections import Counter
from itertools import combinations

import pytest

from unsee.benchmarks import pools
from unsee.benchmarks.population import draw_population, face_pool
from unsee.benchmarks.portraits import draw_faces
from unsee.benchmarks.profiles import ATTRIBUTES
from unsee.errors import ConfigError


@pytest.fixture(scope="module")
def crowd():
    """The largest documented population."""
    return draw_population(500, seed=0)


def parts(people):
    return [tuple(person.name.split(" ")) for person in people]


def test_names_and_ids_are_unique(crowd):
    assert len({person.name for person in crowd}) == len({person.id for person in crowd}) == 500
    assert [crowd[0].id, crowd[499].id] == ["p000", "p499"]
    assert [person.index for person in crowd] == list(range(500))


def test_relatives_are_the_two_pairs_of_a_family(crowd):
    by_id = {person.id: person for person in crowd}
    for person in crowd:
        alike, same_name = by_id[person.look_alike], by_id[person.namesake]
        assert (alike.index, same_name.index) == (person.index ^ 1, person.index ^ 2)
        assert person.face.distance(alike.face) == 1
        assert person.name.split()[1] == same_name.name.split()[1]
        assert person.name.split()[0] != same_name.name.split()[0]


def test_other_faces_differ_in_two_attributes(crowd):
    known = draw_faces(100, seed=3, partition="pretraining")
    people = draw_population(101, seed=2, avoid=known)
    for a, b in combinations(people, 2):
        assert a.face.distance(b.face) >= (1 if a.look_alike == b.id else 2)
    assert min(person.face.distance(face) for person in people for face in known) == 2
    for a, b in combinations(crowd[:200], 2):
        assert a.face.distance(b.face) >= (1 if a.look_alike == b.id else 2)


def test_look_alikes_change_what_can_be_seen(crowd):
    changed = Counter(
        field
        for person in crowd
        for field in ("skin", "hairstyle", "hair_color", "facial_hair", "glasses", "earrings")
        if getattr(person.face, field) != getattr(crowd[person.index ^ 1].face, field)
    )
    assert set(changed) == {"skin", "hair_color", "facial_hair", "glasses"}


def test_last_names_of_200_belong_to_one_pair_each():
    people = draw_population(200, seed=0)
    for person in people:
        others = [other.id for other in people if other.name.split()[1] == person.name.split()[1] and other != person]
        assert others == [person.namesake]


def test_names_are_used_evenly(crowd):
    firsts, lasts = zip(*parts(crowd), strict=True)
    assert max(Counter(firsts).values()) <= 8 and len(set(firsts)) > 110
    assert max(Counter(lasts).values()) == 4


def test_no_name_is_also_a_value(crowd):
    values = {word.lower() for attribute in ATTRIBUTES for value in attribute.values for word in value.split()}
    assert not {part.lower() for pair in parts(crowd) for part in pair} & values


def test_left_over_people_have_no_relatives():
    people = draw_population(10, seed=0)
    assert [person.look_alike for person in people[8:]] == [None, None]
    lasts = Counter(last for _, last in parts(people))
    assert [lasts[last] for _, last in parts(people[8:])] == [1, 1]
    assert people[:8] == draw_population(8, seed=0)


def test_smaller_population_is_a_prefix(crowd):
    assert draw_population(60, seed=0) == crowd[:60]
    assert draw_population(60, seed=1) != crowd[:60]


@pytest.mark.parametrize("seed", [0, 1])
def test_pools_never_meet(crowd, seed):
    tuning = draw_population(200, seed=seed, pool="tuning")
    assert {pools.name_partition(*pair) for pair in parts(crowd)} == {"people"}
    assert {pools.name_partition(*pair) for pair in parts(tuning)} == {"tuning"}
    assert {face_pool(person.face) for person in crowd} == {"people"}
    assert {face_pool(person.face) for person in tuning} == {"tuning"}
    assert {face_pool(face) for face in draw_faces(50, seed=0, partition="pretraining")} == {"pretraining"}


def test_profiles_do_not_follow_names_or_faces(crowd):
    """Knowing family, last name or face must say nothing: relatives agree on a value as often as strangers do."""
    for attribute in ATTRIBUTES:
        if not attribute.values:
            continue
        relatives = [a.profile[attribute.key] == crowd[a.index ^ 1].profile[attribute.key] for a in crowd[::2]]
        assert sum(relatives) / len(relatives) < 1 / len(attribute.values) + 0.05
        assert max(Counter(person.profile[attribute.key] for person in crowd).values()) < 3.5 * 500 / len(attribute.values)


def test_population_is_the_same_in_every_process():
    code = "from unsee.benchmarks.population import draw_population as d; print(d(12, seed=4), d(8, seed=1, pool='tuning'))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{draw_population(12, seed=4)} {draw_population(8, seed=1, pool='tuning')}\n"}


@pytest.mark.parametrize(("count", "message"), [(7, "at least 8"), (0, "at least 8"), (20_000, "ask for fewer people")])
def test_impossible_sizes_are_refused(count, message):
    with pytest.raises(ConfigError, match=message):
        draw_population(count, seed=0)
