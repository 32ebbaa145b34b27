# `make demo` and `make test` work on a machine that has Python >= 3.10 and make. Without a C++
# compiler the kernels are left out, and losses are computed in plain PyTorch.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
BUSY := $(VENV)/.busy
LOWEST := .venv-lowest
LOWEST_PIP := $(LOWEST)/bin/python -m uv pip install -q --python $(LOWEST)
DETECTRON2 := $(addprefix tools/,install_detectron2.py detectron2_placeholder.py)
KERNELS := setup.py $(wildcard autoseg_core/native/csrc/*)

DEMO := projects/AutoSegLoss/demo_shapes.py
DEMO_ARGS ?=
PYTEST_ARGS ?=
# Processes of `make test`: `auto` is one per core, 4 at most.
WORKERS ?= auto
BENCH_ARGS ?=
# Of `make gpu`: cpu is a dry run.
DEVICE ?= cuda
GPU_ARGS ?=
# A variable, since a comma would end the argument of $(call step).
EXTRAS := dev,detectron2,agents,ray,baselines,datasets,pretrained
LOGDIR ?= output

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv test test-lowest check format-check lint types docs format demo bench gpu tensorboard clean distclean

help:
	@echo 'make demo         search for a loss on generated images, compare it, print the table ($$DEMO_ARGS)'
	@echo 'make test         run the tests ($$WORKERS, $$PYTEST_ARGS)'
	@echo 'make test-lowest  test with the lowest versions that setup.cfg allows, in $(LOWEST) ($$PYTHON)'
	@echo 'make check        format, lint, types, reference, tests: must pass before a commit'
	@echo 'make docs         write the reference of autoseg_core to output/reference/autoseg_core.html'
	@echo 'make format       reformat the code, fix what the linter can fix'
	@echo 'make bench        measure time and memory, update the tables of docs/benchmarks.md ($$BENCH_ARGS)'
	@echo 'make gpu          test and measure on a GPU, one table in output/gpu.md ($$DEVICE, $$GPU_ARGS)'
	@echo 'make venv         install everything into $(VENV) (the other commands do it when needed)'
	@echo 'make tensorboard  watch the searches and trainings below $(LOGDIR) ($$LOGDIR)'
	@echo 'make clean        remove caches and kernels; make distclean: remove $(VENV) and $(LOWEST) as well'

# $(call step,what,command): one line with the time it took; the command's output only when it fails.
define step
	@start=$$(date +%s); printf '%-58s ' '$(1)'; log=$$(mktemp); \
	if ( $(2) ) >"$$log" 2>&1; then \
		printf '%4d s\n' $$(($$(date +%s) - start)); rm -f "$$log"; \
	else \
		printf 'failed after %d s\n' $$(($$(date +%s) - start)); cat "$$log"; rm -f "$$log" $(BUSY); exit 1; \
	fi
endef

venv: $(READY)

# The stamp is taken away first and comes last: a half-made environment does not count as made.
# An environment is brought up to date in place, so a Detectron2 of your own in it survives; only one
# whose making was cut off (.busy is still there), with packages perhaps half unpacked, is made anew.
$(READY): setup.cfg pyproject.toml constraints.txt $(DETECTRON2) $(KERNELS)
	@rm -f $@
	@command -v $(PYTHON) >/dev/null || { \
		echo "make: there is no $(PYTHON); say which Python >= 3.10 to use: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "make: expected Python >= 3.10, but $(PYTHON) is $$($(PYTHON) -V 2>&1);" \
		     "say which to use: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: $(PYTHON) cannot make virtual environments; install its venv package (python3-venv)"; exit 1; }
	$(call step,Making $(VENV),test ! -e $(BUSY) && $(PY) -m pip --version || $(PYTHON) -m venv --clear $(VENV))
	@touch $(BUSY)
	$(call step,Installing pip and setuptools,$(PY) -m pip install -q -c constraints.txt -U pip setuptools)
	$(call step,Installing PyTorch (5 GB),$(PY) -m pip install -q -c constraints.txt torch)
	$(call step,Installing the rest and building the kernels,$(PY) -m pip install -q --no-build-isolation -c constraints.txt -e '.[$(EXTRAS)]')
	$(call step,Installing Detectron2,$(PY) tools/install_detectron2.py)
	@rm $(BUSY)
	@touch $@

test: $(READY)
	@$(PY) -m pytest -q -n $(WORKERS) --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

# The bounds of setup.cfg are those that this was run with, on the lowest Python: PYTHON=python3.10.
# Newer ones lack wheels of packages as old. uv is there since pip cannot choose the lowest versions,
# -W since packages as old warn of each other.
test-lowest:
	$(call step,Making $(LOWEST),$(PYTHON) -m venv --clear $(LOWEST) && $(LOWEST)/bin/python -m pip install -q -c constraints.txt uv)
	$(call step,Installing the lowest versions (6 GB),$(LOWEST_PIP) --resolution lowest-direct -r setup.cfg --all-extras)
	$(call step,Building the kernels,$(LOWEST_PIP) -c constraints.txt setuptools && $(LOWEST_PIP) --no-deps --no-build-isolation -e .)
	$(call step,Installing Detectron2,$(LOWEST)/bin/python tools/install_detectron2.py)
	@$(LOWEST)/bin/python -m pytest -q -n $(WORKERS) --maxprocesses 4 --dist loadfile -W default $(PYTEST_ARGS)

check: format-check lint types docs test

format-check: $(READY)
	$(call step,Format (ruff format),$(PY) -m ruff format --check --output-format concise .)

lint: $(READY)
	$(call step,Lint (ruff check),$(PY) -m ruff check .)

types: $(READY)
	$(call step,Types (mypy),$(PY) -m mypy)

# One page, from the docstrings of what autoseg_core exports; a warning is an error.
docs: $(READY)
	$(call step,Reference (pdoc),$(PY) -W error -m pdoc --docformat google --no-show-source -o output/reference autoseg_core !autoseg_core.)

format: $(READY)
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

demo: $(READY)
	@$(PY) $(DEMO) $(DEMO_ARGS)

bench: $(READY)
	@$(PY) -m benchmarks $(BENCH_ARGS)

gpu: $(READY)
	@$(PY) -m benchmarks.gpu --device $(DEVICE) $(GPU_ARGS)

tensorboard: $(READY)
	@test -d "$(LOGDIR)" || { \
		echo "make: there is no folder $(LOGDIR); train first, or say where: make tensorboard LOGDIR=..."; exit 1; }
	@$(PY) -m tensorboard.main --logdir "$(LOGDIR)"

# The next command that needs the kernels builds them again.
clean:
	@rm -f $(READY)
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache autoseg_core/native/*.so
	@find . -name __pycache__ -not -path './$(VENV)*/*' -prune -exec rm -rf {} +

distclean: clean
	@rm -rf $(VENV) $(LOWEST)
