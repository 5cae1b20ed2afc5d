# make sweep: the embedded sweep, from a fresh machine to runs/multilabel/report.html
# make test:  the tests, the checks of style and types
# make reports: reports/bangla and reports/trec, from the data that their spaces name
.PHONY: sweep test slow check reports
.DEFAULT_GOAL := sweep

PYTHON ?= python3
BIN := .venv/bin
SIDE_BY_SIDE := -n 2 --dist loadfile

sweep: .venv/ready
	$(BIN)/kdray sweep search_spaces/multilabel.yaml

test: .venv/ready
	$(BIN)/pytest $(SIDE_BY_SIDE)

slow: .venv/ready
	$(BIN)/pytest -m slow $(SIDE_BY_SIDE)

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy kdray

reports: .venv/ready
	rm -rf runs/reference
	for name in bangla trec; do \
		$(BIN)/kdray sweep search_spaces/$$name.yaml --output runs/reference --name $$name && \
		$(BIN)/kdray confirm runs/reference/$$name --seeds 3 && \
		$(BIN)/kdray report runs/reference/$$name --output reports/$$name || exit 1; \
	done

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet torch -c constraints.txt
	$(BIN)/pip install --quiet -e ".[test]" -c constraints.txt
	touch .venv/ready
