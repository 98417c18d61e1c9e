package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"shoal/gossip"
)

func TestSigns(t *testing.T) {
	dir := t.TempDir()
	for resource, text := range map[string]string{
		"memory": "some avg10=90.00 avg60=90.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=7.50 avg300=0.00 total=1\n",
		"io":     "some avg10=0.00 avg60=33.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=21.25 avg300=0.00 total=1\n",
		"cpu":    "some avg10=1.00 avg60=80.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, resource), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := signs(dir, dir)
	if got.DiskUsed <= 0 || got.DiskUsed > 1 {
		t.Errorf("the disk is used to %v", got.DiskUsed)
	}
	got.DiskUsed = 0
	if want := (gossip.Signs{MemoryStall: 7.5, IOStall: 21.25, CPUStall: 80}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := signs("/nonexistent", "/nonexistent"); got != (gossip.Signs{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for _, text := range []string{"", "full", "full avg10=1", "full avg10=1 avg60=x avg300=2"} {
		if got := stalled(text, "full"); got != 0 {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

// TestSignsOfThisKernel reads what the kernel that runs writes, where it does.
func TestSignsOfThisKernel(t *testing.T) {
	const file = "/proc/pressure/cpu"
	shown := func() float64 {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Skip("this kernel keeps no pressure stall information: it is built without, or booted with psi=0")
		}
		var ten, sixty, more float64
		var total int64
		if n, err := fmt.Sscanf(string(text), "some avg10=%f avg60=%f avg300=%f total=%d", &ten, &sixty, &more, &total); n != 4 {
			t.Fatalf("%s holds %q: %v", file, text, err)
		}
		return sixty
	}
	for range 100 { // it may be renewed between two looks
		before, got, after := shown(), signs("/", "/proc/pressure").CPUStall, shown()
		if before == after {
			if got != before {
				t.Errorf("%v was read of %v", got, before)
			}
			return
		}
	}
	t.Error("it is never the same")
}
