# The two commands of a new user are `make demo` and `make test`.

SHELL := /bin/sh
CARGO ?= cargo

# What each goal needs of the system, as Debian names it.
BUILD_PACKAGES := gcc libc6-dev make
KERNEL_PACKAGES := binutils bc bison flex libelf-dev libssl-dev perl xz-utils linux-source-6.12
RUN_PACKAGES := qemu-system-x86 mmdebstrap util-linux
DEMO_PACKAGES := $(BUILD_PACKAGES) $(KERNEL_PACKAGES) $(RUN_PACKAGES)
TEST_PACKAGES := $(DEMO_PACKAGES) e2fsprogs genext2fs busybox-static musl musl-dev musl-tools \
	apache2-utils redis-tools skopeo umoci patch git elfutils strace gdb attr zstd python3 python3-pytest cpio graphviz chromium
# What only the slow tests use: another compiler, what loads a server, what glibc is built and tested
# with, pgbench (its package makes a database of its own, which `make test` need not).
TEST_ALL_PACKAGES := clang lld llvm postgresql wrk gawk valgrind
# Not in every release of Debian: its tests are skipped where it is missing.
TEST_PACKAGES_WISHED := linux-source-6.1
# Debian's own cargo is older than this project needs; its backport for browsers is not.
CARGO_PACKAGE := $(shell command -v $(CARGO) >/dev/null 2>&1 || echo cargo-web)

.PHONY: demo test test-all lint bench bench-rootfs bench-kml bench-kconfig bench-needs packages-demo packages-test packages-test-all cargo help

help:
	@echo 'make demo        nginx on a Linux specialised to it, answered over HTTP'
	@echo 'make test        the tests; the slowest are left to test-all'
	@echo 'make test-all    every test; takes hours'
	@echo 'make lint        rustfmt, clippy, rustdoc'
	@echo 'make bench       benchmarks beside their peers'

demo: packages-demo cargo
	$(CARGO) run --release --example nginx

test: packages-test cargo lint
	$(CARGO) test --workspace --no-fail-fast

test-all: packages-test packages-test-all cargo lint
	LUPINE_TEST_ALL=1 $(CARGO) test --workspace --no-fail-fast

lint: cargo
	@tools/component fmt rustfmt && $(CARGO) fmt --all --check || [ $$? = 9 ]
	@tools/component clippy clippy && $(CARGO) clippy --workspace --all-targets -- -D warnings || [ $$? = 9 ]
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps

bench: bench-rootfs bench-kml bench-kconfig bench-needs

bench-rootfs:
	$(CARGO) bench -p lupine-rootfs --bench mkfs

bench-kml:
	$(CARGO) bench -p lupine-kml

bench-kconfig:
	$(CARGO) bench -p lupine-cli --bench kconfig

bench-needs:
	$(CARGO) bench -p lupine-cli --bench needs

packages-demo:
	@tools/packages $(DEMO_PACKAGES) $(CARGO_PACKAGE)

packages-test-all:
	@tools/packages $(TEST_ALL_PACKAGES)

packages-test:
	@tools/packages $(TEST_PACKAGES) $(CARGO_PACKAGE) --wish $(TEST_PACKAGES_WISHED)

cargo:
	@command -v $(CARGO) >/dev/null || { echo "no cargo: install Rust 1.95 or later (https://rustup.rs, or Debian's cargo-web package)" >&2; exit 1; }
