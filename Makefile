# Every target sets up its own environment, once: .venv is made again only when what it is made from has changed.
# All paths are relative to this folder, so that a checkout may lie anywhere, spaces included (`make -C FOLDER …`).
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
ALL := train,hosted,marks,dev
# What is installed: as it was set up before, else all. `make demo EXTRAS=hosted` leaves torch out (no training here).
EXTRAS ?= $(or $(shell cat .venv/.extras 2>/dev/null),$(ALL))
PORT ?= 3000
# Two processes keep two cores busy but for their waits, which a third fills.
PYTEST = $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=10 --durations-min=1
ONLY ?= tests
# Images often say that no compiled module is kept: then each of the many processes here would compile all of ours again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: FORCE help setup demo train-mode test test-slow test-live ui bench bench-train lint clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

setup: .venv/.ready ## set up .venv (every other target does it by itself; EXTRAS=hosted leaves torch out)

.venv/.ready: pyproject.toml constraints.txt set-up.sh $(if $(filter-out $(EXTRAS),$(shell cat .venv/.extras 2>/dev/null)),FORCE)
	@PYTHON="$(PYTHON)" ./set-up.sh "$(EXTRAS)"

# What tests, lint and benchmarks need: all of it.
.venv/.all: .venv/.ready
	@[ "$$(cat .venv/.extras)" = "$(ALL)" ] || PYTHON="$(PYTHON)" ./set-up.sh "$(ALL)"
	@touch $@

demo: .venv/.ready ## an example artist through the whole chain
	@$(BIN)/dawa demo

test: .venv/.all ## all tests but the long campaigns (one folder: make test ONLY=tests/dawa_assets/intake)
	$(PYTEST) -m "not slow" $(ONLY)

test-slow: .venv/.all ## the long campaigns: kills, faults, repetitions (one: make test-slow ONLY=tests/campaigns)
	$(PYTEST) -m slow $(ONLY)

test-live: .venv/.all ## against a real Supabase project (SUPABASE_URL, SUPABASE_SECRET_KEY, SUPABASE_DB_URL)
	@$(BIN)/python -m tests.live && DAWA_LIVE_TESTS=1 $(BIN)/python -m pytest -n 0 -m "not slow" -rs tests/live

train-mode: .venv/.ready ## the page that artists and producers work on, in the browser
	@$(BIN)/dawa serve --open

bench: .venv/.all ## the benchmarks: medians into benchmarks/results (one alone: make bench NAMES=als)
	$(BIN)/python -m benchmarks $(NAMES)

bench-train: .venv/.all ## the speed of a training with bases of the true size, on a GPU (tiny ones without)
	$(BIN)/python -m benchmarks.train_throughput --backend ace_step
	$(BIN)/python -m benchmarks.train_throughput --backend musicgen

ui: .venv/.ready ## the Dagster UI on http://localhost:3000 (PORT=…), its history under $DAWA_HOME
	@$(BIN)/dawa ui --port $(PORT)

lint: .venv/.all ## ruff, formatting, layers, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

clean: ## remove the environment and all state of this checkout
	@if [ -x $(BIN)/dawa ]; then $(BIN)/dawa stop; fi
	rm -rf .venv .dawa build *.egg-info
