package control

import (
	"slices"
	"strings"

	"shoal/runtime"
)

// adopt takes over the instances that an earlier program of this peer left, in the state they are
// in. Running ones go on untouched (P10); what ended is started again by the usual rules.
func (m *Machine) adopt(found []runtime.Instance) {
	found = slices.Clone(found)
	slices.SortFunc(found, func(a, b runtime.Instance) int {
		return strings.Compare(string(a.Spec.Instance), string(b.Spec.Instance))
	})
	for _, f := range found {
		if m.held[f.Spec.Instance] != nil {
			continue
		}
		r, err := decodeRecord(f.Spec.Note)
		in := newInstance(f.Spec.Instance, r, f.Spec)
		in.adopted(f.Containers)
		m.hold(in)
		m.resumeBound(in, f.Until)
		if err != nil {
			in.stopping, in.record = true, record{GraceSeconds: orphanGraceSeconds}
			m.note(Note{Warning: true, Reason: "Orphan", Peer: m.self,
				Text: "instance " + string(in.id) + " has no readable record and is removed: " + err.Error()})
		}
	}
}

const orphanGraceSeconds = 10

// adopted sets the containers to what the runtime says of them.
func (in *instance) adopted(statuses []runtime.Status) {
	known := 0
	for _, s := range statuses {
		c := in.container(s.Container)
		if c == nil {
			continue
		}
		c.phase, c.startedAt = s.Phase, s.StartedAt
		c.generation = max(c.generation, s.Generation)
		if s.Phase != runtime.Absent {
			known++
		}
		if s.Address.IsValid() {
			in.address = s.Address
		}
		switch s.Phase {
		case runtime.Running:
			in.everReady = true // it may have been; that decides only how careful to be with it
		case runtime.Exited:
			c.exitCode, c.reason, c.detail, c.failures = s.ExitCode, s.Reason, s.Detail, 1
		}
	}
	in.prepared = known == len(in.containers) && known > 0
	in.dormant = !slices.ContainsFunc(in.containers, func(c container) bool { return c.phase == runtime.Running })
}

// startAdopted dates what it finds on this program's clock. It runs in the first flush.
func (m *Machine) startAdopted() {
	for _, in := range m.held {
		in.admitted = m.now.Elapsed - max(m.now.Wall.Sub(fromMillis(in.record.SinceMillis)), 0)
		// That a move has ended is not on disk, and what did not run through is no better than a copy elsewhere.
		in.record.Arriving = in.record.Arriving && !in.dormant && m.now.Elapsed-in.admitted < m.config.Tuning.MoveWithin
		for i := range in.containers {
			c := &in.containers[i]
			ran := m.now.Wall.Sub(c.startedAt)
			if c.phase == runtime.Running && !c.startedAt.IsZero() && ran > 0 {
				c.startedBy = m.now.Elapsed - ran
			}
		}
	}
}
