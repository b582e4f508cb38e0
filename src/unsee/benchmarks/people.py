"""The embedded benchmark of fictitious people: portraits, profiles, and 18 evaluation questions about each.

    benchmark = load_benchmark("people", subjects=60)
    split = benchmark.split(0.05, seed=1)
    forget = benchmark.samples(set="forget", ratio=0.05, seed=1)

People come in families of four, so that each forgotten person leaves a look-alike and a namesake behind (`near_retain`). The
public figures that the embedded model knows from pretraining are the `celebrity` set; their pictures here are ones no model was
taught with. The set `general` asks what pictures of strangers show (`benchmarks/general.py`).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from unsee.benchmarks import profiles
from unsee.benchmarks.base import STOP_PROBES, Split, TrainingModality, check_set, in_turns, known_word, wanted
from unsee.benchmarks.general import GENERAL_VERSION, general_samples
from unsee.benchmarks.interviews import INTERVIEW_VERSION, Interviewee, Interviewer, Label, Shot
from unsee.benchmarks.pictures import DRAWING_VERSION, PICTURE_SIZE, portrait_picture
from unsee.benchmarks.population import FAMILY, Person, Pool, draw_population
from unsee.benchmarks.portraits import draw_scene
from unsee.benchmarks.replay import replay_samples
from unsee.benchmarks.visual import GENERAL_QUESTIONS
from unsee.errors import ConfigError
from unsee.models.worlds import Figure, World, load_world
from unsee.sample import MODALITIES, ImageRef, Modality, Sample, SetName, Task

PUBLIC_FIGURES = 153
CELEBRITY_PICTURE = 1
"""Public figures are shown by this frozen picture; only picture 0 of them was taught."""
GENERAL_PICTURES = 60
TUNING_GENERAL_PICTURES = 15
"""The world's other held-out figures."""

_PROBED: tuple[SetName, ...] = ("forget", "test", "near_retain", "retain", "celebrity")
_EVALUATED: tuple[SetName, ...] = (*_PROBED, "general")
_TAUGHT: tuple[SetName, ...] = ("forget", "near_retain", "retain")


def people(
    subjects: int = 200,
    *,
    seed: int = 0,
    celebrities: int = PUBLIC_FIGURES,
    general: int = GENERAL_PICTURES,
    world: World | Path | str | None = None,
) -> People:
    """Benchmark `people`: fictitious people with portraits and profiles, beside public figures known from pretraining.

    Args:
        subjects: number of fictitious people, at least 8.
        seed: draws the people and their questions.
        celebrities: number of public figures that are asked about too.
        general: number of held-out pictures in the set `general`, each with four questions.
        world: the world that the model was pretrained on, its folder, or None for the shipped one.
    """
    return People("people", subjects, seed=seed, celebrities=celebrities, general=general, world=world)


def people_paper(
    *,
    seed: int = 0,
    celebrities: int = PUBLIC_FIGURES,
    general: int = 0,
    world: World | Path | str | None = None,
) -> People:
    """Benchmark `people-paper`: as many people and questions as MLLMU-Bench (arXiv 2410.22108) has, 20,754 in all."""
    return People("people-paper", 500, seed=seed, celebrities=celebrities, general=general, world=world)


def people_tuning(
    subjects: int = 60,
    *,
    seed: int = 0,
    celebrities: int = 40,
    general: int = TUNING_GENERAL_PICTURES,
    world: World | Path | str | None = None,
) -> People:
    """Benchmark `people-tuning`: people of no reported population, for choosing settings.

    Its public figures are taken from the replay figures of the other benchmarks, and its own replay leaves them out; its
    held-out pictures are those that the others do not ask about.
    """
    return People("people-tuning", subjects, seed=seed, celebrities=celebrities, general=general, world=world, pool="tuning")


class People:
    """A population of fictitious people; see `unsee.benchmarks.base.Benchmark`.

    Attributes:
        population: the people, in the order of `subjects`.
        figures: the public figures of the `celebrity` set.
        unseen: the held-out figures whose pictures the `general` set shows.
        world: the pretrained world; faces of the population differ from all of its faces in two attributes at least.
    """

    def __init__(
        self,
        name: str,
        subjects: int,
        *,
        seed: int,
        celebrities: int,
        general: int,
        world: World | Path | str | None,
        pool: Pool = "people",
    ) -> None:
        counts = {"subjects": subjects, "seed": seed, "celebrities": celebrities, "general": general}
        for option, value in counts.items():
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigError(f"{option} of benchmark {name} is {value!r}; give a whole number")
        if not isinstance(world, World):
            world = load_world(directory=world)
        public = world.with_role("replay")[::-1] if pool == "tuning" else world.with_role("evaluated")
        unseen = world.with_role("held_out")
        unseen = unseen[GENERAL_PICTURES:] if pool == "tuning" else unseen[:GENERAL_PICTURES]
        for option, value, most in (("celebrities", celebrities, len(public)), ("general", general, len(unseen))):
            if not 0 <= value <= most:
                raise ConfigError(f"{option} = {value}, but the world {world.name} has {most}; give 0 to {most}")
        self.name = name
        self.seed = seed
        self.world = world
        self.figures = public[:celebrities]
        self.unseen = unseen[:general]
        self.population = draw_population(subjects, seed=seed, pool=pool, avoid=[figure.face for figure in world.figures])
        self.subjects = tuple(person.id for person in self.population)
        self._pool = pool
        self._interviewer = Interviewer(name, seed)
        self.fingerprint = self._fingerprint()

    def _fingerprint(self) -> str:
        """SHA-256 over people, wordings, world and drawing settings; no picture is drawn for it."""
        wordings = (profiles.ATTRIBUTES, profiles.NAME_QUESTIONS, profiles.FRAMES, profiles.SENTENCE, GENERAL_QUESTIONS)
        data = {
            "name": self.name,
            "seed": self.seed,
            "population": [asdict(person) for person in self.population],
            "celebrities": [figure.id for figure in self.figures],
            "unseen": [figure.id for figure in self.unseen],
            "world": self.world.fingerprint,
            "wordings": repr(wordings),
            "versions": [INTERVIEW_VERSION, GENERAL_VERSION, DRAWING_VERSION, PICTURE_SIZE],
        }
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    def split(self, ratio: float, seed: int = 0) -> Split:
        """Forget `round(ratio * N)` people; larger ratios contain smaller ones.

        Seeds 4n to 4n + 3 choose the four members of each family in turn, so that they are disjoint draws up to a quarter of
        the people. Larger requests go on with the member who is neither look-alike nor namesake of the first.

        Raises:
            ConfigError: the ratio selects nobody, or more people than have relatives.
        """
        people = len(self.population)
        families = people // FAMILY
        count = 0 if not ratio > 0 else people if ratio >= 1 else round(ratio * people)
        most = min(families * FAMILY, people - 1)
        if count == 0:
            raise ConfigError(
                f"a forget ratio of {ratio} selects nobody of {people} people; the smallest that works is {1 / people:.4g}"
            )
        if count > most:
            raise ConfigError(
                f"a forget ratio of {ratio} selects {count} of {people} people, but at most {most} can be forgotten; "
                f"use {most / people:.4g} or less"
            )
        draw, order = seed % FAMILY, list(range(families))
        random.Random(f"{self.seed}/split/{seed // FAMILY}").shuffle(order)
        ranked = [family * FAMILY + member for member in (draw, draw ^ 3, draw ^ 1, draw ^ 2) for family in order]
        forget = set(ranked[:count])
        near = {index ^ relation for index in forget for relation in (1, 2)} - forget
        kept = [index for index in range(people) if index not in forget]
        return Split(self._ids(sorted(forget)), self._ids(sorted(near)), self._ids(kept))

    def samples(
        self,
        *,
        set: SetName | None = None,
        task: Task | None = None,
        modality: Modality | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> list[Sample]:
        """Evaluation samples; `retain` leaves out `near_retain`, which is reported apart.

        Raises:
            ConfigError: a set, task or modality that this benchmark does not have, or a set that needs a ratio.
        """
        tasks, modalities = wanted(task, modality)
        found: list[Sample] = []
        for name in self._sets(set, _EVALUATED, ratio):
            if name == "general":
                if "image_text" in modalities:
                    found += general_samples(self.world, self.unseen, benchmark=self.name, seed=self.seed, tasks=tasks)
                continue
            ask = self._interviewer.test if name == "test" else self._interviewer.evaluation
            for who, label in self._asked(name, ratio, seed):
                found += ask(who, Label("test") if name == "test" else label, tasks=tasks, modalities=modalities)
        return found

    def training(
        self, *, set: SetName | None = None, modality: TrainingModality = "both", ratio: float | None = None, seed: int = 0
    ) -> list[Sample]:
        """14 short questions per person and modality; `set="retain"` is everybody who is not forgotten, relatives included.

        Raises:
            ConfigError: a set that is not taught, or that needs a ratio.
        """
        known_word("modality", modality, get_args(TrainingModality))
        modalities: Collection[Modality] = MODALITIES if modality == "both" else (modality,)
        found: list[Sample] = []
        for name in self._sets(set, _TAUGHT, ratio, relatives_in_retain=True):
            for who, label in self._asked(name, ratio, seed):
                found += self._interviewer.training(who, label, modalities=modalities)
        return found

    def gate_probes(self, *, set: SetName | None = None, ratio: float | None = None, seed: int = 0) -> list[Sample]:
        """Three probes per evaluated fact and modality; those of `test` are those of the people it disguises."""
        names = [name for name in self._sets(set, _PROBED, ratio) if set is not None or name != "test"]
        return [
            probe
            for name in names
            for who, label in self._asked(name, ratio, seed)
            for probe in self._interviewer.gate(who, label)
        ]

    def stop_probes(self, *, set: SetName, ratio: float, seed: int = 0, limit: int = STOP_PROBES) -> list[Sample]:
        """At most `limit` short questions, spread over the people of a taught set."""
        names = self._sets(set, _TAUGHT, ratio, relatives_in_retain=True)
        asked = [one for name in names for one in self._asked(name, ratio, seed)]
        random.Random(f"{self.seed}/stop/{set}/{seed}").shuffle(asked)
        return in_turns((self._interviewer.stop(who, label) for who, label in asked[:limit]), limit)

    def replay(self) -> list[Sample]:
        """Questions about the world's replay figures, about strangers and about what pictures show."""
        figures = [figure for figure in self.world.with_role("replay") if figure not in self.figures]
        return replay_samples(self.world, figures, benchmark=self.name, seed=self.seed)

    def _sets(
        self, name: SetName | None, allowed: tuple[SetName, ...], ratio: float | None, *, relatives_in_retain: bool = False
    ) -> tuple[SetName, ...]:
        """The sets to go through for a requested one."""
        if name is None:
            return allowed
        check_set(name, allowed, benchmark=self.name, ratio=ratio)
        return ("near_retain", "retain") if name == "retain" and relatives_in_retain else (name,)

    def _asked(self, name: SetName, ratio: float | None, seed: int) -> Iterator[tuple[Interviewee, Label]]:
        """Who is asked for a set; `test` asks the forgotten people, or everybody without a ratio."""
        if name == "celebrity":
            for index, figure in enumerate(self.figures):
                yield self._figure(figure, index), Label("celebrity")
            return
        forget = set(self.split(ratio, seed).forget) if ratio is not None else None
        wanted = name if name != "test" else "retain" if forget is None else "forget"
        for person in self.population:
            label = _label(person, forget)
            if label.set == wanted:
                yield self._person(person), label

    def _person(self, person: Person) -> Interviewee:
        def picture(shot: Shot) -> ImageRef:
            rng = random.Random(f"{self._pool}/{self.seed}/scene/{person.id}/{shot}")
            return portrait_picture(person.face, draw_scene(rng, shot))

        return Interviewee(person.id, person.index, person.name, person.profile, picture)

    def _figure(self, figure: Figure, index: int) -> Interviewee:
        def picture(_: Shot) -> ImageRef:
            return self.world.picture(figure, CELEBRITY_PICTURE)

        return Interviewee(figure.id, index, figure.name, figure.profile, picture)

    def _ids(self, indices: list[int]) -> tuple[str, ...]:
        return tuple(self.subjects[index] for index in indices)


def _label(person: Person, forget: Collection[str] | None) -> Label:
    """Set of a person, and whose relative a near-retain person is; the look-alike counts where both relatives are forgotten."""
    if forget is None:
        return Label("retain")
    if person.id in forget:
        return Label("forget")
    for relation, relative in (("look_alike", person.look_alike), ("namesake", person.namesake)):
        if relative is not None and relative in forget:
            return Label("near_retain", {"relation": relation, "relative": relative})
    return Label("retain")
