package manifest

import (
	"fmt"
	"strings"

	"shoal/crdt"
)

// Document is one object of a manifest: decoded and valid.
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

// String is the fault in one line, as compilers write theirs.
func (f Fault) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File + ":")
	}
	if f.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", f.Line, f.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Text)
	if f.Suggest != "" {
		fmt.Fprintf(&b, ": did you mean %q?", f.Suggest)
	}
	return b.String()
}

// Faults are all faults of one manifest. It is an error.
type Faults []Fault

// Error is one fault a line.
func (f Faults) Error() string { return strings.Join(f.Strings(), "\n") }

// Strings is every fault in one line.
func (f Faults) Strings() []string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return lines
}

// Limits on what is decoded and on what is asked for.
const (
	MaxBytes    = 4 << 20 // of one manifest
	MaxReplicas = 10_000  // of one workload
	maxDepth    = 100     // of nesting
	maxValues   = 200_000 // in one manifest, each use of an alias counted in full
	maxFaults   = 100     // reported of one manifest
)
