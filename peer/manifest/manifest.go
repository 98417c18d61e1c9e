package manifest

import (
	"encoding/json"

	"shoal/crdt"
	"shoal/runtime"
)

// Document is one object of a manifest: decoded, defaulted, valid.
type Document struct {
	Key      crdt.Key
	Tree     map[string]any // as JSON decodes it, numbers as json.Number; only what the user wrote, no defaults
	Warnings []string       // fields accepted without effect
	Line     int            // where it began in the file
}

// Fault is one thing wrong with a manifest.
type Fault struct {
	File    string
	Line    int // from 1; 0 when unknown
	Column  int
	Path    string // "spec.template.spec.containers[0].image"
	Text    string // "unknown field \"imagee\""
	Suggest string // "image"; empty when nothing is near
}

// Faults are all faults of one manifest. It is an error.
type Faults []Fault

func (f Faults) Error() string { panic("unwritten") }

// Decode reads YAML (also of several documents) or JSON. It returns all faults at once, as Faults.
// A kind outside Kinds is a fault that names those which exist.
func Decode(file string, data []byte) ([]Document, error) { panic("unwritten") }

// Flatten turns an object's tree into fields. Lists with a merge key of Kubernetes (containers and env by
// name, ports by containerPort and protocol, volumeMounts by mountPath, …) become maps; other lists are one value.
// status and the server's own metadata are left out.
func Flatten(kind string, tree map[string]any) (map[crdt.Path]json.RawMessage, error) {
	panic("unwritten")
}

// Tree turns fields back into an object's tree, with apiVersion, kind, metadata.name and metadata.namespace.
// Entries of keyed lists are in the order of their keys. It is total: whatever merge produced gives some tree.
func Tree(key crdt.Key, fields []crdt.Field) map[string]any { panic("unwritten") }

// Validate checks a whole object, defaults applied; nil when valid.
func Validate(key crdt.Key, tree map[string]any) Faults { panic("unwritten") }

// Apply computes the changes by which manager's new manifest replaces its old one: fields set that differ,
// and fields deleted that the same manager owns in current and that desired leaves out.
func Apply(current []crdt.Field, manager string, desired map[crdt.Path]json.RawMessage) []crdt.Change {
	panic("unwritten")
}

// Workload is what an object asks to run, in the form that placement and control use.
type Workload struct {
	Key                crdt.Key
	Replicas           int
	Revision           string       // 8 hex digits: hash of Template with defaults, the same on every peer
	Template           runtime.Spec // Instance, Hostname and Note empty
	RequestCPUMillis   int64
	RequestMemoryBytes int64
	NodeSelector       map[string]string
	GraceSeconds       int64
	MaxSurge           int               // resolved: how many replicas above Replicas a rollout may run
	Labels             map[string]string // of the template
	MinReadySeconds    int64
	Restarts           map[int]string // per ordinal: the mark of annotation shoal/restart.ORDINAL; part of that replica's revision
}

// WorkloadOf reads a valid object; false for kinds that run nothing.
func WorkloadOf(key crdt.Key, tree map[string]any) (Workload, bool) { panic("unwritten") }
