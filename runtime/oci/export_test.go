//go:build linux && cgo

package oci

// Measure is what happens every measureEach.
func (r *Runtime) Measure() { r.measure() }
