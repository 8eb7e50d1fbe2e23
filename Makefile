# Everything a person does from a clone. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
VENV := .venv
BIN := $(VENV)/bin
COLLECTION := .collections/ansible_collections/strata/fleet
PLAY := $(BIN)/ansible-playbook
DEMO := $(PLAY) --inventory inventories/demo/hosts.yml
MYPY := MYPYPATH=. $(CURDIR)/$(BIN)/mypy --config-file ../pyproject.toml
# What tests on machines need first. Empty: it is there, leave it alone.
LAB := lab content
STATE := $(foreach each,backup restore drill migrate,tests/integration/fleet/test_$(each).py)
SHEBANG := ^\#!/(usr/)?bin/(env )?(ba)?sh
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export LC_ALL := C.UTF-8
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help venv demo demo-clean build lab lab-clean content bench bench-patch bench-migrate bench-backup bench-gitops test lint test-unit sanity \
	test-molecule test-integration test-content test-fleet test-state docs collection changelog

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' Makefile

# To use it

demo: $(VENV)/.run $(COLLECTION) ## Engine, depot and five appliances on this machine (as root), and a table of them
	$(DEMO) playbooks/engine.yml
	$(DEMO) playbooks/build.yml
	$(DEMO) playbooks/deploy.yml
	$(DEMO) playbooks/status.yml

demo-clean: $(VENV)/.run $(COLLECTION) ## Remove what the demo made, state included; packages stay
	$(DEMO) playbooks/demo_clean.yml

build: $(VENV)/.run $(COLLECTION) ## Build and publish the demo's base and apps
	$(DEMO) playbooks/build.yml

lab: venv ## Three nodes and a depot on this machine (as root), to play in and for tests
	$(PLAY) --inventory localhost, playbooks/lab.yml

lab-clean: venv ## Remove the lab
	$(PLAY) --inventory localhost, playbooks/lab_clean.yml

bench: $(VENV)/.run $(COLLECTION) ## Print the figures: bytes, disk, memory and time, side by side (takes the demo's depot)
	$(DEMO) playbooks/engine.yml
	$(DEMO) playbooks/build.yml
	PYTHONPATH=.collections $(BIN)/python -m ansible_collections.strata.fleet.tests.bench

bench-patch: lab content ## Print the figures of a patch, beside apt in full instances (on the lab, about 8 minutes)
	PYTHONPATH=.collections $(BIN)/python -m ansible_collections.strata.fleet.tests.bench.patching

bench-backup: lab content ## Print what backups, restores and drills take, beside the engine's own export (on the lab)
	PYTHONPATH=.collections $(BIN)/python -m ansible_collections.strata.fleet.tests.bench.backups

bench-migrate: lab content ## Print how long a migration takes an appliance away, beside the engine's own copy (on the lab)
	PYTHONPATH=.collections $(BIN)/python -m ansible_collections.strata.fleet.tests.bench.migration

bench-gitops: lab content ## Print what cycles of GitOps take, and what a plan of 10 000 appliances does (about 11 minutes)
	PYTHONPATH=.collections $(BIN)/python -m ansible_collections.strata.fleet.tests.bench.cycles
	PYTHONPATH=.collections $(BIN)/python -m ansible_collections.strata.fleet.tests.bench.planning

# To develop it

venv: $(VENV)/.test $(COLLECTION) ## The virtual environment with pinned tools

test: venv ## All tests, two parts at a time, and what became of each
	@$(BIN)/python tests/parts.py

lint: venv ## Style and types: Python, YAML, Ansible, shell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd .collections && $(MYPY) --package ansible_collections.strata.fleet.plugins --package ansible_collections.strata.fleet.tests
	$(BIN)/yamllint --strict .
	$(BIN)/ansible-lint --offline -q
	requirements/debian shellcheck
	git grep --null --files-with-matches --untracked --extended-regexp '$(SHEBANG)' -- ':!*.py' ':!*.md' | xargs --null shellcheck --severity=warning

test-unit: venv ## Tests that need no engine
	$(BIN)/pytest --quiet tests/unit

sanity: venv ## ansible-test sanity, nothing ignored
	tests/sanity/run

content: venv ## A depot with a base and an app for the tests, in .cache/content (as root)
	$(PLAY) --inventory tests/lab/content.yml playbooks/build.yml

test-molecule test-content test-fleet test-state: export STRATA_TEST_DEPOT := $(CURDIR)/.cache/content
test-molecule: $(LAB) ## Every scenario in molecule/, each on a machine of the lab
	@scenarios=(molecule/*/molecule.yml); [ -e "$${scenarios[0]}" ] || { echo "molecule/ has no scenario" >&2; exit 1; }
	for scenario in molecule/*/molecule.yml; do $(BIN)/molecule test --scenario-name "$$(basename "$$(dirname "$$scenario")")"; done

test-integration: test-content test-fleet test-state ## All that is tested on the lab without molecule

test-content: $(LAB) ## Real bases and apps built here, and the engine on a machine of the lab
	$(BIN)/pytest --verbose --durations=15 tests/integration --ignore=tests/integration/fleet

test-fleet: $(LAB) ## Whole fleets over SSH, faults included, on the lab
	$(BIN)/pytest --verbose --durations=15 tests/integration/fleet $(STATE:%=--ignore=%)

test-state: $(LAB) ## Backups, restores, drills and migrations, faults included, on other nodes of the lab
	STRATA_TEST_NODES="node4 node5 node6" $(BIN)/pytest --verbose --durations=15 $(STATE)

docs: venv ## Write docs/reference from the modules, roles and schemas
	$(BIN)/python docs/generate.py

changelog: venv ## Write CHANGELOG.md from the fragments in changelogs/
	$(BIN)/antsibull-changelog lint
	$(BIN)/antsibull-changelog release --update-existing --reload-plugins --refresh-plugins --refresh-fragments

collection: venv ## An installable collection in build/
	$(BIN)/ansible-galaxy collection build --force --output-path build

$(VENV)/.run: requirements/run.txt
	python3 -c "import ensurepip, venv" 2>/dev/null || requirements/debian python3-venv
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements/run.txt
	touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	$(BIN)/pip install --quiet --requirement requirements/test.txt
	touch $@

# The checkout, where Ansible looks for a collection of this name.
$(COLLECTION):
	mkdir -p $(dir $@)
	ln -sfn $(CURDIR) $@
