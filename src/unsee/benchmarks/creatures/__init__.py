"""Fictional species with facts that no picture shows, for deleting one fact at a time."""

from unsee.benchmarks.creatures.benchmark import Creatures, creatures, creatures_paper, creatures_tuning
from unsee.benchmarks.creatures.species import CreatureWorld, Species, creature_world

__all__ = ["CreatureWorld", "Creatures", "Species", "creature_world", "creatures", "creatures_paper", "creatures_tuning"]
