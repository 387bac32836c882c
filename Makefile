# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make bench   train the default operators on the default dataset, print the table, write the report
#   make test    install what the tests need and pass them
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# One process computes on two threads here.
export OMP_NUM_THREADS ?= 2
# Waiting threads sleep instead of spinning: little is lost on idle cores, everything is gained on shared ones.
export OMP_WAIT_POLICY ?= PASSIVE
# glibc gives large buffers back to the system after every operation, which costs more than the operation.
export MALLOC_MMAP_THRESHOLD_ ?= 1073741824
export MALLOC_TRIM_THRESHOLD_ ?= 2147483647

.PHONY: help bench test slow lint types format clean
help:
	@sed -n '2,4s/^# *//p' Makefile
	@echo "also: make slow (larger sweeps), lint, types, format, clean"

$(BIN)/python:
	@echo "creating the environment $(VENV) with $(PYTHON)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.bench: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing sciml and its benchmark baselines"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[baselines]"
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing sciml and what its tests need"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.bench

bench: $(VENV)/.bench
	$(BIN)/sciml bench --out runs/bench

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

slow: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist runs .mypy_cache .ruff_cache .pytest_cache
