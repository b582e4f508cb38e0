"""The embedded benchmark of fictional species: one fact is deleted at a time, and attacked in graded disguises.

    benchmark = load_benchmark("creatures", facts=100)
    facts = benchmark.samples(set="forget")
    attacks = benchmark.samples(set="test")
    reference = load_benchmark("creatures", half="never")  # the same questions about species nobody was told about

The embedded model knows the facts from its pretraining. Who is forgotten is part of the benchmark (`facts`), so that no forget
ratio is needed; with one, a part of these facts is forgotten and the rest of them is retained.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Literal, NamedTuple, get_args

from unsee.benchmarks.base import STOP_PROBES, TrainingModality, in_turns, known_word
from unsee.benchmarks.creatures.drawing import DRAWING_VERSION, creature_picture
from unsee.benchmarks.creatures.facts import ATTRIBUTES
from unsee.benchmarks.creatures.questions import VISIBLE_QUESTIONS, all_texts, wordings
from unsee.benchmarks.creatures.scenes import Scene, taught_scene
from unsee.benchmarks.creatures.species import HALVES, CreatureWorld, Species, SpeciesRole, creature_world
from unsee.benchmarks.creatures.variants import VARIANTS_VERSION, disguises, edited_question, neighbour_scenes
from unsee.benchmarks.creatures.visible import VISIBLE_VALUES, visible
from unsee.benchmarks.pictures import PICTURE_SIZE
from unsee.benchmarks.replay import replay_samples
from unsee.benchmarks.single_facts import TAUGHT, SingleFacts
from unsee.benchmarks.splits import DRAWS
from unsee.errors import ConfigError
from unsee.models.worlds import load_world
from unsee.provenance import digest
from unsee.sample import MODALITIES, Sample, SetName

Asked = Literal["A", "B", "never"]
"""Whose facts are deleted: those of a half, for a model that was taught it, or of species that no model knows."""
FACTS, PAPER_FACTS, TUNING_FACTS = 100, 500, 60
WRONG_ANSWERS = 4
NEIGHBOUR_QUESTIONS = 4
"""Questions about the same picture, per fact."""
REPLAYED_PICTURES = 150
"""Pictures of creatures in the general data, each with two questions about what it shows."""


def creatures(facts: int | None = None, *, half: Asked = "A", seed: int = 0) -> Creatures:
    """Benchmark `creatures`: facts about fictional species, known from pretraining, to be deleted one at a time.

    Args:
        facts: number of facts to delete; 100 by default.
        half: `A` or `B`, the half of the species that the model was taught (the shipped one: A), or `never` for species that
            no model was taught, which tells what an attack finds without knowledge.
        seed: draws the facts; seeds 4n to 4n + 3 share none up to a quarter of all.
    """
    return Creatures("creatures", facts, usual=FACTS, half=half, seed=seed)


def creatures_paper(facts: int | None = None, *, half: Asked = "A", seed: int = 0) -> Creatures:
    """Benchmark `creatures-paper`: 500 facts to delete, as many as UnLOK-VQA (arXiv 2505.01456) has."""
    return Creatures("creatures-paper", facts, usual=PAPER_FACTS, half=half, seed=seed)


def creatures_tuning(facts: int | None = None, *, half: Asked = "A", seed: int = 0) -> Creatures:
    """Benchmark `creatures-tuning`: facts that occur in no set of the others, for choosing settings.

    Models of both halves know them; `never` gives species that no model knows and the others do not ask about.
    """
    return Creatures("creatures-tuning", facts, usual=TUNING_FACTS, half=half, seed=seed, tuning=True)


class _Fact(NamedTuple):
    species: Species
    attribute: str

    @property
    def id(self) -> str:
        return f"{self.species.id}/{self.attribute}"

    @property
    def value(self) -> str:
        return self.species.facts[self.attribute]


class Creatures(SingleFacts[_Fact]):
    """Facts about fictional species; see `unsee.benchmarks.base.Benchmark`. A subject is one fact, `<species>/<attribute>`.

    Attributes:
        subjects: the facts to delete.
        world: every species there is.
        half: whose facts are deleted.
    """

    def __init__(self, name: str, facts: int | None, *, usual: int, half: Asked, seed: int, tuning: bool = False) -> None:
        known_word("half", half, get_args(Asked))
        for option, value in (("facts", facts), ("seed", seed)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                raise ConfigError(f"{option} of benchmark {name} is {value!r}; give a whole number")
        self.name = name
        self.world: CreatureWorld = creature_world()
        self.half = half
        deleted, self._anchors = self._roles(half, tuning)
        ordered = _in_order([one for one in self.world.species if one.role == deleted], seed)
        count = min(usual, len(ordered)) if facts is None else facts
        if not 1 <= count <= len(ordered):
            raise ConfigError(
                f"facts = {facts}, but half {half} of benchmark {name} has {len(ordered)}; give 1 to {len(ordered)}"
            )
        self._facts = {fact.id: fact for fact in ordered[:count]}
        anchors = [_Fact(one, attribute) for one in self._anchors for attribute in ATTRIBUTES]
        # Of species that nobody knows no fact is retained.
        known = () if half == "never" else ordered[count:]
        self._kept = {fact.id: fact for fact in sorted((*known, *anchors), key=lambda fact: fact.id)}
        self._drawn: dict[str, list[Species]] = {}
        self.subjects = tuple(self._facts)
        self._tuning, self._seed = tuning, seed

    def never_learned(self) -> Creatures:
        """As many facts, at most, about species that no model was told anything about."""
        there = len(self.world.with_role("tuning_never" if self._tuning else "never")) * len(ATTRIBUTES)
        count = min(len(self.subjects), there)
        return Creatures(self.name, count, usual=count, half="never", seed=self._seed, tuning=self._tuning)

    def taught_facts(self) -> list[Sample]:
        """A question by name per fact that a base was taught, those of tuning species and anchors included; none is scored."""
        taught = self.world.taught("B" if self.half == HALVES[1] else "A")
        facts = (_Fact(species, attribute) for species in taught for attribute in ATTRIBUTES)
        return [
            self._sample(fact, "taught", "retain", wordings(fact.attribute, "train", fact.species.name)[0], None, wrong=())
            for fact in facts
        ]

    def _roles(self, half: Asked, tuning: bool) -> tuple[SpeciesRole, tuple[Species, ...]]:
        """Role of the species whose facts may be deleted, and the species that are always retained."""
        if tuning:
            return ("tuning_never" if half == "never" else "tuning"), self.world.with_role("tuning_anchor")
        return half, self.world.with_role("anchor")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the world, the facts, all wordings and drawing settings; no picture is drawn for it."""
        versions = (DRAWING_VERSION, VARIANTS_VERSION, PICTURE_SIZE)
        return digest([self.name, self.half, self.world.fingerprint, self.subjects, list(self._kept), all_texts(), versions])

    def training(
        self, *, set: SetName | None = None, modality: TrainingModality = "both", ratio: float | None = None, seed: int = 0
    ) -> list[Sample]:
        """Eight wordings per fact, half of them with a picture and half by name, for models that do not know the species.

        Raises:
            ConfigError: a set that is not taught.
        """
        known_word("modality", modality, get_args(TrainingModality))
        found: list[Sample] = []
        for name in self._sets(set, TAUGHT):
            # What is never learned is taught only on request.
            if set is not None or name == "retain" or self.half != "never":
                found += [one for fact in self._asked(name, ratio, seed) for one in self._lessons(fact, name, modality)]
        return found

    def stop_probes(self, *, set: SetName, ratio: float | None = None, seed: int = 0, limit: int = STOP_PROBES) -> list[Sample]:
        """At most `limit` questions, one per fact."""
        (name,) = self._sets(set, TAUGHT)
        facts = list(self._asked(name, ratio, seed))
        random.Random(f"creatures/stop/{name}/{seed}").shuffle(facts)
        return in_turns(
            (
                [self._sample(fact, "stop", name, wordings(fact.attribute, "stop")[0], taught_scene(fact.species.id))]
                for fact in facts[:limit]
            ),
            limit,
        )

    def replay(self) -> list[Sample]:
        """The general data of `people`, and what pictures of creatures show; no fact about any creature."""
        people = load_world()
        samples = replay_samples(people, people.with_role("replay"), benchmark=self.name, seed=0)
        rng = random.Random("creatures/replay")
        for species in rng.sample(self.world.species, REPLAYED_PICTURES):
            scene = taught_scene(species.id, 1)
            for key in rng.sample(list(VISIBLE_VALUES), 2):
                samples.append(self._about_picture(species, key, scene, "train", f"replay/{key}", "general", species.id))
        return samples

    # Parts ---------------------------------------------------------------------------------------------------------------

    def _evaluation(self, fact: _Fact, name: SetName) -> Iterable[Sample]:
        if name == "test":
            return self._disguised(fact)
        if name == "neighbour_image":
            return self._neighbour_images(fact)
        return self._neighbour_questions(fact) if name == "neighbour_question" else [self._edited(fact, name)]

    def _gate(self, fact: _Fact, name: SetName) -> Iterator[Sample]:
        """Three questions in wordings that are asked nowhere else, about the fact's own picture."""
        for number, question in enumerate(wordings(fact.attribute, "gate")):
            yield self._sample(fact, f"gate/{number}", name, question, taught_scene(fact.species.id))

    def _edited(self, fact: _Fact, name: SetName) -> Sample:
        question = edited_question(fact.attribute)
        paraphrases = wordings(fact.attribute, "paraphrase")
        return self._sample(fact, "question", name, question, taught_scene(fact.species.id), paraphrases=paraphrases)

    def _disguised(self, fact: _Fact) -> Iterator[Sample]:
        for one in disguises(fact.species, fact.attribute):
            about = {"fact": fact.id, "axis": one.axis, "level": one.level}
            part = f"test/{one.axis}/{one.level}/{one.number}"
            yield self._sample(fact, part, "test", one.question, one.scene, metadata=about)

    def _neighbour_images(self, fact: _Fact) -> Iterator[Sample]:
        """The creature whose answer is the fact's last alternate, in a new scene and in the fact's own.

        The last, because defences teach the first one: what they teach would be counted as spared.
        """
        other = _Fact(self._alternates(fact)[-1], fact.attribute)
        wrong = (fact.value, *(value for value in self._wrong(fact) if value != other.value))
        for level, scene in neighbour_scenes(fact.species, fact.attribute).items():
            yield self._sample(
                other,
                f"neighbour-image/{level}",
                "neighbour_image",
                edited_question(fact.attribute),
                scene,
                wrong=wrong,
                metadata={"fact": fact.id, "level": level},
                owner=fact,
            )

    def _neighbour_questions(self, fact: _Fact) -> Iterator[Sample]:
        """What else the fact's picture shows."""
        scene = taught_scene(fact.species.id)
        shown = visible(fact.species.look, scene)
        there = [key for key in VISIBLE_VALUES if not (key.endswith("object") and shown[key] == "none")]
        for key in random.Random(f"creatures/neighbour/{fact.id}").sample(there, NEIGHBOUR_QUESTIONS):
            part = f"{fact.attribute}/neighbour-question/{key.replace(' ', '-')}"
            yield self._about_picture(fact.species, key, scene, "test", part, "neighbour_question", fact.id, {"fact": fact.id})

    def _lessons(self, fact: _Fact, name: SetName, modality: TrainingModality) -> Iterator[Sample]:
        turn = ATTRIBUTES.index(fact.attribute) + int(fact.species.id[1:])
        for number, _ in enumerate(wordings(fact.attribute, "train")):
            kind = MODALITIES[(turn + number) % len(MODALITIES)]
            if modality in ("both", kind):
                pictured = kind == "image_text"
                subject = () if pictured else (fact.species.name,)
                question = wordings(fact.attribute, "train", *subject)[number]
                scene = taught_scene(fact.species.id, number) if pictured else None
                yield self._sample(fact, f"train/{number}", name, question, scene)

    def _alternates(self, fact: _Fact) -> list[Species]:
        """Anchors whose answers are the fact's wrong answers, in a drawn order."""
        if fact.id not in self._drawn:
            others = [one for one in self._anchors if one.facts[fact.attribute] != fact.value]
            self._drawn[fact.id] = random.Random(f"creatures/alternates/{fact.id}").sample(others, WRONG_ANSWERS)
        return self._drawn[fact.id]

    def _wrong(self, fact: _Fact) -> tuple[str, ...]:
        return tuple(one.facts[fact.attribute] for one in self._alternates(fact))

    def _about_picture(
        self,
        species: Species,
        key: str,
        scene: Scene,
        role: Literal["train", "test"],
        part: str,
        name: SetName,
        subject: str,
        metadata: Mapping[str, str] | None = None,
    ) -> Sample:
        """A question about what a picture shows."""
        answer = visible(species.look, scene)[key]
        rng = random.Random(f"creatures/visible/{species.id}/{key}")
        others = [value for value in VISIBLE_VALUES[key] if value != answer]
        return Sample(
            id=f"{self.name}/{species.id}/{part}",
            benchmark=self.name,
            subject=subject,
            set=name,
            task="generation",
            modality="image_text",
            question=rng.choice(VISIBLE_QUESTIONS[key][role]),
            answer=answer,
            images=(creature_picture(species.look, scene),),
            wrong_answers=tuple(rng.sample(others, min(WRONG_ANSWERS, len(others)))),
            metadata={"attribute": key, "entity": species.id, "value": answer, **(metadata or {})},
            source=self.name,
        )

    def _sample(
        self,
        fact: _Fact,
        part: str,
        name: SetName,
        question: str,
        scene: Scene | None,
        *,
        paraphrases: tuple[str, ...] = (),
        wrong: tuple[str, ...] | None = None,
        metadata: Mapping[str, str] | None = None,
        owner: _Fact | None = None,
    ) -> Sample:
        """A question for a fact; `owner` is the fact whose neighbour it is."""
        owner = owner or fact
        return Sample(
            id=f"{self.name}/{owner.id}/{part}",
            benchmark=self.name,
            subject=owner.id,
            set=name,
            task="generation",
            modality="text" if scene is None else "image_text",
            question=question,
            answer=fact.value,
            images=() if scene is None else (creature_picture(fact.species.look, scene),),
            paraphrases=paraphrases,
            wrong_answers=self._wrong(fact) if wrong is None else wrong,
            metadata={"attribute": fact.attribute, "entity": fact.species.id, "value": fact.value, **(metadata or {})},
            source=self.name,
        )


def _in_order(species: list[Species], seed: int) -> list[_Fact]:
    """Every fact of the species in the order in which they are chosen.

    Over as many facts in a row as there are species, no species comes twice; attributes take turns. Seeds 4n to 4n + 3 begin a
    quarter of the way apart.
    """
    rng = random.Random(f"creatures/order/{seed // DRAWS}")
    order, attributes = rng.sample(species, len(species)), rng.sample(ATTRIBUTES, len(ATTRIBUTES))
    facts = [
        _Fact(one, attributes[(place + turn) % len(attributes)])
        for turn in range(len(attributes))
        for place, one in enumerate(order)
    ]
    first = seed % DRAWS * len(facts) // DRAWS
    return facts[first:] + facts[:first]
