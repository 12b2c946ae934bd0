# Every target makes what it needs; PYTHON is the interpreter that .venv is made with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo dev docs sbom test test-nfs test-python check audit bench bench-scale soak clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]' --group dev
	touch $@

demo: $(STAMP) ## the main job, on real run files
	$(BIN)/python -m examples.demo

docs: $(STAMP) ## the parts of docs/ and plugs/ that come from the code
	$(BIN)/python -m docs.generate

sbom: $(STAMP) ## the software bill of materials (CycloneDX)
	$(BIN)/python -m docs.sbom

dev: $(STAMP) ## the Dagster UI over the same definitions
	DAGSTER_HOME=$(CURDIR) $(BIN)/dagster dev

test: check ## everything that must pass; two at a time, but for those with a clock in hand
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not alone' --durations=25 --durations-min=10
	$(BIN)/python -m pytest -m alone

test-nfs: $(STAMP) ## the backend nfs on a real NFS server, in a guest; names the Debian packages that it lacks
	tests/nfs/run $(abspath $(BIN))/python

test-python: ## the wheel under the Python of another Debian release (RELEASE=trixie: 3.13); needs root and mmdebstrap
	tests/python/run $(or $(RELEASE),trixie)

check: $(STAMP) ## lint, format, types, layers, definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate --module-name pipelines.definitions
	$(BIN)/python -m docs.generate --check
	$(BIN)/python -m supply.licences

audit: $(STAMP) ## is any pinned version known to be vulnerable; exits with 3 where nobody could be asked
	$(BIN)/python -m supply.audit

bench: $(STAMP) ## speed against the named peers; see benchmarks/RESULTS.md
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python -m benchmarks

bench-scale: $(STAMP) ## 100 million issues in 5 million runs; some GB of disk and half an hour
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python -m benchmarks --only scale --rounds 5 --write

soak: $(STAMP) ## ten minutes of failover under constant writing; writes benchmarks/SOAK.md
	$(BIN)/python -m benchmarks.soak

clean: ## remove what the other targets made
	rm -rf $(VENV) lake inbox .dagster
