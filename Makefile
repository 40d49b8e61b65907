# The chores: `make demo` and `make test` set themselves up; a second run sets nothing up again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := build/demo

.PHONY: demo test check pins clean

# What the demo shows: a generated scene, detection on it, the layer and a picture.
demo: $(READY)
	@mkdir -p $(DEMO)
	@$(BIN)/python examples/make_scene.py $(DEMO)/scene.tif --truth $(DEMO)/truth.geojson
	@$(BIN)/python tests/untrained.py $(DEMO)/untrained
	@echo "No trained model is shipped yet: the boxes below are those of an untrained one and mean nothing."
	@$(BIN)/lcageo detect $(DEMO)/scene.tif --model $(DEMO)/untrained --score 0.2 --overwrite \
		-o $(DEMO)/scene.gpkg --quicklook $(DEMO)/scene.png

test: $(READY)
	@$(BIN)/python -m pytest $(ARGS)

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_layers.py

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("lcageo needs Python 3.11 or newer; name one with: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Rewrites constraints.txt from what is installed; run the tests before committing it.
pins: $(READY)
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) build
