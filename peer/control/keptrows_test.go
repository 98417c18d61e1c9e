package control

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"shoal/peer/replication"
	"shoal/peer/wire"
)

// waitingWorld has on disk what p2 holds of a workload that waits.
func waitingWorld(t *testing.T) (w *world, name string) {
	w = startedWorld(t, "quiet on", "member p2 p3 alive", "row p2", "row p3", "apply db replicas=1 lost-wait=2m", "run",
		"row p2 runs db-0 r1 ready", "run", "wait 3s", "run")
	name = recordRow + string(peerID("p2"))
	if w.records[name] == nil || w.records[recordRow+string(peerID("p3"))] != nil {
		t.Fatalf("not just the row of p2 is on disk, which alone holds what waits")
	}
	return w, name
}

// TestKeptRowsAreWrittenSeldom: what a row says beside the replicas that wait is worth no write.
func TestKeptRowsAreWrittenSeldom(t *testing.T) {
	w, name := waitingWorld(t)
	first := w.records[name]
	for i := range 30 {
		w.play(t, fmt.Sprintf("row p2 runs db-0 r%d ready", i+1), "row p3", "run", "wait 3s", "run")
	}
	if !bytes.Equal(w.records[name], first) {
		t.Error("a row that names the same replicas was written again")
	}
	w.play(t, "row p2 runs db-0 r1 ready runs web-0 r1 ready", "run", "wait 3s", "run")
	if !bytes.Equal(w.records[name], first) {
		t.Error("a row was written for a replica that nobody waits for")
	}
	w.play(t, "row p2", "row p3 runs db-0 r1 ready", "run", "wait 3s", "run")
	if w.records[name] != nil || w.records[recordRow+string(peerID("p3"))] == nil {
		t.Error("what moved is not on disk as of its new peer alone")
	}
	w.play(t, "member p3 left", "run", "wait 3s", "run")
	if w.records[recordRow+string(peerID("p3"))] != nil {
		t.Error("the row of a peer that left is still on disk")
	}
}

// TestKeptRowsAtALoss: what a lost peer took last is on disk at once, and nothing of anybody where nobody waits any more.
func TestKeptRowsAtALoss(t *testing.T) {
	w, name := waitingWorld(t)
	before := w.records[name]
	w.play(t, "apply db replicas=2 lost-wait=2m", "row p2 runs db-0 r1 ready runs db-1 r1 ready", "flush", "member p2 failed", "flush")
	if bytes.Equal(w.records[name], before) {
		t.Error("the last row of a lost peer is not on disk")
	}
	w.play(t, "delete db", "run", "wait 3s", "run")
	if w.records[name] != nil {
		t.Error("a row is on disk for which nobody waits")
	}
}

// TestKeptRowsAreBounded: at the bound what is kept already stays, and the rest is not kept.
func TestKeptRowsAreBounded(t *testing.T) {
	w, name := waitingWorld(t)
	before := w.records[name]
	w.machine.kept.bytes = mostKeptRows
	w.play(t, "row p2 runs db-0 r1 ready runs db-1 r1 ready runs db-2 r1 ready", "apply db replicas=3 lost-wait=2m", "row p3 runs db-3 r1 ready", "run", "wait 3s", "run")
	if !bytes.Equal(w.records[name], before) || w.records[recordRow+string(peerID("p3"))] != nil {
		t.Error("more is kept than the bound allows")
	}
}

// TestDamagedKeptRows: what a start finds and cannot use counts as nothing, is named, and is gone at the next one.
func TestDamagedKeptRows(t *testing.T) {
	_, name := waitingWorld(t)
	empty := wire.EncodeObservation(wire.Observation{})
	other := replication.SealRow(replication.Row{Peer: peerID("p3"), Version: replication.Version{Boot: 1, Sequence: 9}, Body: empty}, sign)
	unreadable := replication.SealRow(replication.Row{Peer: peerID("p2"), Version: replication.Version{Boot: 1, Sequence: 9}, Body: []byte("?")}, sign)
	forged := replication.SealRow(replication.Row{Peer: peerID("p2"), Version: replication.Version{Boot: 1, Sequence: 9}, Body: empty},
		func([]byte) []byte { return make([]byte, 64) })
	for what, damage := range map[string]func(data []byte) []byte{
		"cut off":          func(data []byte) []byte { return data[:len(data)/2] },
		"empty":            func([]byte) []byte { return []byte{} },
		"another peer":     func([]byte) []byte { return replication.EncodeRow(other) },
		"not its own word": func([]byte) []byte { return replication.EncodeRow(forged) },
		"unreadable":       func([]byte) []byte { return replication.EncodeRow(unreadable) },
	} {
		t.Run(what, func(t *testing.T) {
			w, _ := waitingWorld(t)
			w.records[name] = damage(w.records[name])
			w.play(t, "crash", "start", "run")
			if w.records[name] != nil || w.machine.rows[peerID("p2")] != nil {
				t.Error("it was taken, or is still on disk")
			}
			if !slices.ContainsFunc(w.audited, func(e AuditEntry) bool { return strings.Contains(e.Subject, "on this disk") }) {
				t.Error("it is not named in the audit")
			}
		})
	}
	t.Run("of a stranger", func(t *testing.T) {
		w, _ := waitingWorld(t)
		w.records[recordRow+"stranger"] = w.records[name]
		w.play(t, "crash", "start", "run")
		if w.records[recordRow+"stranger"] != nil || w.records[name] == nil {
			t.Error("the row of a peer that the book does not name is still on disk, or the other is gone")
		}
	})
}

// TestDamagedRuns: runs that cannot be read count as none, and are gone at the next start; those that can be read stand in the row again.
func TestDamagedRuns(t *testing.T) {
	w := startedWorld(t, "quiet on", "member p2 alive", "row p2", "apply web replicas=2", "run", "member p2 failed", "run", "apply web replicas=1", "run")
	good := w.records[recordRan]
	w.play(t, "crash", "start", "run")
	if n := len(w.machine.rows[w.machine.self].observation.Ran); n != 1 {
		t.Errorf("%d runs stand in the row after a restart, and 1 was ended", n)
	}
	w.records[recordRan] = good[:len(good)/2]
	w.play(t, "crash", "start", "run")
	if w.records[recordRan] != nil || len(w.machine.rows[w.machine.self].observation.Ran) != 0 {
		t.Error("half a record was taken, or is still on disk")
	}
}
