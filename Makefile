# Everything starts here: `make demo`, `make test`. Python 3.11 or later is all that is needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Each has servers of its own; most tests wait for a server most of the time.
TEST_PROCESSES ?= 3
SECONDS ?= 60
KILLS ?= 200
SERVICES ?= mysql mariadb kafka registry

.PHONY: help setup demo test lint types bench faults fuzz asan services services-stop clean

help:
	@echo "make demo           see the whole pipeline work on the example shop (KEEP=1: leave it running)"
	@echo "make test           lint, types and all tests, on real servers"
	@echo "make setup          only make .venv with everything in it (.venv/bin/cdc)"
	@echo "make bench          measure, print a table, write bench.json (ROWS=1500000; PEERS=1: Debezium, too)"
	@echo "make faults         kill capture and translate under load (KILLS=200), bring about every other"
	@echo "                    fault, check every record, write faults.json (FAULTS=network: those only)"
	@echo "make fuzz           hostile input, SECONDS=60 of it; --keep in FUZZ adds to the corpus"
	@echo "make asan           the same through the compiled form under AddressSanitizer"
	@echo "make services       start MySQL, MariaDB, Kafka and a schema registry for work by hand"
	@echo "make services-stop  stop exactly those"

# The stamp holds the inputs' names: a changed lock file or hot module sets up anew.
setup: $(VENV)/.done

HOT := $(wildcard cdc/*/*.pxd) $(patsubst %.pxd,%.py,$(wildcard cdc/*/*.pxd)) \
	cdc/capture/decoder.py cdc/capture/framing.py cdc/capture/folds.py $(wildcard cdc/*/*.pyx)

$(VENV)/.done: requirements-dev.txt pyproject.toml setup.py $(HOT)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "cdc needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing dependencies (locked, with hashes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@echo "installing cdc, compiling its hot path if there is a C compiler"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/cdc --version
	@touch $@

demo: setup
	@$(BIN)/cdc demo $(if $(KEEP),--keep)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# In the folders' order: the long files come first, and no process waits for another at the end. One
# process more than cores: a third of the time tests wait for servers.
test: lint types
	$(BIN)/python -m cdc.services fetch
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

bench: setup
	$(BIN)/python -m tests.bench

faults: setup
	$(BIN)/python -m tests.faults.kills --kills $(KILLS)
	$(BIN)/python -m tests.faults.steps
	$(BIN)/python -m tests.faults.spool_steps
	$(BIN)/python -m tests.faults $(FAULTS)

fuzz: setup
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(FUZZ)

asan: setup
	$(BIN)/python -m tests.fuzz.sanitized --seconds $(SECONDS)

services: setup
	@$(BIN)/python -m cdc.services start $(SERVICES)

services-stop: setup
	@$(BIN)/python -m cdc.services stop

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo bench.json faults.json
	find cdc -name '*.so' -delete
