# Everything a fresh machine needs is Python 3.11+ and a C compiler.
# TORCH_INDEX: pass another index where the default one serves a CUDA build, e.g.
#   make demo TORCH_INDEX="--index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
# Test files at once, each in a process that computes with one thread and may take two GiB.
TEST_WORKERS ?= $(shell n=$$(nproc 2>/dev/null || sysctl -n hw.ncpu); [ $$n -gt 8 ] && echo 8 || echo $$n)
BIN := $(VENV)/bin

.PHONY: demo test test-families test-all models-page lint install numbers clean workers

demo: $(VENV)/.installed
	$(BIN)/unsee demo

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n $(TEST_WORKERS) --dist loadfile
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/families -m "not slow" -n $(TEST_WORKERS) --dist loadfile

# Tiny models of every family; in a process of their own, because they import torchvision.
test-families: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/families -m slow -n $(TEST_WORKERS)

models-page: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/families/page.py

test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest tests/families

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests perf studies
	$(BIN)/ruff format --check src tests perf studies
	$(BIN)/mypy

numbers: $(VENV)/.installed-dev
	$(BIN)/python perf/make_numbers.py

workers:
	@echo $(TEST_WORKERS)

install: $(VENV)/.installed

# torchvision goes into a folder that only tests look at: the usual index has no build for CPU torch, and the one it has cannot be
# imported without help (tests/families/test_only_torchvision.py). Some processors of other families need it.
# The torch wheel named in constraints.txt is installed first, so that nothing pulls another build.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH_INDEX) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/tests-only $(TORCH_INDEX) -c constraints.txt torchvision
	touch $@

clean:
	rm -rf $(VENV) .oldest .deepspeed runs .pytest_cache .mypy_cache .ruff_cache
