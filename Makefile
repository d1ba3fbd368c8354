# Every target sets up its own environment, once: .venv is rebuilt only when what it is made from has changed.
# Works from any folder (`make -C`), as any user.
.DEFAULT_GOAL := help
SHELL := /bin/bash
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
PYTHON ?= python3
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export DAGSTER_HOME ?= $(or $(DAWA_HOME),$(ROOT)/.dawa)/dagster

.PHONY: help demo test test-slow ui bench lint clean setup

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: $(READY) ## set up .venv (every other target does it by itself)

$(READY): pyproject.toml constraints.txt
	cd "$(ROOT)" && "$(PYTHON)" -m venv "$(VENV)" && \
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]' && \
	touch "$(READY)"

demo: $(READY) ## an example artist through the whole chain
	cd "$(ROOT)" && "$(BIN)/dawa" demo

test: $(READY) ## all tests but the long campaigns
	cd "$(ROOT)" && "$(BIN)/python" -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(READY) ## the long campaigns: kills, faults, repetitions
	cd "$(ROOT)" && "$(BIN)/python" -m pytest -n 2 --dist loadfile -m slow

bench: $(READY) ## the benchmarks: medians into benchmarks/results (one: make bench NAMES=als)
	cd "$(ROOT)" && "$(BIN)/python" -m benchmarks $(NAMES)

lint: $(READY) ## ruff, formatting, types
	cd "$(ROOT)" && "$(BIN)/ruff" check . && "$(BIN)/ruff" format --check . && "$(BIN)/mypy"

clean: ## remove the environment and all state of this checkout
	rm -rf "$(VENV)" "$(ROOT)/.dawa" "$(ROOT)/build" "$(ROOT)"/*.egg-info
