# Entries: run, test, check, bench, help. Needs Python 3.11 or newer, make, and a package registry that pip reaches.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test check bench bench-routing fmt generate lock e2e compat ray torture fuzz

help: ## show this list
	@echo "Headrace"
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s%s\n", $$1, $$2 }'
	@echo "For developers"
	@sed -n 's/^\([a-z0-9-]*\):.*#: \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s%s\n", $$1, $$2 }'

run: $(VENV)/.run-installed ## install into .venv and start the platform (ARGS="--port 8081")
	@exec $(BIN)/headrace serve --pull $(ARGS)

test: $(VENV)/.dev-installed ## run every test (ARGS="tests/unit -k ledger")
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev-installed ## format, lint, types, imports, sizes, generated files, spelling
	@$(BIN)/python -m tools.check

bench: $(VENV)/.run-installed ## measure against direct-to-upstream and LiteLLM's proxy (needs cc)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-routing: $(VENV)/.dev-installed #: measure matching, write docs/routing-quality.md (ARGS="--data DIR --home HOME")
	@$(BIN)/python -m benchmarks.routing $(ARGS)

fmt: $(VENV)/.dev-installed #: format the code and repair simple lint
	@$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format --quiet .

generate: $(VENV)/.dev-installed #: write the generated files
	@$(BIN)/python -m tools.generate

e2e: $(VENV)/.dev-installed #: the end-to-end tests only
	@$(BIN)/python -m pytest tests/e2e $(ARGS)

compat: $(VENV)/.dev-installed #: run foreign clients, installed into build/, and write docs/compatibility.md (needs node)
	@$(BIN)/python -m tests.compatibility.run $(ARGS)

ray: $(VENV)/.dev-installed #: run deployments on two real Ray nodes, installed into build/, and kill one
	@$(BIN)/python -m pytest -s tests/ray/two_nodes.py tests/ray/contract.py $(ARGS)

torture: $(VENV)/.dev-installed #: kill, cut and overload until it breaks (MUTANTS=1: seed faults into the ledger)
	@$(BIN)/python -m benchmarks.torture $(if $(MUTANTS),--mutants) $(ARGS)

fuzz: $(VENV)/.dev-installed #: ask every route what its description allows and forbids, for long (ARGS="--seed 1")
	@$(BIN)/python -m tests.e2e.openapi_fuzz $(ARGS)

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-strip-extras --custom-compile-command "make lock"

lock: $(VENV)/.dev-installed #: pin the requirement files again (LOCK_ARGS="--upgrade")
	@$(LOCK) $(LOCK_ARGS) pyproject.toml --extra postgres --group build -o requirements/run.txt
	@$(LOCK) $(LOCK_ARGS) pyproject.toml --extra postgres --group build --group dev -c requirements/run.txt -o requirements/dev.txt
	@for each in anthropic langchain litellm openai pydo; do \
		$(LOCK) $(LOCK_ARGS) tests/compatibility/requirements-$$each.in -o tests/compatibility/requirements-$$each.txt || exit 1; done
	@$(LOCK) $(LOCK_ARGS) pyproject.toml tests/ray/requirements-ray.in -c requirements/run.txt -o tests/ray/requirements-ray.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Headrace needs Python 3.11 or newer: install one, then run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot create a virtual environment: install its venv package (Debian: python3-venv)."; exit 1; }

# Everything is pinned by hash; the project itself is linked, so an edit or a pull needs no new install.
$(VENV)/.run-installed: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) (about half a minute)"
	@$(PIP) install -qq --require-hashes --requirement requirements/run.txt
	@$(PIP) install -qq --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.dev-installed: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing developer tools into $(VENV) (about a minute)"
	@$(PIP) install -qq --require-hashes --requirement requirements/dev.txt
	@$(PIP) install -qq --no-deps --no-build-isolation --no-index --editable .
	@touch $@ $(VENV)/.run-installed
