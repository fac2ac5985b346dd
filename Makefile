# Every target builds .venv itself, on a fresh machine and on top of itself. Needs Python 3.11 or newer and make.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
LOWEST := .venv-lowest

.PHONY: demo test test-lowest check lint types bench docs clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	@# torch first and by its exact version, so that the resolver never reaches for another build
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,plots,tables]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/equipoise demo

test: lint types check

# Compiled modules are kept even where the environment says otherwise: the workers and the processes that tests start
# would compile all of the sources each.
check: $(STAMP)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# The suite on the lowest versions that pyproject.toml allows, but for torch: that is the version at hand.
test-lowest: $(LOWEST)/.installed
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 --dist worksteal

$(LOWEST)/.installed: pyproject.toml constraints.txt tests/lowest.py
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade -c constraints.txt pip
	$(LOWEST)/bin/python -m pip install --quiet -c constraints.txt torch
	$(LOWEST)/bin/python tests/lowest.py > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet -r $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet --no-deps -e .
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	for script in benchmarks/[a-z]*.py; do OMP_NUM_THREADS=1 $(BIN)/python $$script --out build/bench || exit 1; done

docs: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	$(BIN)/sphinx-build -W -b html docs docs/_build

clean:
	rm -rf $(VENV) $(LOWEST) build dist docs/_build docs/gallery
