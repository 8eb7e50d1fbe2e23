# Everything a person does from a clone. `make help` lists it.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help venv
help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile

venv: $(VENV)/.test .collections/ansible_collections/strata/fleet ## The virtual environment with pinned tools

$(VENV)/.run: requirements/run.txt
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements/run.txt
	touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	$(BIN)/pip install --quiet --requirement requirements/test.txt
	touch $@

.collections/ansible_collections/strata/fleet:
	mkdir -p $(dir $@)
	ln -sfn $(CURDIR) $@
