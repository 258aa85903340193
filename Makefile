# The short way in. Every target does its own set-up and repeats none of it:
#
#     packages -> configure -> build -> demo | test | bench | ...
#
# CMake does the work; this file only puts its commands in order. `make help` lists the targets.
# Settings: PRESET=release|debug|asan|tsan (CMakePresets.json), JOBS=<parallel jobs>,
# FUZZ_SECONDS=<for each fuzzer>, PACKAGES=no leaves the system's packages alone,
# CMAKE_ARGS='-DWIDEDEQ_ARCH=x86-64-v3 -DWIDEDEQ_CUDA=off' for what CMake is to know.

PRESET   ?= release
JOBS     ?= $(shell nproc)
PACKAGES ?= yes
FUZZ_SECONDS ?= 60
BUILD    := build/$(PRESET)

.DEFAULT_GOAL := help
.PHONY: help demo test slow bench fuzz build packages lint lint-tools format format-check clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: build  ## Train on handwritten zeros and ones; the run goes to runs/demo-1, -2, ...
	@n=1; while [ -e runs/demo-$$n ]; do n=$$((n + 1)); done; set -x; \
	$(BUILD)/widedeq train --data digits --classes 0,1 --width 1024 --epochs 60 \
	    --gram-every 10 --gamma 0.5 --out runs/demo-$$n

test: build  ## Run all tests but the slow ones
	ctest --preset $(PRESET) --parallel $(JOBS)

slow: build  ## Run the slow tests
	ctest --test-dir $(BUILD) --output-on-failure -L slow

bench: build  ## Check and time every stage (BENCH_ARGS='--stages sweep --shapes 4096x1000')
	$(BUILD)/widedeq bench $(BENCH_ARGS)

fuzz: packages  ## Fuzz the file readers, FUZZ_SECONDS each (FUZZERS='npy toml' for some)
ifneq ($(PACKAGES),no)
	@cmake/install_packages.sh fuzz
endif
	cmake --preset fuzz
	cmake --build --preset fuzz --parallel $(JOBS)
	tests/fuzz/run build/fuzz $(FUZZ_SECONDS) $(FUZZERS)

build: packages $(BUILD)/build.ninja  ## Compile everything
	cmake --build --preset $(PRESET) --parallel $(JOBS)

# Ninja configures again by itself when a CMakeLists.txt changes; the presets it does not watch.
$(BUILD)/build.ninja: CMakePresets.json | packages
	cmake --preset $(PRESET) $(CMAKE_ARGS)
	@touch $@

# What is said of it is no file's, and may be new.
ifneq ($(strip $(CMAKE_ARGS)),)
$(BUILD)/build.ninja: always
endif
.PHONY: always
always:

packages:  ## Install the missing system packages (none missing: does nothing)
ifneq ($(PACKAGES),no)
	@cmake/install_packages.sh build
endif

lint: lint-tools packages $(BUILD)/build.ninja  ## clang-tidy on all sources (CHANGED=1: on those that differ from HEAD)
	cmake/lint.sh $(BUILD) $(JOBS) $(if $(CHANGED),changed,all)

SOURCES = git ls-files -z --cached --others --exclude-standard -- \
    '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs -0 --no-run-if-empty

format: lint-tools  ## Put all sources in the format of .clang-format
	@$(SOURCES) clang-format -i

format-check: lint-tools  ## Fail if a source is not formatted
	@$(SOURCES) clang-format --dry-run --Werror

lint-tools: | packages  # one apt-get at a time
ifneq ($(PACKAGES),no)
	@cmake/install_packages.sh lint
endif

clean:  ## Remove everything that was built (runs/ stays)
	rm -rf build
