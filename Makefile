# Needs Python 3.11 (or 3.12), git and make; everything else is installed into .venv by the first target that wants it.
# Written for the make 3.81 that macOS ships: no .ONESHELL, no grouped targets.

VENV := .venv
BIN := $(VENV)/bin

# torch's local versions (2.13.0+cpu) name the build, so the exact release stands here; pyproject.toml holds the range.
TORCH := 2.13.0
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
# cpu or cuda. An earlier `PDX_TORCH=cuda make install` is remembered until PDX_TORCH=cpu takes it back.
PDX_TORCH ?= $(if $(wildcard $(VENV)/.installed-cuda),cuda,cpu)
INSTALLED := $(VENV)/.installed-$(PDX_TORCH)

# The first interpreter that is the right version AND can make a virtual environment: Debian's python3.11 alone cannot,
# and a pyenv shim may exist without its version.
PYTHON ?= $(shell for candidate in python3.11 python3.12 python3 python; do \
	$$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	>/dev/null 2>&1 && echo $$candidate && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test check ui clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## create .venv and install everything (about 5 minutes; PDX_TORCH=cuda for the CUDA build of torch)

demo: $(INSTALLED) ## twelve production months of the simulated lender, from tape to champion
	$(BIN)/pdx run demo --profile quick
	$(BIN)/pdx results demo

# In the order of the folders: xdist would put files of few tests last, which are the longest, and end on one core.
test: $(INSTALLED) ## the test suite, two processes
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED) ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ui: $(INSTALLED) ## the Dagster web interface on what is in .pdx, at 127.0.0.1
	$(BIN)/pdx ui

clean: ## remove .venv and the tools' caches (results in .pdx stay)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# .installing stands while pip works: an environment in which it is found was left by a kill and may hold half a
# package that pip takes for a whole one, so it is made anew (from pip's cache). Where pip itself gives up, nothing is half done.
$(INSTALLED): pyproject.toml
	@case "$(PDX_TORCH)" in cpu|cuda) ;; *) echo "PDX_TORCH is '$(PDX_TORCH)': expected cpu or cuda." >&2; exit 2 ;; esac
	@test -n "$(PYTHON)" || { printf '%s\n' \
	  "No usable Python found: PDx needs python3.11 (or 3.12) with its venv module on the PATH." \
	  "  Debian, Ubuntu: apt-get install python3.11 python3.11-venv     macOS: brew install python@3.11" \
	  "  or name one:    make install PYTHON=/path/to/python3.11" >&2; exit 2; }
	@if [ -e $(VENV)/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "Creating $(VENV) with $(PYTHON)"; $(PYTHON) -m venv --clear $(VENV); fi
	@touch $(VENV)/.installing; rm -f $(VENV)/.installed-*
	@give_up() { rm -f $(VENV)/.installing; printf '%s\n' "$$@" >&2; exit 1; }; \
	pip() { $(BIN)/python -m pip "$$@"; }; \
	pip install --upgrade "pip>=25.1" || give_up "pip could not be brought to 25.1, which reads dependency groups: see its message above."; \
	if [ "$(PDX_TORCH)" = cuda ]; then \
	  pip install "torch===$(TORCH)" || give_up "torch $(TORCH) could not be installed: see pip's message above."; \
	elif [ "$$(uname -s)" = Linux ]; then \
	  echo "torch $(TORCH), CPU build: from pip's own index or wheels if they have it, else from $(TORCH_CPU_INDEX)"; \
	  pip install "torch==$(TORCH)+cpu" \
	  || pip install --extra-index-url $(TORCH_CPU_INDEX) "torch==$(TORCH)+cpu" \
	  || give_up "" "The CPU build of torch $(TORCH) is to be had neither from pip's configured index nor from $(TORCH_CPU_INDEX)." \
	    "Do one of these, then run make again:" \
	    "  - let pip reach that address (proxy: PIP_PROXY, certificate: PIP_CERT)" \
	    "  - fetch the wheel torch-$(TORCH)+cpu for this machine and Python by other means, and name its folder: PIP_FIND_LINKS=/folder make install" \
	    "  - take the CUDA build from PyPI, several gigabytes: PDX_TORCH=cuda make install"; \
	else \
	  pip install "torch==$(TORCH)" || give_up "torch $(TORCH) has no wheel for this machine: see pip's message above (Intel Macs have had none since torch 2.3)."; \
	fi; \
	pip install --group dev --editable . || give_up "The installation did not finish: see pip's message above; make starts it again."
	@rm -f $(VENV)/.installing; touch $@
