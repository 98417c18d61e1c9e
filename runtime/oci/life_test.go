//go:build linux && cgo

package oci_test

func life(dir string) {}
