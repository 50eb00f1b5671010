# make         explains the targets
# make demo    runs the demonstration            make demo ARGS="--json --seconds 30"
# make test    passes the tests                  make test ARGS="-k contract"

# An interpreter that was built with optimisations, as a distribution's own is and pyenv's is not unless told to: a worker
# handles a tenth more new products with it.
OPTIMISED := import ensurepip, sys, sysconfig; built = sysconfig.get_config_var("CONFIG_ARGS") or ""; sys.exit(not ( \
  (3, 11) <= sys.version_info[:2] <= (3, 13) and (sys.base_prefix == "/usr" or "--enable-optimizations" in built)))
PYTHON ?= $(shell for p in python3 /usr/bin/python3; do $$p -c '$(OPTIMISED)' 2>/dev/null && echo $$p && exit; done; echo python3)
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench bench-index chaos chaos-duplicates clean

help:  ## Explain the targets
	@echo "Streamgauge: finds and repairs faults in an online shop's events as they pass through Kafka."
	@echo
	@grep -E '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'
	@echo
	@echo 'Options go through ARGS:  make demo ARGS="--seconds 30 --json"'

install: $(STAMP)  ## Make .venv and install what is missing

# uv comes from PyPI where the machine has none: it installs in seconds what takes pip over a minute.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Streamgauge needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV), of the Python in $$($(BIN)/python -c 'import sys; print(sys.base_prefix)')" \
	  "(6 GB with torch; seconds once cached) ..."
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@UV=$$(command -v uv || echo $(BIN)/uv); VIRTUAL_ENV="$(CURDIR)/$(VENV)" $$UV pip install \
	  --constraint constraints.txt --editable '.[test,lint]'
	@echo "Compiling the innermost loops, once ..."
	@$(BIN)/python -c 'import detectors.duplicates.kernels'
	@touch $(STAMP)

demo: install  ## Run the demonstration: an embedded Kafka, a simulated marketplace, the monitor
	@$(BIN)/streamgauge demo $(ARGS)

test: install  ## Pass the tests
	@$(BIN)/python -m pytest $(ARGS)

lint: install  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: install  ## Measure throughput and latency; writes build/bench.json
	@$(BIN)/python -m tests.benchmarks.bench $(ARGS)

bench-index: install  ## Measure the catalogue view up to a million products; writes build/bench-index.json
	@$(BIN)/python -m tests.benchmarks.index $(ARGS)

chaos: install  ## Kill workers and brokers under load; writes build/chaos.json
	@$(BIN)/python -m tests.benchmarks.chaos $(ARGS)

chaos-duplicates: install  ## Compare clusters and golden records of disturbed workers; writes build/chaos-duplicates.json
	@$(BIN)/python -m tests.benchmarks.chaos_duplicates $(ARGS)

clean:  ## Remove .venv and build
	rm -rf $(VENV) build
