# Datums: every target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
include testbed/testbed.mk

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-zA-Z_-]*:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(VENV)/.stamp ## the locked Python environment in .venv
$(VENV)/.stamp: requirements/dev.lock pyproject.toml
	@requirements/install $(VENV)
	@touch $@
