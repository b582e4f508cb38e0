"""Invented people in families of four, so that every forgotten person leaves a look-alike and a namesake behind.

Members 0..3 of a family: (0, 1) and (2, 3) look alike (their faces differ in one clearly visible attribute), (0, 2) and (1, 3)
share a last name. All other faces of a population, and all faces to avoid, differ in at least two attributes. Names, faces and
profiles are drawn independently of each other.

    people = draw_population(200, seed=0)
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Literal, NamedTuple

from unsee.benchmarks import pools
from unsee.benchmarks.portrait_art import IDENTITY
from unsee.benchmarks.portraits import Face, look_alike
from unsee.benchmarks.profiles import ATTRIBUTES, draw_profile
from unsee.errors import ConfigError

Pool = Literal["people", "tuning"]
FAMILY = 4
SMALLEST = 2 * FAMILY


@dataclass(frozen=True)
class Person:
    """An invented person.

    Attributes:
        id: subject id, "p000" and so on.
        index: position in the population; `index // 4` is the family, `index % 4` the member.
        profile: attribute key -> value, for every attribute.
        look_alike: id of the person whose face differs in one attribute, or None.
        namesake: id of the person with the same last name, or None.
    """

    id: str
    index: int
    name: str
    face: Face
    profile: Mapping[str, str]
    look_alike: str | None = None
    namesake: str | None = None


def face_pool(face: Face) -> Literal["pretraining", "people", "tuning"]:
    """Which world a face may occur in, by a stable hash of its words, as `pools.name_partition` does for names."""
    if face.partition == "pretraining":
        return "pretraining"
    digest = hashlib.sha256(f"tuning|{'|'.join(astuple(face))}".encode()).digest()
    return "tuning" if int.from_bytes(digest[:8], "big") % 5 == 0 else "people"


def draw_population(count: int, *, seed: int, pool: Pool = "people", avoid: Iterable[Face] = ()) -> tuple[Person, ...]:
    """Draw `count` people: families of four, then up to three people without relatives.

    Families of a smaller population are a prefix of those of a larger one with the same seed.

    Args:
        count: at least 8.
        seed: one seed gives one population, on every machine.
        pool: the side of the name and face spaces; nobody is on both, whatever the sizes and seeds.
        avoid: faces to keep a distance of two attributes from.

    Raises:
        ConfigError: too few people, or more than there are names or faces for.
    """
    if count < SMALLEST:
        raise ConfigError(f"{count} people are too few for a look-alike and a namesake each; ask for at least {SMALLEST}")
    families, singles = divmod(count, FAMILY)
    names = _Names(pool, random.Random(f"{pool}/{seed}/names"))
    faces = _Faces(pool, random.Random(f"{pool}/{seed}/faces"), avoid)
    people: list[Person] = []

    def add(name: _Name, face: Face, alike: int | None, same_name: int | None) -> None:
        index = len(people)
        profile = draw_profile(random.Random(f"{pool}/{seed}/profile/{index}"))
        people.append(Person(subject_id(index), index, f"{name.first} {name.last}", face, profile, _id(alike), _id(same_name)))

    for first in range(0, families * FAMILY, FAMILY):
        even = names.draw(2)
        odd = names.draw(2, not_first=even)
        family_faces = [*faces.draw(2), *faces.draw(2)]
        for member, name in enumerate((even[0], odd[0], even[1], odd[1])):
            add(name, family_faces[member], first + (member ^ 1), first + (member ^ 2))
    for _ in range(singles):
        add(names.draw(1)[0], faces.draw(1)[0], None, None)
    return tuple(people)


def subject_id(index: int) -> str:
    return f"p{index:03d}"


def _id(index: int | None) -> str | None:
    return None if index is None else subject_id(index)


class _Name(NamedTuple):
    first: str
    last: str


class _Names:
    """Draws unused names of a pool, each first and each last name about equally often."""

    def __init__(self, pool: Pool, rng: random.Random) -> None:
        # A name that is also a value (a city, a university) would put an answer into a question.
        values = {word.lower() for attribute in ATTRIBUTES for value in attribute.values for word in value.split()}
        self._pool = pool
        self._firsts = [name for name in pools.FIRST_NAMES if name.lower() not in values]
        self._lasts = [name for name in pools.LAST_NAMES if name.lower() not in values]
        rng.shuffle(self._firsts)
        rng.shuffle(self._lasts)
        self._uses: Counter[str] = Counter()
        self._taken: set[_Name] = set()

    def draw(self, count: int, *, not_first: Iterable[_Name] = ()) -> list[_Name]:
        """`count` names with one last name and different first names, also different from those of `not_first`."""
        barred = {name.first for name in not_first}
        for last in sorted(self._lasts, key=self._uses.__getitem__):
            free = [
                name
                for first in sorted(self._firsts, key=self._uses.__getitem__)
                if first not in barred and (name := _Name(first, last)) not in self._taken
                if pools.name_partition(*name) == self._pool
            ]
            if len(free) >= count:
                self._taken.update(free[:count])
                self._uses.update(part for name in free[:count] for part in name)
                return free[:count]
        raise ConfigError(f"{len(self._taken)} people use up the names; ask for fewer people")


class _Faces:
    """Draws faces of a pool that keep a distance of two attributes from all others, their look-alike excepted."""

    def __init__(self, pool: Pool, rng: random.Random, avoid: Iterable[Face]) -> None:
        self._pool = pool
        self._rng = rng
        self._order = list(itertools.product(*IDENTITY.values()))
        rng.shuffle(self._order)
        self._blocked = {key for face in avoid for key in _keys(face)}
        self._drawn = 0

    def draw(self, count: Literal[1, 2]) -> list[Face]:
        """A face, or a face and its look-alike."""
        while self._order:
            face = Face(*self._order.pop())
            if not self._free(face):
                continue
            faces = [face] if count == 1 else self._pair(face)
            if faces:
                self._blocked.update(key for drawn in faces for key in _keys(drawn))
                self._drawn += count
                return faces
        raise ConfigError(f"{self._drawn} people use up the faces that can be told apart; ask for fewer people")

    def _pair(self, face: Face) -> list[Face]:
        unfit = [other for other in _one_change(face) if not self._free(other)]
        try:
            return [face, look_alike(face, rng=self._rng, avoid=unfit)]
        except ValueError:  # every look-alike is too close to somebody else
            return []

    def _free(self, face: Face) -> bool:
        return face_pool(face) == self._pool and self._blocked.isdisjoint(_keys(face))


def _keys(face: Face) -> list[tuple[str | None, ...]]:
    """The face with one attribute left out; two faces share a key exactly when they differ in one attribute at most."""
    values = astuple(face)
    return [(*values[:left_out], None, *values[left_out + 1 :]) for left_out in range(len(values))]


def _one_change(face: Face) -> list[Face]:
    values = astuple(face)
    return [
        Face(*(*values[:position], word, *values[position + 1 :]))
        for position, words in enumerate(IDENTITY.values())
        for word in words
        if word != values[position]
    ]
