# The interface of this repository: people and CI call these targets and nothing else.
#
# Whatever a target needs is made when it is first wanted, and again when what it is made from has changed;
# the stamps inside the virtual environments remember which.

ifndef PYTHON
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
endif
# Such as 3.12, or 3.13t for a build without the GIL.
SAY_TAG := 'import sys; print("{}.{}".format(*sys.version_info) + sys.abiflags)'
PYTHON_TAG := $(shell "$(PYTHON)" -c $(SAY_TAG) 2>/dev/null)

VENV := .venv
BENCH_VENV := .venv-bench
CASCADES_VENV := .venv-cascades
LITELLM_VENV := .venv-litellm
CLIENTS_VENV := .venv-clients
DOCS_VENV := .venv-docs
BIN := $(VENV)/bin
BENCH_BIN := $(BENCH_VENV)/bin
MADE := $(VENV)/made
RUST_SOURCES := $(shell find rust -name '*.rs')
WHEEL_INPUTS := pyproject.toml Cargo.toml Cargo.lock $(RUST_SOURCES)

TEST_PATH ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
SECONDS ?= 60

# Rust's usual place, after whatever the path has already.
export PATH := $(PATH):$(HOME)/.cargo/bin
# One interpreter for every build of the binding, or cargo would build it anew for each.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
unexport CONDA_PREFIX
# Modules are compiled once: the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

export PIP_QUIET := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP_INSTALL := -m pip install
CARGO_FLAGS := --locked
ifdef QUIET
.SILENT:
CARGO_FLAGS += --quiet
MATURIN_FLAGS := --quiet
override PYTEST_ARGS := --quiet --no-header $(PYTEST_ARGS)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-rust test-python test-litellm test-clients bench bench-check bench-quality bench-scale soak scenarios docs lint lint-python lint-rust types size wheel fuzz fmt clean need-cargo

help: ## list the targets
	@echo "make <target> [PYTHON=python3.12] [QUIET=1] [TEST_PATH=tests/test_key.py] [PYTEST_ARGS='-k text']"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: $(MADE)/demo $(MADE)/extension ## build the package, watch it work, and open the console on live traffic
	$(BIN)/fastcascade demo --console

ifneq ($(TEST_PATH)$(filter-out --quiet --no-header,$(PYTEST_ARGS)),)
test: test-python
else
test: lint types size test-rust docs test-python test-litellm test-clients
test-python: BESIDE := -n 2 --dist loadfile
endif
test: ## run every check and test; only the Python tests named by TEST_PATH= or PYTEST_ARGS= if given

test-rust: | need-cargo ## run the Rust tests, in a build that cannot see Python
	cargo test $(CARGO_FLAGS)

test-python: $(MADE)/dev $(MADE)/extension ## run the Python tests
	$(BIN)/python -m pytest $(BESIDE) $(PYTEST_ARGS) $(TEST_PATH)

# In an environment of its own: litellm asks for an older openai than the one the others are tested with.
test-litellm: $(LITELLM_VENV)/made/litellm $(MADE)/extension ## run the tests of the litellm adapter, and of OpenAI's with its SDK
	PYTHONPATH=python $(LITELLM_VENV)/bin/python -m pytest $(PYTEST_ARGS) tests/test_backend_litellm.py tests/test_backend_openai.py tests/test_probes.py
	PYTHONPATH=python $(LITELLM_VENV)/bin/python -m pytest $(PYTEST_ARGS) tests/test_docs.py -k litellm.md

# In an environment of its own too: frameworks choose the SDKs that they ask for.
test-clients: $(CLIENTS_VENV)/made/clients $(MADE)/extension ## run frameworks for models against the gateway
	PYTHONPATH=python $(CLIENTS_VENV)/bin/python -m pytest $(PYTEST_ARGS) tests/test_gateway_clients.py
	PYTHONPATH=python $(CLIENTS_VENV)/bin/python -m pytest $(PYTEST_ARGS) tests/test_docs.py -k agents.md

lint: lint-python lint-rust ## look for faults of style and likely mistakes

lint-python: $(MADE)/dev
	$(BIN)/ruff check $(if $(QUIET),--quiet)
	$(BIN)/ruff format --check $(if $(QUIET),--quiet)

lint-rust: $(MADE)/python-$(PYTHON_TAG) | need-cargo
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) --all-targets --features python -- -D warnings

types: $(MADE)/dev $(MADE)/extension ## check the types, and the stub against the compiled module
	$(BIN)/mypy $(if $(QUIET),--no-error-summary)
	$(BIN)/python -m mypy.stubtest fastcascade._core --mypy-config-file pyproject.toml --allowlist tests/typing/stubtest.txt
	$(BIN)/basedpyright

size: ## print the lines of each source file against its budget
	@"$(PYTHON)" tools/size.py $(if $(QUIET),--quiet)

bench: $(BENCH_VENV)/made/package $(CASCADES_VENV)/made/package ## compare with the rivals, then time the parts; BENCH_ARGS=--quick for a look
	mkdir -p target/bench
	$(BENCH_BIN)/python benches/rivals/all.py --json target/bench/rivals.json $(BENCH_ARGS)
	$(CASCADES_VENV)/bin/python benches/rivals/cascades/all.py --json target/bench/cascades.json $(filter --quick,$(BENCH_ARGS))
	$(BENCH_BIN)/python -m pytest benches/python
	cargo bench $(CARGO_FLAGS) --bench '*'
	$(BENCH_BIN)/fastcascade bench

bench-quality: $(MADE)/dev $(MADE)/extension ## what each rule saves on public tables of real outcomes, where they are beside the project
	$(BIN)/python benches/quality.py $(BENCH_ARGS)

bench-scale: $(MADE)/dev $(MADE)/extension ## curves, sweep and guarantee on a million cases, on one core
	$(BIN)/python benches/scale.py $(BENCH_ARGS)

soak: $(MADE)/dev $(MADE)/extension ## a day's traffic through the gateway in an hour; BENCH_ARGS=--quick is a minute
	mkdir -p target/bench
	$(BIN)/python benches/soak.py --json target/bench/soak.json $(BENCH_ARGS)

scenarios: $(MADE)/dev $(MADE)/extension ## edge, shield and origin; the gateway under rising load; the store lost under load; BENCH_ARGS=--quick for a look
	mkdir -p target/bench
	$(BIN)/python benches/scenarios/cdn.py --json target/bench/cdn.json $(BENCH_ARGS)
	$(BIN)/python benches/scenarios/gateway.py --json target/bench/gateway.json $(BENCH_ARGS)
	$(BIN)/python benches/scenarios/store_away.py --json target/bench/store.json $(BENCH_ARGS)
	$(BIN)/python benches/rivals/redis_clients.py --json target/bench/redis.json $(BENCH_ARGS)

docs: target/docs/index.html ## build the documentation's site into target/docs, and check it

target/docs/index.html: $(DOCS_VENV)/made/docs $(MADE)/extension README.md DESIGN.md CHANGELOG.md $(shell find docs deploy tools -type f) $(shell find python -name '*.py*')
	PYTHONPATH=python $(DOCS_VENV)/bin/python tools/docs.py target/docs

bench-check: $(MADE)/extension | need-cargo ## count instructions under callgrind, against those on file
	$(BIN)/python benches/instructions.py

wheel: $(MADE)/build | need-cargo ## build and try a wheel for each CPython 3.11 to 3.13 of this machine, into dist/
	$(BIN)/python tools/wheel.py

fuzz: | need-cargo ## run each fuzz target for SECONDS=60
	@cargo +nightly --version >/dev/null 2>&1 || { echo "fuzzing needs nightly Rust: rustup toolchain install nightly" >&2; exit 1; }
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz was not found: cargo install --locked cargo-fuzz" >&2; exit 1; }
	targets=$$(cargo +nightly fuzz list) && for target in $$targets; do \
		cargo +nightly fuzz run "$$target" -- -max_total_time=$(SECONDS) || exit 1; done

fmt: $(MADE)/dev | need-cargo ## rewrite the sources in the house format
	$(BIN)/ruff check --fix $(if $(QUIET),--quiet)
	$(BIN)/ruff format $(if $(QUIET),--quiet)
	cargo fmt

clean: ## remove everything that was built
	rm -rf target dist $(VENV) $(BENCH_VENV) $(CASCADES_VENV) $(LITELLM_VENV) $(CLIENTS_VENV) $(DOCS_VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	rm -f python/fastcascade/_core.*.so
	find python tests benches tools -name __pycache__ -type d -prune -exec rm -rf {} +

# What the targets stand on.

need-cargo:
	@command -v cargo >/dev/null || { \
		echo "cargo was not found: install Rust 1.88 or later (https://rustup.rs), then run make again" >&2; exit 1; }

# An environment made by another Python than the one now wanted is made anew.
$(MADE)/python-$(PYTHON_TAG):
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "no Python 3.11 or later was found$(if $(PYTHON), as '$(PYTHON)'): install one and name it, as in make PYTHON=python3.12" >&2; \
		exit 1; }
	test "$$($(BIN)/python -c $(SAY_TAG) 2>/dev/null)" = $(PYTHON_TAG) || "$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python $(PIP_INSTALL) --upgrade pip
	mkdir -p $(MADE) && touch $@

$(MADE)/build $(MADE)/demo $(MADE)/dev: $(MADE)/%: $(MADE)/python-$(PYTHON_TAG) pyproject.toml
	$(BIN)/python $(PIP_INSTALL) --group $*
	touch $@

# The group is named because maturin would add `dev`.
$(MADE)/extension: $(MADE)/build $(WHEEL_INPUTS) | need-cargo
	$(BIN)/maturin develop --release --locked --group build $(MATURIN_FLAGS)
	touch $@

# A rival that will not install here is left out of the comparison, and named there.
$(BENCH_VENV)/made/rivals: $(MADE)/python-$(PYTHON_TAG) pyproject.toml benches/rivals/requirements.txt
	"$(PYTHON)" -m venv --clear $(BENCH_VENV)
	$(BENCH_BIN)/python $(PIP_INSTALL) --upgrade pip
	$(BENCH_BIN)/python $(PIP_INSTALL) --group bench
	$(BENCH_BIN)/python $(PIP_INSTALL) -r benches/rivals/requirements.txt || \
		grep -v '^#' benches/rivals/requirements.txt | while read -r rival; do \
			$(BENCH_BIN)/python $(PIP_INSTALL) "$$rival" || echo "left out: $$rival"; done
	mkdir -p $(BENCH_VENV)/made && touch $@

$(BENCH_VENV)/made/package: $(BENCH_VENV)/made/rivals $(MADE)/build $(WHEEL_INPUTS) $(shell find python -name '*.py*') | need-cargo
	rm -rf target/bench/wheel
	$(BIN)/maturin build --release --locked $(MATURIN_FLAGS) --interpreter $(PYO3_PYTHON) --out target/bench/wheel
	$(BENCH_BIN)/python $(PIP_INSTALL) --force-reinstall --no-deps target/bench/wheel/*.whl
	touch $@

$(CASCADES_VENV)/made/rivals: $(MADE)/python-$(PYTHON_TAG) benches/rivals/requirements-cascades.txt
	"$(PYTHON)" -m venv --clear $(CASCADES_VENV)
	$(CASCADES_VENV)/bin/python $(PIP_INSTALL) --upgrade pip
	$(CASCADES_VENV)/bin/python $(PIP_INSTALL) -r benches/rivals/requirements-cascades.txt
	mkdir -p $(CASCADES_VENV)/made && touch $@

$(CASCADES_VENV)/made/package: $(CASCADES_VENV)/made/rivals $(BENCH_VENV)/made/package
	$(CASCADES_VENV)/bin/python $(PIP_INSTALL) --force-reinstall --no-deps target/bench/wheel/*.whl
	touch $@

$(LITELLM_VENV)/made/litellm: $(MADE)/python-$(PYTHON_TAG) pyproject.toml
	"$(PYTHON)" -m venv --clear $(LITELLM_VENV)
	$(LITELLM_VENV)/bin/python $(PIP_INSTALL) --upgrade pip
	$(LITELLM_VENV)/bin/python $(PIP_INSTALL) --group litellm
	mkdir -p $(LITELLM_VENV)/made && touch $@

$(CLIENTS_VENV)/made/clients: $(MADE)/python-$(PYTHON_TAG) pyproject.toml
	"$(PYTHON)" -m venv --clear $(CLIENTS_VENV)
	$(CLIENTS_VENV)/bin/python $(PIP_INSTALL) --upgrade pip
	$(CLIENTS_VENV)/bin/python $(PIP_INSTALL) --group clients
	mkdir -p $(CLIENTS_VENV)/made && touch $@

$(DOCS_VENV)/made/docs: $(MADE)/python-$(PYTHON_TAG) pyproject.toml
	"$(PYTHON)" -m venv --clear $(DOCS_VENV)
	$(DOCS_VENV)/bin/python $(PIP_INSTALL) --upgrade pip
	$(DOCS_VENV)/bin/python $(PIP_INSTALL) --group docs
	mkdir -p $(DOCS_VENV)/made && touch $@
