# Two commands matter: `make demo` and `make test`. Both work from a bare clone with Python >= 3.11, git,
# make and the package registries; everything else is installed into .venv and .venv-mint.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-cluster check static bench bench-check bench-accept bench-parts bench-sizes
.PHONY: diagrams clean
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# `make demo ARGS="--outcome lost"`, `make test ARGS="-k fence"`
ARGS ?=
# one more than the two cores of a small machine: a third of the tests waits for servers
JOBS ?= 3
# `make test ALL=1`: every test. `make test SHARE=7`: what a commit with share 7 runs (docs/testing.md)
export ALL SHARE SINCE

CHOOSE = .venv/bin/python -m tests.selection.choose
PYTEST = .venv/bin/python -m pytest -n $(JOBS) --dist worksteal --benchmark-disable
MINT_PINS := cashu==0.20.2 marshmallow<4 limits<5
FIND_MONGOD := .venv/bin/python -c 'from nutstate.storage.local.binary import find_mongod; find_mongod()'
FIND_CHROMIUM := { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null
MINT_STAMP := .venv-mint/.installed-$(shell printf '%s' '$(MINT_PINS)' | tr -c 'A-Za-z0-9.\n' '-')

# The first Python of the list that really runs and is of the wanted age. The list may name shims.
suitable = $(shell for candidate in $(1); do \
	if "$$candidate" -c 'import sys; sys.exit(not $(2))' >/dev/null 2>&1; then echo "$$candidate"; break; fi; done)
OURS := sys.version_info >= (3, 11)
THE_MINTS := (3, 10) <= sys.version_info[:2] <= (3, 12)
PYTHON ?= $(call suitable,python3.11 python3.12 python3.13 python3,$(OURS))
MINT_PYTHON ?= $(call suitable,python3.11 python3.12 python3.10 python3,$(THE_MINTS))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_QUIET := 2
export PYTHONUNBUFFERED := 1
export NUTSTATE_MINT_VENV ?= $(CURDIR)/.venv-mint

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1	/p' Makefile | expand -t 24

demo: $(if $(filter --mongo,$(ARGS)),.venv/.mongod mongod-if-possible,.venv/.run) ## pay an invoice with ecash, no network or money needed
	@.venv/bin/nutstate demo --dir .cache/demo $(ARGS) </dev/null

test: .venv/.dev mint-if-possible mongod-if-possible chromium-if-possible spin-if-possible ## the tests of a commit, with a real mint, a real MongoDB, a browser; ALL=1: every test
	@if [ -n "$$CI" ] || [ -x "$(NUTSTATE_MINT_VENV)/bin/mint" ]; then lane=""; else lane="not real_mint"; \
	  echo "NOT RUN: the tests marked real_mint, because there is no mint in $(NUTSTATE_MINT_VENV)"; fi; \
	if [ -z "$$CI" ] && ! why=$$($(FIND_MONGOD) 2>&1); then \
	  lane="$${lane:+$$lane and }not real_mongo and not faults"; \
	  echo "NOT RUN: the tests marked real_mongo or faults, because of $${why##*Unsupported: }"; fi; \
	if [ -z "$$CI" ] && ! $(FIND_CHROMIUM); then lane="$${lane:+$$lane and }not browser"; \
	  echo "NOT RUN: the tests marked browser, because there is no Chromium on the path"; fi; \
	chosen=$$($(if $(strip $(ARGS)),echo,$(CHOOSE) measured)) || exit 1; \
	$(call beside,$(PYTEST) -m "$$lane" $$chosen --durations=15 $(ARGS))
	@[ -z "$(ALL)" ] || [ -n "$(strip $(ARGS))" ] || $(MAKE) bench-check

check: .venv/.dev ## the quick local round: a share, without real mint, real MongoDB, browser, oracles and what is slow
	@chosen=$$($(if $(strip $(ARGS)),echo,$(CHOOSE))) || exit 1; \
	$(call beside,$(PYTEST) -q $$chosen \
	  -m "not real_mint and not real_mongo and not faults and not browser and not oracle and not slow" $(ARGS))

# $(call beside,COMMAND): the static checks run beside the tests. What they say is shown when the tests are done.
define beside
mkdir -p .cache; $(MAKE) static >.cache/static.txt 2>&1 </dev/null & static=$$!; \
$(1) </dev/null; tests=$$?; \
wait $$static; static=$$?; cat .cache/static.txt; \
[ $$static = 0 ] || echo "FAILED: the static checks, see above"; \
[ $$tests = 0 ] || echo "FAILED: the tests, see above the static checks"; \
exit $$((tests ? tests : static))
endef

static: .venv/.dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	@echo .venv/bin/lint-imports; out=$$(.venv/bin/lint-imports --no-cache 2>&1) || { printf '%s\n' "$$out"; exit 1; }; printf '%s\n' "$$out" | tail -n 1
	.venv/bin/nutstate diagrams check

bench: .venv/.dev mongod-if-possible ## measure: a melt beside the same melt written by hand; ARGS="--json", "--plot FILE"
	@.venv/bin/python -m benchmarks $(ARGS) </dev/null

bench-check: .venv/.dev mongod-if-possible ## fail if a ratio of `make bench` is over 15 % worse than the accepted one
	@.venv/bin/python -m benchmarks --check $(ARGS) </dev/null

bench-accept: .venv/.dev mongod-if-possible ## measure, and write benchmarks/ratios.json and docs/speed.svg
	@.venv/bin/python -m benchmarks --accept $(ARGS) </dev/null

bench-parts: .venv/.dev mongod-if-possible ## measure parts: a step, a commit, a choice of coins, validators
	@.venv/bin/python -m pytest benchmarks -o 'python_files=bench_*.py' --benchmark-only $(ARGS) </dev/null

bench-sizes: .venv/.dev mongod-if-possible ## measure calls on stores of 1,000 to 1,000,000 tokens, in turn; ARGS="--tokens 1000 10000"
	@.venv/bin/python -m pip install --group plot
	@.venv/bin/python -m benchmarks.sizes --plot .cache/sizes.svg $(ARGS) </dev/null

test-cluster: .venv/.dev ## the store contract on a real sharded cluster; NUTSTATE_CLUSTER=mongodb://mongos/EMPTY_DATABASE is dropped
	@[ -n "$$NUTSTATE_CLUSTER" ] || { echo 'error: NUTSTATE_CLUSTER=mongodb://user:…@mongos/nutstate_test names no cluster' >&2; exit 1; }
	@.venv/bin/python -m pytest -m cluster tests/contract/store tests/storage/sharding -rA --benchmark-disable $(ARGS) </dev/null

diagrams: .venv/.dev ## draw the machines anew into diagrams/out and the README
	@.venv/bin/nutstate diagrams build

clean: ## remove everything that was made here, the environments too
	rm -rf .venv .venv-mint .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks
	rm -rf dist build htmlcov .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments ---------------------------------------------------------------------------------

.venv/bin/python:
	@test -n '$(PYTHON)' || { echo 'error: no Python >= 3.11 found; name one with make PYTHON=...' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(not $(OURS))' \
	  || { echo 'error: $(PYTHON) is not Python >= 3.11; name another with make PYTHON=...' >&2; exit 1; }
	@echo 'making .venv with $(PYTHON)'
	@'$(PYTHON)' -m venv --clear .venv \
	  || { rm -rf .venv; echo 'error: $(PYTHON) cannot make environments (Debian: apt-get install python3-venv)' >&2; exit 1; }

.venv/.run: pyproject.toml | .venv/bin/python
	@echo 'installing nutstate into .venv'
	@.venv/bin/python -m pip install -e .
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	@echo 'installing nutstate and the development tools into .venv'
	@.venv/bin/python -m pip install --upgrade 'pip>=25.1'
	@.venv/bin/python -m pip install -e . --group dev
	@touch .venv/.run .venv/.mongod $@

# For the demo on MongoDB; the development tools have it anyway.
.venv/.mongod: pyproject.toml | .venv/bin/python
	@echo 'installing nutstate with a mongod into .venv'
	@.venv/bin/python -m pip install -e '.[mongod]'
	@touch .venv/.run $@

# The real mint pins old libraries, so it never shares our environment.
.PHONY: mint-if-possible
mint-if-possible:
	@if [ -n '$(MINT_PYTHON)' ]; then $(MAKE) $(MINT_STAMP); \
	else echo 'no Python 3.10-3.12 for the real mint; name one with make MINT_PYTHON=...'; fi

$(MINT_STAMP):
	@echo 'installing a real mint into .venv-mint: $(MINT_PINS)'
	@[ -x .venv-mint/bin/python ] || '$(MINT_PYTHON)' -m venv --clear .venv-mint
	@.venv-mint/bin/python -m pip install $(foreach pin,$(MINT_PINS),'$(pin)')
	@rm -f .venv-mint/.installed-*
	@touch $@

# $(call apt,PACKAGES,what for): Debian's packages, installed if we may.
define apt
root=; [ "$$(id -u)" = 0 ] || root='sudo -n'; apt="$$root env DEBIAN_FRONTEND=noninteractive apt-get -qq"; \
if ! command -v apt-get >/dev/null || ! $$root true 2>/dev/null; then echo 'cannot install $(1), $(2)'; exit 0; fi; \
echo 'installing $(1), $(2)'; \
{ $$apt update && $$apt install -y --no-install-recommends $(1); } >/dev/null || echo '$(1) could not be installed'
endef

# The mongod of the wheel needs libcurl, which small images (python:3.11-slim) lack.
.PHONY: mongod-if-possible
mongod-if-possible:
	@why=$$($(FIND_MONGOD) 2>&1) && exit 0; why="$${why##*Unsupported: }"; \
	case "$$why" in *libcurl*) ;; *) echo "no mongod: $$why"; exit 0;; esac; \
	$(call apt,libcurl4,which mongod needs)

# The tests of the review page drive a real browser.
.PHONY: chromium-if-possible
chromium-if-possible:
	@$(FIND_CHROMIUM) && exit 0; $(call apt,chromium,which the tests of the review page drive)

# SPIN explores the exported models as C programs. It is in no package registry but Debian's.
.PHONY: spin-if-possible
spin-if-possible:
	@for program in spin gcc; do command -v $$program >/dev/null || missing=1; done; [ -n "$$missing" ] || exit 0; \
	$(call apt,spin gcc libc6-dev,which explore the exported models)
