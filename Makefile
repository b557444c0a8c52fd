# Each target sets up what it needs: on a new machine, `make demo` or `make test` is the first command.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
RELEASES := bookworm trixie
SOURCES := cruds daemon migrations tests bench

.PHONY: demo test faults box e2e e2e-bounded check fmt lint types layers cover lock wheel servers bench bench-smoke \
        bench-client bench-memory bench-race bench-idle bench-growth soak clean help

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(VENV)/.run: requirements/run.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --require-hashes -r requirements/build.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	touch $@

demo: $(VENV)/.run ## run the main job end to end: two loopback APIs, OAuth2, SQLite
	$(BIN)/crudsd demo

servers: $(VENV)/.dev ## install the real servers that the integration tests talk to
	$(BIN)/python tests/servers/install.py

test: $(VENV)/.dev servers ## run the tests
	$(BIN)/python -m pytest -n 3 --dist worksteal

faults: $(VENV)/.dev servers ## kill, stop and starve a run at every step there is, where `make test` tries a spread
	$(BIN)/python -m pytest -n 2 --dist worksteal --long tests/faults tests/property/test_model.py

box: $(VENV)/.dev ## make the Debians that `make e2e` boots, as root: some 350 MB and a minute each
	$(BIN)/python -m tests.systemd.base $(RELEASES)

e2e: box ## run crudsd as a service of a real systemd, in throw-away Debians; as root
	$(BIN)/python -m pytest $(RELEASES:%=--box=%) tests/systemd

e2e-bounded: $(VENV)/.dev ## the same on one Debian, where this machine can boot it; else it says why not and is content
	$(BIN)/python -m tests.systemd.bounded

check: $(VENV)/.dev lint types layers ## what CI runs: format, lint, types, layers, speed, tests with coverage, a real systemd
	$(MAKE) bench-smoke
	$(MAKE) cover
	$(MAKE) e2e-bounded

lint: $(VENV)/.dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

cover: $(VENV)/.dev servers
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 3 --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

fmt: $(VENV)/.dev ## format and mend what can be mended
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lock: ## pin every dependency with its hashes
	test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(PIP) install uv; }
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet --extra postgres -c requirements/run.txt pyproject.toml -o requirements/postgres.txt
	printf 'hatchling\neditables\n' | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet - -o requirements/build.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet --group dev --extra postgres -c requirements/postgres.txt -c requirements/build.txt pyproject.toml -o requirements/dev.txt
	for peer in dlt singer airbyte; do $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet bench/peers/$$peer.in -o bench/peers/$$peer.txt; done

wheel: $(VENV)/.dev ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

bench: $(VENV)/.run ## measure whole jobs beside dlt, Singer, Airbyte and what is written by hand: a quarter of an hour
	$(BIN)/python -m bench.compare --write

bench-smoke: $(VENV)/.run ## see in half a minute whether whole jobs have become dearer
	$(BIN)/python -m bench.smoke

bench-client: $(VENV)/.run ## measure the client beside bare urllib3, requests, httpx and niquests
	$(BIN)/python bench/client.py --write

bench-memory: $(VENV)/.run ## measure the memory of a run over 10,000 and over 1,000,000 records
	$(BIN)/python bench/memory.py --write

bench-race: $(VENV)/.dev servers ## race processes over one rotating token, each for itself and with one refresher
	$(BIN)/python -m bench.token_race --write

bench-idle: $(VENV)/.run ## measure what the service takes with 1,000 jobs of which none is due
	$(BIN)/python -m bench.idle --write

bench-growth: $(VENV)/.run ## measure the state file and what a run costs over 100,000 runs
	$(BIN)/python -m bench.growth --write

soak: $(VENV)/.run ## 200 jobs over bad systems for ten minutes: no fire, record or memory lost
	$(BIN)/python -m bench.soak --write

clean: ## remove what the targets made
	rm -rf $(VENV) .servers .bench dist build .coverage*
