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
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sp-repo-review .

# The built wheel in an environment of its own, away from the checkout, runs the small demonstration.
wheel-check: $(VENV)/.installed
	rm -rf build/wheel-check && mkdir -p build/wheel-check
	$(PIP) wheel --no-deps --wheel-dir build/wheel-check .
	$(PYTHON) -m venv build/wheel-check/env
	build/wheel-check/env/bin/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt build/wheel-check/*.whl
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
DEBIAN := xrootd-server postgresql chromium
SYSTEM := dpkg-query --show $(DEBIAN) >/dev/null 2>&1 || { echo "installing $(DEBIAN), which the tests start"; \
	run() { if [ "$$(id -u)" = 0 ]; then "$$@"; else sudo "$$@"; fi; }; \
	get() { run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBIAN) >/dev/null; }; \
	get || { run apt-get update -qq && get; }; }

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "adding the test tools"
	@$(SYSTEM)
	$(PIP) install --constraint constraints.txt $(GROUPS:%=--group %)
	@touch $@
