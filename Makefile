# Two commands: `make search` finds a string in two minutes, `make test` checks everything.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN := results/runs/pictures

# Modules are compiled as they are imported: all of them at once would double the set-up.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup search test lint types pictures clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## Make .venv with the pinned packages (the other targets do it by themselves)

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV): takes some minutes, once"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
		--constraint constraints.txt --editable '.[offline,openai,postgres,ray,web,dev]'
	@touch $@

search: $(READY) ## Search for two minutes with the packaged corpus and model
	$(BIN)/mean-prompt search --recipe quick --model all-MiniLM-L6-v2

test: lint types ## Lint, types and tests
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

pictures: $(READY) ## Draw the README's pictures from a run of two minutes (needs Chromium)
	test -e $(RUN)/result.json || \
		$(BIN)/mean-prompt search --recipe quick --model all-MiniLM-L6-v2 --out $(RUN)
	$(BIN)/python -m benchmarks.pictures $(RUN) results/reference

clean: ## Remove what was built, not what was found
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
