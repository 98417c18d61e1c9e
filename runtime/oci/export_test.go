//go:build linux && cgo

package oci

import "time"

// Measure is what happens every measureEach, when it is everybody's turn. It is nobody's turn again before the next Measure: what it did
// not do is not done a little later by itself.
func (r *Runtime) Measure() {
	r.allMeasuredAt(time.Time{})
	r.measure(time.Now())
	r.allMeasuredAt(time.Now().Add(time.Hour))
}

func (r *Runtime) allMeasuredAt(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.instances {
		in.measureAt = at
	}
}
