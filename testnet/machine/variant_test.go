package machine_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"shoal/peer/store"
	"shoal/testnet/kit"
)

// variants builds other programs than the kit's own, each once for all scripts.
type variants struct {
	kit   kit.Kit
	mu    sync.Mutex
	built map[string]string // tag -> program
}

// build sets a variable to the path of shoal built with a tag.
func (v *variants) build(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		usage(ts, neg, len(args) == 2, "build VARIABLE TAG")
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.built[args[1]] == "" {
			program, err := v.kit.Variant(t.Context(), args[1])
			ts.Check(err)
			v.built[args[1]] = program
		}
		ts.Setenv(args[0], v.built[args[1]])
	}
}

func install(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "install PEERS PROGRAM")
	net := open(ts)
	peers, err := net.Select(args[0])
	ts.Check(err)
	for _, peer := range peers {
		ts.Check(net.Install(peer, args[1]))
	}
}

// ofLater is what programs built with -tags next add to all that they write.
const ofLater = "of a later version"

// signed writes what a peer's store holds: a line for each operation, with the digest of the bytes that were signed and
// of their signature. It reads a copy, since to load a store counts as a start.
func signed(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "signed PEER FILE")
	dir := ts.MkAbs("copy-of-" + args[0])
	defer os.RemoveAll(dir)
	ts.Check(copyFiles(open(ts).Data(args[0]), dir))
	opened, err := store.Open(dir)
	ts.Check(err)
	defer opened.Close()
	stored, err := opened.Load()
	ts.Check(err)
	var lines []string
	for _, op := range stored.Ops {
		by := "this"
		if bytes.Contains(op.Signed, []byte(ofLater)) {
			by = "later"
		}
		sum := sha256.Sum256(slices.Concat(op.Signed, op.Signature))
		lines = append(lines, fmt.Sprintf("%s by-%s-version %x\n", op.Key, by, sum))
	}
	slices.Sort(lines)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(lines, "")), 0o600))
}

// copyFiles copies the files of a directory, and neither its sockets nor what is below it.
func copyFiles(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, entry.Name()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
