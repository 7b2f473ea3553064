# adaptq. `make help` lists the targets; everything a target needs is built or fetched by it.

SHELL := /bin/bash
PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR ?= $(PREFIX)/bin
DOCDIR ?= $(PREFIX)/share/doc/adaptq
# The notice of hwloc, whose static library is inside of what is installed (docs/third-party.md).
HWLOC_NOTICE ?= /usr/share/doc/libhwloc-dev/copyright
CC ?= gcc
CXX ?= g++

VERSION := $(shell sed -n 's/^\#define ADAPTQ_VERSION_STRING "\(.*\)"$$/\1/p' include/adaptq.h)
RELEASE := .build/release
CACHE := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/adaptq/models
MODEL := $(CACHE)/all-MiniLM-L6-v2
CONVERTED := $(CACHE)/all-MiniLM-L6-v2.adaptq
ALL_LEVELS := $(CACHE)/all-MiniLM-L6-v2-all-levels.adaptq
BENCH_OPTIONS ?=
# The command line tool is part of the build as soon as the manifest has it.
HAS_CLI := $(shell grep -c 'name: "adaptq-cli"' Package.swift)

.PHONY: help
help:
	@echo 'make demo              build, fetch the test model, convert it, hold a latency budget from a C program'
	@echo 'make test              build and run all tests (Swift, C ABI); the last line counts them'
	@echo 'make test-long         the same with sanitizers and long runs'
	@echo 'make models            fetch the test model and convert it'
	@echo 'make bench             measure kernels and the model on this machine (BENCH_OPTIONS=--quick)'
	@echo 'make bench-matrix      time small products from C; PEER=PYTHON compares with onnxruntime there'
	@echo 'make bench-large       time large products from C; PEER=PYTHON compares with onnxruntime, torch, openvino and ggml there'
	@echo 'make bench-models      time whole inferences from C; PEER=PYTHON compares with onnxruntime, torch and openvino there'
	@echo 'make bench-sessions    two sessions with budgets at once, in one runtime and in two: five minutes'
	@echo 'make bench-budget      whether latency budgets hold beside stress-ng, automatic against fixed levels: some minutes'
	@echo 'make bench-all         all four of them (PEER=PYTHON GGML=FOLDER): some minutes'
	@echo 'make docs              pages about the C and C++ headers in build/docs (needs doxygen)'
	@echo 'make install           PREFIX=/usr/local DESTDIR=: library, header, pkg-config file, command line tool, notices'
	@echo 'make format            format and check the sources'
	@echo 'make setup             install what the build needs'
	@echo 'make clean             remove everything built here (not the models)'

.PHONY: setup
setup:
	@.ci/setup

.PHONY: build
build: setup
	swift build -c release --product adaptq
ifneq ($(HAS_CLI),0)
	swift build -c release --product adaptq-cli
endif

.PHONY: models
models: setup
	@.ci/models
ifneq ($(HAS_CLI),0)
	@$(MAKE) --no-print-directory converted
endif

# Converted again when the tool is newer than the file.
.PHONY: converted
converted: build
	@model=$$(.ci/models) && \
	if [ ! -e '$(CONVERTED)' ] || [ '$(RELEASE)/adaptq-cli' -nt '$(CONVERTED)' ]; then \
	  $(RELEASE)/adaptq-cli convert "$$model" --keep fp32,fp16 --output '$(CONVERTED).new' && mv '$(CONVERTED).new' '$(CONVERTED)'; \
	fi

build/examples/%: examples-c/%.c $(wildcard examples-c/*.h) include/adaptq.h | build
	@mkdir -p build/examples
	ln -sf libadaptq.so $(RELEASE)/libadaptq.so.0
	$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude $< -o $@ -L$(RELEASE) -Wl,-rpath,'$$ORIGIN/../../$(RELEASE)' -ladaptq -lm

build/examples/%-cpp: examples-c/%.cpp include/adaptq.h include/adaptq.hpp | build
	@mkdir -p build/examples
	ln -sf libadaptq.so $(RELEASE)/libadaptq.so.0
	$(CXX) -std=c++17 -O2 -Wall -Wextra -Iinclude $< -o $@ -L$(RELEASE) -Wl,-rpath,'$$ORIGIN/../../$(RELEASE)' -ladaptq

# Pages about the two headers, in build/docs; a declaration without a comment is an error.
.PHONY: docs
docs:
	@mkdir -p build/docs
	doxygen docs/Doxyfile

.PHONY: demo
demo: converted build/examples/embed
	build/examples/embed '$(CONVERTED)'

.PHONY: test
test: setup
	@.ci/test

.PHONY: test-long
test-long: setup
	@.ci/test --long

# The levels are compared with FP32 and FP16, which only this file keeps.
.PHONY: all-levels
all-levels: build
	@model=$$(.ci/models) && \
	if [ ! -e '$(ALL_LEVELS)' ] || [ '$(RELEASE)/adaptq-cli' -nt '$(ALL_LEVELS)' ]; then \
	  $(RELEASE)/adaptq-cli convert "$$model" --keep fp16,fp32 --output '$(ALL_LEVELS).new' && \
	  mv '$(ALL_LEVELS).new' '$(ALL_LEVELS)'; \
	fi

.PHONY: bench
bench: all-levels
	$(RELEASE)/adaptq-cli bench '$(ALL_LEVELS)' $(BENCH_OPTIONS)

# The shipped C function. PEER is a python that has the libraries compared with, GGML a folder with ggml's own, built for this
# CPU (docs/bench.md).
MATRIX_CALLS = python3 Tests/MatrixCalls/compare.py build/examples/calls --limits $(RELEASE)/adaptq-cli \
  $(if $(PEER),--peer '$(PEER)')

.PHONY: matrix-calls
matrix-calls: build
	@mkdir -p build/examples
	ln -sf libadaptq.so $(RELEASE)/libadaptq.so.0
	$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude Tests/MatrixCalls/calls.c -o build/examples/calls -L$(RELEASE) \
	  -Wl,-rpath,'$$ORIGIN/../../$(RELEASE)' -ladaptq

# Small products at INT8.
.PHONY: bench-matrix
bench-matrix: matrix-calls
	$(MATRIX_CALLS) --codes $(BENCH_OPTIONS)

# Large products at every level: minutes, and some 16 GB with all peers.
.PHONY: bench-large
bench-large: matrix-calls
	$(if $(GGML),ADAPTQ_PEER_GGML='$(GGML)') $(MATRIX_CALLS) --libraries onnxruntime,torch,openvino,ggml \
	  --shapes 4096x4096,11008x4096 --cases 1m,1,8,128,512 --levels 32,16,8,6,4,2 --rounds 7 --samples 5 \
	  --microseconds 2000 $(BENCH_OPTIONS)

# The shipped C function, whole inferences; PEER is a python that has onnxruntime, onnx, openvino, torch and
# transformers. Then one thread against two.
PEER_FILES := $(patsubst %/models,%/peers,$(CACHE))/all-MiniLM-L6-v2
.PHONY: bench-models
bench-models: all-levels
	@mkdir -p build/examples
	ln -sf libadaptq.so $(RELEASE)/libadaptq.so.0
	$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude Tests/ModelCalls/host.c -o build/examples/host -L$(RELEASE) \
	  -Wl,-rpath,'$$ORIGIN/../../$(RELEASE)' -ladaptq
	@model=$$(.ci/models) && \
	if [ -n '$(PEER)' ] && [ ! -e '$(PEER_FILES)/int7.onnx' ]; then '$(PEER)' Tests/ModelCalls/export.py "$$model" '$(PEER_FILES)'; fi; \
	python3 Tests/ModelCalls/compare.py build/examples/host '$(ALL_LEVELS)' \
	  $(if $(PEER),--python '$(PEER)' --onnxruntime '$(PEER_FILES)' --openvino '$(PEER_FILES)' --torch "$$model") $(BENCH_OPTIONS)
	@if [ $$(nproc) -gt 1 ]; then echo; python3 Tests/ModelCalls/compare.py build/examples/host '$(ALL_LEVELS)' --threads 2 \
	  --lengths 64,128,256 $(BENCH_OPTIONS); fi

# A budget held by the shipped library while stress-ng (Debian's package) competes; the machine should do nothing else.
.PHONY: bench-budget
bench-budget: all-levels
	@mkdir -p build/examples
	ln -sf libadaptq.so $(RELEASE)/libadaptq.so.0
	$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude Tests/Budget/host.c -o build/examples/budget-host -L$(RELEASE) \
	  -Wl,-rpath,'$$ORIGIN/../../$(RELEASE)' -ladaptq -lm
	python3 Tests/Budget/compare.py build/examples/budget-host --model '$(ALL_LEVELS)' $(BENCH_OPTIONS)

# Two sessions at once, each the other's load, in one runtime and in two.
.PHONY: bench-sessions
bench-sessions: all-levels
	@mkdir -p build/examples
	ln -sf libadaptq.so $(RELEASE)/libadaptq.so.0
	$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude -pthread Tests/Budget/sessions.c -o build/examples/sessions -L$(RELEASE) \
	  -Wl,-rpath,'$$ORIGIN/../../$(RELEASE)' -ladaptq -lm
	build/examples/sessions '$(ALL_LEVELS)' 128 1.8 1
	build/examples/sessions '$(ALL_LEVELS)' 128 1.8 2

# Everything that is said about speed.
.PHONY: bench-all
bench-all: bench bench-matrix bench-large bench-models

# Installs what is built; builds first only if there is nothing (so that `sudo make install` need not find swift).
.PHONY: install
install:
	@test -e $(RELEASE)/libadaptq.so || $(MAKE) --no-print-directory build
	install -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)'
	strip --strip-unneeded -K __jit_debug_register_code -K __jit_debug_descriptor -o '$(DESTDIR)$(LIBDIR)/libadaptq.so.$(VERSION).new' $(RELEASE)/libadaptq.so
	chmod 755 '$(DESTDIR)$(LIBDIR)/libadaptq.so.$(VERSION).new'
	mv -f '$(DESTDIR)$(LIBDIR)/libadaptq.so.$(VERSION).new' '$(DESTDIR)$(LIBDIR)/libadaptq.so.$(VERSION)'
	ln -sf libadaptq.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libadaptq.so.0'
	ln -sf libadaptq.so.0 '$(DESTDIR)$(LIBDIR)/libadaptq.so'
	install -m 644 include/adaptq.h '$(DESTDIR)$(INCLUDEDIR)/adaptq.h'
	install -m 644 include/adaptq.hpp '$(DESTDIR)$(INCLUDEDIR)/adaptq.hpp'
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	  -e 's|@VERSION@|$(VERSION)|' pkgconfig/adaptq.pc.in > '$(DESTDIR)$(LIBDIR)/pkgconfig/adaptq.pc'
	chmod 644 '$(DESTDIR)$(LIBDIR)/pkgconfig/adaptq.pc'
	install -d '$(DESTDIR)$(DOCDIR)'
	install -m 644 '$(HWLOC_NOTICE)' '$(DESTDIR)$(DOCDIR)/libhwloc.copyright'
	@if [ -e $(RELEASE)/adaptq-cli ]; then set -ex; \
	  install -d '$(DESTDIR)$(BINDIR)'; \
	  strip --strip-unneeded -o '$(DESTDIR)$(BINDIR)/adaptq' $(RELEASE)/adaptq-cli; \
	  chmod 755 '$(DESTDIR)$(BINDIR)/adaptq'; \
	fi

.PHONY: format
format:
	swift format --in-place --recursive Sources Tests Package.swift
	swift format lint --strict --recursive Sources Tests Package.swift

.PHONY: clean
clean:
	rm -rf .build .build-tests .build-asan .build-tsan build
