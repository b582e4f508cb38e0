"""Runs made up once for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricate import Plan, fabricate_run

SMALL = Plan(
    forget=3, retain=5, near=2, celebrities=2, methods=("vanilla", "gold", "do_nothing", "prompt_guard", "ga", "npo", "idk")
)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished demo with hostile names, questions and answers; tests must not write into it."""
    return fabricate_run(tmp_path_factory.mktemp("runs") / "demo", SMALL)


@pytest.fixture(scope="session")
def small_page(small_run: Path) -> str:
    from unsee.report import write_report

    return write_report(small_run).read_text(encoding="utf-8")
