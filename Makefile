# make demo   five peers on this machine, real containers, the whole story
# make test   every test of the three worlds (the machine world needs root)
# make check  format, vet, staticcheck, import rules, tidiness, then all tests
# make bench  the figures of docs/benchmarks.md
# make build  bin/shoal

GO   ?= go
TAGS := -tags seccomp

.PHONY: demo test check lint bench build setup

demo: setup
	$(GO) run $(TAGS) ./testnet/demo

# The pure packages have no goroutine (testnet/house sees to that), so the race detector has nothing to find in them, and
# they do ten times as much without it in the same time.
PURE := ./crdt/... ./placement ./peer/lease ./peer/wire ./peer/replication ./peer/control ./peer/manifest ./testnet/heap ./testnet/promise

test: setup
	$(GO) test $(TAGS) -shuffle=on -timeout 15m $(PURE)
	$(GO) test $(TAGS) -race -shuffle=on -timeout 15m $$($(GO) list $(TAGS) ./... | grep -vxF -e "$$($(GO) list $(TAGS) $(PURE))")

check: lint test

lint: setup
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet $(TAGS) ./...
	$(GO) tool staticcheck $(TAGS) ./...

bench: setup bin/etcd
	$(GO) run $(TAGS) ./testnet/bench

build: setup
	$(GO) build $(TAGS) -trimpath -ldflags "-s -w" -o bin/shoal ./cmd/shoal

# What the benchmarks compare with: Debian's etcd, unpacked and not installed, so that no service of it ever runs. Without
# it they say so and leave its row out.
bin/etcd:
	@mkdir -p bin; command -v etcd >/dev/null || { \
	  dir=$$(mktemp -d) && ( cd $$dir && apt-get -qq update && apt-get -qq download etcd-server && dpkg-deb -x etcd-server_*.deb . ) >/dev/null 2>&1 \
	    && cp $$dir/usr/bin/etcd bin/etcd || echo "no etcd-server to be had from apt: the benchmarks go on without it"; \
	  rm -rf "$$dir"; }

# What cgo needs beyond Go: a C compiler and libseccomp's headers. As root they are installed with apt.
NEEDED := gcc pkg-config libseccomp-dev
setup:
	@command -v $(GO) >/dev/null || { echo "Go is missing: install Go 1.26 or later and put it in PATH"; exit 1; }
	@command -v gcc >/dev/null && pkg-config --exists libseccomp 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $(NEEDED)"; \
	    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $(NEEDED); } >/dev/null; \
	  else \
	    echo "Missing system packages. Install them with:"; \
	    echo "  sudo apt-get install -y $(NEEDED)"; exit 1; \
	  fi; }
