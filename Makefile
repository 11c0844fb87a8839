# The words a contributor needs; `make help` tells them. Everything installs into .venv, nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CLIENTS := $(VENV)/clients
CLIENT_VERSIONS := 0.2.12 0.2.23 0.3.0
DATA_DIR := $(or $(STACK_CONSOLE_DATA_DIR),var)
STARTERS := test -e $(DATA_DIR)/.starters || { $(BIN)/python manage.py pull_model --starters && touch $(DATA_DIR)/.starters; }

.PHONY: help run test test-pages test-slow check bench spec test-scale
.DEFAULT_GOAL := help

help: ## what each word does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.base ## install what is missing, fetch the small models, start the console
	@$(STARTERS) || echo "Starting without embedded models."
	@exec $(BIN)/python manage.py serve

test: $(VENV)/.test $(CLIENTS)/.ready ## the suite: what takes long and most of what needs a browser have words of their own
	@$(STARTERS) || echo "Tests of the embedded models are skipped."
	@test -x "$$($(BIN)/python -c 'from tests import chromium; print(chromium.PATH)')" || echo "Chromium is missing, so browser tests are skipped. To get it: apt-get install chromium-headless-shell (or set CHROMIUM to its path)."
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not browser and not scale and not slow" $(ARGS)
	@# Status 5 says that ARGS chose none of these tests. Without them, the other folders need not be looked through.
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "browser and not pages and not slow" $(or $(ARGS),tests/browser) || [ $$? -eq 5 ]

test-pages: $(VENV)/.test ## pages in a browser, beyond the numbered checks that are in `test`
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "pages and not slow" $(or $(ARGS),tests/browser)

test-slow: $(VENV)/.test $(CLIENTS)/.ready ## what takes long: servers, workers and models killed with their work in hand
	$(BIN)/python -m pytest -m "slow" $(ARGS)

test-scale: $(VENV)/.test $(CLIENTS)/.ready ## what touches the database, against DATABASE_URL and REDIS_URL, and two web processes
	DATABASE_URL="$${DATABASE_URL:-postgres://postgres@127.0.0.1:5432/postgres}" REDIS_URL="$${REDIS_URL:-redis://127.0.0.1:6379/9}" \
		$(BIN)/python -m pytest -n 3 --dist loadfile -m "not browser and not embedded and not client and not slow" --ignore=tests/evals/scoring $(ARGS)

check: $(VENV)/.test ## format, lint, types, import layers, migrations
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING

spec: $(VENV)/.test ## our OpenAPI document against the contract: prints nothing when they agree
	@DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m tests.spec.contract

bench: $(VENV)/.test ## measure a running console, beside a model server that costs nothing
	$(BIN)/python -m bench.ours $(ARGS)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The package has no modules of its own to install: this brings what it depends on.
$(VENV)/.base: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet '.[test]'
	@touch $@ $(VENV)/.base

# Three versions of one client cannot share a folder, and two of them ask for a newer Python than they need.
$(CLIENTS)/.ready: tests/client/requirements.txt | $(VENV)/.test
	$(PIP) install --quiet --no-deps --upgrade --target $(CLIENTS)/shared -r tests/client/requirements.txt
	for version in $(CLIENT_VERSIONS); do \
		$(PIP) install --quiet --no-deps --ignore-requires-python --upgrade --target $(CLIENTS)/$$version llama-stack-client==$$version || exit 1; \
	done
	@touch $@
