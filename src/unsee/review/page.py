"""The page on which people judge variants, as one file that opens offline, or as a server gives it out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from unsee.benchmarks.extended.files import plain
from unsee.benchmarks.extended.variants import KIND_NAMES, Extension, Kind, Variant
from unsee.benchmarks.medical.licences import notice
from unsee.errors import ConfigError, DataError
from unsee.files import write_folder, write_text
from unsee.progress import Advance
from unsee.report.pictures import Encoded, data_address, encoded
from unsee.report.rendering import asset, environment_of, hash_of
from unsee.review.decisions import LONGEST_NAME, LONGEST_REASON, REASONS, extension_digest
from unsee.sample import ImageRef

MOST_INSIDE = 300
"""With more pictures than this they lie in a folder beside the page; so many are about 20 MiB inside it."""
PIXELS = 640
"""Longest side of a picture on the page."""

ASKED: Mapping[Kind, str] = {
    "question": "Does it still ask for the same thing, so that the right answer stays {answer}?",
    "image": "Is the answer to the question still {answer} with this picture?",
    "neighbour_question": "Is it about the same picture, answered rightly, and not by {answer}?",
    "neighbour_image": "Is this a similar picture, with a right answer that is not {answer}?",
}
"""Kind of variant -> what the annotator is asked; `{answer}` is the fact's own answer."""
_STYLES, _SCRIPTS = ("review.css",), ("review_store.js", "review.js")
_GENERATOR, _HEAD = b'<meta name="generator" content="unsee ', 2048
"""What a page has within its first bytes."""
_OURS = re.compile(r"[0-9a-f]{64}\.(webp|png)")


class Pictures:
    """Pictures of an extension by number, each once."""

    def __init__(self, extension: Extension) -> None:
        shown = [*(fact.image for fact in extension.facts), *(variant.image for variant in extension.variants)]
        self.listed: list[ImageRef] = list({image.sha256: image for image in shown}.values())
        self.numbers = {image.sha256: number for number, image in enumerate(self.listed)}

    def shown(self, number: int) -> Encoded | None:
        """A picture in the size of the page; None where it cannot be decoded."""
        return encoded(self.listed[number], pixels=PIXELS)


def write_page(
    extension: Extension,
    path: Path | str,
    *,
    annotator: str = "",
    seed: int = 0,
    failed: bool = False,
    most_inside: int = MOST_INSIDE,
    progress: Advance | None = None,
) -> Path:
    """Write the page that opens offline; decisions are kept by the browser and downloaded as JSON lines.

    Args:
        extension: what is judged.
        path: the page. With many pictures they lie beside it in a folder of its name and `-pictures`.
        annotator: who judges; the page asks where this is empty.
        seed: of the order, which is another one for each annotator.
        failed: also have variants judged that failed automatic checks.
        most_inside: pictures inside the page, at most.
        progress: called with the number of pictures done and the whole number.

    Raises:
        ConfigError: the path is a folder or another file, the name is too long, or other files lie in the folder of pictures.
        DataError: there is no variant to judge.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; --out names the page, for example {path / 'review.html'}")
    if path.exists() and not _is_page(path):
        raise ConfigError(f"{path} is there and no page of a review; choose another name with --out, or remove it")
    pictures = Pictures(extension)
    told = progress or (lambda done, total: None)
    beside = path.with_name(f"{path.stem}-pictures") if len(pictures.listed) > most_inside else None
    check_reviewable(extension, annotator=annotator, failed=failed)
    if beside is None:
        addresses = []
        for number, image in enumerate(pictures.listed):
            addresses.append(data_address(image, pixels=PIXELS))
            told(number + 1, len(pictures.listed))
    else:
        addresses = _write_pictures(beside, pictures, told)
    page = render_page(extension, pictures=pictures, addresses=addresses, annotator=annotator, seed=seed, failed=failed)
    write_text(path, page)
    return path


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return _GENERATOR in file.read(_HEAD)


def check_reviewable(extension: Extension, *, annotator: str, failed: bool) -> None:
    """Refuse what cannot be reviewed, before pictures are encoded.

    Raises:
        ConfigError: the name is too long.
        DataError: there is no variant to judge.
    """
    if len(annotator) > LONGEST_NAME:
        raise ConfigError(f"--annotator has {len(annotator)} characters; a name has at most {LONGEST_NAME}")
    if not any(failed or not variant.failed for variant in extension.variants):
        hint = (
            "--failed shows those that failed automatic checks" if extension.variants else "make some with `unsee data extend`"
        )
        raise DataError(f"{extension.name} has no variant to judge; {hint}")


def render_page(
    extension: Extension,
    *,
    pictures: Pictures,
    addresses: Sequence[str | None],
    annotator: str,
    seed: int,
    failed: bool,
    served: str = "",
) -> str:
    """The page as HTML.

    Args:
        addresses: of the pictures, None where one cannot be shown.
        served: the file a server writes decisions to; "" for a page that opens offline.
    """
    from markupsafe import Markup

    style = "\n".join([asset("style.css"), *(asset(name, "unsee.review") for name in _STYLES)])
    script = "\n".join([asset("shared.js"), *(asset(name, "unsee.review") for name in _SCRIPTS)])
    return (
        environment_of("unsee.review")
        .get_template("review.html")
        .render(
            name=extension.name,
            version=version("unsee"),
            style=Markup(style),
            script=Markup(script),
            script_hash=hash_of(script),
            served=bool(served),
            notice=notice(fact.source_license for fact in extension.facts),
            longest_name=LONGEST_NAME,
            longest_reason=LONGEST_REASON,
            data=_data(extension, pictures, addresses, failed)
            | {"annotator": annotator.strip(), "seed": seed, "served": served, "digest": extension_digest(extension)},
        )
    )


def _data(extension: Extension, pictures: Pictures, addresses: Sequence[str | None], failed: bool) -> dict[str, Any]:
    numbers = {fact.id: number for number, fact in enumerate(extension.facts)}

    def picture(image: ImageRef) -> int:
        return pictures.numbers[image.sha256]

    return {
        "name": extension.name,
        "kinds": {kind: (KIND_NAMES[kind].capitalize(), asked) for kind, asked in ASKED.items()},
        "order": list(ASKED),
        "reasons": list(REASONS.items()),
        "pictures": list(addresses),
        "facts": [
            {"id": fact.id, "question": fact.question, "answer": fact.answer, "picture": picture(fact.image)}
            for fact in extension.facts
        ],
        "items": [
            _item(variant) | {"fact": numbers[variant.fact], "picture": picture(variant.image)}
            for variant in extension.variants
        ],
        "judged": [number for number, variant in enumerate(extension.variants) if failed or not variant.failed],
    }


def _item(variant: Variant) -> dict[str, Any]:
    return {key: value for key, value in plain(variant).items() if key not in ("fact", "image")}


def _write_pictures(folder: Path, pictures: Pictures, told: Callable[[int, int], None]) -> list[str | None]:
    """Write all pictures beside the page; their addresses from there."""
    if folder.exists() and not (folder.is_dir() and all(_OURS.fullmatch(file.name) for file in folder.iterdir())):
        raise ConfigError(f"{folder} holds other files, and pictures of the page belong there; choose another name with --out")
    addresses: list[str | None] = []

    def fill(aside: Path) -> None:
        for number, image in enumerate(pictures.listed):
            made = pictures.shown(number)
            if made is None:
                addresses.append(None)
            else:
                name = f"{image.sha256}.{made.kind}"
                (aside / name).write_bytes(made.data)
                addresses.append(f"{quote(folder.name)}/{name}")
            told(number + 1, len(pictures.listed))

    write_folder(folder, fill)
    return addresses
