# make sweep: the embedded sweep, from a fresh machine to runs/multilabel/report.html
# make test:  the tests, the checks of style and types
.PHONY: sweep test slow check
.DEFAULT_GOAL := sweep

PYTHON ?= python3
BIN := .venv/bin

sweep: .venv/ready
	$(BIN)/kdray sweep search_spaces/multilabel.yaml

test: .venv/ready
	$(BIN)/pytest

slow: .venv/ready
	$(BIN)/pytest -m slow

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy kdray

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet torch -c constraints.txt
	$(BIN)/pip install --quiet -e ".[test]" -c constraints.txt
	touch .venv/ready
