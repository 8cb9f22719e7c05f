# Everything here works on a machine that has Python 3.11 or newer, make and a C compiler; the rest goes into .venv.
# `make bench` puts the peers into benchmarks/.peers, apart from ours.
# Another Python: make test PYTHON=python3.13 VENV=.venv-3.13, or make test-3.13. To debug: make test JOBS=0 ARGS="--pdb …".

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV = .venv
BIN := $(VENV)/bin
# The processes that share the tests: a number, 0 for none but pytest's own. Three for two processors, because half the time of
# the suite is other processes, sockets and browsers that it waits for.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n + (n + 1) / 2)))
EAGER_ROOMS = $(addprefix tests/,streams session channel calls refs actors remote)
# What `make test` installs: `test` also has what `make check` needs.
EXTRA = test
# pyenv puts a `python3.13` into PATH that only says where it would be, so each is asked.
PYTHON_3_13 ?= $(shell for p in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13*/bin/python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && { echo "$$p"; break; }; done)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Every target may write to the one venv.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help chat client demo test test-3.13 test-eager attack soak fuzz check bench docs format clean check-format check-lint check-types check-layers check-house check-docs check-client vectors

help: ## list the targets
	@grep -hE '^[a-z][a-z0-9.-]*:.*##' Makefile | sed -E 's/^([a-z0-9.-]+):.*## */  make \1\t/' | expand -t 22

demo: $(VENV)/.stamp-all ## two real processes, live: metrics, a 200 MB file, a chat (under a minute)
	$(BIN)/penstock demo

test: $(VENV)/.stamp-$(EXTRA) ## the whole test suite; one part of it: make test ARGS=tests/streams
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

# The rules of the house are about the source, which is the same for every Python. Continuous integration (CI=true) fails
# without a Python 3.13; a machine of your own only says so.
test-3.13: ## the same tests with Python 3.13, in .venv-3.13
ifneq ($(PYTHON_3_13),)
	$(MAKE) test PYTHON='$(PYTHON_3_13)' VENV=.venv-3.13 EXTRA=suite $(if $(ARGS),,ARGS='--ignore tests/house')
else
	@echo "make: NOT TESTED WITH PYTHON 3.13: none on PATH or below ~/.pyenv; name one with PYTHON_3_13=" >&2
	@test "$(CI)" != true
endif

# With eager tasks (Python 3.12 and later) a task begins inside create_task.
test-eager: ## the rooms of streams, calls, channels and actors with Python 3.13 and eager tasks
	PENSTOCK_LOOP=eager $(MAKE) test-3.13 ARGS='$(or $(ARGS),$(EAGER_ROOMS))'

attack: $(VENV)/.stamp-test ## attacks of all kinds on real processes, long: a table of figures, with progress (ten minutes)
	$(BIN)/python -m tests.attack $(ARGS)

soak: $(VENV)/.stamp-test ## seeded programs of streams and faults, with progress: ten minutes, or ARGS="--seed 123", "--cuts 10000"
	$(BIN)/python -m tests.soak $(ARGS)

fuzz: $(VENV)/.stamp-fuzz ## coverage-guided fuzzing, two minutes for each target, or ARGS="machine --minutes 60" (Python 3.11)
	$(BIN)/python -m tests.fuzz $(ARGS)

check: check-format check-lint check-layers check-types check-house check-docs check-client ## format, lint, layers, types, house rules, the site, the client

# Continuous integration (CI=true) fails without Node; a machine of your own only says so.
check-client:
	@if command -v npm >/dev/null || test "$(CI)" = true; then $(MAKE) client; else \
	echo "make: THE TYPESCRIPT CLIENT IS NOT TESTED: there is no npm" >&2; fi

client: $(VENV)/.stamp-test ## the TypeScript client: types, tests against a real server, the size of its bundle (Node 20, npm)
	cd clients/ts && npm ci --silent && npm run --silent check && npm run --silent size && \
	PENSTOCK_PYTHON='$(abspath $(BIN)/python)' npm run --silent test -- $(ARGS)

chat: $(VENV)/.stamp-test ## the chat of examples/chat, for terminals and browsers, until Ctrl-C (Node 20, npm)
	cd clients/ts && npm ci --silent && npm run --silent chat
	$(BIN)/python examples/chat/server.py $(ARGS)

bench: $(VENV)/.stamp-all ## the benchmarks beside their peers, with a table and a chart (under seven minutes)
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.stamp-docs ## the site, in site/; strict: every link and every name leads somewhere
	$(BIN)/python docs/_site/pages.py
	$(BIN)/zensical build --clean --strict

vectors: $(VENV)/.stamp-test ## make vectors/ and the made parts of PROTOCOL.md anew, after a change on the wire
	$(BIN)/python -m tests.protocol.make_vectors

format: $(VENV)/.stamp-test ## rewrite the files into the house format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

clean: ## remove .venv, builds and caches
	rm -rf .venv .venv-3.13 .cache site build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

check-format: $(VENV)/.stamp-test
	$(BIN)/ruff format --check .

check-lint: $(VENV)/.stamp-test
	$(BIN)/ruff check .

check-layers: $(VENV)/.stamp-test
	$(BIN)/lint-imports --no-cache

# mypy reads the whole source; pyright reads it as a user's editor does; both read tests/typing, a user's program, and the
# programs of the pages.
check-types: $(VENV)/.stamp-test
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m tests.house.programs build/pages
	MYPYPATH=build/pages $(BIN)/mypy build/pages
	$(BIN)/pyright --project build/pages

# `make test` also runs what takes a process each: the programs of the pages.
check-house: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -q tests/house -m "not processes"

check-docs: docs


$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; name one with PYTHON=" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# One stamp for each set of extras: changed dependencies are installed at the next use, unchanged ones cost nothing.
$(VENV)/.stamp-%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@
