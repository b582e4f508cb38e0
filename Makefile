# Everything a fresh machine needs is Python 3.11+ and a C compiler.
# TORCH_INDEX: pass another index where the default one serves a CUDA build, e.g.
#   make demo TORCH_INDEX="--index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
# Test files at once; each process computes with one thread.
TEST_WORKERS ?= 2
BIN := $(VENV)/bin

.PHONY: demo test test-all lint install numbers clean

demo: $(VENV)/.installed
	$(BIN)/unsee demo

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n $(TEST_WORKERS) --dist loadfile

test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests perf studies
	$(BIN)/ruff format --check src tests perf studies
	$(BIN)/mypy

numbers: $(VENV)/.installed-dev
	$(BIN)/python perf/make_numbers.py

install: $(VENV)/.installed

# The torch wheel named in constraints.txt is installed first, so that nothing pulls another build.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH_INDEX) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
