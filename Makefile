# The commands of CONTRIBUTING.md. `make PYTHON=python3.12 install` chooses another Python.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install lint format test test-all bench docs

install:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test:
	$(BIN)/python -m pytest

test-all: lint test
	$(BIN)/python -m pytest -m "slow or stores or forms or ray or browser"
	$(BIN)/python -m pytest -m "servers or clients" tests/servers tests/clients
	$(BIN)/python -m pytest -m fuzz -n 5 --dist load tests/hostile
	$(BIN)/tox -q -e parity

bench:
	$(BIN)/python benchmarks/start.py

docs:
	$(BIN)/pip install -q -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
