# One command sets everything up; a second one finds it done. Nothing is needed beyond Python >= 3.11, pip and make.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
GROUPS := test lint bench

.PHONY: demo test lint wheel-check clean

demo: $(VENV)/.installed
	$(BIN)/skimflow demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sp-repo-review .

# The image's build steps, outside Docker; what they install runs the small demonstration away from the checkout.
wheel-check:
	rm -rf build/wheel-check && mkdir -p build/wheel-check
	sed -n '/ AS build$$/,/^FROM .*bookworm$$/s/^RUN //p' Dockerfile | PYTHON=$(PYTHON) PREFIX=$(CURDIR)/build/wheel-check/env PIP_DISABLE_PIP_VERSION_CHECK=1 sh -eux
	cd build/wheel-check && env/bin/skimflow demo --small && env/bin/skimflow demo --small

clean:
	rm -rf $(VENV) build skimflow-demo

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once; a few minutes)"
	$(PIP) install --upgrade "pip>=25.1"
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

# The tests start a real XRootD server, a real PostgreSQL and a real browser; Debian has them.
DEBIAN := xrootd-server postgresql chromium $(shell command -v kubectl >/dev/null || echo kubernetes-client)
SYSTEM := dpkg-query --show $(DEBIAN) >/dev/null 2>&1 || { echo "installing $(DEBIAN), which the tests start"; \
	run() { if [ "$$(id -u)" = 0 ]; then "$$@"; else sudo "$$@"; fi; }; \
	get() { run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBIAN) >/dev/null; }; \
	get || { run apt-get update -qq && get; }; }

$(VENV)/.installed-dev: $(VENV)/.installed $(wildcard tests/clients/environments/*.txt)
	@echo "adding the test tools"
	@$(SYSTEM)
	$(PIP) install --constraint constraints.txt $(GROUPS:%=--group %)
	$(PIP) install --no-deps --target $(VENV)/schemas dask-kubernetes==2026.3.0 # for the operator's resource definitions
	$(BIN)/python tests/clients/client_environments.py # other clients of ServiceX, each in an environment of its own
	@touch $@
