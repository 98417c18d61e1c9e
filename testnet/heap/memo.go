package heap

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"reflect"
	"slices"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/peer/wire"
	"shoal/placement"
)

// memo shares between the machines of a world what they would each work out alike: the functions are pure, so equal
// inputs give equal outputs, and nobody changes what was given out. Inputs are told apart by their whole content, or
// its SHA-256.
type memo struct {
	rows  map[string]*wire.Observation
	reads map[[32]byte]reading
	plans map[[32]byte]placement.Plan
	text  []byte
	coded map[uintptr]coded // of labels, by the map that they are in
}

// coded is the text of some labels. It keeps their map, so that no other can come to lie where it lies.
type coded struct {
	labels map[string]string
	text   string
}

type reading struct {
	workload *manifest.Workload
	faults   manifest.Faults
}

// At these sizes a memo is emptied.
const (
	mostRows  = 8192
	mostReads = 1024
	mostPlans = 256
)

// shared lets a machine use what others have worked out.
func (w *World) shared(c *control.Config) {
	c.Decode = w.memo.decode
	if len(w.peers) > smallWorld {
		c.Read, c.Plan = w.memo.read, w.memo.plan
	}
}

func (m *memo) decode(body []byte) (*wire.Observation, error) {
	if o, known := m.rows[string(body)]; known {
		return o, nil
	}
	o, err := wire.DecodeObservation(body)
	if err != nil {
		return nil, err
	}
	if m.rows == nil || len(m.rows) >= mostRows {
		m.rows = map[string]*wire.Observation{}
	}
	m.rows[string(body)] = &o
	return &o, nil
}

// read is what control does where Config.Read is nil.
func (m *memo) read(key crdt.Key, fields []crdt.Field) (*manifest.Workload, manifest.Faults) {
	m.text = m.text[:0]
	m.add(key.Kind, key.Namespace, key.Name)
	for i := range fields {
		m.add(string(fields[i].Path), string(fields[i].Value))
	}
	sum := sha256.Sum256(m.text)
	if r, known := m.reads[sum]; known {
		return r.workload, r.faults
	}
	var r reading
	tree := manifest.Tree(key, fields)
	if r.faults = manifest.Validate(key, tree); len(r.faults) == 0 {
		if w, runs := manifest.WorkloadOf(key, tree); runs {
			r.workload = &w
		}
	}
	if m.reads == nil || len(m.reads) >= mostReads {
		m.reads = map[[32]byte]reading{}
	}
	m.reads[sum] = r
	return r.workload, r.faults
}

// add puts strings into the text, each with its length.
func (m *memo) add(parts ...string) {
	for _, part := range parts {
		m.text = binary.AppendUvarint(m.text, uint64(len(part)))
		m.text = append(m.text, part...)
	}
}

func (m *memo) number(numbers ...int64) {
	for _, n := range numbers {
		m.text = binary.AppendVarint(m.text, n)
	}
}

func (m *memo) flags(flags ...bool) {
	for _, flag := range flags {
		if flag {
			m.text = append(m.text, 1)
		} else {
			m.text = append(m.text, 0)
		}
	}
}

// plan is placement.View.Plan.
func (m *memo) plan(v placement.View) placement.Plan {
	m.view(&v)
	sum := sha256.Sum256(m.text)
	if plan, known := m.plans[sum]; known {
		return plan
	}
	plan := v.Plan()
	if m.plans == nil || len(m.plans) >= mostPlans {
		m.plans = map[[32]byte]placement.Plan{}
	}
	m.plans[sum] = plan
	return plan
}

// view puts all that a plan looks at into the text.
func (m *memo) view(v *placement.View) {
	m.text = m.text[:0]
	m.number(v.Now.UnixNano(), int64(len(v.Peers)), int64(len(v.Wanted)), int64(len(v.Incumbents)), int64(len(v.Refusals)))
	for i := range v.Peers {
		p := &v.Peers[i]
		m.add(string(p.ID))
		m.number(p.Room.CPUMillis, p.Room.MemoryBytes, int64(p.Health))
		m.flags(p.Live, p.Draining)
		m.labels(p.Labels)
	}
	for i := range v.Wanted {
		w := &v.Wanted[i]
		m.add(string(w.Replica), string(w.Workload), string(w.Revision))
		m.number(w.Request.CPUMillis, w.Request.MemoryBytes)
		m.labels(w.NodeSelector)
	}
	for i := range v.Incumbents {
		in := &v.Incumbents[i]
		m.add(string(in.Replica), string(in.Revision), string(in.Peer))
		m.number(in.Request.CPUMillis, in.Request.MemoryBytes, in.Since.UnixNano())
		m.flags(in.Ready, in.Stopping)
	}
	for i := range v.Refusals {
		r := &v.Refusals[i]
		m.add(string(r.Replica), string(r.Revision), string(r.Peer), r.Reason)
		m.number(r.Until.UnixNano())
	}
}

// labels puts labels into the text, in the order of their names. Those of one row are one map in all machines, which
// nobody changes.
func (m *memo) labels(labels map[string]string) {
	if len(labels) == 0 {
		m.number(0)
		return
	}
	at := reflect.ValueOf(labels).Pointer()
	c, known := m.coded[at]
	if !known {
		if m.coded == nil || len(m.coded) >= mostRows {
			m.coded = map[uintptr]coded{}
		}
		c = coded{labels, codeLabels(labels)}
		m.coded[at] = c
	}
	m.text = append(m.text, c.text...)
}

func codeLabels(labels map[string]string) string {
	m := memo{}
	m.number(int64(len(labels)))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		m.add(name, labels[name])
	}
	return string(m.text)
}
