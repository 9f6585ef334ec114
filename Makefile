# `make demo` and `make test` do all their set-up in a virtual environment of their own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OLDEST := .venv-oldest
PICTURE := compare_with_kernel_density.png
# one process for each core, with one thread each: fits in tests are too small to share
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto

# threads that wait asleep: spinning ones starve each other on a machine that is busy
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-slow lint format check-oldest benchmark coverage docs clean help

help:
	@echo "demo          fit four densities to real data; print a table, save a picture"
	@echo "test          run the tests (slow ones apart) and the examples in docstrings"
	@echo "test-slow     run the tests marked slow"
	@echo "lint, format  check or rewrite the style of the code"
	@echo "check-oldest  run the scikit-learn contract with the oldest supported release"
	@echo "docs          build the pages with all examples: docs/_build/html/index.html"
	@echo "benchmark     compare with tuned peers; results to benchmarks/results, tables to docs"

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

demo: $(READY)
	$(BIN)/python examples/plot_compare_with_kernel_density.py $(PICTURE)

test: $(READY)
	$(PYTEST)

test-slow: $(READY)
	$(PYTEST) -m slow

coverage: $(READY)
	$(PYTEST) --cov --cov-report=term-missing

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check-oldest:
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --constraint constraints-oldest.txt torch
	$(OLDEST)/bin/pip install --quiet --constraint constraints-oldest.txt --editable ".[test]"
	$(OLDEST)/bin/python -m pytest tests/test_sklearn_api.py -W ignore

benchmark: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[benchmarks]"
	$(BIN)/python benchmarks/compare.py --output benchmarks/results/compare.csv

# the examples run one after the other, with one thread each
docs: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[docs]"
	OMP_NUM_THREADS=1 MPLBACKEND=agg $(BIN)/python -m sphinx -W --keep-going docs docs/_build/html

clean:
	rm -rf $(VENV) $(OLDEST) build dist *.egg-info docs/_build docs/auto_examples docs/api/generated
