# The two commands a new user needs are `make run` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3 || echo python3.11)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 2 ? 2 : n)))
unexport PYTHONDONTWRITEBYTECODE # without bytecode each process compiles two hundred modules first

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow ui quality superset dashboards-check lint types bench soak research fmt docs lock clean

help: ## what can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## the environment only: .venv with the locked dependencies

$(VENV)/.ready: requirements.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "error: no '$(PYTHON)' here; install Python 3.11 to 3.13 (Debian: apt-get install python3 python3-venv) or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { echo "error: $(PYTHON) is $$("$(PYTHON)" -V 2>&1); Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) has no venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "Setting up $(VENV) (about a minute, once) ..."
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## provider payloads -> events -> reporting tables, then a summary and a report
	@$(BIN)/regime run $(ARGS)

test: setup ## the tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not slow" $(ARGS)

test-slow: setup ## the tests that take long
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m slow --timeout=900 $(ARGS)

ui: setup ## Dagster UI and daemon, dashboard and API beside
	@$(BIN)/regime ui $(ARGS)

quality: setup ## suites over the last week of stored rows; where their Data Docs are
	@$(BIN)/regime quality --suites $(ARGS)

dashboards-check: setup ## name every chart that shows a column which its mart does not have
	@$(BIN)/python -m dashboards.check

superset: setup .superset/.ready ## the dashboards in Apache Superset on 127.0.0.1:8088 (another environment, 800 MB)
	@$(BIN)/regime db url --role bi --for psql | $(BIN)/python -m dashboards.server .superset/venv/bin .superset/home $(ARGS)

.superset/.ready: dashboards/requirements-superset.txt
	@"$(PYTHON)" -m venv .superset/venv
	@.superset/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

lint: setup ## style of Python and SQL
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models dbt_project/tests

types: setup ## types
	@$(BIN)/mypy

fmt: setup ## put the code into shape
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

docs: setup ## write the generated pages, dbt sources and .env.example
	@$(BIN)/python -m regime_pipeline.catalogue.documents
	@$(BIN)/python -m regime_pipeline.catalogue.faults
	@$(BIN)/python -m regime_pipeline.orchestration.lineage
	@$(BIN)/python -m regime_pipeline.alerts.documents
	@$(BIN)/python -m regime_pipeline.configuration

bench: setup ## benchmarks, each beside its baseline; one JSON line a figure
	@$(BIN)/python -m benchmarks $(ARGS)

soak: setup ## hours of operation with faults that a seed decides: make soak ARGS="--hours 24 --seed 1"
	@$(BIN)/python -m regime_pipeline_tests.soak $(ARGS)

research: setup ## the tables of docs/research.md and docs/models.md from recorded history
	@$(BIN)/python -m benchmarks.research
	@$(BIN)/python -m benchmarks.models

lock: setup ## resolve requirements.lock anew (needs uv)
	uv pip compile --python-version 3.11 --universal --no-strip-extras --extra dev pyproject.toml \
	  --generate-hashes --no-emit-index-url --no-header -o requirements.lock

clean: ## stop the embedded database and remove the environment (data in .regime stays)
	@test ! -x $(BIN)/regime || $(BIN)/regime db stop || true
	@rm -rf $(VENV)
