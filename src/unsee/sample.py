"""The one record every benchmark produces, and the picture it points to.

A loader makes `Sample`s and nothing else; training, answering and scoring read them and never ask which benchmark
they came from. Pictures are decoded only when a batch needs them.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from PIL import Image

SetName = Literal[
    "forget",
    "test",
    "retain",
    "near_retain",
    "celebrity",
    "general",
    "clinical",
    "neighbour_image",
    "neighbour_question",
]
Task = Literal["classification", "generation", "cloze"]
Modality = Literal["image_text", "text"]

SETS: tuple[SetName, ...] = get_args(SetName)
TASKS: tuple[Task, ...] = get_args(Task)
MODALITIES: tuple[Modality, ...] = get_args(Modality)

MAX_PIXELS = 50_000_000


FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is read as a picture; others reach decoders that few pictures need, and one (EPS) starts another program."""
DEEP = ("I", "F")
"""How Pillow's modes of more than 8 bits begin; they are what X-rays come in, and its own conversion cuts them at 255."""


class ImageError(ValueError):
    """A picture that is missing, too large or cannot be decoded."""


@dataclass(frozen=True)
class ImageRef:
    """A picture by path or by bytes, identified by the SHA-256 of its encoded bytes.

    Attributes:
        sha256: hex digest of the encoded file, the picture's identity in records and caches.
        path: file to read when the picture is needed, or None.
        data: encoded bytes (PNG, JPEG, ...), or None.
    """

    sha256: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False, compare=False)

    @staticmethod
    def from_bytes(data: bytes) -> ImageRef:
        return ImageRef(sha256=hashlib.sha256(data).hexdigest(), data=data)

    @staticmethod
    def from_path(path: Path | str) -> ImageRef:
        """Raises ImageError if the file is missing or unreadable."""
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(f"picture {path} cannot be read ({error.strerror}); check the path") from error
        return ImageRef(sha256=hashlib.sha256(data).hexdigest(), path=path)

    @staticmethod
    def from_image(image: Image.Image) -> ImageRef:
        """Encode a Pillow picture as PNG."""
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return ImageRef.from_bytes(buffer.getvalue())

    def read(self) -> bytes:
        """The encoded bytes."""
        if self.data is not None:
            return self.data
        assert self.path is not None
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ImageError(f"picture {self.path} cannot be read ({error.strerror}); check the path") from error

    def open(self, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Decode the whole picture to RGB, turned the way its camera noted (EXIF).

        Grey values of more than 8 bits are scaled so that the picture's lowest becomes 0 and its highest 255.

        Raises:
            ImageError: it is no picture, is truncated, or has more than `max_pixels` pixels.
        """
        from PIL import Image, ImageOps, UnidentifiedImageError

        label = str(self.path) if self.path else f"sha256 {self.sha256[:12]}"
        data = self.read()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(data), formats=FORMATS)
                if image.width * image.height > max_pixels:
                    raise ImageError(
                        f"picture {label} has {image.width}x{image.height} pixels, more than {max_pixels}; scale it down"
                    )
                ImageOps.exif_transpose(image, in_place=True)
                return (_in_8_bits(image) if image.mode.startswith(DEEP) else image).convert("RGB")
        except ImageError:
            raise
        except UnidentifiedImageError as error:  # its own words name an object in memory
            raise ImageError(f"picture {label} cannot be decoded (no known picture format); replace or remove it") from error
        except Exception as error:  # Pillow raises many unrelated types on hostile bytes
            raise ImageError(f"picture {label} cannot be decoded ({error}); replace or remove it") from error


def _in_8_bits(image: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import Image

    values = np.asarray(image, dtype=np.float64)
    known = np.isfinite(values)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
    scaled = (np.where(known, values, low) - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(scaled.round().astype(np.uint8))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question to a model, with its right answer and where it came from.

    Attributes:
        id: unique within a benchmark and stable between runs.
        subject: who or what is forgotten; intervals are bootstrapped over subjects.
        images: pictures in prompt order; empty for text-only questions.
        system: system prompt, or "".
        question: question text without options; cloze questions hold "__" where the answer goes.
        answer: right answer; for classification the text of the right option.
        options: letter -> option text, for classification only.
        correct_option: letter of the right option.
        paraphrases: other wordings of the question.
        wrong_answers: plausible wrong answers of the same kind (truth ratio, error injection).
        metadata: attribute, level, identifier, error, scenario and the like.
    """

    id: str
    benchmark: str
    subject: str
    set: SetName
    task: Task
    modality: Modality
    question: str
    answer: str
    images: tuple[ImageRef, ...] = ()
    system: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    correct_option: str | None = None
    paraphrases: tuple[str, ...] = ()
    wrong_answers: tuple[str, ...] = ()
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)
    source: str = ""
    source_license: str = ""

    def __post_init__(self) -> None:
        if self.options and self.correct_option not in self.options:
            raise ValueError(
                f"sample {self.id}: right option {self.correct_option!r} is none of {', '.join(self.options)}; fix the row"
            )
        if not self.question.strip() or not self.answer.strip():
            raise ValueError(f"sample {self.id}: question and answer must not be empty; fix or remove the row")

    @property
    def fact(self) -> str:
        """The bare fact that is asked for: `metadata["value"]` where the answer is a sentence, else the answer."""
        return str(self.metadata.get("value", self.answer))

    @property
    def asks(self) -> tuple[str, str | None]:
        """Equal for samples that ask the same about the same pictures, whatever their ids."""
        return self.question.casefold(), self.image_sha256

    @cached_property
    def image_sha256(self) -> str | None:
        """One digest for all pictures of the sample, None without pictures."""
        if not self.images:
            return None
        if len(self.images) == 1:
            return self.images[0].sha256
        return hashlib.sha256("".join(image.sha256 for image in self.images).encode()).hexdigest()
