//go:build linux && cgo

package oci_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func contextWithTimeout(t *testing.T, span time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), span)
}

// buildCalls builds testdata/calls as a static program.
func buildCalls(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "calls")
	build := exec.Command("go", "build", "-o", out, "./testdata/calls")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}
