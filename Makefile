# make demo   set up, then go the whole way on a small dataset (no key, no network beyond the package index)
# make test   set up, then run the tests
# make test-fast  the same without the tests that take seconds each or need torch: under a minute
# make check  set up, then format check, lint and types
# make docs   set up, run the notebooks, then build the documentation in build/site; any warning fails
# make consumers  set up, then the tests of `convert` with LLaMA-Factory and ms-swift reading its output
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= demo-out
# pip compiles modules one after another, compileall on all processors.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true

# Trainers that need torchvision and gigabytes: their code that reads data does not. And a large reader of Parquet.
CONSUMERS := llamafactory==0.9.5 ms-swift==4.6.0 modelscope modelscope_hub json_repair cryptography peft
CONSUMED  ?= $(VENV)/consumers

# Tests start many interpreters: modules are compiled once, also where the environment says not to.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast check consumers docs clean

$(VENV)/core: setup.cfg pyproject.toml constraints.txt
	@echo 'Installing into $(VENV): about a minute, silently.'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[report]'
	@$(COMPILE)
	@touch $@

$(VENV)/dev: $(VENV)/core
	$(INSTALL) '.[dev]'
	@$(COMPILE)
	@if command -v npm >/dev/null; then npm install --silent --no-fund --no-audit --prefix $(VENV)/npm hyparquet@1 hyparquet-compressors@1 || \
	  echo 'hyparquet could not be installed; tests that need it skip'; fi
	@touch $@

$(VENV)/docs: $(VENV)/core
	$(INSTALL) '.[train,docs]'
	@touch $@

demo: $(VENV)/core
	$(BIN)/unifiedvisual demo $(OUT)
	@echo 'source $(BIN)/activate puts unifiedvisual on the path'

# Three on two cores: tests wait for servers and processes. Two take a tenth less CPU and a fifth more time.
test: $(VENV)/dev
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

docs: $(VENV)/docs
	$(BIN)/python -m tests.notebooks --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'open build/site/index.html'

$(CONSUMED): $(VENV)/dev
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $@ $(CONSUMERS)

consumers: $(CONSUMED)
	PYTHONPATH="$$(cd '$(CONSUMED)' && pwd)" $(BIN)/python -m pytest tests/test_conversion_*.py $(ARGS)

test-fast: $(VENV)/dev
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m 'not slow' $(ARGS)

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(OUT)
