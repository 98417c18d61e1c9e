package control

import (
	"fmt"
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

// refusal is this peer's own word that it cannot run something now. Others learn of it by the row. When it has ended nothing is moved
// back: what was refused runs elsewhere, ready, and might be refused again. What is applied, scaled or lost from then on finds this
// peer first, for it has less than its share.
type refusal struct {
	reason string
	span   time.Duration // for how long it stands
	until  time.Duration
	soft   bool // see placement.Refusal
	moved  bool // of a move that failed: void as soon as nobody else has the replica ready
	room   bool // for want of room: void as soon as some is freed
	image  bool // for want of an image: void as soon as one comes
}

func (m *Machine) refuse(key refusalKey, r refusal) {
	r.span = m.refuseFor(key, r.reason)
	r.until = m.now.Elapsed + r.span
	m.refusals[key] = &r
	m.rowDirty = true
	w, _ := m.assignment(key.replica)
	m.note(Note{Warning: true, Reason: "Refused", Object: keyOf(string(w.Workload)),
		Replica: string(key.replica), Peer: m.self, Text: r.reason})
}

// refusedBefore is what is remembered of a refusal, so that the next one of the same lasts longer.
type refusedBefore struct {
	reason string
	span   time.Duration
	until  time.Duration
}

// refuseFor is for how long a refusal stands: twice as long as the one before for the same reason, unless that is long over.
func (m *Machine) refuseFor(key refusalKey, reason string) time.Duration {
	kind := kindOf(reason)
	span := m.config.Tuning.RefuseFor
	before, known := m.refusedEver[key]
	if known && before.reason == kind && m.now.Elapsed < before.until+m.config.Tuning.RefuseMost {
		span = min(2*before.span, m.config.Tuning.RefuseMost)
	}
	m.refusedEver[key] = refusedBefore{kind, span, m.now.Elapsed + span}
	return span
}

// fails is the kind of refusal of what begins here and does not go on.
const fails = "fails"

// kindOf is what refusals for one reason have in common. What crashes does so as a move and otherwise.
func kindOf(reason string) string {
	kind, _, _ := strings.Cut(reason, ":")
	if kind == "CrashLoop" || kind == "NotReady" {
		return fails
	}
	return kind
}

// failedLately says whether a replica of a revision failed here not long ago. What serves elsewhere is not moved here then for the
// balance alone: it might be ready for a moment, for which the copy that serves would be given up.
func (m *Machine) failedLately(revision placement.Revision) bool {
	for key, before := range m.refusedEver { // in any order: only whether there is one counts
		if key.revision == revision && before.reason == fails && m.now.Elapsed < before.until+m.config.Tuning.RefuseMost {
			return true
		}
	}
	return false
}

// expireRefusals ends those whose time is up. That of what goes on failing here stands.
func (m *Machine) expireRefusals() {
	for key, r := range m.refusals {
		if r.until > m.now.Elapsed {
			continue
		}
		if in := m.held[instanceID(key.replica, key.revision)]; r.soft && in != nil && in.failing() {
			r.until = m.now.Elapsed + r.span
			continue
		}
		delete(m.refusals, key)
		m.rowDirty = true
	}
}

func (m *Machine) clearRefusals(void func(*refusal) bool) {
	for key, r := range m.refusals {
		if void(r) {
			delete(m.refusals, key)
			m.rowDirty = true
		}
	}
}

// dropRefusals forgets those of what nobody wants any more, and of what went wrong only beside a copy that is gone.
func (m *Machine) dropRefusals() {
	for key := range m.refusals {
		if a, ok := m.assignment(key.replica); !ok || a.Revision != key.revision {
			delete(m.refusals, key)
			m.rowDirty = true
		}
	}
	for key, r := range m.refusals {
		if r.moved && m.heldReady(key.replica, key.revision) == "" {
			delete(m.refusals, key)
			m.rowDirty = true
		}
	}
	for key := range m.refusedEver {
		if a, ok := m.assignment(key.replica); !ok || a.Revision != key.revision {
			delete(m.refusedEver, key)
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

// mostCrashes is how often in a row a container may end before its peer says that others had better try.
const mostCrashes = 4

// crashed refuses, softly, what ends here again and again: any other fit peer runs it rather than this one.
func (m *Machine) crashed(in *instance, c *container) {
	key := refusalKey{in.record.Replica, in.record.Revision}
	if in.stopping || c.failures < mostCrashes || m.refusals[key] != nil {
		return
	}
	m.refuse(key, refusal{soft: true, reason: fmt.Sprintf("CrashLoop: container %s ended %d times in a row, last with exit code %d (%s)%s",
		c.spec.Name, c.failures, c.exitCode, c.reason, because(c.detail))})
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
