package heap

import (
	"crypto/sha256"
	"encoding/binary"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/peer/wire"
)

// memo shares between the machines of a world what they would each work out alike: the functions are pure, so equal
// inputs give equal outputs, and nobody changes what was given out. Inputs are told apart by their whole content, or
// its SHA-256.
type memo struct {
	rows   map[string]*wire.Observation
	reads  map[[32]byte]reading
	text   []byte
	shared control.Shared // of large worlds
}

type reading struct {
	workload *manifest.Workload
	faults   manifest.Faults
}

// At these sizes a memo is emptied.
const (
	mostRows  = 8192
	mostReads = 1024
)

// shared lets a machine use what others have worked out.
func (w *World) shared(c *control.Config) {
	c.Decode = w.memo.decode
	if len(w.peers) > smallWorld {
		c.Read, c.Shared = w.memo.read, &w.memo.shared
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
