package house

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rules name, for each package, the packages of ours that it may import. "..." stands for all.
var rules = map[string][]string{
	"crdt":      {"crdt/sketch"},
	"placement": {},
	"gossip":    {},
	"runtime":   {},
	"peer/wire": {},

	"crdt/sketch":         {},
	"gossip/swim":         {"gossip"},
	"gossip/gossiptest":   {"gossip"},
	"runtime/oci":         {"runtime", "runtime/supervise"},
	"runtime/image":       {"runtime"},
	"runtime/network":     {"runtime"},
	"runtime/probe":       {"runtime"},
	"runtime/runtimetest": {"runtime"},
	"runtime/supervise":   {},

	"peer/trust":       {"peer/wire"},
	"peer/lease":       {"crdt"},
	"peer/replication": {"crdt", "crdt/sketch", "peer/lease", "peer/wire"},
	"peer/manifest":    {"crdt", "placement", "runtime"},
	"peer/control":     {"crdt", "gossip", "placement", "runtime", "peer/lease", "peer/manifest", "peer/replication", "peer/wire"},
	"peer":             {"crdt", "gossip", "placement", "runtime", "peer/control", "peer/replication", "peer/trust", "peer/wire"},
	"peer/store":       {"crdt", "gossip", "peer", "peer/control", "peer/replication"},
	"peer/stream":      {"peer", "peer/trust"},
	"peer/api":         {"crdt", "gossip", "placement", "runtime", "peer", "peer/control", "peer/manifest", "peer/trust"},

	"peer/api/apitest": {"crdt", "gossip", "placement", "runtime", "peer", "peer/control", "peer/manifest", "peer/replication", "peer/trust", "peer/wire"},

	"testnet/promise":  {},
	"testnet/house":    {},
	"examples/web":     {},
	"examples/mkimage": {"runtime/image"},
}

// owners name the one package that may import a heavy module.
var owners = map[string][]string{
	"github.com/hashicorp/serf":               {"gossip/swim"},
	"github.com/hashicorp/memberlist":         {"gossip/swim"},
	"github.com/opencontainers/runc":          {"runtime/oci"},
	"github.com/opencontainers/cgroups":       {"runtime/oci"},
	"github.com/google/go-containerregistry":  {"runtime/image"},
	"github.com/vishvananda/netlink":          {"runtime/network"},
	"github.com/libp2p/go-libp2p":             {"peer/stream"},
	"github.com/oasisprotocol/curve25519-voi": {"peer/trust"},
	"go.etcd.io/bbolt":                        {"peer/store"},
	"github.com/fxamacker/cbor":               {"peer/wire"},
	"github.com/goccy/go-yaml":                {"peer/manifest"},
	"github.com/spf13/cobra":                  {"cmd/shoal"},
	"github.com/spf13/viper":                  {"cmd/shoal"},
}

// pure packages have no clock to read, no I/O, no goroutine and no lock: these imports would give them one.
var pure = []string{"crdt", "crdt/sketch", "placement", "peer/control", "peer/manifest", "peer/wire", "peer/replication", "peer/lease", "peer/trust", "testnet/promise"}

var impure = []string{"os", "net", "net/http", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "context", "io/fs", "os/exec", "syscall", "runtime"}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-tags", "seccomp", "-json=ImportPath,Imports", "shoal/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for decoder.More() {
		var p listed
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, "shoal/")
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages listed", len(all))
	}
	return all
}

func TestImportsOfOurOwn(t *testing.T) {
	for _, p := range packages(t) {
		if strings.HasPrefix(p.ImportPath, "cmd/") || strings.HasPrefix(p.ImportPath, "testnet") && rules[p.ImportPath] == nil {
			continue
		}
		allowed, known := rules[p.ImportPath]
		if !known {
			t.Errorf("%s has no rule: add it to the table, and say why in the commit", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			if own, ok := strings.CutPrefix(path, "shoal/"); ok && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s, which its rule does not allow", p.ImportPath, own)
			}
		}
	}
}

func TestHeavyModulesHaveOneOwner(t *testing.T) {
	for _, p := range packages(t) {
		for _, path := range p.Imports {
			for module, owner := range owners {
				if (path == module || strings.HasPrefix(path, module+"/")) && !slices.Contains(owner, p.ImportPath) {
					t.Errorf("%s imports %s: only %s may", p.ImportPath, path, strings.Join(owner, ", "))
				}
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.ImportPath) {
			continue
		}
		for _, path := range p.Imports {
			if slices.Contains(impure, path) {
				t.Errorf("%s is pure and imports %s", p.ImportPath, path)
			}
		}
	}
}
