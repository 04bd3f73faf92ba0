# Needs on a fresh Debian machine: Python >= 3.11 with venv; for the cluster also Go, Node.js and root.
# Everything else is installed by the targets: into .venv, .sandbox-venv, build/ and $CODESESSION_CACHE.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PORT ?= 8000
PYTHON ?= python3
SIZES ?= 1000,3000,10000
MINUTES ?= 30
BIN := .venv/bin
PYTEST := $(BIN)/pytest
# Most tests wait for processes and clocks: a few groups of them (conftest.py) at one time, each in its order.
PARALLEL := -n 3
PARALLEL_ON_CLUSTER := -n 2
ON_CLUSTER := crds operator api charts e2e
UNIT := client crds operator api images charts docs examples e2e/cluster

.PHONY: help run test check lint types unit contract e2e soak bench bench-operator cluster cluster-down images crds manifests docs playground site package sbom lock clean

help: ## what can be made
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: .venv/.ready .sandbox-venv/.ready .bubblewrap ## the embedded API on loopback, in the foreground (PORT=8000)
	@CODESESSION_SANDBOX_PYTHON=$(CURDIR)/.sandbox-venv/bin/python exec $(BIN)/codesession local --port $(PORT)

test: ## everything: check, then the end-to-end suites on a cluster of this machine
	@$(MAKE) check
	@$(MAKE) e2e

check: lint types .venv/.ready .sandbox-venv/.ready .bubblewrap .tools .node .chromium ## everything that needs no cluster
	@$(PYTEST) $(PARALLEL) -m "not cluster" $(UNIT) e2e/tests

lint: .venv/.ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m codesession_crds.generate --check
	@$(BIN)/python -m docs.settings --check
	@$(BIN)/python -m docs.reference --check

types: .venv/.ready
	@for part in client crds operator api images charts docs examples e2e requirements conftest.py; do echo "mypy $$part"; $(BIN)/mypy --no-error-summary $$part || exit 1; done

unit: .venv/.ready .sandbox-venv/.ready .bubblewrap .tools
	@$(PYTEST) $(PARALLEL) -m "not cluster" $(UNIT)

contract: .venv/.ready .sandbox-venv/.ready .bubblewrap .node .chromium ## the real clients against the embedded default
	@$(PYTEST) -m "not cluster" e2e/tests

e2e: .venv/.ready .node .chromium .root .go ## the real clients, faults and probes on a cluster (KUBECONFIG, or one made here)
	@$(BIN)/python -m e2e.run -- bash -euc '$(PYTEST) $(PARALLEL_ON_CLUSTER) -m "cluster and not alone" $(ON_CLUSTER); $(PYTEST) -m alone $(ON_CLUSTER)'

soak: .venv/.ready .root .go ## users at work while everything is killed at random (MINUTES); writes build/soak.json
	@$(BIN)/python -m e2e.run -- $(BIN)/python -m e2e.soak --minutes $(MINUTES)

bench: .venv/.ready .root .go ## latency beside an exec per request, on the cluster; writes build/bench.json
	@$(BIN)/python -m e2e.run -- $(BIN)/python -m e2e.bench

bench-operator: .venv/.ready .root .go ## sessions a second, memory, restart and writes of the operator (SIZES); writes build/bench-operator.json
	@$(BIN)/python -m e2e.scale --sizes $(SIZES)

cluster: .venv/.ready .root .go ## a cluster with gVisor on this machine, left running
	@$(BIN)/python -m e2e.cluster up

cluster-down: ## stop it; nothing stays running or mounted
	@$(PYTHON) -m e2e.cluster down

images: .venv/.ready .root ## build the images into the cache
	@$(BIN)/python -m images.build

crds: .venv/.ready ## generate crds/*.yaml from the models, and the chart's copies
	@$(BIN)/python -m codesession_crds.generate
	@$(BIN)/python -m charts.crds

manifests: .venv/.ready .go ## render the chart with its default values into manifests/
	@$(BIN)/python -m charts.render

docs: .venv/.ready ## generate docs/settings.md and docs/reference-*.md from the code
	@$(BIN)/python -m docs.settings
	@$(BIN)/python -m docs.reference

playground: .node ## build the page of api/playground into the API's package
	@cd api/playground && npm ci --ignore-scripts --no-audit --no-fund --silent && npm run --silent types && npm run --silent build

site: .venv/.ready ## the documentation as a site, in build/site; fails on a link that leads nowhere
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

package: .venv/.ready .go ## the chart as build/codesession-VERSION.tgz, for images in REGISTRY if it is given
	@$(BIN)/python -m charts.package $(if $(REGISTRY),--registry $(REGISTRY))

sbom: .venv/.ready ## the Python packages of each image, as build/*.cdx.json
	@$(BIN)/python -m images.sbom

lock: .venv/.ready ## pin every dependency with its hashes
	@$(BIN)/python -m requirements.lock

clean: ## forget what was built in this checkout (not the cache)
	@rm -rf .venv .sandbox-venv build

# --- prerequisites: each says in one line what is missing

.venv/.ready: requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "codesession needs Python 3.11 or newer: $(PYTHON) is $$($(PYTHON) -V)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "codesession needs Python's venv module: apt-get install python3-venv" >&2; exit 1; }
	@echo "==> .venv: the services and the development tools"
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	@.venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@.venv/bin/uv pip install -q --require-hashes -r requirements/dev.txt
	@.venv/bin/uv pip install -q --no-deps -e .
	@touch $@

.sandbox-venv/.ready: requirements/sandbox.txt | .venv/.ready
	@echo "==> .sandbox-venv: what the embedded default's code can import"
	@test -x .sandbox-venv/bin/python || .venv/bin/uv venv -q --python $(PYTHON) .sandbox-venv
	@VIRTUAL_ENV=.sandbox-venv .venv/bin/uv pip sync -q --compile-bytecode --require-hashes requirements/sandbox.txt
	@touch $@

.PHONY: .bubblewrap .root .go .node .chromium .tools
# Built before the tests, whose time is limited: the S3 server that objects are tested on, gVisor, helm, and
# what reads PromQL, workflows and compose files.
.tools: .venv/.ready .go
	@$(BIN)/python -c 'from e2e.cluster.cache import binary; [binary(name) for name in ("minio", "runsc", "helm", "promql", "actionlint", "compose-spec")]'

.bubblewrap:
	@command -v runsc bwrap >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && { echo "==> apt-get install bubblewrap"; apt-get update -qq && apt-get install -qq -y --no-install-recommends bubblewrap >/dev/null; }; } || { echo "codesession local needs runsc or bubblewrap: apt-get install bubblewrap" >&2; exit 1; }

.chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && { echo "==> apt-get install chromium"; apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; }; } || { echo "the playground is tested in a browser: apt-get install chromium" >&2; exit 1; }

.root:
	@test -n "$${KUBECONFIG:-}" || test "$$(id -u)" = 0 || docker info >/dev/null 2>&1 || { echo "a cluster on this machine needs root or a Docker engine (or set KUBECONFIG)" >&2; exit 1; }

.go:
	@command -v go >/dev/null || { echo "the cluster and the chart tools are built with Go: install Go 1.24 or newer" >&2; exit 1; }

.node:
	@command -v npm >/dev/null || { echo "LibreChat's own clients need Node.js 20 or newer with npm" >&2; exit 1; }
