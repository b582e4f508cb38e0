"""Rows of medical questions written down by a test."""

from __future__ import annotations

from typing import Any

from unsee.benchmarks.medical.table import VqaRow, VqaTable
from unsee.sample import ImageRef


def image(name: str) -> ImageRef:
    return ImageRef.from_bytes(name.encode())


def row(answer: str, question: str = "What is seen?", **values: Any) -> VqaRow:
    return VqaRow(**{"id": "row", "image": image("one"), "group": "one", **values}, question=question, answer=answer)


def table(*rows: VqaRow) -> VqaTable:
    return VqaTable("table", rows)
