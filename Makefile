# Two commands matter: `make demo` and `make test`. They need Python 3.11 or newer and make.
# Paths stay relative, so that a folder with a space in its name works.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
BENCH := .cache/bench-venv
PIP := $(RUN) -m pip --disable-pip-version-check --quiet
CLIP ?=
EFFECT ?=
ONLY ?=

.DEFAULT_GOAL := help
.PHONY: help install demo up test bench soak check format clip clips web topology clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

install: $(INSTALLED)  ## Make the virtual environment

$(INSTALLED): requirements/lock.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "effectmesh needs Python 3.11 or newer; none was found on PATH"; exit 1; }
	@echo "installing into $(VENV) (once, about a minute) ..."
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || { \
		echo "no virtual environment can be made; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/lock.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(INSTALLED)

clip: $(INSTALLED)  ## Fetch the demo's clip
	@$(RUN) -m effectmesh.clips demo

clips: $(INSTALLED)  ## Fetch the footage that tests look at
	@$(RUN) -m effectmesh.clips demo tests

web: $(INSTALLED)  ## Build the page into gateway/static
	@$(RUN) -m effectmesh.page

demo: $(INSTALLED)  ## One real clip through all 13 steps (CLIP=path EFFECT=name)
	@test -n "$(CLIP)" || $(RUN) -m effectmesh.clips demo
	@$(RUN) -m effectmesh.page --quiet
	@$(RUN) -m effectmesh demo $(if $(CLIP),--clip "$(CLIP)") $(if $(EFFECT),--effect "$(EFFECT)")

up: $(INSTALLED)  ## Start everything and print the page's address
	@$(RUN) -m effectmesh.page --quiet
	@$(RUN) -m effectmesh up

test: $(INSTALLED) clips  ## Run the whole test suite
	@$(RUN) -m pytest $(ONLY)

soak: $(INSTALLED)  ## The long crash tests: workers, broker and a cluster are killed, lines cut
	@SOAK=1 $(RUN) -m pytest tests/integration/crashes tests/integration/cluster \
		tests/integration/gpu_agent/test_cuts.py --log-cli-level=INFO

bench: $(BENCH)/.installed clips  ## Measure the runtime beside its peers (ONLY=group)
	@$(RUN) -m effectmesh.clips bench
	@$(BENCH)/bin/python -m benchmarks $(ONLY)

$(BENCH)/.installed: requirements/lock.txt requirements/bench.txt
	@test -n "$(PYTHON)" || { echo "effectmesh needs Python 3.11 or newer; none was found on PATH"; exit 1; }
	@echo "installing the peers into $(BENCH) (once, about a minute) ..."
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes \
		--only-binary :all: -r requirements/lock.txt -r requirements/bench.txt
	@touch $@

check: $(INSTALLED)  ## Format, lint, types, layers, generated files
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@$(RUN) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-cache
	@$(RUN) -m pytest -q tests/architecture

format: $(INSTALLED)  ## Format the sources
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

topology: $(INSTALLED)  ## Write nats/*.json from subjects/
	@$(RUN) -m effectmesh topology write

clean:  ## Remove what was built (not the data)
	@rm -rf $(VENV) .cache gateway/static web/node_modules
