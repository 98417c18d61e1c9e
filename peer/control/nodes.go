package control

import (
	"maps"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/peer/manifest"
	"shoal/placement"
)

// The kinds of objects that ask for nothing to run, and say how what runs is to be placed.
const (
	kindNode     = "Node"
	kindBudget   = "PodDisruptionBudget"
	kindPriority = "PriorityClass"
)

// node is what intent says of the peers with one name. It is never changed, save for how long its taints have stood.
type node struct {
	labels          map[string]string // they win over those that a peer gives itself
	taints          []placement.Taint // sorted
	since           []time.Duration   // of each taint: since when it is known here
	cordoned, drain bool

	over   *said // of whose labels merged is made
	merged map[string]string
}

// refreshPlacing takes in a change of an object that says how to place. One that is not valid as merged counts in no form: the
// faults are told, as those of every object.
func (m *Machine) refreshPlacing(key crdt.Key, o *object) {
	var tree map[string]any
	if o.merged.Live && o.faults == nil {
		tree = manifest.Tree(key, o.merged.Fields)
	}
	switch key.Kind {
	case kindNode:
		m.setNode(key, tree)
	case kindBudget:
		m.setBudget(o, tree)
	case kindPriority:
		m.setPriority(key, tree)
	}
}

func (m *Machine) setNode(key crdt.Key, tree map[string]any) {
	was := m.nodes[key.Name]
	delete(m.nodes, key.Name)
	if tree != nil {
		if spec, ok := manifest.NodeOf(key, tree); ok {
			m.nodes[key.Name] = m.newNode(spec, was)
		}
	}
	if key.Name == m.config.Self.Name && was.closed() && !m.nodes[key.Name].closed() {
		m.cameNow()
	}
	m.movedNamed(key.Name)
	m.steps.due = m.now.Elapsed
	m.decided = false
}

// closed says whether its peer takes nothing new.
func (n *node) closed() bool { return n != nil && (n.cordoned || n.drain) }

// newNode keeps since when a taint has stood that was there before.
func (m *Machine) newNode(spec manifest.Node, was *node) *node {
	n := &node{labels: spec.Labels, taints: slices.Clone(spec.Taints), cordoned: spec.Unschedulable, drain: spec.Drain}
	n.since = make([]time.Duration, len(n.taints))
	for i := range n.taints {
		n.since[i] = m.now.Elapsed
		if was == nil {
			continue
		}
		if at := slices.IndexFunc(was.taints, func(t placement.Taint) bool { return sameTaint(t, n.taints[i]) }); at >= 0 {
			n.since[i], n.taints[i].For = was.since[at], was.taints[at].For
		}
	}
	return n
}

// startTaints dates the taints that were there when this program started by when they were written. It runs in the first flush.
func (m *Machine) startTaints() {
	for name, n := range m.nodes {
		written := map[crdt.Path]time.Time{}
		for _, f := range m.objects[crdt.Key{Kind: kindNode, Name: name}].merged.Fields {
			written[f.Path] = f.Writer.Time.Wall()
		}
		for i := range n.taints {
			if at, known := written[manifest.TaintPath(n.taints[i])]; known {
				n.since[i] = m.now.Elapsed - max(m.now.Wall.Sub(at), 0)
			}
		}
	}
	m.passSteps()
}

func sameTaint(a, b placement.Taint) bool {
	return a.Key == b.Key && a.Value == b.Value && a.Effect == b.Effect
}

// apply makes a peer what intent wants it to be.
func (n *node) apply(peer *placement.Peer, r *row) {
	peer.Taints = n.taints
	peer.Cordoned = peer.Cordoned || n.cordoned
	peer.Draining = peer.Draining || n.drain
	if len(n.labels) > 0 {
		peer.Labels = n.labelled(r)
	}
}

// labelled is the labels of a peer with this row, worked out once for each row.
func (n *node) labelled(r *row) map[string]string {
	if r == nil {
		return n.labels
	}
	if n.over != r.said {
		n.over, n.merged = r.said, maps.Clone(r.observation.Labels)
		if n.merged == nil {
			n.merged = map[string]string{}
		}
		maps.Copy(n.merged, n.labels)
	}
	return n.merged
}

func (m *Machine) setPriority(key crdt.Key, tree map[string]any) {
	delete(m.priorities, key.Name)
	if tree != nil {
		if p, ok := manifest.PriorityOf(key, tree); ok {
			m.priorities[key.Name] = p
		}
	}
	classes := manifest.Priorities(slices.Collect(maps.Values(m.priorities)))
	for _, o := range m.objects {
		if w := o.workload; w != nil && classes[w.PriorityClass] != m.classes[w.PriorityClass] {
			o.wanted, o.asks = nil, ViewDigest{}
			m.planner.wantedStale, m.planner.stale = true, true
		}
	}
	m.classes, m.decided = classes, false
}

// priorityOf resolves the priority class of a workload. One whose class is unknown has that of none.
func (m *Machine) priorityOf(w *manifest.Workload) (value int32, never bool) {
	p, known := m.classes[w.PriorityClass]
	if !known {
		p = m.classes[""]
	}
	return p.Value, w.NeverDisplace || p.NeverDisplace
}
