# What a developer and CI run. Needs Python 3.11 and make, nothing else. `make help` lists the targets.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
STAMP := $(VENV)/.installed

# Some machines set this; without bytecode every start recompiles every module.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install lock up test check bench bench-memory bench-peers bench-budgets bench-similarity chaos detector train fuzz clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(STAMP) ## Make .venv with everything in requirements.lock, and the `customhouse` command

# --no-build-isolation: the build backend is in the lock too, so that nothing unpinned is ever fetched.
$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip sync --python $(BIN)/python requirements.lock
	$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(STAMP)

lock: ## Resolve pyproject.toml anew into requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip compile pyproject.toml --extra server --extra embedded --extra guardrails --group dev --generate-hashes --quiet \
		--python-version 3.11 --no-emit-index-url --no-header -o requirements.lock
	@if grep -nE 'https?://' requirements.lock; then echo "requirements.lock names a host: see the lines above"; exit 1; fi

up: install ## Start the whole stack on this machine
	$(BIN)/customhouse up

test: install ## Run all tests
	$(BIN)/python -m pytest

check: install ## Lint, format, types, import layers, migrations in step with the models
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/storage -k in_step

bench: install ## Overhead and throughput against an empty workflow
	$(BIN)/python -m benchmarks.overhead

bench-memory: install ## Memory of the app over 5,000 invocations
	$(BIN)/python -m benchmarks.memory

bench-checks: install ## What each check costs, alone and end to end
	$(BIN)/python -m benchmarks.checks --whole

bench-peers: install ## The same load on LiteLLM's proxy and on us
	$(BIN)/python -m benchmarks.peers

bench-similarity: install ## The nearest of a million prompts, insert included
	$(BIN)/python -m benchmarks.similarity

bench-budgets: install ## Whether a budget holds: 200 calls at once, room for 100, and kills
	$(BIN)/python -m benchmarks.budgets

fuzz: install ## 50,000 hostile texts through all checks, and how their time grows
	$(BIN)/python -m benchmarks.fuzz

chaos: install ## Kill parts at every step, and count what was lost or billed twice
	$(BIN)/python -m benchmarks.chaos

detector: install ## How well abuse is found on DATA=FILE (our development set), or on our own suite with SUITE=1
	$(BIN)/python -m benchmarks.detector $(if $(SUITE),--suite,$(if $(DATA),--data "$(DATA)")) $(DETECTOR_ARGS)

train: ## Make the abuse model anew (hours of one core; goes on where it was stopped)
	test -x training/.venv/bin/python || $(PYTHON) -m venv training/.venv
	training/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r training/requirements.lock
	training/.venv/bin/python -m training.make $(TRAIN_ARGS)

clean: ## Remove caches and the environment; data in .customhouse stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
