# Rivulet's two commands are `make demo` and `make test`; each target installs its missing Debian packages.

CONFIGURATION := release
SWIFT_BUILD := swift build -c $(CONFIGURATION)
BIN := .build/$(CONFIGURATION)
PREFIX ?= /usr
SECONDS_EACH ?= 60
COUNT ?= 100

.PHONY: help build demo bench bench-smoke test conformance differential cycles fuzz sanitize lint format generate install deps-build

help:
	@echo "make build        the daemon and the command line, in $(BIN)"
	@echo "make demo         a real image, pulled the ordinary way and through Rivulet, side by side (root)"
	@echo "                  PEERS=1 adds stargz-snapshotter, LINK=shaped a slow link"
	@echo "make bench        images on networks in modes, 10 blocks (root); NAME= IMAGES= NETWORKS= MODES= BLOCKS= EDITION="
	@echo "make bench-smoke  two small images in a few minutes (root)"
	@echo "make test         all tests; without root it says what it leaves out"
	@echo "make conformance  containerd's own snapshotter suite against rivuletd (root)"
	@echo "make differential  random images against containerd's own pull (root); SEED= COUNT=$(COUNT) FIRST="
	@echo "make cycles       images pulled, read and removed COUNT=$(COUNT) times: a search for leaks (root); resumable"
	@echo "make sanitize     the lower half's tests with ThreadSanitizer, and their coverage"
	@echo "make fuzz         every fuzz target for SECONDS_EACH=$(SECONDS_EACH) seconds; resumable"
	@echo "make lint         formatting and style of English (docs/style.md)"
	@echo "make generate     ContainerdAPI from its .proto files"
	@echo "make install      to DESTDIR and PREFIX=$(PREFIX)"

deps-build:
	@deploy/debian-deps build

build: deps-build
	$(SWIFT_BUILD) --product rivuletd
	$(SWIFT_BUILD) --product rivulet

test: deps-build
	@Tests/run $(CONFIGURATION)

demo: deps-build
	@bench/demo $(CONFIGURATION)

bench: deps-build
	@bench/grid $(CONFIGURATION)

# Always a new run: it shows that the bench works, not how fast anything is.
bench-smoke: export NAME ?= smoke
bench-smoke: export IMAGES ?= nginx,numpy
bench-smoke: export EDITION = small
bench-smoke: export NETWORKS ?= shaped
bench-smoke: export MODES ?= overlayfs,rivulet,local
bench-smoke: export BLOCKS ?= 2
bench-smoke: deps-build
	@rm -f bench/results/$(NAME).jsonl
	@bench/grid $(CONFIGURATION)

conformance: deps-build
	@deploy/debian-deps conformance
	$(SWIFT_BUILD) --product rivuletd
	Tests/Conformance/run $(BIN)/rivuletd

# Without FIRST, a run with a seed goes on where the ledger ends. A replay of a single stack is not recorded.
differential: deps-build
	@deploy/debian-deps test
	$(SWIFT_BUILD) --product rivuletd
	$(SWIFT_BUILD) --product rivulet
	$(SWIFT_BUILD) --product Differential
	$(BIN)/Differential --count $(COUNT) $(if $(SEED),--seed $(SEED)) \
	  $(if $(FIRST),--first $(FIRST),--ledger bench/results/differential.tsv --commit $$(git describe --always --dirty))

# Goes on where the ledger ends: the numbers of the cycles determine the images.
cycles: deps-build
	@deploy/debian-deps test
	$(SWIFT_BUILD) --product rivuletd
	$(SWIFT_BUILD) --product rivulet
	$(SWIFT_BUILD) --product Cycles
	$(BIN)/Cycles --count $(COUNT) --ledger bench/results/cycles.tsv --commit $$(git describe --always --dirty)

sanitize: deps-build
	Tests/Sanitizers/run lower

fuzz: deps-build
	Tests/Fuzz/run $(SECONDS_EACH)

lint:
	Tests/Lint/lower-half
	swift format lint --strict --recursive --parallel Package.swift Sources Tests bench
	/usr/bin/python3 -B Tests/Lint/english.py

format:
	swift format --in-place --recursive --parallel Package.swift Sources Tests bench

generate:
	Sources/Platform/ContainerdAPI/generate

install:
	install -D -m 0755 $(BIN)/rivuletd $(DESTDIR)$(PREFIX)/bin/rivuletd
	install -D -m 0755 $(BIN)/rivulet $(DESTDIR)$(PREFIX)/bin/rivulet
	install -D -m 0644 deploy/config.toml $(DESTDIR)/etc/rivulet/config.toml
	install -D -m 0644 systemd/rivuletd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/rivuletd.service
	install -D -m 0644 systemd/rivuletd.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/rivuletd.socket
