# Every command of the project. `make demo` and `make test` install what is missing first.
#
#   make demo       debug mode at work on the examples
#   make test       GoogleTests, then pytest on PYTHON
#   make test-all   the same, with pytest on every CPython 3.9+ of the machine
#   make lint       format, types, and static analysis of everything
#   make format     what make lint asks for, as far as tools can do it
#   make bench      the benchmarks
#   make sanitize   make test with ASan and UBSan; SANITIZE=thread: the GoogleTests with TSan
#   make wheel      dist/: the wheel of PYTHON, repaired by auditwheel
#   make build      build/python, the importable tree; make clean removes everything that was built
SHELL := /bin/sh
BUILD := build
VENV := .venv
# The interpreter to build for and to test with.
PYTHON := $(VENV)/bin/python
JOBS := $(shell nproc 2>/dev/null || echo 2)
# address or thread.
SANITIZE := address
SANITIZERS_address := address,undefined
SANITIZERS_thread := thread
# More arguments for bench/compare.py, as in make bench BENCH='--only HPy_Dup --rounds 3'.
BENCH :=
# More arguments for pytest, as in make test PYTEST='-k leak'.
PYTEST :=

DEPS := $(BUILD)/deps
CMAKE := $(abspath $(VENV))/bin/cmake
NINJA := $(abspath $(VENV))/bin/ninja
CTEST := $(abspath $(VENV))/bin/ctest
CONFIGURE = $(CMAKE) -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(NINJA) -DHPY_WERROR=$(if $(CI),ON,OFF)

.DELETE_ON_ERROR:
.PHONY: demo test test-all lint format bench sanitize wheel build clean

# --- What must be there

$(DEPS)/%: cmake/install_deps.sh cmake/find_pythons.sh
	cmake/install_deps.sh system $*
	@mkdir -p $(DEPS) && touch $@

$(VENV)/.stamp: requirements-dev.txt cmake/install_deps.sh | $(DEPS)/build
	cmake/install_deps.sh venv $(VENV) newest build test lint
	@touch $@

# --- Building

$(BUILD)/build.ninja: | $(DEPS)/build $(VENV)/.stamp
	$(CONFIGURE) -B $(BUILD) -DHPY_PYTHONS=$(abspath $(PYTHON)) -DHPY_BUILD_TESTS=OFF

build: $(BUILD)/build.ninja
	$(CMAKE) --build $(BUILD)

demo: build
	PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) examples/demo.py

wheel: | $(DEPS)/build $(VENV)/.stamp
	rm -rf dist
	$(PYTHON) -m build --wheel --no-isolation --outdir dist/raw .
	PATH="$(abspath $(VENV))/bin:$$PATH" $(PYTHON) -m auditwheel repair --wheel-dir dist dist/raw/*.whl

clean:
	rm -rf $(BUILD) dist

# --- Testing

# The first time, what only the tests need is added to the build.
$(BUILD)/tests.stamp: | $(BUILD)/build.ninja $(DEPS)/test
	$(CMAKE) -B $(BUILD) -DHPY_BUILD_TESTS=ON
	@touch $@

test: $(BUILD)/tests.stamp
	$(CMAKE) --build $(BUILD)
	$(CTEST) --test-dir $(BUILD) --output-on-failure --no-tests=ignore
	HPY_BUILD_DIR=$(BUILD) $(PYTHON) -m pytest -n $(JOBS) $(PYTEST)

test-all: $(BUILD)/tests.stamp
	cmake/test_all.sh $(BUILD) $(JOBS) $(PYTEST)

sanitize: SANITIZED = $(BUILD)/sanitize-$(SANITIZE)
sanitize: | $(DEPS)/build $(DEPS)/test $(VENV)/.stamp
	$(CONFIGURE) -B $(SANITIZED) -DHPY_SANITIZE=$(SANITIZERS_$(SANITIZE)) \
	  -DHPY_PYTHONS=$(abspath $(PYTHON))
	$(CMAKE) --build $(SANITIZED)
	$(CTEST) --test-dir $(SANITIZED) --output-on-failure --no-tests=ignore
ifeq ($(SANITIZE),address)
	HPY_BUILD_DIR=$(SANITIZED) cmake/with_asan.sh $(PYTHON) -m pytest -n $(JOBS) $(PYTEST)
endif

# Beside HPy 0.9, on the newest CPython that it runs on.
bench: | $(DEPS)/build $(DEPS)/test $(VENV)/.stamp
	$(CONFIGURE) -B $(BUILD)/bench -DCMAKE_BUILD_TYPE=Release -DHPY_BUILD_TESTS=OFF \
	  -DHPY_BUILD_BENCH=ON -DHPY_PYTHONS=$$($(PYTHON) bench/variants.py)
	$(CMAKE) --build $(BUILD)/bench
	$(PYTHON) bench/compare.py --package $(BUILD)/bench/python --folder $(BUILD)/bench/ops $(BENCH)

# --- Linting

C_FILES = $(shell git ls-files '*.c' '*.cc' '*.cpp' '*.h')

lint: $(BUILD)/build.ninja | $(DEPS)/lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(if $(C_FILES),clang-format --dry-run -Werror $(C_FILES))
	$(CMAKE) --build $(BUILD) --target tidy

format: | $(VENV)/.stamp $(DEPS)/lint
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(if $(C_FILES),clang-format -i $(C_FILES))
