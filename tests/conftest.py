"""Fixtures every test shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser
from run_fixtures import write_small_run
from toy import random_model, toy_samples
from unsee.experiment import Experiment, read_experiment
from unsee.runs import Run, run
from unsee.sample import Sample


@pytest.fixture
def samples() -> list[Sample]:
    return toy_samples()


@pytest.fixture
def model():
    """See `random_model`."""
    return random_model()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For modules that compare runs bit by bit."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a small run's model (`model`), data (`people8`) and experiment (`small.toml`)."""
    folder = tmp_path_factory.mktemp("small")
    write_small_run(folder, random_model(layers=3))
    return folder


@pytest.fixture(scope="session")
def experiment(place: Path) -> Experiment:
    return read_experiment(place / "small.toml")


@pytest.fixture(scope="module")
def finished(place: Path, experiment: Experiment, one_thread: None) -> Run:
    """That experiment as a run nobody disturbed; tests leave its folder as it is, so later modules find it done."""
    return run(experiment, out=place / "whole")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium with a profile of its own."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
