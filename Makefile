# The commands of this repository. "make help" lists them.
SHELL = /bin/bash
GO = go

# Use the race detector whenever cgo and a C compiler are available, except for
# SQLite: its code is translated from C, keeps its data outside the memory that the
# detector watches, and takes several times as long with it. The check of unsafe pointers
# that comes with -race is off: this module has none, and it takes a tenth of the time.
RACE := $(shell test "$$($(GO) env CGO_ENABLED)" = 1 && command -v "$$($(GO) env CC)" >/dev/null && echo "-race -gcflags=all=-d=checkptr=0 '-gcflags=modernc.org/sqlite/lib=-race=false -d=checkptr=0'")

# The packages whose tests take longest start first.
LONGEST = ./cmd/holdfast ./web ./internal/session

SYSTEMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# Packages whose tests are fast enough for mutation testing.
MUTANTS = ./internal/form ./internal/config

.PHONY: help run fmt lint test steady campaign bench mutants pictures check
.PHONY: format vet staticcheck imports cross tidy

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

run: ## start Holdfast on http://localhost:3000
	$(GO) run ./cmd/holdfast

fmt: ## format all Go files
	gofmt -w .

check: lint test ## run lint and test; both must pass before a change lands

lint: format vet staticcheck imports cross tidy ## run all checks that need no servers

test: ## install test dependencies (Debian and Ubuntu: with apt, as root), then run the tests
	.ci/services
	GORACE=atexit_sleep_ms=0 HOLDFAST_REQUIRE_SERVICES=1 $(GO) test $(RACE) -p 3 -shuffle=on -count=1 -timeout=15m $(LONGEST) ./...

steady: ## run make test N=12 times, PAIRS=4 of them with a second run beside it, and list what failed
	.ci/steady

campaign: ## run every test at its full size: every order of two faults, 300 rounds per race, millions of sessions (needs an idle machine with 8 GB)
	.ci/services
	HOLDFAST_CAMPAIGN=1 HOLDFAST_REQUIRE_SERVICES=1 $(GO) test -count=1 -p=1 -timeout=90m ./...

bench: ## run the benchmarks and write docs/benchmarks.md (about 8 minutes)
	$(GO) run ./internal/dev/bench

mutants: ## run mutation tests on the packages in MUTANTS; for information, not part of check
	@for package in $(MUTANTS); do \
		$(GO) run github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0 unleash --workers 1 --timeout-coefficient 20 $$package; done

pictures: ## retake the screenshots in docs/pictures with Chromium
	$(GO) run ./internal/dev/pictures

format:
	@unformatted="$$(gofmt -l .)"; if [ -n "$$unformatted" ]; then \
		echo "not formatted; run make fmt:"; echo "$$unformatted"; exit 1; fi

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

imports:
	$(GO) test -count=1 ./internal/dev/architecture

cross:
	@set -e; for system in $(SYSTEMS); do echo "build for $$system"; \
		CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -o /dev/null ./...; done
	@set -e; for system in darwin windows; do echo "vet for $$system, tests included"; \
		CGO_ENABLED=0 GOOS=$$system GOARCH=amd64 $(GO) vet ./...; done

tidy:
	$(GO) mod tidy -diff
	$(GO) mod verify
