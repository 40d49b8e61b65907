# The chores. `make demo` and `make test` set themselves up; a second run sets nothing up again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := build/demo
DEMO_SCENE := $(DEMO)/scene.tif
DEMO_MODEL := $(DEMO)/untrained/model.toml

.PHONY: demo test check pins clean

# A generated scene, detection on it, the layer and a picture.
demo: $(READY) $(DEMO_SCENE) $(DEMO_MODEL)
	@echo "No trained model is shipped yet: these boxes are an untrained model's and mean nothing."
	@$(BIN)/lcageo detect $(DEMO_SCENE) --model $(DEMO)/untrained --score 0.2 --overwrite \
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
	@echo "Setting up $(VENV): about two minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(DEMO_SCENE): $(READY) examples/make_scene.py $(wildcard examples/demo_scene/*.py)
	@mkdir -p $(DEMO)
	@$(BIN)/python examples/make_scene.py $@ --truth $(DEMO)/truth.geojson

$(DEMO_MODEL): $(READY) tests/untrained.py
	@$(BIN)/python tests/untrained.py $(DEMO)/untrained

# Rewrites constraints.txt from what is installed; run the tests before committing it.
pins: $(READY)
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) build
