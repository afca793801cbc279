# Everything a checkout needs. `make` alone lists the targets.
#
#   PYTHON=python3.12   the interpreter that makes .venv (3.11 or newer)
#   DATA=file.csv       another series for the demonstration; for `make accuracy` the folder of its data
#   ARGS="..."          further options of the command, or of pytest for `make test`
#   WORKERS=3           files of tests that run side by side; 0 runs all in one process, as a debugger wants it

PYTHON ?= python3
DATA ?=
ARGS ?=
# One more than the cores of a small machine: tests of servers wait more than they work.
WORKERS ?= 3
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.NOTPARALLEL:
# ONNX Runtime 1.29 and later report to Microsoft unless told not to before they are loaded.
export ORT_DISABLE_TELEMETRY := 1

BIN := .venv/bin
INSTALLED := .venv/.installed
# pip lists every package where someone watches; in a log only what goes wrong.
PIP_QUIET := $(shell test -t 2 || echo --quiet)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED) ## Make .venv with exact versions (the other targets do it themselves)

$(INSTALLED): constraints.txt constraints-torch.txt pyproject.toml client/pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	    echo "no $(PYTHON) here: statecast needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$(PYTHON) is $$($(PYTHON) -V 2>&1): statecast needs 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into .venv (some minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install $(PIP_QUIET) --disable-pip-version-check \
	    -c constraints.txt -c constraints-torch.txt -e ./client -e '.[serve,train,dev]'
	@touch $@

.PHONY: demo
demo: $(INSTALLED) ## Train, serve, stream and score a real series; DATA=file.csv takes yours
	@$(BIN)/statecast demo $(if $(DATA),--data '$(DATA)') $(ARGS)

# nginx, Prometheus, zsh, fish and Chromium, with a font for its pictures, come from Debian, where that may be asked for them;
# without them their tests say so.
.PHONY: debian
debian:
	@{ command -v nginx && command -v promtool && command -v chromium && command -v zsh && command -v fish; } >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	    { apt-get update --quiet --quiet; \
	      apt-get install --yes --quiet --quiet --no-install-recommends nginx-light prometheus chromium fonts-inter zsh fish; } >/dev/null 2>&1; } || true

# Triton's client and perf_analyzer, in an environment of their own; without them their tests say so.
TRITON := .venv/triton/.installed
$(TRITON): scripts/install-triton.sh tests/triton/requirements.txt | $(INSTALLED)
	@PYTHON=$(BIN)/python scripts/install-triton.sh .venv/triton && touch $@ || true

# kustomize as a library, for the tests that render deploy/; without it they say so.
KUSTOMIZE := .venv/kustomize/.installed
$(KUSTOMIZE): scripts/install-kustomize.sh | $(INSTALLED)
	@PYTHON=$(BIN)/python scripts/install-kustomize.sh .venv/kustomize && touch $@ || true

# The slowest comes last, so that pytest's summary is the last line.
.PHONY: test
test: $(INSTALLED) debian $(TRITON) $(KUSTOMIZE) lint types imports check-stubs ## Run every check and every test
	$(BIN)/pytest --no-header --numprocesses $(WORKERS) --dist loadfile $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## Check style: ruff, buf
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/buf lint proto

.PHONY: types
types: $(INSTALLED) ## Check types: mypy --strict
	$(BIN)/mypy

.PHONY: imports
imports: $(INSTALLED) ## Check which package imports which: import-linter
	$(BIN)/lint-imports --no-logo

.PHONY: bench
bench: $(INSTALLED) debian ## Measure speed against limits of the same run; ARGS="--only NAME", "--quick"
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: cells
cells: $(INSTALLED) ## Compare every cell on two real series and write docs/cells.md, in minutes
	@$(BIN)/python -m benchmarks.cells $(ARGS)

.PHONY: learning
learning: $(INSTALLED) ## Measure what options of learning are worth, for docs/training.md
	@$(BIN)/python -m benchmarks.learning $(ARGS)

# The peers have an environment of their own; without it the table has ours and published figures.
PEERS := .venv/peers/.installed
$(PEERS): scripts/install-peers.sh benchmarks/accuracy/peers/requirements.txt constraints-torch.txt | $(INSTALLED)
	@PYTHON=$(BIN)/python scripts/install-peers.sh .venv/peers && touch $@ || true

.PHONY: accuracy
accuracy: $(INSTALLED) $(PEERS) ## Accuracy on public series beside peers, in hours; DATA=folder, ARGS="--only m4,ett"
	@$(BIN)/python -m benchmarks.accuracy $(if $(DATA),--data '$(DATA)') $(ARGS)

# The figures replace the old ones only where every test passed.
FIGURES := .venv/chaos.json
.PHONY: chaos
chaos: $(INSTALLED) ## Kill, pause, starve and upgrade real servers under load, in minutes
	@rm -f $(FIGURES)
	CHAOS_LONG=1 CHAOS_FIGURES=$(FIGURES) \
	    $(BIN)/pytest --no-header -q --timeout 600 tests/chaos $(ARGS)
	@mv $(FIGURES) benchmarks/results/chaos.json
	@cat benchmarks/results/chaos.json
	@$(BIN)/python -m tests.chaos.page benchmarks/results/chaos.json docs/durability.md

# The model that they show is kept; its training takes minutes.
.PHONY: screenshots
screenshots: $(INSTALLED) debian ## Make the page's pictures in docs/images, in minutes; then look at them
	SCREENSHOTS=.venv/pictures $(BIN)/pytest --no-header -q tests/browser/test_screenshots.py $(ARGS)

.PHONY: stubs
stubs: $(INSTALLED) ## Regenerate the client's stubs from proto/
	PYTHON=$(BIN)/python scripts/generate-stubs.sh

.PHONY: check-stubs
check-stubs: $(INSTALLED) ## Fail where the committed stubs are not those of proto/
	@PYTHON=$(BIN)/python scripts/check-stubs.sh

.PHONY: constraints
constraints: $(INSTALLED) ## Write constraints.txt from what .venv holds
	@PYTHON=$(BIN)/python scripts/freeze-constraints.sh > constraints.txt.new
	@mv constraints.txt.new constraints.txt
	@touch $(INSTALLED)

.PHONY: image
image: ## Build the container image; BASE=... names the Python image
	scripts/image-build.sh

.PHONY: image-test
image-test: $(INSTALLED) ## Build the image and try it: needs podman or docker
	PYTHON=$(BIN)/python scripts/image-test.sh

.PHONY: image-cuda
image-cuda: ## Build the image for NVIDIA GPUs; some gigabytes
	DEVICE=cuda TAG=statecast-cuda scripts/image-build.sh

.PHONY: image-cuda-test
image-cuda-test: $(INSTALLED) ## Build it and try it, on the CPU where there is no GPU
	DEVICE=cuda TAG=statecast-cuda PYTHON=$(BIN)/python scripts/image-test.sh

.PHONY: clean
clean: ## Remove .venv and everything made
	rm -rf .venv build dist demo-output models-repository *.egg-info client/build client/*.egg-info \
	    .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
