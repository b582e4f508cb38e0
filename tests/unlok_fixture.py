"""Facts in UnLOK-VQA's official layout, written by hand with every oddity of the released files.

Nothing here goes through the exporter. `write_unlok(folder)` makes the folder; ROWS, KEPT and VALID are the truth about it.
Rows stand in another order than their ids, and ids are no positions. Each picture has a colour of its own, see `colour`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from unsee.sample import Sample

FORGET_FILE, RETAIN_FILE, VALID_FILE = "zsre_mend_eval.json", "retain.json", "valid_ids_manual_filt.json"
REPHRASED = {
    "easy": "parap_images/okvqa",
    "medium": "paraphrase_images_hard/okvqa_yolo_dino_bert/processed_images",
    "hard": "parap_images_medium/okvqa",
}
"""Published level -> the folder of the published code, whose own levels are swapped."""
NEIGHBOURS = {"easy": "neigh_images_easy/okvqa", "hard": "neigh_images_medium/okvqa"}


def row(id_: int, subject: str, src: str, pred: str, image_id: int, **more: Any) -> dict[str, Any]:
    """A row with all 19 keys; `more` replaces some."""
    made = {
        "id": id_,
        "subject": subject,
        "src": src,
        "pred": pred,
        "answers": [pred],
        "rephrase": [],
        "alt": "Beach",
        "loc": ["nq question: Is there a table?"],
        "loc_ans": ["Yes"],
        "cond": f"{pred} >> Beach || {src}",
        "image_id": image_id,
        "alt_ans": ["Left", "Right"],
        "neigh_idx": [0],
        "img_desc": "A picture.",
        "dissimilar_sent": "A picture.",
        "img_desc_ques_sum": [[0.25]],
        "noun_phrases_ques+ans": [subject],
        "noun_phrases_img_desc": ["a picture"],
        "tifa_ques_ans": [],
        "objects_edit": ["window"],
    }
    return made | more


BREEDS = ["What kind of dog is this?", "Name the breed of this dog.", "Which dog breed is shown?", "The dog is of which breed?"]
ROWS: list[dict[str, Any]] = [
    row(
        2,
        "dog",
        "Which breed of dog it this?",
        "Lab",
        407809,
        # Seven paraphrases: three unused, one the question itself, one that contains the answer.
        rephrase=["Breed?", "Dog?", "What dog?", *BREEDS[:2], "which breed of dog it THIS", "Is the dog a lab or what?"],
        loc=["nq question: Is the frisbee in the air or on the ground?", "nq question: Is there a dog?"],
        loc_ans=["Air", "Yes"],
        alt_ans=["Poodle", "Terrier"],
        neigh_idx=[1],
        objects_edit=["terrier", "poodle"],
    ),
    row(3160, "body of water", "What body of water is this?", "Lake", 339761, alt_ans=["Ocean", "Sea"], rephrase=BREEDS),
    # The same picture and question as 3160 with another answer; an alternate and the object repeat the answer in another case.
    row(
        3161,
        "body of water",
        "What body of water is this?",
        "River",
        339761,
        alt_ans=["river", "", "Sea"],
        neigh_idx=[2],
        objects_edit=["river"],
    ),
    # The neighbour picture shows the answer that is to be deleted.
    row(
        4964,
        "man",
        "Who painted this?",
        "Bob",
        297147,
        alt_ans=["bob", "Ann", "ann."],
        neigh_idx=[0],
        rephrase=["Who is the painter?"],
    ),
    # No objects; the published loader takes the subject. An answer that a published prefix contains.
    row(
        0,
        "stripes",
        "How many stripes are there?",
        "A woman",
        297147,
        objects_edit=[],
        rephrase=BREEDS,
        loc=["nq question: Is it day?", "nq question: "],
        loc_ans=["Day time", ""],
    ),
    # An id as text; read from the list of answers, since pred is missing.
    row(1996, "sport", "What sport is this?", "", 7, rephrase=["Which sport do they play?"])
    | {"id": "1996", "pred": None, "answers": ["Tennis"]},
    # Rows that the published loader leaves out.
    {key: value for key, value in row(10, "", "What is left?", "Nothing", 99).items() if key != "subject"},
    {key: value for key, value in row(11, "thing", "What is right?", "Nothing", 99).items() if key != "neigh_idx"},
    row(12, "thing", "What is wrong?", "Nothing", 99, loc=[], loc_ans=[]),
    # Not on the list of valid ids, and unusable if it were.
    row(13, "car", "Is this a car?", "Car", 99),
]
VALID = [0, 2, 1996, 3160, 3161, 4964, 10, 11, 12]
FORGET = ["2", "3160", "3161", "4964", "0", "1996"]
"""Facts to delete in the order of the file."""
KEPT: list[dict[str, Any]] = [
    row(1, "mountain", "What is behind the trees?", "Mountains", 8, alt_ans=["mountains", "Hills"]),
    row(2, "dog", "Which breed of dog it this?", "Lab", 407809),  # is to be deleted
    row(3, "water", "what body of water is  this?", "Pond", 339761),  # asks what 3160 asks
    row(4, "cat", "What colour is the cat?", "Black", 407809),
    row(5, "bus", "Is this a bus?", "Bus", 8),  # the answer in the question matters for deleting only
]
RETAIN = ["1", "4", "5"]
ANSWERS = {"2": "Lab", "3160": "Lake", "3161": "River", "4964": "Bob", "0": "A woman", "1996": "Tennis"} | {
    "1": "Mountains",
    "4": "Black",
    "5": "Bus",
}


def colour(name: str) -> tuple[int, int, int]:
    """The colour of a picture, by the path it has in the folder, without extension."""
    number = sum(ord(letter) * (place + 1) for place, letter in enumerate(name))
    return number % 251, number // 251 % 241, number % 239


def encoded(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 24), colour(name)).save(buffer, format="PNG")
    return buffer.getvalue()


def pictures() -> list[str]:
    """Paths of all pictures without extension: one in val2017, the others in train2017, and the generated ones."""
    names = [f"train2017/{image_id:012d}" for image_id in (407809, 339761, 7, 8)] + [f"val2017/{297147:012d}"]
    for one in ROWS[:6]:
        names += [f"{folder}/{one['id']}" for folder in REPHRASED.values()]
        if one["id"] != 4964:
            names += [f"{folder}/{one['id']}_{one['neigh_idx'][0]}" for folder in NEIGHBOURS.values()]
    return names


def write_unlok(folder: Path) -> Path:
    """JSON files under their published names, and every picture."""
    for name in pictures():
        file = folder / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(name))
    (folder / FORGET_FILE).write_text(json.dumps(ROWS))
    (folder / VALID_FILE).write_text(json.dumps(VALID))
    (folder / RETAIN_FILE).write_text(json.dumps(KEPT))
    return folder


def rewrite(folder: Path, name: str, change: Callable[[list[Any]], object]) -> None:
    """Change the rows of a JSON file in place."""
    rows = json.loads((folder / name).read_text())
    change(rows)
    (folder / name).write_text(json.dumps(rows))


def of(samples: list[Sample], subject: str, **about: str) -> list[Sample]:
    """Samples about one fact whose metadata say so."""
    return [s for s in samples if s.subject == subject and all(s.metadata.get(key) == value for key, value in about.items())]
