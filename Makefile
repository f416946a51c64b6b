# SPDX-License-Identifier: MIT
# A thin front to Meson. `make run` and `make check` are all that a newcomer needs: they set up what is missing.
BUILD ?= build
PREFIX ?= /usr/local
MAKEFLAGS += --no-print-directory

.PHONY: all run check bench install clean help setup

all: setup $(BUILD)/build.ninja
	@meson compile -C $(BUILD)

setup:
	@scripts/setup.sh

$(BUILD)/build.ninja: | setup
	@meson setup $(BUILD) --buildtype release --prefix $(PREFIX)

run: all
	@scripts/run.sh $(BUILD)

check:
	@scripts/setup.sh check
	@python3 scripts/check.py

.PHONY: check-programs
check-programs:
	@scripts/setup.sh programs || echo 'Programs that are missing are skipped.' >&2
	@$(MAKE) all
	@scripts/programs.sh $(BUILD)

# SUITE=window runs that one alone.
.PHONY: check-aarch64
check-aarch64:
	@scripts/setup.sh aarch64
	@scripts/aarch64/emulate.py $(SUITE)

.PHONY: torture
torture: setup
	@scripts/torture.sh --seconds $(or $(SECONDS),7200) $(if $(SEED),--seed $(SEED)) $(if $(THREADS),--threads $(THREADS))

.PHONY: fuzz
fuzz:
	@scripts/setup.sh check
	@scripts/fuzz.sh build-fuzz $(or $(SECONDS),60)

bench:
	@scripts/setup.sh bench || echo 'Rows that need them are skipped.' >&2
	@$(MAKE) all
	@meson setup --reconfigure $(BUILD) >/dev/null # LMDB may be there by now
	@meson compile -C $(BUILD)
	@python3 bench/run.py $(BUILD)

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build build-check build-clang build-asan build-fuzz build-tsan

help:
	@echo 'make          build the library and the tool (in $(BUILD)/)'
	@echo 'make run      sort in a quarter of the memory it asks for; replay accesses over a file 16 times the memory'
	@echo 'make check    build with gcc, clang and the sanitizers, run all tests'
	@echo 'make check-programs  programs of others under weir run, in a quarter of what they want; takes some hours'
	@echo 'make torture  everything at once from several threads, every byte checked, for two hours (SECONDS=n, SEED, THREADS)'
	@echo 'make fuzz     fuzz what the tool reads, a minute a target (SECONDS=n for longer)'
	@echo 'make bench    build and run the benchmarks'
	@echo 'make install  install to PREFIX (/usr/local; DESTDIR is honoured)'
	@echo 'make clean    remove the build folders'
