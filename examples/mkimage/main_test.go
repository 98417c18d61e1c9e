package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"shoal/runtime/image"
)

// buildWeb builds the example server as the example's own instructions say.
func buildWeb(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "web")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "shoal/examples/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return binary
}

func TestAnImageOfTheExampleServer(t *testing.T) {
	web := buildWeb(t)
	output := filepath.Join(t.TempDir(), "web.tar")
	var said, streamed bytes.Buffer
	if code := run([]string{"-o", output, "-user", "1000:1000", "shoal.example/web:1", web, "-v"}, &said, &said); code != 0 {
		t.Fatalf("exit %d: %s", code, &said)
	}
	if code := run([]string{"-user", "1000:1000", "shoal.example/web:1", web, "-v"}, &streamed, &said); code != 0 {
		t.Fatalf("exit %d: %s", code, &said)
	}
	written, err := os.ReadFile(output)
	if err != nil || !bytes.Equal(written, streamed.Bytes()) {
		t.Errorf("the file and the stream differ: %v", err)
	}
	store, err := image.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.Import(context.Background(), &streamed, "")
	if err != nil {
		t.Fatal(err)
	}
	if got.Reference != "shoal.example/web:1" || got.Entrypoint[0] != "/web" || got.Command[0] != "-v" || got.User != "1000:1000" {
		t.Errorf("image %+v", got)
	}
	program, err := os.Stat(filepath.Join(got.Layers[0], "web"))
	if err != nil || program.Mode().Perm() != 0o755 {
		t.Errorf("the program has mode %v, %v", program.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(output))
	if err != nil || len(left) != 1 {
		t.Errorf("beside the image lies %v, %v", left, err)
	}
}

func TestRefuses(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "usage"},
		{[]string{"web:1"}, 2, "usage"},
		{[]string{"-x", "web:1", script}, 2, "usage"},
		{[]string{"web:1", script}, 1, "no Linux program"},
		{[]string{"web:1", "/nothing"}, 1, "/nothing"},
		{[]string{"web:1", "/bin/sh"}, 1, "linked dynamically"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(step.args, &stdout, &stderr); code != step.code || !strings.Contains(stderr.String(), step.says) || stdout.Len() > 0 {
			t.Errorf("%q: exit %d, %q, want %d and %q", step.args, code, stderr.String(), step.code, step.says)
		}
	}
}
