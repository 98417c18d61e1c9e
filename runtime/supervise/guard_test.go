//go:build linux

package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cage is a cgroup with one process in it.
func cage(t *testing.T) (dir string, ended <-chan struct{}) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root: the guard's tests make cgroups; run the tests as root")
	}
	child := exec.Command("/bin/sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = child.Wait(); close(done) }()
	dir = filepath.Join(cgroupMount(t), fmt.Sprintf("shoal-test-%d-%d", os.Getpid(), child.Process.Pid))
	t.Cleanup(func() {
		_ = child.Process.Kill()
		<-done
		await(t, "the cgroup's end", func() bool { return os.Remove(dir) == nil })
	})
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, child.Process.Pid), 0); err != nil {
		t.Fatal(err)
	}
	return dir, done
}

// cgroupMount is a hierarchy that any process can be moved in: that of pids, or the one of v2.
func cgroupMount(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if isCgroup(dir) {
			return dir
		}
	}
	t.Fatal("no cgroups are mounted")
	return ""
}

// TestOnlyCgroupsAreEmptied: a file elsewhere that names a process is no reason to kill it.
func TestOnlyCgroupsAreEmptied(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	if !killAll([]string{dir, filepath.Join(dir, "none")}) {
		t.Error("it found somebody to kill")
	}
}

func openGuard(t *testing.T, dir string) *Guard {
	t.Helper()
	g, err := OpenGuard(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func set(t *testing.T, g *Guard, name string, within time.Duration, dir string) time.Duration {
	t.Helper()
	until := Uptime() + within
	if err := g.Set([]Deadline{{Name: name, Until: until, Paths: []string{dir}}}); err != nil {
		t.Fatal(err)
	}
	return until
}

func wantEnded(t *testing.T, ended <-chan struct{}, until time.Duration) {
	t.Helper()
	select {
	case <-ended:
		if late := Uptime() - until; late < 0 || late > 2*time.Second {
			t.Errorf("ended %v after its deadline", late)
		} else {
			t.Logf("ended %v after its deadline", late)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it lives on")
	}
}

// TestGuardOutlivesWhoStartedIt: after the program is gone its deadlines hold, and the next life of it finds them.
func TestGuardOutlivesWhoStartedIt(t *testing.T) {
	home := t.TempDir()
	cageA, endedA := cage(t)
	cageB, endedB := cage(t)
	first := openGuard(t, home)
	a := set(t, first, "a", 600*time.Millisecond, cageA)
	set(t, first, "b", 600*time.Millisecond, cageB)
	first.Close()
	if err := first.Set(nil); err == nil {
		t.Error("a closed one takes deadlines")
	}
	second := openGuard(t, home)
	if until, known := second.Until("a"); !known || until != a {
		t.Errorf("the next life finds %v, %v", until, known)
	}
	b := set(t, second, "b", 1500*time.Millisecond, cageB)
	second.Close()
	wantEnded(t, endedA, a)
	wantEnded(t, endedB, b)
}

// TestKilledGuardIsReplaced at once, with all that it had to keep.
func TestKilledGuardIsReplaced(t *testing.T) {
	home := t.TempDir()
	dir, ended := cage(t)
	g := openGuard(t, home)
	until := set(t, g, "a", 2*time.Second, dir)
	pid := guardOf(t, g)
	if err := unix.Kill(pid, unix.SIGTERM); err != nil { // of no account
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "another guard", func() bool {
		g.mu.Lock()
		alive := g.conn != nil && !g.dead()
		g.mu.Unlock()
		return alive && guardOf(t, g) != pid
	})
	wantEnded(t, ended, until)
}

func guardOf(t *testing.T, g *Guard) int {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pid
}

// TestLiftedDeadline is none.
func TestLiftedDeadline(t *testing.T) {
	dir, ended := cage(t)
	g := openGuard(t, t.TempDir())
	set(t, g, "a", 300*time.Millisecond, dir)
	if err := g.Set([]Deadline{{Name: "a", Until: -1}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Error("it was killed")
	case <-time.After(600 * time.Millisecond):
	}
	if _, known := g.Until("a"); known {
		t.Error("it is known still")
	}
}
