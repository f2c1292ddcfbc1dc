# cambist: one verb per command; .ci/run calls the same ones. Whichever is called first makes .venv, installs what the requirements
# pin by hash, installs the package itself, and compiles the kernel where the kernel is needed.
#
#   make setup   everything ready to run             make lint    ruff, pyright, import-linter, the purity check
#   make run     the house, on this machine          make bench   the benches, each beside its floor
#   make simulate  the whole house in a bad world, many seeds
#   make demo    one trade, request to settlement   make hunt    the long searches (Hypothesis, simulator seeds)
#   make test    unit tests, then compiled tests     make clean   what was made here, except data
#   make coverage   what the tests reach of the core, line by line
#   make lock    renew requirements/*.txt            make pictures   README's pictures of portal and console, by a house that trades
#   PYTHON=...   another interpreter (3.11, 3.12 or 3.13)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := setup
.PHONY: setup run demo test lint bench simulate hunt coverage pictures clean lock

BIN := .venv/bin
INSTALLED := .venv/.installed
WARMED := .venv/.warmed
PAGES := node_modules/.installed
BENCHES ?= core log door rfq gateway
REQUIREMENTS := requirements/dev.txt
CORE := $(wildcard src/cambist/core/*.py src/cambist/messages.py src/cambist/units.py)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# A name on the path proves nothing (a version manager's shim may refuse to start), so each candidate is run and asked its version.
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
ifndef PYTHON
PYTHON = $(shell for p in python3.13 python3.12 python3.11 python3; do if $$p -c '$(FITS)' >/dev/null 2>&1; then echo $$p; break; fi; done)
endif

setup: $(WARMED) $(PAGES)

$(INSTALLED): $(REQUIREMENTS) pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 with venv was found; name one with PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c '$(FITS)' || { echo "$(PYTHON) does not run, or is not Python 3.11, 3.12 or 3.13 with venv." >&2; exit 1; }
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then echo "Making .venv with $$($(PYTHON) --version)"; "$(PYTHON)" -m venv --clear .venv; fi
	@echo "Installing what $(REQUIREMENTS) pins, by hash"
	@$(PIP) --require-hashes -r $(REQUIREMENTS)
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(WARMED): $(INSTALLED) $(CORE)
	@echo "Compiling the kernel (once per change of its sources)"
	@$(BIN)/python -m cambist warm
	@touch $@

# What the pages load (htmx, uPlot) and what tests them (axe), by the hashes of the lock file, with the Node of the wheel that was just installed.
$(PAGES): $(INSTALLED) package.json package-lock.json
	@echo "Installing what package-lock.json pins, by hash"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
	@touch $@

run: $(WARMED) $(PAGES)
	@$(BIN)/cambist run

demo: $(WARMED)
	@$(BIN)/cambist demo

# First uncompiled: rows are checked proxies, so a wrong field, width or bound is an exception with a line number.
# Then what needs the machine code, two files at a time, then real processes, three: they wait for one another half of the time, as do the tests of pages.
test: $(WARMED) $(PAGES)
	@echo "== unit tests, uncompiled"
	@CAMBIST_COMPILED=0 $(BIN)/python -m pytest -q -n 3 -m "not compiled and not process and not hunt"
	@echo "== tests of the compiled kernel"
	@CAMBIST_COMPILED=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "compiled and not process and not hunt"
	@echo "== tests of real processes"
	@CAMBIST_COMPILED=1 $(BIN)/python -m pytest -q -n 3 --dist loadfile -m "process and not hunt"

# The kernel is not needed here, so a kernel that does not compile never hides a lint finding.
lint: $(INSTALLED)
	@echo "== ruff";          $(BIN)/ruff check
	@echo "== pyright";       $(BIN)/pyright
	@echo "== import-linter"; $(BIN)/lint-imports --no-logo --no-cache
	@echo "== purity";        $(BIN)/python -m pytest -q tests/house

bench: $(WARMED)
	@for b in $(BENCHES); do echo "== bench $$b"; $(BIN)/cambist bench $$b; done

# Seeds of 2,000 commands with all faults, on both processors, LEAST in any case; none may break a promise. Always the same ones, so that a change is judged by
# what it changed; new ones are the hunt's. Every so many-th (AGAIN) runs twice, with another PYTHONHASHSEED.
SEEDS ?= 500
SEED ?= 1
LEAST ?= 500
AGAIN ?= 25
BUG ?=
SIMULATE_SECONDS ?= 470
simulate: $(WARMED)
	@$(BIN)/cambist simulate --seed $(SEED) --seeds $(SEEDS) --least $(LEAST) --again $(AGAIN) --jobs 2 --seconds $(SIMULATE_SECONDS) --bug "$(BUG)"

hunt: $(WARMED) $(PAGES)
	@$(MAKE) --no-print-directory simulate SEED=100000 SEEDS=20000 LEAST=2000 AGAIN=1 SIMULATE_SECONDS=3600
	@CAMBIST_COMPILED=1 HYPOTHESIS_PROFILE=hunt $(BIN)/python -m pytest -q -m hunt

# Uncompiled, so that each line is a line; twice the time of these tests, which is why `make test` does not. The twin's own tests say nothing about the core.
# A test that fails does not hide what the others reached; it fails the command all the same.
coverage: $(INSTALLED)
	@rm -f .coverage .coverage.*
	@failed=0; \
	CAMBIST_COMPILED=0 COVERAGE_PROCESS_START=pyproject.toml $(BIN)/python -m pytest -q -n 2 -m "not compiled and not process and not hunt" -k "not twin" \
		tests/core || failed=1; \
	$(BIN)/python -m coverage combine --quiet; \
	$(BIN)/python -m coverage json --quiet -o .coverage.json; \
	$(BIN)/python tools/covered.py .coverage.json || failed=1; \
	exit $$failed

# With Debian's chromium, or the one that CAMBIST_CHROMIUM names.
pictures: $(WARMED) $(PAGES)
	@$(BIN)/python tools/pictures.py

# Renewed wholly, so that a withdrawn version cannot linger. The files hold names, versions and hashes, no address and no path.
LOCK := $(BIN)/python -m uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate
lock: $(INSTALLED)
	@$(PIP) uv
	@$(LOCK) pyproject.toml --extra gateway -o requirements/run.txt
	@$(LOCK) pyproject.toml --extra gateway --extra reports requirements/dev.in -o requirements/dev.txt

# A house's log, results and snapshots are never removed by a build tool.
clean:
	rm -rf .venv node_modules build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
