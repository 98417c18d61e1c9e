package control

import (
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/placement"
	"shoal/runtime"
)

// refusalKey is what a refusal is about.
type refusalKey struct {
	replica  placement.ReplicaID
	revision placement.Revision
}

// refusal is this peer's own word that it cannot run something now. Others learn of it by the row.
type refusal struct {
	reason string
	until  time.Duration
	room   bool // for want of room: void as soon as some is freed
	image  bool // for want of an image: void as soon as one comes
}

func (m *Machine) refuse(key refusalKey, r refusal) {
	r.until = m.now.Elapsed + m.config.Tuning.RefuseFor
	m.refusals[key] = &r
	m.rowDirty = true
	w, _ := m.assignment(key.replica)
	m.note(Note{Warning: true, Reason: "Refused", Object: keyOf(string(w.Workload)),
		Replica: string(key.replica), Peer: m.self, Text: r.reason})
}

func (m *Machine) expireRefusals() {
	m.clearRefusals(func(r *refusal) bool { return r.until <= m.now.Elapsed })
}

func (m *Machine) clearRefusals(void func(*refusal) bool) {
	for key, r := range m.refusals {
		if void(r) {
			delete(m.refusals, key)
			m.rowDirty = true
		}
	}
}

// dropRefusals forgets those of what nobody wants any more.
func (m *Machine) dropRefusals() {
	for key := range m.refusals {
		if a, ok := m.assignment(key.replica); !ok || a.Revision != key.revision {
			delete(m.refusals, key)
			m.rowDirty = true
		}
	}
}

func (m *Machine) refusalDeadlines(at func(time.Duration)) {
	for _, r := range m.refusals {
		at(r.until)
	}
}

func (m *Machine) refusalKeys() []refusalKey {
	return slices.SortedFunc(maps.Keys(m.refusals), func(a, b refusalKey) int {
		if c := strings.Compare(string(a.replica), string(b.replica)); c != 0 {
			return c
		}
		return strings.Compare(string(a.revision), string(b.revision))
	})
}

// cannotRun says whether a failure is about this peer or the spec, so that trying again here soon is pointless.
func cannotRun(reason runtime.Reason) bool {
	switch reason {
	case runtime.ImageMissing, runtime.ImageCorrupt, runtime.BadSpec, runtime.NoKernel, runtime.NoDisk:
		return true
	}
	return false
}

// giveUp refuses an instance that could not be brought up here, and clears it away.
func (m *Machine) giveUp(in *instance, err *runtime.Error) {
	m.refuse(refusalKey{in.record.Replica, in.record.Revision}, refusal{
		reason: string(err.Reason) + ": " + causeText(err),
		image:  err.Reason == runtime.ImageMissing,
	})
	in.stopping = true
}

// causeText is what a runtime's error says without its operation and subject, which notes name themselves.
func causeText(err *runtime.Error) string {
	if err.Err == nil {
		return string(err.Reason)
	}
	text := strings.ReplaceAll(err.Err.Error(), "\n", " ")
	return text[:min(len(text), 300)]
}
