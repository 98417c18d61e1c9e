package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// TestSignsOfARealStall lets two processes in a cgroup want one processor, and finds it in what the kernel keeps of that cgroup.
func TestSignsOfARealStall(t *testing.T) {
	group := pressureGroup(t)
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(group, "cpu.pressure"), filepath.Join(dir, "cpu")); err != nil {
		t.Fatal(err)
	}
	if before := signs("/", dir).CPUStall; before != 0 {
		t.Fatalf("before anything runs: %v", before)
	}
	for range 2 {
		busy := exec.Command("sh", "-c", "read line; while :; do :; done")
		start, err := busy.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		defer busy.Wait()
		defer busy.Process.Kill()
		var first unix.CPUSet
		first.Set(0)
		pid := strconv.Itoa(busy.Process.Pid)
		err = errors.Join(unix.SchedSetaffinity(busy.Process.Pid, &first), os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(pid), 0))
		if _, begun := fmt.Fprintln(start); err != nil || begun != nil {
			t.Fatal(err, begun)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); signs("/", dir).CPUStall == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("two processes on one processor for 30 s, and no stall is seen")
		}
	}
}

// pressureGroup makes a cgroup of which the kernel keeps pressure, for as long as the test runs.
func pressureGroup(t *testing.T) string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || !strings.Contains(line, " - cgroup2 ") {
			continue
		}
		group := filepath.Join(fields[4], fmt.Sprintf("shoal-test-%d", os.Getpid()))
		if err := os.Mkdir(group, 0o755); errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
			t.Skip("not root: this makes a cgroup; run the tests as root")
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			for deadline := time.Now().Add(10 * time.Second); os.Remove(group) != nil; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Errorf("%s is left", group)
					return
				}
			}
		})
		if _, err := os.Stat(filepath.Join(group, "cpu.pressure")); err == nil {
			return group
		}
	}
	t.Skip("no cgroup of version 2 with pressure stall information: this kernel keeps none")
	return ""
}
