# Everything a person or a bare machine needs: python3 (3.11+) with venv, and make.
PYTHON ?= python3
EXTRAS ?= light
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check workflows torture wheels bench measure tables models engine site-demo clean

# The kernels' sources too: installing compiles them.
$(VENV)/.base: pyproject.toml hatch_build.py $(wildcard src/backquery/kernels/*.[ch]) src/backquery/kernels/build.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# PyTorch's CPU build first: a plain "torch" would bring gigabytes of CUDA along.
$(VENV)/.torch: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet 'torch==2.13.0'
	touch $@

$(VENV)/.all: $(VENV)/.torch
	$(BIN)/python -m pip install --quiet --editable '.[all,dev,engine,exporters,notebooks,browser]'
	touch $@

demo: $(VENV)/.base
	$(BIN)/backquery demo

test: $(VENV)/.dev $(if $(filter all,$(EXTRAS)),$(VENV)/.all)
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.workflows: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[workflows]'
	touch $@

# What a public repository runs is judged without one.
workflows: $(VENV)/.workflows
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --pedantic .github/workflows

$(VENV)/.torture: $(VENV)/.all
	$(BIN)/python -m pip install --quiet --editable '.[torture]'
	touch $@

# The kernels' tests under AddressSanitizer and UndefinedBehaviorSanitizer, at every width of this machine's vectors;
# 200 kills, a fault at each call that writes a file, and damaged input for every reader.
torture: $(VENV)/.torture
	$(BIN)/python -m tests.kernels.torture
	$(BIN)/python -m tests.torture kills
	$(BIN)/python -m tests.torture faults
	$(BIN)/python -m tests.torture fuzz

# What is published, into dist/, for this platform; tried in a clean environment, with and without a compiler.
wheels: $(VENV)/.dev
	$(BIN)/python -m tests.wheels

bench: $(VENV)/.all
	$(BIN)/python -m benchmarks

# Writes docs/measured.md from the experiments themselves; ARGS names the sections (all by default).
measure: $(VENV)/.all
	$(BIN)/python -m measurements $(ARGS)

# Writes the tables of what is read into docs/your-own-model.md and docs/your-own-data.md, if their tests pass.
tables: $(VENV)/.all
	$(BIN)/python -m pytest --tables write

# The WebAssembly of pages of one file, which is kept with the sources: when one of the kernels has changed.
engine: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable '.[engine]'
	$(BIN)/python -m backquery.kernels.build --page src/backquery/studio/alone/engine.wasm

models: $(VENV)/.base
	$(BIN)/backquery train mnist --recipe book --hidden 200 --epochs 5 --learning-rate 0.1 --seed 1 \
	    --keep-prior -o src/backquery/io/models/mnist.safetensors

# A handful of pages of one file, into site/; fetches MNIST once.
site-demo: $(VENV)/.base
	$(BIN)/python -m measurements.pages site

clean:
	rm -rf $(VENV) demo found site build dist .pytest_cache .mypy_cache .ruff_cache
