# trigger_ml: two commands do all on a fresh machine: `make demo` (set-up and the main job), `make test`.
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
CONFIG  ?= configs/demo.yaml
SWEEP   ?= configs/sweep-sparsity.yaml
WORKERS ?= 2

# a run starts a dozen processes: without bytecode files each would compile its packages anew (10 s)
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-slow lint hls-build bench sweep clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@python=$$(sh scripts/find-python) || exit 1; \
	test -x $(BIN)/python || "$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements.lock)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/uv pip check --quiet --python $(BIN)/python
	@touch $(READY)

demo: $(READY)
	$(BIN)/trigger-ml run configs/demo.yaml

# a file goes to one worker: what its tests share is made once (xdist 3.8 does not see groups under pytest 9.2)
test: $(READY)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not slow"

test-slow: $(READY)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# IMPL=1: vendor tools, where they are on PATH, also place and route
hls-build: $(READY)
	$(BIN)/trigger-ml hls-build $(CONFIG)

bench: $(READY)
	$(BIN)/python benchmarks/feed.py
	$(BIN)/python benchmarks/emulator.py runs/demo

sweep: $(READY)
	$(BIN)/trigger-ml sweep $(SWEEP)

clean:
	rm -rf runs build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find hls_projects -mindepth 1 ! -name README.md -delete
