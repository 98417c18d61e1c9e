//go:build linux && cgo

package oci

import "time"

// Measure is what happens every measureEach, when it is everybody's turn.
func (r *Runtime) Measure() {
	r.mu.Lock()
	for _, in := range r.instances {
		in.measureAt = time.Time{}
	}
	r.mu.Unlock()
	r.measure(time.Now())
}
