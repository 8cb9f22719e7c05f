# Everything here works on a machine that has Python 3.11 or newer, make and a C compiler; the rest goes into .venv.
# `make bench` puts the peers into benchmarks/.peers, apart from ours.
# Another Python: make test PYTHON=python3.13 (after `make clean` when .venv exists already).

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Every target may write to the one .venv.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test check bench format clean check-format check-lint check-types check-layers check-house vectors

help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 22

demo: .venv/.stamp-all ## two real processes, live: metrics, a 200 MB file, a chat (under a minute)
	$(BIN)/penstock demo

test: .venv/.stamp-test ## the whole test suite; one part of it: make test ARGS=tests/streams
	$(BIN)/python -m pytest $(ARGS)

check: check-format check-lint check-layers check-types check-house ## format, lint, layers, types and the house rules (under a minute)

bench: .venv/.stamp-all ## the benchmarks beside their peers, with a table and a chart (under seven minutes)
	$(BIN)/python -m benchmarks $(ARGS)

vectors: .venv/.stamp-test ## make vectors/ and the made parts of PROTOCOL.md anew, after a change on the wire
	$(BIN)/python -m tests.protocol.make_vectors

format: .venv/.stamp-test ## rewrite the files into the house format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

clean: ## remove .venv, builds and caches
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

check-format: .venv/.stamp-test
	$(BIN)/ruff format --check .

check-lint: .venv/.stamp-test
	$(BIN)/ruff check .

check-layers: .venv/.stamp-test
	$(BIN)/lint-imports --no-cache

# mypy reads the whole source; pyright reads it as a user's editor does; both read tests/typing, a user's program.
check-types: .venv/.stamp-test
	$(BIN)/mypy
	$(BIN)/pyright

check-house: .venv/.stamp-test
	$(BIN)/python -m pytest -q tests/house

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; name one with PYTHON=" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# One stamp for each set of extras: changed dependencies are installed at the next use, unchanged ones cost nothing.
.venv/.stamp-%: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@
