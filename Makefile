# make demo   set up, then go the whole way on a small dataset (no key, no network beyond the package index)
# make test   set up, then run the tests
# make check  set up, then format check, lint and types
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= demo-out
# pip compiles modules one after another, compileall on all processors.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true

.PHONY: demo test check clean

$(VENV)/core: setup.cfg pyproject.toml constraints.txt
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

demo: $(VENV)/core
	$(BIN)/unifiedvisual demo $(OUT)
	@echo 'source $(BIN)/activate puts unifiedvisual on the path'

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(OUT)
