# Everything a person or a bare machine needs: python3 (3.11+) with venv, and make.
PYTHON ?= python3
EXTRAS ?= light
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check workflows sanitize torture mutants wheels fresh lowest coverage bench measure tables models engine site-demo docs docs-html clean

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

# What a public repository runs and reads is judged without one.
workflows: $(VENV)/.workflows
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/zizmor --offline --quiet --pedantic .github/workflows

$(VENV)/.torture: $(VENV)/.all
	$(BIN)/python -m pip install --quiet --editable '.[torture]'
	touch $@

# The kernels' tests under AddressSanitizer and UndefinedBehaviorSanitizer, at every width of this machine's vectors.
sanitize: $(VENV)/.dev
	$(BIN)/python -m tests.kernels.torture

# The same; 200 kills, a fault at each call that writes a file, and damaged input for every reader.
torture: sanitize $(VENV)/.torture
	$(BIN)/python -m tests.torture kills
	$(BIN)/python -m tests.torture faults
	$(BIN)/python -m tests.torture fuzz

$(VENV)/.docs: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

# The documentation as pages, into build/docs; a warning, such as a link into nowhere, is an error.
docs-html: $(VENV)/.docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs -d build/doctrees . build/docs

# The same, and then the documentation's commands that take long; those that do not are run by `make test`.
docs: docs-html $(VENV)/.all
	$(BIN)/python -m pytest --documents tests/test_docs.py

$(VENV)/.mutants: $(VENV)/.all
	$(BIN)/python -m pip install --quiet --editable '.[mutants]'
	touch $@

# Small faults, a thousand drawn by a seed, and which of them the tests notice: hours. Goes on where it was ended.
mutants: $(VENV)/.mutants
	$(BIN)/python -m tests.mutants $(ARGS)

# What is published, into dist/, for this platform; tried in a clean environment, with and without a compiler.
wheels: $(VENV)/.dev
	$(BIN)/python -m tests.wheels

# What every test together runs: 95 % of all branches, and every one of what reads or writes files or lets in visitors.
# A test of speed may fail meanwhile, so that its own end is not waited for; `make test` judges the tests.
WHOLE := files.py io/formats.py io/foreign.py training/checkpoint.py studio/app.py studio/fields.py studio/guard.py \
    studio/protocol.py $(addprefix datasets/,arrays.py cache.py csv.py idx.py images.py mat.py mat_elements.py \
    npz.py parquet.py picture_lists.py table.py text.py) $(addprefix io/,description.py h5.py h5_attribute.py keras_arrays.py \
    keras_config.py keras_h5.py native.py onnx_constants.py onnx_file.py skops.py state_dict.py text.py)
comma := ,
space := $(subst ,, )
coverage: $(VENV)/.all
	$(BIN)/python -m coverage erase
	-$(BIN)/python -m coverage run -m pytest -q $(ARGS)
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report
	$(BIN)/python -m coverage report --fail-under=100 \
	    --include=$(subst $(space),$(comma),$(strip $(addprefix src/backquery/,$(WHOLE))))

# The README's commands where there is nothing but Python, venv and make, and what each takes; ARGS=make: those alone.
fresh:
	$(PYTHON) -m tests.fresh $(ARGS)

# The tests with the lowest declared version of everything; ARGS names extras.
lowest:
	$(PYTHON) -m tests.lowest $(ARGS)

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
