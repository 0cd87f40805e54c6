# Leat: the two commands are `make demo` and `make test`. Each installs what
# it needs and says what it does.

GO      ?= go
TAGS    := duckdb_arrow
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOLS   := $(CURDIR)/.cache/tools
# Gold links DuckDB faster than the default linker, where there is one.
GOLD    := $(if $(shell command -v ld.gold),-extldflags=-fuse-ld=gold)
LDFLAGS := -s -w $(GOLD) -X github.com/leat-ai/leat/app.Version=$(VERSION)

export LEAT_TOOLS  ?= $(TOOLS)
export LEAT_PYTHON ?= $(TOOLS)/venv/bin/python

.PHONY: help build demo test test-race test-kill check lint generate tools bench bench-tools fuzz clean compiler

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: compiler ## build bin/leat
	@echo "building bin/leat (the first time takes some minutes: DuckDB is linked in)"
	@mkdir -p bin
	$(GO) build -tags $(TAGS) -trimpath -ldflags '$(LDFLAGS)' -o bin/leat ./cmd/leat

demo: build ## turn the whole loop on a made-up bank, and go on serving
	bin/leat demo

test: tools check test-race ## install what tests need, check, run everything
	@echo "testing everything"
	$(GO) test -tags $(TAGS) -ldflags '$(GOLD)' -timeout 20m ./...

# The race detector, where goroutines meet; the rest runs without it, because
# linking DuckDB with it takes longer than it finds.
RACE := ./base/... ./decide/... ./flow/deploy/... ./flow/registry/... ./flow/monitor/... ./guard/... \
	./pattern/realtime/... ./store/blob/file/... ./surface/server/... ./surface/client/... \
	./flow/feature/window/... ./flow/feature/online/... ./store/online/local/... ./store/bus/memory/... ./store/index/embedded/...

test-race: ## the race detector over what many goroutines share
	@echo "testing with the race detector"
	$(GO) test -race -timeout 15m $(RACE)
	$(GO) test -race -timeout 15m ./pattern/stream -rapid.checks=20

test-kill: tools ## kill -9 at fifty random instants of batches, pipelines and streams
	LEAT_KILLS=50 $(GO) test -tags $(TAGS) -ldflags '$(GOLD)' -timeout 60m -run Kill -v ./work/... ./pattern/batch/... ./pattern/stream/... ./decide/record/... ./store/index/embedded/... ./app/...

check: ## format, vet, rules of the house, generated pages
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet -tags $(TAGS) ./...

lint: ## golangci-lint by .golangci.yml
	@internal/tools/install.sh lint
	$(LEAT_TOOLS)/bin/golangci-lint run --build-tags $(TAGS) --max-issues-per-linter 0 --max-same-issues 0 ./...

generate: ## write the generated pages of docs/reference anew
	$(GO) generate -tags $(TAGS) ./...

tools: ## servers and clients that the tests drive
	@internal/tools/install.sh test

bench-tools: ## peers that the benchmarks compare with
	@internal/tools/install.sh bench

bench: build bench-tools ## every benchmark beside its peer
	bench/run.sh

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME
	@for pkg in $$($(GO) list ./... ); do \
		dir=$$($(GO) list -f '{{.Dir}}' $$pkg); \
		for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | sed 's/func //'); do \
			echo "$$pkg $$f"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x $$pkg || exit 1; \
		done; \
	done

compiler:
	@command -v $(GO) >/dev/null || { echo "Go is needed: https://go.dev/dl"; exit 1; }
	@command -v cc >/dev/null || { echo "a C and C++ compiler is needed: apt-get install build-essential"; exit 1; }

clean: ## remove what make made, tools included
	rm -rf bin .cache leat-demo
