# Two commands need nothing but Python 3.11, make and git: `make demo` and `make test`.

VENV := .venv
BIN := $(VENV)/bin
POLICY := .venv-policy
N ?= 1000
SEED ?= 1

# The first Python that is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: help demo test lint bench chaos clean

help: ## Show this.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "reconciler needs Python 3.11 or newer"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.runtime

# What judges Terraform plans has needs that ours cannot live with: an environment of its own, and Python 3.11
# where it is there, since those tools are slow to follow.
$(POLICY)/.made: tests/policy/requirements.txt
	@test -n "$(PYTHON)" || { echo "reconciler needs Python 3.11 or newer"; exit 1; }
	$$(command -v python3.11 || echo $(PYTHON)) -m venv $(POLICY)
	$(POLICY)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/policy/requirements.txt
	@touch $@

demo: $(VENV)/.runtime ## Validate, plan, apply and list states/dev on the embedded platform.
	@sh examples/demo.sh $(BIN)/reconciler

test: lint $(POLICY)/.made ## Run every check and every test.
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -q
	PYTHONHASHSEED=4242 $(BIN)/python -m pytest -q tests/core tests/specs tests/render

lint: $(VENV)/.test ## Run ruff and mypy.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test ## Time whole commands at N resources (make bench N=10000), Terraform beside them if it is there.
	$(BIN)/python benchmarks/run.py $(N)

chaos: $(VENV)/.test ## Kill N commands, break each call, tear each byte; look at what is left (make chaos N=1000 SEED=1).
	PYTHONPATH=tests $(BIN)/python -m chaos $(N) --seed $(SEED)

clean: ## Remove what the commands above made.
	rm -rf $(VENV) $(POLICY) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis states/*/.reconciler
