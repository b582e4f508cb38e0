"""Small tables in every layout that `unsee data extend` reads, written by hand with the oddities of real ones.

`write_okvqa(folder)` and the like make a folder. Pictures are blocks of colours, so that no two look alike.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (48, 36)


def picture(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Blocks of colours, different for every number."""
    blocks = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def encoded(number: int, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture(number).save(buffer, format=format)
    return buffer.getvalue()


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


SPORTS = ("tennis", "soccer", "golf", "rugby", "hockey")
OKVQA: list[tuple[int, str, list[str]]] = [
    (42, "What sport is this?", ["tennis"] * 6 + ["Tennis", "ball", "racket", "tennis match"]),
    (42, "What is the ball made of?", ["rubber", "felt", "rubber", "felt", "plastic", "", "wool", "cork", "air", "skin"]),
    (74, "What sport is this?", ["soccer"] * 10),
    (74, "How many players are there?", ["two"] * 5 + ["2"] * 5),
    (133, "What sport is being played?", ["golf"] * 10),
    (136, "What sport is this?", ["tennis"] * 10),
    (139, "Is this tennis or golf?", ["golf"] * 10),
    (139, "Can you play it alone?", ["yes"] * 10),
    (143, "What sport is this?", ["rugby"] * 10),
    (164, "What sport is this?", ["hockey"] * 10),
    (192, "What sport is this?", ["golf"] * 10),
    (196, "How many people are there?", ["three"] * 10),
    (257, "How many people are there?", ["4"] * 10),
    (283, "What animal is this?", ["horses"] * 10),
    (285, "What animal is this?", ["zebra"] * 10),
]
"""(COCO id, question, ten answers): a tie, equal numbers in two forms, an answer in its own question, yes or no."""
NEW_NAMES = (136, 143)
"""Pictures under their names of 2017; the others have those of 2014."""


def write_okvqa(folder: Path) -> Path:
    """Two pairs of files, as the splits are published."""
    for part, rows in (("train2014", OKVQA[:6]), ("val2014", OKVQA[6:])):
        first = 0 if part == "train2014" else 6
        asked = [
            {"image_id": image, "question": question, "question_id": 10 * image + number}
            for number, (image, question, _) in enumerate(rows, start=first)
        ]
        answered = [
            {
                "image_id": image,
                "question_id": 10 * image + number,
                "question_type": "one",
                "answer_type": "other",
                "confidence": 3,
                "answers": [
                    {"answer_id": place, "raw_answer": text, "answer": text, "answer_confidence": "yes"}
                    for place, text in enumerate(answers)
                ],
            }
            for number, (image, _, answers) in enumerate(rows, start=first)
        ]
        about = {"info": {}, "data_type": "mscoco", "data_subtype": part}
        put(folder / f"OpenEnded_mscoco_{part}_questions.json", json.dumps(about | {"questions": asked}))
        types = {"one": "Sports and Recreation"}
        put(folder / f"mscoco_{part}_annotations.json", json.dumps(about | {"annotations": answered, "question_types": types}))
        for image, _, _ in rows:
            name = f"val2017/{image:012d}.jpg" if image in NEW_NAMES else f"{part}/COCO_{part}_{image:012d}.jpg"
            put(folder / name, encoded(image, "JPEG"))
    return folder


def own_rows(pictures: int = 10) -> list[dict[str, Any]]:
    """Shops: what each sells and on which street it stands, under keys of several spellings."""
    goods = ("bread", "shoes", "flowers", "books", "cheese", "lamps", "hats", "tea", "fish", "toys")
    streets = ("Elm Street", "Oak Street", "Mill Lane", "High Road", "Park Row")
    rows: list[dict[str, Any]] = []
    for number in range(pictures):
        shown = f"shop {number}.png"
        rows.append({"image": shown, "question": "What does this shop sell?", "answer": goods[number % 10]})
        rows.append({"img_path": shown, "query": "On which street is it?", "label": streets[number % 5], "choices": streets})
    return rows


def write_own(folder: Path, rows: list[dict[str, Any]] | None = None, *, pictures: int = 10) -> Path:
    """One JSON object per line."""
    listed = own_rows(pictures) if rows is None else rows
    put(folder / "shops.jsonl", "".join(json.dumps(row) + "\n" for row in listed))
    for number in range(pictures):
        put(folder / f"images/shop {number}.png", encoded(number))
    return folder


def write_slake(folder: Path) -> Path:
    """Eight scans with two open questions and a closed one each."""
    organs = ("Liver", "Lung", "Heart", "Brain", "Kidney", "Spleen", "Bladder", "Rectum")
    rows = []
    for number in range(8):
        common = {
            "img_id": number,
            "img_name": f"xmlab{number}/source.jpg",
            "q_lang": "en",
            "location": "Abdomen",
            "modality": "CT",
            "answer_type": "OPEN",
            "base_type": "vqa",
            "triple": ["vhead", "_", "_"],
        }
        said = (
            ("What is the largest organ in the picture?", organs[number], "Organ"),
            ("What modality is used to take this image?", ("MRI", "CT", "X-Ray")[number % 3], "Modality"),
            ("Is the picture normal?", ("Yes", "No")[number % 2], "Abnormality"),
        )
        for place, (question, answer, kind) in enumerate(said):
            rows.append(common | {"question": question, "answer": answer, "content_type": kind, "qid": 10 * number + place})
        put(folder / f"imgs/xmlab{number}/source.jpg", encoded(300 + number))
    put(folder / "train.json", json.dumps(rows))
    return folder


def write_llava(folder: Path) -> Path:
    """Conversations of two turns about six pictures, one with a licence of its own."""
    rows = []
    for number in range(6):
        turns = (
            "<image>\nWhat fruit is this?",
            ("Apple", "Pear", "Plum", "Fig", "Lime", "Date")[number],
            "Which colour is the bowl?",
            ("red", "blue", "green", "white", "black", "brown")[number],
        )
        said = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(turns)]
        rows.append({"id": str(number), "image": f"{number}.png", "conversations": said, "license": "CC-BY-4.0"})
        put(folder / f"images/{number}.png", encoded(400 + number))
    put(folder / "chats.json", json.dumps(rows))
    return folder
