"""Runs made up once for all tests of the report."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from fabricate import Plan, fabricate_run
from medical_run import fabricate_medical
from single_fact_run import fabricate_facts

SMALL = Plan(
    forget=3, retain=5, near=2, celebrities=2, methods=("vanilla", "gold", "do_nothing", "prompt_guard", "ga", "npo", "idk")
)
WIDE = Plan(
    name="people",
    forget=3,
    retain=4,
    near=1,
    celebrities=2,
    general=3,
    protocols=("strict", "official"),
    methods=("vanilla", "gold", "ga", "npo"),
    ratios=(0.1,),
    modalities=("image_text", "text"),
)
STATES = Plan(
    name="states",
    forget=3,
    retain=4,
    near=1,
    celebrities=2,
    methods=("vanilla", "gold", "do_nothing", "graddiff", "npo"),
    modalities=("image_text", "text"),
    states=("step-00000020", "step-00000040", "int4", "int8", "relearned"),
)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished demo with hostile names, questions and answers; tests must not write into it."""
    return fabricate_run(tmp_path_factory.mktemp("runs") / "demo", SMALL)


@pytest.fixture(scope="session")
def small_page(small_run: Path) -> str:
    from unsee.report import write_report

    return write_report(small_run).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def wide_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two ways of unlearning, two protocols and a general set; tests must not write into it."""
    return fabricate_run(tmp_path_factory.mktemp("runs") / "wide", WIDE)


@pytest.fixture(scope="session")
def states_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose models were asked in further states; tests must not write into it."""
    return fabricate_run(tmp_path_factory.mktemp("runs") / "states", STATES)


@pytest.fixture(scope="session")
def facts_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 24 single facts with hostile questions, answers and candidates; tests must not write into it."""
    return fabricate_facts(tmp_path_factory.mktemp("runs") / "facts")


@pytest.fixture(scope="session")
def facts_page(facts_run: Path) -> str:
    from unsee.report import write_report

    return write_report(facts_run).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def medical_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both medical scenarios with hostile names; tests must not write into it."""
    return fabricate_medical(tmp_path_factory.mktemp("runs") / "patients")


@pytest.fixture(scope="session")
def medical_page(medical_run: Path) -> str:
    from unsee.report import write_report

    return write_report(medical_run).read_text(encoding="utf-8")


def opened(html: str) -> str:
    """The page with every packed panel in its place, as the script shows it."""
    from unsee.report.packing import unpack

    return re.sub(r' data-packed="([^"]+)">', lambda match: ">" + _shown(unpack(unescape(match[1]))), html)


def _shown(text: str) -> str:
    # Packets of the galleries are data, not markup.
    return "" if text.startswith("{") else text
