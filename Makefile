# What the project can do; `make help` lists it.
# Every path is relative, so the folder may have spaces in its name.
.DEFAULT_GOAL := help
.NOTPARALLEL:

HOST ?= 127.0.0.1
PORT ?= 8000
BIN := .venv/bin
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadscope
SET_UP := python=$$(sh tools/find_python.sh) && "$$python" tools/set_up.py
# Not sound: its files and loudness need libraries of the server.
MODEL_LAYER_TESTS := $(wildcard tests/music tests/artifacts tests/model tests/tuning)
SITE := $(if $(wildcard web/package.json),site)

.PHONY: help setup studio test check proof format lint types contracts check-model-layer check-server constraints audit verify-real
.PHONY: site installed-studio installed-dev installed-model installed-s3

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

setup: installed-dev ## install all that developing and testing need, into .venv

studio: installed-studio $(SITE) ## set up and serve the studio on this machine (PORT=)
	@$(BIN)/text2song serve --host "$(HOST)" --port "$(PORT)"

# Two processes of one thread each: two times two threads on two cores wait for each other. Where tests ask for more
# threads, those sleep. Compiled files are kept, or each of the many processes compiles torch's and transformers' anew.
test check-server check-model-layer: export OMP_NUM_THREADS := 1
test check-server check-model-layer: export OMP_WAIT_POLICY := PASSIVE
studio test check-server check-model-layer: export PYTHONDONTWRITEBYTECODE :=
test: installed-dev installed-s3 ## set up and run every test but the long proofs
	@$(PYTEST)

# Every test once: the model layer's where nothing of the server is installed, then all others. These come last,
# so that pytest's closing line does too.
check: lint types contracts check-model-layer check-server ## the gate: format, lint, types, import contracts, tests

proof: installed-dev installed-s3 ## run the long proofs; results go to docs/proof
	@$(BIN)/pytest -m proof --results docs/proof

verify-real: installed-dev ## compare the published weights' codes with transformers'; needs the internet, gigabytes
	@$(BIN)/python -m benchmarks.published

format: installed-dev ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lint: installed-dev ## check format and lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: installed-dev ## check the types
	@$(BIN)/mypy

contracts: installed-dev ## check who imports whom
	@$(BIN)/lint-imports --no-logo

check-model-layer: installed-model ## test the model layer where nothing of the server is installed
	@.venv-model/bin/python tools/run_model_layer_tests.py $(MODEL_LAYER_TESTS)

check-server: installed-dev installed-s3 ## run every test that check-model-layer does not
	@$(PYTEST) $(addprefix --ignore=,$(MODEL_LAYER_TESTS))

constraints: installed-dev ## refresh constraints.txt to the newest versions that fit
	@$(BIN)/python -m tools.refresh_constraints

# Strict, or packages that nobody could look up would pass; without pip, since every version is in the file.
audit: installed-dev ## ask the package index whether a pinned package has a known weakness
	@$(BIN)/uv tool run pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

site: installed-studio ## build the web studio into the package, where its sources are
	@$(BIN)/python tools/build_site.py

installed-studio:
	@$(SET_UP) studio

installed-dev:
	@$(SET_UP) dev

installed-model:
	@$(SET_UP) model

# Where it cannot be installed, the tests that need it say so and are skipped.
installed-s3:
	-@$(SET_UP) s3
