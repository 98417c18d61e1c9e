//go:build linux && cgo

package oci_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime"
	"shoal/runtime/oci"
	"shoal/runtime/runtimetest"
	"shoal/runtime/supervise"
)

// said is one line that a life of the program says.
type said struct {
	What   string // "main", "listed", "started", "exited"
	PID    int
	Status runtime.Status
}

func say(what string, status runtime.Status) {
	_ = json.NewEncoder(os.Stdout).Encode(said{what, os.Getpid(), status})
}

// life is a program with a Runtime in dir, below a supervisor. The first life starts a container; each says what it sees.
func life(dir string) {
	if os.Getenv("SHOAL_TEST_MAIN") == "" {
		code, err := supervise.Run(supervise.Config{Args: os.Args, Env: []string{"SHOAL_TEST_MAIN=1"}, ExitsDir: filepath.Join(dir, "exits")})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(99)
		}
		os.Exit(code)
	}
	say("main", runtime.Status{})
	image, err := busybox(filepath.Join(dir, "image"))
	check(err)
	rt, err := oci.New(oci.Config{
		Dir: filepath.Join(dir, "runtime"), ExitsDir: filepath.Join(dir, "exits"),
		CgroupParent: os.Getenv("SHOAL_TEST_PARENT"), Images: image,
	}, func(status runtime.Status) { say("exited", status) })
	check(err)
	all, err := rt.List(context.Background())
	check(err)
	for _, in := range all {
		say("listed", in.Containers[0])
	}
	if len(all) == 0 {
		c := script(runtimetest.Program{Print: []string{"up"}})
		c.Name = "web"
		_, err := rt.Prepare(context.Background(), runtime.Spec{Instance: id, Containers: []runtime.Container{c}})
		check(err)
		status, err := rt.Start(context.Background(), id, "web", 1)
		check(err)
		logs, err := rt.Logs(context.Background(), id, "web", runtime.LogOptions{Follow: true, TailLines: -1})
		check(err)
		_, err = bufio.NewReader(logs).ReadString('\n') // its trap is set
		check(err)
		say("started", status)
	}
	for {
		_ = unix.Pause()
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(98)
	}
}

// program is a running life with its supervisor.
type program struct {
	*testing.T
	dir   string
	cmd   *exec.Cmd
	lines *bufio.Scanner
	main  int
}

func beginLife(t *testing.T) *program {
	if os.Geteuid() != 0 {
		t.Skip("containers need root")
	}
	p := &program{T: t, dir: t.TempDir()}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(exe)
	p.cmd.Env = append(os.Environ(), "SHOAL_TEST_LIFE="+p.dir, "SHOAL_TEST_PARENT="+parent)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	t.Cleanup(p.end)
	p.main = p.next("main").PID
	return p
}

// next reads what is said next.
func (p *program) next(what string) said {
	p.Helper()
	timer := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if !p.lines.Scan() {
		p.Fatalf("waiting for %q: the program is gone", what)
	}
	var s said
	if err := json.Unmarshal(p.lines.Bytes(), &s); err != nil || s.What != what {
		p.Fatalf("heard %s, want %q", p.lines.Text(), what)
	}
	return s
}

// end kills the program and removes what it had, as its next life would.
func (p *program) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	image, _ := busybox(filepath.Join(p.dir, "image"))
	w := &world{T: p.T, config: oci.Config{
		Dir: filepath.Join(p.dir, "runtime"), ExitsDir: filepath.Join(p.dir, "exits"), CgroupParent: parent, Images: image,
	}}
	w.reopen()
	w.end()
}

func (p *program) kill(pid int, signal unix.Signal) {
	p.Helper()
	if err := unix.Kill(pid, signal); err != nil {
		p.Fatal(err)
	}
}

// freeze stops a process and waits until each of its threads stands: the signal alone lets them run on for a moment, in
// which one could still reap a child.
func (p *program) freeze(pid int) {
	p.Helper()
	p.kill(pid, unix.SIGSTOP)
	for deadline := time.Now().Add(10 * time.Second); !stands(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.Fatalf("process %d does not stand still", pid)
		}
	}
}

func stands(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		_, state, _ := bytes.Cut(stat, []byte(") "))
		if err != nil || !bytes.HasPrefix(state, []byte("T")) {
			return false
		}
	}
	return true
}

// crash kills the main process and waits for its next life.
func (p *program) crash() {
	p.Helper()
	before := p.main
	p.kill(p.main, unix.SIGKILL)
	p.main = p.next("main").PID
	if p.main == before {
		p.Fatal("the main process did not die")
	}
}

func TestContainersSurviveACrash(t *testing.T) {
	p := beginLife(t)
	started := p.next("started").Status
	p.crash()
	listed := p.next("listed").Status
	if listed.Phase != runtime.Running || listed.PID != started.PID || !listed.StartedAt.Equal(started.StartedAt) {
		t.Fatalf("after kill -9 the next life sees %+v, was %+v", listed, started)
	}
	p.kill(started.PID, unix.SIGTERM) // its script turns this into code 143
	exited := p.next("exited").Status
	if exited.ExitCode != 143 || exited.Reason != "Error" || exited.Generation != 1 {
		t.Fatalf("the adopted container's exit is %+v", exited)
	}
	p.crash()
	if listed := p.next("listed").Status; listed.Phase != runtime.Exited || listed.ExitCode != 143 {
		t.Fatalf("the third life sees %+v", listed)
	}
}

// The container ends while the main process hangs, and cannot reap it. The supervisor learns the code.
func TestExitWhileNobodyWasThere(t *testing.T) {
	p := beginLife(t)
	started := p.next("started").Status
	p.freeze(p.main)
	p.kill(started.PID, unix.SIGKILL)
	p.crash()
	for _, what := range []string{"listed", "exited"} { // in either order: they come from two goroutines
		if !p.lines.Scan() {
			t.Fatalf("waiting for %s: the program is gone", what)
		}
		var s said
		if err := json.Unmarshal(p.lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		if s.What == "exited" && (s.Status.ExitCode != 137 || s.Status.Phase != runtime.Exited) {
			t.Fatalf("said %+v", s)
		}
	}
}

// Power fails: the processes are gone, their ids belong to others, and nothing is mounted.
func TestAfterALossOfPower(t *testing.T) {
	w := newWorld(t)
	w.prepare(sh("while :; do sleep 1000; done"))
	status := w.start(1)
	w.rt.Close()
	if err := unix.Kill(status.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(w.config.Dir, "instances", string(id), "web", "root")
	netns := filepath.Join(w.config.Dir, "instances", string(id), "ns", "net")
	for _, mounted := range []string{root, netns} {
		if err := unix.Unmount(mounted, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
	stranger := exec.Command("/bin/sleep", "1000")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	rewrite(t, filepath.Join(w.config.Dir, "instances", string(id), "web", "state.json"), func(state map[string]any) {
		state["Boot"] = "another"
		state["Status"].(map[string]any)["PID"] = stranger.Process.Pid
	})
	w.reopen()
	if exited := w.exit(); exited.Reason != "Lost" || exited.ExitCode != -1 || exited.Generation != 1 {
		t.Fatalf("after a loss of power: %+v", exited)
	}
	w.start(2)
	if err := w.rt.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := stranger.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("a stranger with the container's process id was killed: %v", err)
	}
}

// The id was used again under the same boot: only the start time tells.
func TestReusedProcessID(t *testing.T) {
	w := newWorld(t)
	w.prepare(sh("while :; do sleep 1000; done"))
	status := w.start(1)
	w.rt.Close()
	if err := unix.Kill(status.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(w.config.Dir, "instances", string(id), "web", "state.json"), func(state map[string]any) {
		state["Status"].(map[string]any)["PID"] = os.Getpid()
	})
	w.reopen()
	if exited := w.exit(); exited.Reason != "Lost" {
		t.Fatalf("this test was taken for a container: %+v", exited)
	}
}

// A life ended between writing a generation down and knowing its process.
func TestCrashInsideStart(t *testing.T) {
	w := newWorld(t)
	w.prepare(sh("while :; do sleep 1000; done"))
	status := w.start(3)
	w.rt.Close()
	rewrite(t, filepath.Join(w.config.Dir, "instances", string(id), "web", "state.json"), func(state map[string]any) {
		state["Begun"], state["StartTime"] = true, 0
		in := state["Status"].(map[string]any)
		in["Phase"], in["PID"] = runtime.Prepared, 0
	})
	w.reopen()
	if exited := w.exit(); exited.Reason != "Lost" || exited.Generation != 3 {
		t.Fatalf("a start that was cut off: %+v", exited)
	}
	if now, err := supervise.StartTime(status.PID); err == nil && !isZombie(status.PID) {
		t.Errorf("its process runs on, since %d", now)
	}
	w.start(4)
}

func TestLeftoversOfPrepare(t *testing.T) {
	w := newWorld(t)
	half := filepath.Join(w.config.Dir, "instances", "default.half-0.1", "web", "root")
	if err := os.MkdirAll(half, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("x", half, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	w.reopen()
	if all, err := w.rt.List(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("half an instance is listed: %+v, %v", all, err)
	}
}

func TestNewerStateIsRefused(t *testing.T) {
	w := newWorld(t)
	w.prepare(sh("true"))
	w.rt.Close()
	path := filepath.Join(w.config.Dir, "instances", string(id), "instance.json")
	rewrite(t, path, func(record map[string]any) { record["Version"] = 99 })
	if _, err := oci.New(w.config, func(runtime.Status) {}); err == nil {
		t.Error("a record of version 99 was read")
	}
	rewrite(t, path, func(record map[string]any) { record["Version"] = 1 })
	w.reopen()
}

func rewrite(t *testing.T, path string, change func(map[string]any)) {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(body, &value); err != nil {
		t.Fatal(err)
	}
	change(value)
	if body, err = json.Marshal(value); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || !containsLine(string(stat), "State:\tR", "State:\tS", "State:\tD")
}
