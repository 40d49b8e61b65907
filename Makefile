# The chores. `make demo` and `make test` set themselves up; a second run sets nothing up again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := build/demo
DEMO_SCENE := $(DEMO)/scene.tif

.PHONY: demo test check pins clean

# A generated scene, detection on it, the layer and a picture, and how much of it is right.
demo: $(READY) $(DEMO_SCENE)
	@$(BIN)/lcageo detect $(DEMO_SCENE) --overwrite -o $(DEMO)/scene.gpkg --quicklook $(DEMO)/scene.png
	@$(BIN)/lcageo evaluate --layer $(DEMO)/scene.gpkg --truth $(DEMO)/truth.geojson

test: $(READY)
	@$(BIN)/python -m pytest $(ARGS)

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_layers.py

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("lcageo needs Python 3.11 or newer; name one with: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV): about two minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(DEMO_SCENE): $(READY) examples/make_scene.py $(wildcard examples/demo_scene/*.py)
	@mkdir -p $(DEMO)
	@$(BIN)/python examples/make_scene.py $@ --truth $(DEMO)/truth.geojson

# Rewrites constraints.txt from what is installed; run the tests before committing it.
pins: $(READY)
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) build
