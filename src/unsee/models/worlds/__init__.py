"""Frozen worlds of pretraining: who and what the embedded model knows before it learns anything else.

A world is a folder with `world.json` (a list of figures) and `pictures.parquet` (columns figure, index, data). It is shipped
beside the weights, because a newer drawing library would otherwise make the model forget its own past.

    world = load_world("portraits")
    picture = world.picture(world.figures[0], 1)
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from unsee.benchmarks.portraits import Face, Scene, draw_scene
from unsee.benchmarks.visual import visible
from unsee.errors import DataError, nearest
from unsee.files import write_json, write_parquet
from unsee.sample import ImageRef

FigureRole = Literal["evaluated", "replay", "held_out"]
PORTRAITS, CREATURES, PATIENTS = "portraits", "creatures", "patients"
"""Worlds by name; those of creatures and patients are code (`unsee.benchmarks.creatures`, `unsee.benchmarks.patients`), which
draws the same pictures every time, and have no folder."""
_FIGURES = "world.json"
_PICTURES = "pictures.parquet"


@dataclass(frozen=True)
class Figure:
    """A public figure of a world.

    Attributes:
        role: `evaluated` figures are taught in pretraining only and scored as celebrities, `replay` figures are also shown
            while a model learns new people, `held_out` figures are never shown to any model.
        profile: attribute key -> value.
    """

    id: str
    role: FigureRole
    name: str
    face: Face
    profile: Mapping[str, str]


@dataclass(frozen=True)
class World:
    """A world read from its folder; pictures are read when the first one is asked for."""

    name: str
    figures: tuple[Figure, ...]
    directory: Path

    def with_role(self, role: FigureRole) -> tuple[Figure, ...]:
        return tuple(figure for figure in self.figures if figure.role == role)

    def picture(self, figure: Figure, index: int) -> ImageRef:
        """Picture 0 is the canonical portrait; of evaluated figures it is the only one a model was taught with.

        Raises:
            DataError: the world holds no such picture.
        """
        try:
            return self._pictures[figure.id][index]
        except KeyError:
            raise DataError(
                f"{self.directory / _PICTURES} holds no picture {index} of figure {figure.id}; install the package again"
            ) from None

    def picture_indices(self, figure: Figure) -> tuple[int, ...]:
        """Numbers of the frozen pictures of a figure, ascending."""
        return tuple(sorted(self._pictures.get(figure.id, {})))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over both files."""
        digest = hashlib.sha256()
        for file in (_FIGURES, _PICTURES):
            digest.update(hashlib.sha256(_read(self.directory / file)).digest())
        return digest.hexdigest()

    @cached_property
    def _pictures(self) -> dict[str, dict[int, ImageRef]]:
        import polars as pl

        path = self.directory / _PICTURES
        data = _read(path)
        try:
            rows = pl.read_parquet(data, columns=["figure", "index", "data"]).rows()
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{path} is no table of pictures ({error}); install the package again") from error
        pictures: dict[str, dict[int, ImageRef]] = {}
        for figure, index, data in rows:
            pictures.setdefault(figure, {})[index] = ImageRef.from_bytes(data)
        return pictures


def figure_scene(figure: Figure, index: int) -> Scene:
    """Scene of a figure's picture: 0 is canonical, the rest are near."""
    return draw_scene(random.Random(f"{figure.id}/{index}"), "canonical" if index == 0 else "near")


def visible_values(figure: Figure, index: int) -> dict[str, str]:
    """What a figure's picture shows, by key of `VISUAL_QUESTIONS`."""
    return visible(figure.face, figure_scene(figure, index))


def fingerprints(*, creatures: bool, patients: bool = False) -> dict[str, str]:
    """World -> SHA-256 of what this package holds of it.

    Of creatures: everything drawn and every fact, but no wording; of patients: the pictures of pretraining.
    """
    shipped = load_world()
    found = {shipped.name: shipped.fingerprint}
    if creatures:
        from unsee.benchmarks.creatures.drawing import DRAWING_VERSION
        from unsee.benchmarks.creatures.species import creature_world
        from unsee.benchmarks.pictures import PICTURE_SIZE
        from unsee.provenance import digest

        found[CREATURES] = digest([creature_world().fingerprint, DRAWING_VERSION, PICTURE_SIZE])
    if patients:
        from unsee.benchmarks.patients.world import world_fingerprint

        found[PATIENTS] = world_fingerprint()
    return found


def load_world(name: str = PORTRAITS, *, directory: Path | str | None = None) -> World:
    """Read a shipped world, or one from `directory`.

    Raises:
        DataError: there is no such world, or its figures cannot be read.
    """
    if directory is None:
        shipped = Path(__file__).parent
        directory = shipped / name
        if not (directory / _FIGURES).is_file():
            known = sorted(path.parent.name for path in shipped.glob(f"*/{_FIGURES}"))
            hint = nearest(name, known) if known else "none is installed; install the package again"
            raise DataError(f"there is no world {name!r}; {hint}")
    path = Path(directory) / _FIGURES
    data = _read(path)
    try:
        figures = tuple(_figure(row) for row in json.loads(data))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is no list of figures ({type(error).__name__}: {error}); install the package again") from error
    return World(name=name, figures=figures, directory=Path(directory))


def save_world(directory: Path, figures: Sequence[Figure], pictures: Mapping[str, Sequence[bytes]]) -> None:
    """Write a world's folder.

    Args:
        pictures: figure id -> encoded pictures, in the order of their indices.
    """
    import polars as pl

    rows = [(figure, index, data) for figure, encoded in pictures.items() for index, data in enumerate(encoded)]
    schema = {"figure": pl.String, "index": pl.Int64, "data": pl.Binary}
    write_parquet(directory / _PICTURES, pl.DataFrame(rows, schema=schema, orient="row"))
    write_json(directory / _FIGURES, [asdict(figure) | {"profile": dict(figure.profile)} for figure in figures])


def _figure(row: Mapping[str, Any]) -> Figure:
    if row["role"] not in get_args(FigureRole):
        raise ValueError(f"role {row['role']!r} is none of {', '.join(get_args(FigureRole))}")
    return Figure(id=row["id"], role=row["role"], name=row["name"], face=Face(**row["face"]), profile=dict(row["profile"]))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path") from error
