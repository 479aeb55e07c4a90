# make demo   virtual environment, installation, then the main job on built-in data
# make test   test tools, then the tests, but for the slow ones
# make test-slow  kills, clusters, compilers, several processes
# make check  lint, types and tests
# make fuzz   1,000 damaged files of each kind to every reader
# make gpu-check  what needs a GPU: its tests and benchmarks/gpu*.toml, into gpu-check/

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint types check fuzz gpu-check clean

help:
	@sed -n 's/^# make/make/p' Makefile

demo: $(VENV)/installed
	$(BIN)/stargan-deploy demo

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check stargan_deploy tests
	$(BIN)/ruff check stargan_deploy tests

types: $(VENV)/installed-dev
	$(BIN)/mypy

check: lint types test test-slow

fuzz: $(VENV)/installed-dev
	$(BIN)/python -m tests.fuzzing
	$(BIN)/python -m tests.fuzzing_photos

# Needs no network and nothing but what is importable: the virtual environment if there is one, else
# $(PYTHON). Test plug-ins may be missing, so their settings in pyproject.toml are ignored. Each part writes
# what it found before the next one begins, and a test that hangs says where and is ended.
GPU_OUT ?= gpu-check
GPU_PYTHON = $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
GPU_TESTS_S ?= 240

gpu-check:
	mkdir -p $(GPU_OUT)
	timeout --kill-after 10 --signal INT $(GPU_TESTS_S) $(GPU_PYTHON) -m pytest -m gpu \
		$$(grep -lr 'mark.gpu' tests --include='test_*.py') \
		-c /dev/null --rootdir . --import-mode=importlib -p no:cacheprovider -v -rs \
		-o faulthandler_timeout=100 -W ignore::pytest.PytestUnknownMarkWarning \
		--continue-on-collection-errors --durations 10 \
		--junitxml=$(GPU_OUT)/tests.xml 2>&1 | tee $(GPU_OUT)/tests.txt
	-$(GPU_PYTHON) -m stargan_deploy bench benchmarks/gpu.toml --out $(GPU_OUT)/bench \
		2>&1 | tee $(GPU_OUT)/bench.txt
	-$(GPU_PYTHON) -m stargan_deploy bench benchmarks/gpu_training.toml \
		--out $(GPU_OUT)/training 2>&1 | tee $(GPU_OUT)/training.txt
	-$(GPU_PYTHON) -m stargan_deploy doctor > $(GPU_OUT)/doctor.txt
	-cat $(GPU_OUT)/doctor.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
