"""The first world of pretraining: public figures with portraits and profiles, all invented.

Three roles: `evaluated` figures are taught in pretraining only and scored as celebrities; `replay` figures are also shown
while a model learns new people; `held_out` figures are never shown to any model and are the never-learned reference.
"""

from __future__ import annotations

import io
import random
from dataclasses import astuple
from pathlib import Path

import numpy as np
from PIL import Image

from unsee.benchmarks import pools
from unsee.benchmarks.pictures import PICTURE_SIZE
from unsee.benchmarks.portrait_art import IDENTITY, SCENE, portrait
from unsee.benchmarks.portraits import Face, Scene, draw_faces, draw_scene
from unsee.benchmarks.profiles import draw_profile
from unsee.benchmarks.visual import visible
from unsee.models.pretraining.picture_bank import PictureBank, draw_all
from unsee.models.worlds import Figure, FigureRole, figure_scene, save_world

EVALUATED, REPLAY, HELD_OUT = 153, 147, 75
FACE_SEED = 20_260
SHIPPED = {"evaluated": 4, "replay": 4, "held_out": 4}
"""Pictures per figure that are frozen; of an evaluated figure only the first, the canonical one, is ever taught."""
TAUGHT_PICTURES = 24
VISUAL_KEYS = (*IDENTITY, *SCENE)


def draw_figures(seed: int = 0) -> list[Figure]:
    """All figures of the world; roles are assigned at random."""
    rng = random.Random(f"figures/{seed}")
    count = EVALUATED + REPLAY + HELD_OUT
    pairs = [(f, n) for f in pools.FIRST_NAMES for n in pools.LAST_NAMES if pools.name_partition(f, n) == "pretraining"]
    names = [f"{first} {last}" for first, last in rng.sample(pairs, count)]
    faces = draw_faces(count, seed=FACE_SEED + seed, partition="pretraining")
    sizes: dict[FigureRole, int] = {"evaluated": EVALUATED, "replay": REPLAY, "held_out": HELD_OUT}
    roles = [role for role, size in sizes.items() for _ in range(size)]
    rng.shuffle(roles)
    return [
        Figure(f"f{i:03d}", role, name, face, draw_profile(rng))
        for i, (role, name, face) in enumerate(zip(roles, names, faces, strict=True))
    ]


def taught_indices(figure: Figure, pictures: int = TAUGHT_PICTURES) -> list[int]:
    """Picture numbers a model is taught with; frozen pictures of evaluated figures stay unseen, but for the canonical one."""
    if figure.role == "held_out":
        return []
    first = SHIPPED["evaluated"] if figure.role == "evaluated" else 1
    return [0, *range(first, pictures + first)]


def freeze(directory: Path, figures: list[Figure]) -> None:
    """Write the world that ships beside the weights: every figure and its first pictures."""
    pictures = {}
    for figure in figures:
        drawn = (portrait(figure.face, figure_scene(figure, i), size=PICTURE_SIZE) for i in range(SHIPPED[figure.role]))
        pictures[figure.id] = [_webp(picture) for picture in drawn]
    save_world(directory, figures, pictures)


def _webp(picture: Image.Image) -> bytes:
    """Lossless, at half the size of a PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=True, quality=100, method=4)
    return buffer.getvalue()


def stranger_faces(count: int, figures: list[Figure], seed: int = 0) -> list[Face]:
    """Random faces of the pretraining partition that belong to no figure."""
    rng = random.Random(f"strangers/{seed}")
    known = {astuple(figure.face) for figure in figures}
    values = list(IDENTITY.values())
    faces: list[Face] = []
    while len(faces) < count:
        face = Face(*(rng.choice(words) for words in values))
        if face.partition == "pretraining" and astuple(face) not in known:
            faces.append(face)
    return faces


def visual_labels(face: Face, scene: Scene) -> list[int]:
    """Index of each visible attribute's value, in the order of VISUAL_KEYS."""
    words = visible(face, scene).values()
    return [values.index(word) for values, word in zip((*IDENTITY.values(), *SCENE.values()), words, strict=True)]


def _draw(job: tuple[Face, Scene]) -> np.ndarray:
    return np.asarray(portrait(job[0], job[1], size=PICTURE_SIZE))


def taught_portraits(
    figures: list[Figure], strangers: int, *, pictures: int = TAUGHT_PICTURES, seed: int = 0
) -> list[tuple[str, int, Face, Scene]]:
    """(owner, index, face, scene) of the canonical and `pictures` other portraits of each figure, and one of each stranger."""
    rng = random.Random(f"bank/{seed}")
    jobs: list[tuple[str, int, Face, Scene]] = []
    for figure in figures:
        jobs += [(figure.id, i, figure.face, figure_scene(figure, i)) for i in taught_indices(figure, pictures)]
    for number, face in enumerate(stranger_faces(strangers, figures, seed)):
        jobs.append(("", number, face, draw_scene(rng, rng.choice(["canonical", "near", "near"]))))
    return jobs


def render_bank(
    figures: list[Figure], strangers: int, *, pictures: int = TAUGHT_PICTURES, workers: int = 2, seed: int = 0
) -> PictureBank:
    """Draw every taught portrait."""
    jobs = taught_portraits(figures, strangers, pictures=pictures, seed=seed)
    return PictureBank(
        pixels=draw_all(_draw, [(face, scene) for _, _, face, scene in jobs], workers=workers),
        labels=np.array([visual_labels(face, scene) for _, _, face, scene in jobs]),
        owner=[owner for owner, _, _, _ in jobs],
        index=[index for _, index, _, _ in jobs],
    )
