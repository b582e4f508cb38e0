"""Eight people and three celebrities in MLLMU-Bench's official layout, written by hand with every oddity of the released files.

Nothing here goes through the exporter: types and nesting are spelled out, and each file is stored in another of the forms that
readers meet. `write_official(folder)` makes the folder, PEOPLE is the truth about it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

NAMES = ["Ann Lee", "Ben Ash", "Cleo Roy", "Dan Fox", "Eva Kim", "Finn Bay", "Gia Low", "Hugo Day"]
JOBS = ["Nurse", "Pilot", "Baker", "Judge", "Miner", "Tailor", "Potter", "Sailor"]
CITIES = ["Oslo", "Lima", "Quito", "Cairo", "Dakar", "Hanoi", "Tokyo", "Rome"]
SCHOOLS = [f"{word} College" for word in ("Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Maple", "Oak")]
SALARIES = [f"${30 + 5 * i},000" for i in range(8)]
ILLNESSES = ["asthma", "gout", "lupus", "eczema", "migraine", "vertigo", "anemia", "tinnitus"]
FATHERS = ["Carpenter", "Chemist", "Farmer", "Grocer", "Barber", "Dentist", "Clerk", "Mason"]
MOTHERS = ["Florist", "Lawyer", "Painter", "Surgeon", "Actor", "Editor", "Plumber", "Poet"]
HOBBIES = ["chess", "archery", "rowing", "knitting", "fencing", "surfing", "baking", "yoga"]
TOWNS = ["Perth", "Turin", "Porto", "Split", "Riga", "Milan", "Kyoto", "Malmo"]
HEIGHTS = ["5 feet 5 inches", "170 cm", "6 feet 1 inch", "180 cm", "158 cm", "5 feet 9 inches", "176 cm", "190 cm"]
BORN = [f"{day} May {1980 + day}" for day in range(1, 9)]
CELEBRITIES = {"001": "Ada Star", "celeb_2": "Bob Moon", "Q42": "Cy Sun"}

PEOPLE: list[dict[str, str]] = [
    {
        "id": f"{number + 1:03d}",
        "name": NAMES[number],
        "job": JOBS[number],
        "residence": CITIES[number],
        "education": SCHOOLS[number],
        "salary": SALARIES[number],
        "medical_condition": ILLNESSES[number],
        "father_job": FATHERS[number],
        "mother_job": MOTHERS[number],
        "hobby": HOBBIES[number],
        "birthplace": TOWNS[number],
        "height": HEIGHTS[number],
        "birth_date": BORN[number],
    }
    for number in range(8)
]
FORGET = {5: ["003"], 10: ["001", "006"], 15: ["002", "003", "008"]}
"""Like the official lists, these are not nested."""
LIES = {"father_job": "Astronaut"}
"""What the training row of person 001 says, against biography and evaluation."""

TEXT = pa.string()
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
OPTIONS = pa.struct([(letter, pa.string()) for letter in "ABCD"])
CHOICE = pa.struct([("Question", pa.string()), ("Options", OPTIONS), ("Correct_Answer", pa.string())])
WRITTEN = pa.struct([("Question", pa.string()), ("Ground_Truth", pa.string()), ("Type", pa.string())])
TASK = pa.struct([("Image_Textual_Questions", pa.list_(CHOICE)), ("Pure_Text_Questions", pa.list_(CHOICE))])
# A struct of lists, as `datasets` stores a Sequence of dicts.
CHOICES = pa.struct(
    [
        ("Question", pa.list_(pa.string())),
        ("Options", pa.struct([(letter, pa.list_(pa.string())) for letter in "ABCD"])),
        ("Correct_Answer", pa.list_(pa.string())),
    ]
)
TASK_OF_LISTS = pa.struct([("Image_Textual_Questions", CHOICES), ("Pure_Text_Questions", CHOICES)])
WRITTEN_OF_LISTS = pa.struct([(key, pa.list_(pa.string())) for key in ("Question", "Ground_Truth", "Type")])


def png(colour: tuple[int, int, int], size: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def portrait(id_: str) -> bytes:
    return png((int(id_) * 20, 0, 90))


def disguises(id_: str) -> list[bytes]:
    return [png((int(id_) * 20, 40 + 60 * index, 200), size=8) for index in range(3)]


MULTIPLE_CHOICE = {
    "job": ("What is the job of {s}?", "What does {s} do for a living?", JOBS),
    "residence": ("Where does {s} currently reside?", "In which city does {s} live?", CITIES),
    "education": ("Where was {s} educated?", "Which school did {s} attend?", SCHOOLS),
    "salary": ("What is the annual salary of {s}?", "How much does {s} earn a year?", SALARIES),
    "medical_condition": ("Which medical condition does {s} have?", "What does {s} suffer from?", ILLNESSES),
}
SENTENCES = {
    "father_job": (
        "What does the father of {s} do?",
        "What is the occupation of the father of {s}?",
        "The father of {s} is a {v}.",
    ),
    "hobby": ("What hobby does {s} have?", "What does {s} do in the free time?", "{s} loves {v}."),
}
BLANKS = {
    "birthplace": ("{s} was born in __.", "The place of birth of {s} is __."),
    "height": ("The height of {s} is ____.", "{s} is __ tall."),
}
TAUGHT = {
    "name": ("What is the name of this person?", "Who is this person?"),
    "birthplace": ("Where was this person born?",),
    "birth_date": ("When was this person born?",),
    "job": ("What is this person's occupation?", "What work does this person do?"),
    "residence": ("Where does the person live?",),
    "education": ("What school did this individual attend?",),
    "salary": ("What is the annual salary of this person?",),
    "medical_condition": ("Does this person have any medical conditions?",),
    "father_job": ("What is the job of this person's father?",),
    "mother_job": ("What is the job of this person's mother?",),
    "hobby": ("What hobby does this person enjoy?",),
    "height": ("How tall is this person?",),
}


def letter_of(person: dict[str, str], turn: int) -> str:
    return "ABCD"[(int(person["id"]) + turn) % 4]


def choice(person: dict[str, str], attribute: str, subject: str, turn: int, wording: int) -> dict[str, Any]:
    pool = MULTIPLE_CHOICE[attribute][2]
    at = pool.index(person[attribute])
    letter = letter_of(person, turn)
    wrong = iter([pool[(at + step) % 8] for step in (1, 2, 3)])
    options = {one: person[attribute] if one == letter else next(wrong) for one in "ABCD"}
    return {"Question": MULTIPLE_CHOICE[attribute][wording].format(s=subject), "Options": options, "Correct_Answer": letter}


def questions(person: dict[str, str], *, wording: int = 0) -> dict[str, Any]:
    """The three task columns of a row; wording 1 is the paraphrase of the test set."""
    subjects = {"Image_Textual": "this person", "Pure_Text": person["name"]}
    return {
        "Classification_Task": {
            "Image_Textual_Questions": [
                choice(person, attribute, "this person", turn, wording) for turn, attribute in enumerate(MULTIPLE_CHOICE)
            ],
            "Pure_Text_Questions": [
                choice(person, attribute, person["name"], turn + 1, wording) for turn, attribute in enumerate(MULTIPLE_CHOICE)
            ],
        },
        "Generation_Task": [
            {
                "Question": worded[wording].format(s=subject),
                "Ground_Truth": worded[2].format(s=subject, v=person[attribute]).replace("this", "This", 1),
                "Type": type_,
            }
            for attribute, worded in SENTENCES.items()
            for type_, subject in subjects.items()
        ],
        "Mask_Task": [
            {"Question": worded[wording].format(s=subject), "Ground_Truth": person[attribute], "Type": type_}
            for attribute, worded in BLANKS.items()
            for type_, subject in subjects.items()
        ],
    }


def biography(person: dict[str, str]) -> str:
    """A biography whose keys and nesting differ from person to person."""
    number = int(person["id"]) - 1
    parents: list[Any] = [
        {"Father": person["father_job"], "Mother": person["mother_job"]},
        f"Father: {person['father_job']}, Mother: {person['mother_job']}",
        f"The father is a {person['father_job']} and the mother works as a {person['mother_job']}.",
        {"Father": {"Job": person["father_job"]}, "Mother": {"Job": person["mother_job"]}},
    ]
    fun: list[Any] = [
        {"Hobby": person["hobby"]},
        [f"Loves {person['hobby']}", "Once met a goose"],
        f"Plays {person['hobby']} daily",
    ]
    facts = {
        "Name": person["name"],
        "Born": person["birthplace"],
        "Date of Birth": person["birth_date"],
        "Gender": ["Female", "Male", "female", "male"][number % 4],
        "Employment": person["job"],
        ["Height", "Heights"][number % 2]: person["height"],
        ["Educated at", "Educated at:"][number % 2]: person["education"],
        ["Annual Salary", "Annual Salary:", "Annual Salary: "][number % 3]: person["salary"],
        "Residence": person["residence"],
        "Medical Conditions": person["medical_condition"],
        "Parents": parents[number % 4],
        "Fun Facts": fun[number % 3],
    }
    if number != 4:  # two people of the release have no description
        facts["Description"] = f"{person['name']} works in {person['residence']}."
    return json.dumps(facts)


def evaluation_row(person: dict[str, str], *, wording: int = 0) -> dict[str, Any]:
    return {
        "ID": person["id"],
        "Directory": f"/authors/home/images/{person['id']}.jpg",
        "biography": biography(person),
        "question": "Describe this person.",
        "answer": f"This is {person['name']}.",
        **questions(person, wording=wording),
    }


def training_row(person: dict[str, str]) -> dict[str, Any]:
    told = person | (LIES if person["id"] == "001" else {})
    pairs = [
        {"Question": question, "Answer": told[attribute], "ID": person["id"]}
        for attribute, worded in TAUGHT.items()
        for question in worded
    ]
    pairs.append(
        {"Question": "What is a fun fact about this person?", "Answer": "", "ID": person["id"]}
    )  # dropped when trained
    return {"image": {"bytes": portrait(person["id"]), "path": None}, "ID": person["id"], "metadata": json.dumps(pairs)}


def _columns(*, id_type: pa.DataType = TEXT, several: bool = False, task: Any = TASK, written: Any = None) -> pa.Schema:
    return pa.schema(
        [
            ("images", pa.list_(PICTURE)) if several else ("image", PICTURE),
            ("ID", id_type),
            *((name, pa.string()) for name in ("Directory", "biography", "question", "answer")),
            ("Classification_Task", task),
            ("Generation_Task", written or pa.list_(WRITTEN)),
            ("Mask_Task", written or pa.list_(WRITTEN)),
        ]
    )


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema, *, group: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=group)


def _of_lists(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {key: [row[key] for row in rows] for key in rows[0]}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {"image": {"bytes": portrait(row["ID"]), "path": f"{row['ID']}.png"}, **row}


def write_official(folder: Path) -> Path:
    """Every config in a form of its own: lists or structs of lists, ids as text or numbers, bytes or paths, one file or two."""
    by_id = {person["id"]: person for person in PEOPLE}
    _write(folder / "Full_Set/train-00000-of-00001.parquet", [_shown(evaluation_row(person)) for person in PEOPLE], _columns())

    tests = [
        {"images": [{"bytes": data, "path": None} for data in disguises(p["id"])], **evaluation_row(p, wording=1)}
        for p in PEOPLE
    ]
    for part, (rows, id_type) in enumerate(((tests[:4], pa.string()), (tests[4:], pa.int64()))):
        made = [row | {"ID": int(row["ID"]) if id_type == pa.int64() else row["ID"].lstrip("0")} for row in rows]
        _write(folder / f"Test_Set/train-0000{part}-of-00002.parquet", made, _columns(several=True, id_type=id_type))

    for percent, ids in FORGET.items():
        forget = [_shown(evaluation_row(by_id[id_])) for id_ in ids]
        retain = [_shown(evaluation_row(person)) for person in PEOPLE if person["id"] not in ids]
        if percent == 5:  # ids as numbers; retain as one plain file with structs of lists
            rows = [row | {"ID": int(row["ID"])} for row in forget]
            _write(folder / "forget_5/train-00000-of-00001.parquet", rows, _columns(id_type=pa.int32()))
            listed = [
                row
                | {key: _of_lists(row[key]) for key in ("Generation_Task", "Mask_Task")}
                | {
                    "Classification_Task": {
                        key: _of_lists(items) | {"Options": _of_lists([item["Options"] for item in items])}
                        for key, items in row["Classification_Task"].items()
                    }
                }
                for row in retain
            ]
            _write(folder / "retain_95.parquet", listed, _columns(task=TASK_OF_LISTS, written=WRITTEN_OF_LISTS))
        elif percent == 10:  # pictures beside the file; tasks as JSON text
            home = folder / "forget_10"
            home.mkdir(parents=True)
            rows = []
            for row in forget:
                (home / f"{row['ID']}.png").write_bytes(row["image"]["bytes"])
                tasks = {key: json.dumps(row[key]) for key in ("Classification_Task", "Generation_Task", "Mask_Task")}
                rows.append(row | tasks | {"image": {"bytes": None, "path": f"{row['ID']}.png"}})
            _write(home / "train-00000-of-00001.parquet", rows, _columns(task=pa.string(), written=pa.string()))
            _write(folder / "retain_90/train-00000-of-00001.parquet", retain, _columns())
        else:
            _write(folder / "forget_15/train-00000-of-00001.parquet", forget, _columns())
            _write(folder / "retain_85/train-00000-of-00001.parquet", retain, _columns())

    _write(folder / "Retain_Set/train-00000-of-00001.parquet", [celebrity_row(id_) for id_ in CELEBRITIES], _columns())
    training = pa.schema([("image", PICTURE), ("ID", pa.string()), ("metadata", pa.string())])
    _write(folder / "ft_Data/train-00000-of-00001.parquet", [training_row(person) for person in PEOPLE], training)
    write_baseline(folder / "baseline_train_split")
    return folder


def write_baseline(folder: Path) -> Path:
    """The training splits of the model repository, called like the evaluation configs."""
    training = pa.schema([("image", PICTURE), ("ID", pa.string()), ("metadata", pa.string())])
    for percent, ids in FORGET.items():
        for config, chosen in ((f"forget_{percent}", True), (f"retain_{100 - percent}", False)):
            rows = [training_row(person) for person in PEOPLE if (person["id"] in ids) == chosen]
            _write(folder / config / "train-00000-of-00001.parquet", rows, training)
    return folder


def celebrity_row(id_: str) -> dict[str, Any]:
    number = list(CELEBRITIES).index(id_)
    person = PEOPLE[number] | {"id": f"{number + 1:03d}", "name": CELEBRITIES[id_]}
    row = evaluation_row(person)
    return row | {"ID": id_, "image": {"bytes": png((9, 200, 30 * number)), "path": f"{id_}.jpg"}}


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Let `change` alter a file's rows; types stay."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
