"""Medical data sets in their published layouts, a few rows each, with every oddity that is known of their files.

With `more`, so many further pictures, of a patient each, with three plain questions are in the training files.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(number: int) -> bytes:
    """A small picture of a colour of its own."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number * 40 % 256, number * 90 % 256, number)).save(buffer, format="PNG")
    return buffer.getvalue()


def further(more: int) -> list[tuple[int, str, str]]:
    """(number of a picture, question, answer), three per picture, alike enough for false rules to swap answers."""
    sides, looks = ("left", "right"), ("CT", "MRI")
    return [
        (number, question, answer)
        for number in range(20, 20 + more)
        for question, answer in (
            ("Which side is the nodule on?", sides[number % 2]),
            ("Is there an effusion?", "yes" if number % 3 else "no"),
            ("What modality is this?", looks[number // 2 % 2]),
        )
    ]


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def put_json(path: Path, rows: Any) -> Path:
    return put(path, json.dumps(rows, ensure_ascii=False))


def put_table(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), path)
    return path


# SLAKE ---------------------------------------------------------------------------------------------------------------------


def slake_row(qid: int, img: int, question: str, answer: Any, **values: Any) -> dict[str, Any]:
    return {
        "img_id": img,
        "img_name": f"xmlab{img}/source.jpg",
        "question": question,
        "answer": answer,
        "q_lang": "en",
        "location": "Abdomen",
        "modality": "MRI",
        "answer_type": "OPEN",
        "base_type": "vqa",
        "content_type": "Modality",
        "triple": ["vhead", "_", "_"],
        "qid": qid,
        **values,
    }


def write_slake(folder: Path, *, prefix: str = "imgs/", validation: str = "validation.json", more: int = 0) -> Path:
    """Six questions, one of them in Chinese, about three pictures."""
    train = [
        slake_row(0, 1, "What modality is used to take this image?", "MRI"),
        slake_row(1, 1, "这是什么模态", "MRI", q_lang="zh"),
        slake_row(2, 1, "Is the liver healthy? ", "Yes", answer_type="CLOSED", content_type="Abnormality"),
        slake_row(3, 2, "How many kidneys are there?", 2, content_type="Quantity", location="Chest_heart", modality="X-Ray"),
    ]
    known = {"triple": ["vhead", "belongto", "Digestive System"], "base_type": "kvqa", "content_type": "KG"}
    added = [slake_row(100 + n, img, *said) for n, (img, *said) in enumerate(further(more))]
    put_json(folder / "train.json", [*train, *added])
    put_json(folder / validation, [slake_row(4, 2, "Which organ digests?", "Liver", **known)])
    put_json(folder / "test.json", [slake_row(5, 3, "Is this a CT?", "No", answer_type="CLOSED")])
    for img in (1, 2, 3, *range(20, 20 + more)):
        put(folder / f"{prefix}xmlab{img}/source.jpg", png(img))
    return folder


# VQA-RAD -------------------------------------------------------------------------------------------------------------------


def rad_row(qid: int, link: str, image: str, question: str, answer: Any, phrase: str = "freeform", **values: Any) -> Any:
    return {
        "qid": qid,
        "phrase_type": phrase,
        "qid_linked_id": link,
        "image_case_url": "https://medpix.nlm.nih.gov/case?id=1",
        "image_name": image,
        "image_organ": "HEAD",
        "evaluation": "evaluated",
        "question": question,
        "question_rephrase": "NULL",
        "question_relation": "NULL",
        "question_frame": "NULL",
        "question_type": "PRES",
        "answer": answer,
        "answer_type": "CLOSED",
        **values,
    }


RAD_ROWS = (
    rad_row(1, "03f451ca", "synpic1.jpg", "Are regions of the brain infarcted?", "Yes ", answer_type="CLOSED "),
    rad_row(2, "03f451ca", "synpic1.jpg", "Is there an infarct?", "yes", "para"),
    rad_row(3, "06e26b2c", "synpic2.jpg", "How many lesions are there? ", 2, answer_type="OPEN", question_type="COUNT"),
    rad_row(
        4, "77aa", "synpic2.jpg", "Is the lung clear?", "No", "test_freeform", image_organ="ABD ", question_type="PRES, POS"
    ),
    rad_row(5, "77aa", "synpic2.jpg", "Is the lung opaque?", "Yes", "test_para", question_relation="Inversion"),
    rad_row(6, "5c0d", "synpic3.jpg", "Which side is affected?", "Left", "test_freeform", question_type="ATRIB"),
    rad_row(7, "5c0d", "synpic4.jpg", "What side is affected?", "left", "test_para", question_type="ATRIB"),
)
"""A pair, a number as answer, a pair whose answers differ, and a pair that lies on two pictures."""


def write_vqa_rad(folder: Path, *, more: int = 0) -> Path:
    added = [rad_row(100 + n, f"added{n}", f"synpic{img}.jpg", *said) for n, (img, *said) in enumerate(further(more))]
    put_json(folder / "VQA_RAD Dataset Public.json", [*RAD_ROWS, *added])
    for number in (1, 2, 3, 4, *range(20, 20 + more)):
        put(folder / f"VQA_RAD Image Folder/synpic{number}.jpg", png(number))
    return folder


# image, question, answer ---------------------------------------------------------------------------------------------------


def table_row(image: bytes | None, question: str, answer: str) -> dict[str, Any]:
    return {"image": {"bytes": image, "path": None}, "question": question, "answer": answer}


def write_tables(folder: Path, *, more: int = 0) -> Path:
    """Parquet files as the mirrors of VQA-RAD and PathVQA call them; training is in two shards."""
    schema = pa.schema([("image", PICTURE), ("question", pa.string()), ("answer", pa.string())])
    shards = {
        "train-00000-of-00002-eb8844602202be60": [
            table_row(png(1), "Is this a CT?", "Yes"),
            table_row(png(1), "What is seen?", " A Nodule "),
        ],
        "train-00001-of-00002-eb8844602202be60": [
            table_row(png(2), "What is seen?", "liver"),
            *(table_row(png(img), *said) for img, *said in further(more)),
        ],
        "validation-00000-of-00001": [table_row(png(3), "Where is it?", "left")],
        "test-00000-of-00001": [table_row(png(4), "Is it large?", "no")],
    }
    for name, rows in shards.items():
        put_table(folder / f"data/{name}.parquet", rows, schema)
    return folder


def write_path_pickles(folder: Path) -> Path:
    def row(img: str, number: int, kind: str, question: str, label: Mapping[str, int]) -> dict[str, Any]:
        shared = {"img_id": img, "question_id": number, "question_type": question.split()[0].casefold()}
        return {**shared, "answer_type": kind, "sent": question, "label": dict(label)}

    parts = {
        "train": [
            row("train_0422", 100422000, "other", "Where are stem cells located?", {"in the canals of Hering": 1}),
            row("train_0422", 100422001, "yes/no", "Are stem cells seen?", {"yes": 1}),
        ],
        "val": [row("val_0001", 200001000, "number", "How many nuclei are there?", {"3": 1})],
        "test": [row("test_0002", 300002000, "other", "What is seen?", {"a": 0.3, "the bile ducts": 1})],
    }
    for part, rows in parts.items():
        put(folder / f"qas/{part}_vqa.pkl", pickle.dumps(rows))
        for one in rows:
            put(folder / f"images/{part}/{one['img_id']}.jpg", png(len(part) * 3))
    return folder


# PMC-VQA -------------------------------------------------------------------------------------------------------------------

V1_HEADER = ("Figure_path", "Question", "Answer", "Choice A", "Choice B", "Choice C", "Choice D", "Answer_label")
V2_HEADER = ("index", "Figure_path", "Caption", "Question", "Choice A", "Choice B", "Choice C", "Choice D", "Answer", "split")


def put_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], *, start: str = "") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return put(path, start + text.getvalue())


def write_pmc_v1(folder: Path, *, more: int = 0) -> Path:
    """The training file with the misspelt early header and a byte order mark, the test files with the later one."""
    early = [name.replace("Answer", "Anwser", 1) if name == "Answer" else name for name in V1_HEADER]
    train = [
        ("PMC1_Fig1_1.jpg", "What is the uptake?", "Focal", " A:Diffuse ", " B:Focal ", " C:None ", " D:Mixed, both ", "B"),
        ("PMC1_Fig1_1.jpg", "Which panel?", "C", "A:D", "B:C", "C:A", "D:", "B"),
    ]
    test = [("PMC2_Fig1_1.jpg", "Which stain?", "H&E", "A:H&E", "B:PAS", "C:h&e", "D:IHC", "A")]
    for img, question, answer in further(more):
        choices = [answer, *(other for other in ("left", "right", "yes", "CT") if other != answer)][:4]
        train.append((f"{img}.jpg", question, answer, *map("{}:{}".format, "ABCD", choices), "A"))
        put(folder / f"images/{img}.jpg", png(img))
    put_csv(folder / "train.csv", early, train, start="\ufeff")
    put_csv(folder / "test.csv", V1_HEADER, [*test, ("PMC9_gone.jpg", "Not by hand?", "x", "A:x", "B:y", "C:z", "D:w", "A")])
    put_csv(folder / "test_clean.csv", V1_HEADER, test)
    put(folder / "images/PMC1_Fig1_1.jpg", png(1))
    put(folder / "images/PMC2_Fig1_1.jpg", png(2))
    return folder


def write_pmc_v2(folder: Path) -> Path:
    """The column of positions has no name in one of the files, and letters differ in case."""
    train = [
        ("0", "PMC1_Fig1_1.jpg", "A scan, with\nnotes", "What is it?", " A: CT ", "B: MRI", "C: US", "D: PET", "B", "train")
    ]
    test = [("0", "PMC2_Fig1_1.jpg", "", "Which side?", "left", "right", "both", "none", "d", "test")]
    put_csv(folder / "train_2.csv", V2_HEADER, train)
    put_csv(folder / "test_2.csv", ("", "Figure_path", "Caption", "question", *V2_HEADER[4:]), test)
    put(folder / "figures/PMC1_Fig1_1.jpg", png(1))
    put(folder / "figures/PMC2_Fig1_1.jpg", png(2))
    return folder


# MIMIC-CXR-VQA -------------------------------------------------------------------------------------------------------------

DICOM = "34c81443-5a19ccad-7b5e431c-4e1dbb28-42a325c"


def mimic_row(idx: int, subject: Any, study: Any, question: str, answer: Any, **values: Any) -> dict[str, Any]:
    return {
        "split": "train",
        "idx": idx,
        "image_id": f"{DICOM}{subject}",
        "image_path": f"p{str(subject)[:2]}/p{subject}/s{study}/{DICOM}{subject}.jpg",
        "subject_id": subject,
        "study_id": study,
        "question": question,
        "content_type": "presence",
        "semantic_type": "verify",
        "template": "Is there ${attribute} in the ${object}?",
        "template_program": "program_5",
        "template_arguments": {"object": {"0": "lung"}, "attribute": {}, "category": {}, "viewpos": {}, "gender": {}},
        "answer": answer,
        **values,
    }


def write_mimic(folder: Path, *, more: int = 0) -> Path:
    """Training and validation share patient 10000032; ids are texts in one file and numbers in another."""
    listed = {"semantic_type": "query", "content_type": "anatomy"}
    train = [
        mimic_row(0, 10000032, 50414267, "Is there edema in the lung?", ["yes"]),
        mimic_row(1, 10000032, 50414267, "Where is the edema?", ["left lung", "right lung"], **listed),
        mimic_row(2, 11000001, 50000001, "Where is the mass?", [], **listed),
    ]
    for n, (img, question, answer) in enumerate(further(more)):
        train.append(mimic_row(100 + n, 13000000 + img, 51000000 + img, question, [answer]))
    size = {"semantic_type": "choose", "content_type": "plane", "split": "valid"}
    put_json(folder / "dataset/train.json", train)
    put_json(folder / "dataset/valid.json", [mimic_row(0, "10000032", "50414267", "Is it AP or PA?", ["ap"], **size)])
    put_json(folder / "dataset/test.json", [mimic_row(0, 12000002, 50000002, "Is there a mass?", ["no"], split="test")])
    put_json(folder / "dataset/_train.json", [{"idx": 0, "question": "Is there edema?"}])
    put_json(folder / "dataset/ans2idx.json", {"yes": 0})
    patients = [(10000032, 50414267), (11000001, 50000001), (12000002, 50000002)]
    for subject, study in (*patients, *((13000000 + img, 51000000 + img) for img in range(20, 20 + more))):
        put(folder / f"files/p{str(subject)[:2]}/p{subject}/s{study}/{DICOM}{subject}.jpg", png(subject % 97))
    return folder


# LLaVA-Med -----------------------------------------------------------------------------------------------------------------


def chat(*turns: str, **values: Any) -> dict[str, Any]:
    speakers = ("human", "gpt")
    said = [{"from": speakers[number % 2], "value": turn} for number, turn in enumerate(turns)]
    return {"id": "1", "image": "ct/1.jpg", "conversations": said, **values}


def write_llava(folder: Path, *, more: int = 0) -> Path:
    """Marker before and after the question, two turns, and the misspelt key with `domain` of the released files."""
    turns = ("<image>\nIs this a CT?", "Yes", "What is seen?", "A nodule.\nIt is large.")
    released = chat("What is shown?\n<image>", "A chest.", image="2.jpg", id="2")
    released["conversatons"] = released.pop("conversations")
    released["domain"] = {"chest_xray": True, "mri": False, "histology": False, "gross": False, "ct_scan": False}
    added = [chat(*said, image=f"{img}.jpg") for img, *said in further(more)]
    put_json(folder / "train.json", [chat(*turns, answer_type="OPEN"), released, *added])
    for img in range(20, 20 + more):
        put(folder / f"images/{img}.jpg", png(img))
    put_json(folder / "test.json", [chat("<image>\nIs it normal?", "no", image="2.jpg", answer_type="CLOSED")])
    put(folder / "images/ct/1.jpg", png(1))
    put(folder / "images/2.jpg", png(2))
    return folder


# MedForget -----------------------------------------------------------------------------------------------------------------


def forget_row(number: int, patient: str, section: str, pairs: Sequence[tuple[str, Any]], picture: bytes) -> dict[str, Any]:
    about = {"institution_id": "I1", "patient_id": patient, "study_id": f"s{patient}", "section_name": section}
    return {
        "image": {"bytes": picture, "path": None},
        "image_path": f"files/{number}.jpg",
        "metadata": json.dumps([{"Question": question, "Answer": answer} for question, answer in pairs]),
        "hierarchy_metadata": json.dumps({**about, "hierarchy_level": "section"}),
        "ID": f"{number:03d}",
    }


def write_medforget(folder: Path, *, more: int = 0) -> Path:
    """The same three rows, divided by patient and by section; one answer is a list."""
    rows = [
        forget_row(1, "p1", "FINDINGS", [("What is found?", "An effusion."), ("Is it large?", "Yes")], png(1)),
        forget_row(2, "p1", "IMPRESSION", [("What is the impression?", ["Effusion", "", "left."])], png(1)),
        forget_row(3, "p2", "FINDINGS", [("What is found?", "Nothing.")], png(2)),
    ]
    rows += [forget_row(img, f"p{img}", "FINDINGS", [tuple(said)], png(img)) for img, *said in further(more)]
    put_table(folder / "patient_level/forget_set_all.parquet", rows[:2])
    put_table(folder / "patient_level/retain_set_all.parquet", rows[2:])
    put_table(folder / "section_level/forget_set_all.parquet", rows[:1])
    put_table(folder / "section_level/retain_set_all.parquet", rows[1:])
    return folder


WRITERS = {
    "slake": write_slake,
    "vqa-rad": write_vqa_rad,
    "path-vqa": write_tables,
    "pmc-vqa": write_pmc_v1,
    "mimic-cxr-vqa": write_mimic,
    "llava-med": write_llava,
    "medforget": write_medforget,
}
"""Format -> what writes its files into a folder."""
