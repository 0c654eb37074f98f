# Datums. Every target sets up what it needs; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-zA-Z0-9_-]*:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

include testbed/testbed.mk

.PHONY: venv
venv: $(VENV)/.stamp ## the locked Python environment in .venv
$(VENV)/.stamp: requirements/dev.lock pyproject.toml
	@echo "installing the locked Python environment into $(VENV)"
	@requirements/install $(VENV)
	@touch $@

.PHONY: demo
demo: venv ## two chained executions on a real cluster, from nothing to files in a bucket
	@$(BIN)/python -m demo

.PHONY: test
test: venv ## everything: lint, types, generated files, unit, integration and (where a node can run) e2e tests
	@$(MAKE) --no-print-directory lint verify
	@tests/run all

.PHONY: unit
unit: venv ## unit tests (no server)
	@tests/run unit

.PHONY: integration
integration: venv ## integration tests (a real API server, etcd and S3 server on loopback; no root needed)
	@tests/run integration

.PHONY: e2e
e2e: venv ## stories on a real cluster, the operator installed by its chart
	@tests/run e2e

.PHONY: lint
lint: venv ## ruff, mypy --strict and the layers of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/tmp/lint-imports.$$$$ 2>&1 || { cat /tmp/lint-imports.$$$$; rm -f /tmp/lint-imports.$$$$; exit 1; }; rm -f /tmp/lint-imports.$$$$

.PHONY: generate
generate: venv ## regenerate CRDs, chart schema and reference pages from their sources
	@$(BIN)/python -m datums.api.crds
	@$(BIN)/python -m datums.api.reference
	@$(BIN)/python -m datums.control.settings
	@charts/generate

.PHONY: verify
verify: generate ## regenerate, and fail when that changes a tracked file
	@dirty=$$(git status --porcelain -- crds charts docs/reference); if [ -n "$$dirty" ]; then \
	  echo "generated files are stale; run 'make generate' and commit:"; echo "$$dirty"; git --no-pager diff --stat -- crds charts docs/reference; exit 1; fi

.PHONY: docs
docs: venv ## build the documentation into site/ (strict)
	@$(BIN)/mkdocs build --strict --quiet

.PHONY: bench
bench: venv ## time an execution beside a bare pod; prints a table, writes bench/out/execution.json
	@$(BIN)/python -m bench.execution

.PHONY: bench-outputs
bench-outputs: venv ## time the verdict of an execution with 100,000 outputs, on the cluster; writes bench/out/outputs.json
	@$(BIN)/python -m bench.outputs $(ARGS)

.PHONY: bench-transfer
bench-transfer: venv ## time fetch and ship beside rclone, s5cmd and boto3 (ARGS=--help); tables, and bench/out/transfer.json
	@PYTHONPATH=operator $(BIN)/python -m bench.transfer $(ARGS)

.PHONY: docs-providers
docs-providers: venv ## write the tables of docs/reference/providers.md anew, from real servers on loopback
	@PYTHONPATH=operator $(BIN)/python -m tests.providers

.PHONY: lock
lock: venv ## lock the dependencies again (UPGRADE=1: to the newest allowed)
	@$(BIN)/python -m pip install --quiet uv && PATH="$(CURDIR)/$(BIN):$$PATH" requirements/compile $(if $(UPGRADE),--upgrade)
