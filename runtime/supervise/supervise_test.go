//go:build linux

package supervise

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// This test binary is also the supervisor and its main process, chosen by the environment.
func TestMain(m *testing.M) {
	Guarding()
	switch os.Getenv("SHOAL_TEST_ROLE") {
	case "supervisor":
		if os.Getenv("SHOAL_TEST_DEPTH") != "" {
			panic("a supervisor below a supervisor")
		}
		code, err := Run(Config{
			ExitsDir: os.Getenv("SHOAL_TEST_EXITS"), Args: os.Args,
			Env: []string{"SHOAL_TEST_ROLE=main", "SHOAL_TEST_DEPTH=1"},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(99)
		}
		os.Exit(code)
	case "main":
		mainProcess()
	}
	os.Exit(m.Run())
}

// mainProcess says who it is, and does what its arguments say.
func mainProcess() {
	fmt.Println("main", os.Getpid())
	switch os.Args[1] {
	case "exit":
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	case "panic":
		if _, err := os.Stat(os.Args[2]); err == nil {
			os.Exit(0)
		}
		_ = os.WriteFile(os.Args[2], nil, 0o600)
		panic("as wanted")
	case "container":
		// Stands for a container: a child in a session of its own that waits for a word on a pipe of ours.
		child := exec.Command("/bin/sh", "-c", "read code < "+os.Args[2]+"; exit $code")
		child.SysProcAttr = &unix.SysProcAttr{Setsid: true}
		if _, err := os.Stat(os.Args[2] + ".started"); err != nil {
			_ = os.WriteFile(os.Args[2]+".started", nil, 0o600)
			if err := child.Start(); err != nil {
				panic(err)
			}
			started, _ := StartTime(child.Process.Pid)
			fmt.Println("container", child.Process.Pid, started)
		}
	}
	for {
		_ = unix.Pause()
	}
}

type run struct {
	*testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	exits string
	log   *os.File
}

func begin(t *testing.T, args ...string) *run {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &run{T: t, cmd: exec.Command(exe, args...), exits: filepath.Join(t.TempDir(), "exits")}
	r.cmd.Env = append(os.Environ(), "SHOAL_TEST_ROLE=supervisor", "SHOAL_TEST_EXITS="+r.exits)
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.log, err = os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
	})
	r.lines = bufio.NewScanner(out)
	return r
}

// line reads "WORD NUMBER…".
func (r *run) line(word string) []int {
	r.Helper()
	if !r.lines.Scan() {
		r.Fatalf("no line %q", word)
	}
	fields := strings.Fields(r.lines.Text())
	if len(fields) < 2 || fields[0] != word {
		r.Fatalf("got %q, want a line %q", r.lines.Text(), word)
	}
	var numbers []int
	for _, field := range fields[1:] {
		n, err := strconv.Atoi(field)
		if err != nil {
			r.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

func (r *run) wantCode(want int) {
	r.Helper()
	for r.lines.Scan() {
	}
	_ = r.cmd.Wait()
	if got := r.cmd.ProcessState.ExitCode(); got != want {
		log, _ := os.ReadFile(r.log.Name())
		r.Errorf("the supervisor ended with %d, want %d; it said %s", got, want, log)
	}
}

func (r *run) signal(pid int, signal unix.Signal) {
	r.Helper()
	if err := unix.Kill(pid, signal); err != nil {
		r.Fatal(err)
	}
}

// await waits for something that becomes true by itself.
func await(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: ", what)
		}
	}
}

func TestOrderlyEnds(t *testing.T) {
	for _, code := range []int{0, 2, 8} {
		begin(t, "exit", strconv.Itoa(code)).wantCode(code)
	}
}

func TestSignalIsPassedOn(t *testing.T) {
	r := begin(t, "wait")
	r.line("main")
	r.signal(r.cmd.Process.Pid, unix.SIGTERM)
	r.wantCode(143)
}

func TestPanicIsACrash(t *testing.T) {
	r := begin(t, "panic", filepath.Join(t.TempDir(), "once"))
	first := r.line("main")
	if second := r.line("main"); second[0] == first[0] {
		t.Error("the same process twice")
	}
	r.wantCode(0)
}

func TestRestartAndOrphans(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	r := begin(t, "container", pipe)
	first := r.line("main")[0]
	container := r.line("container")
	began := time.Now()
	r.signal(first, unix.SIGKILL)
	second := r.line("main")[0]
	if second == first {
		t.Fatal("main was not restarted")
	}
	t.Logf("restarted after %v", time.Since(began))
	if err := unix.Kill(container[0], 0); err != nil {
		t.Fatalf("the container died with main: %v", err)
	}
	if parent := parentOf(t, container[0]); parent != r.cmd.Process.Pid {
		t.Fatalf("the orphan's parent is %d, not the supervisor %d", parent, r.cmd.Process.Pid)
	}
	if err := os.WriteFile(pipe, []byte("7\n"), 0); err != nil {
		t.Fatal(err)
	}
	await(t, "the orphan's exit code", func() bool {
		code, known := ReadExit(r.exits, container[0], uint64(container[1]))
		return known && code == 7
	})
	r.signal(r.cmd.Process.Pid, unix.SIGTERM)
	r.wantCode(143)
}

func parentOf(t *testing.T, pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	parent, err := strconv.Atoi(strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))[1])
	if err != nil {
		t.Fatal(err)
	}
	return parent
}

func TestMainDiesWithItsSupervisor(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	r := begin(t, "container", pipe)
	main, container := r.line("main")[0], r.line("container")[0]
	started, err := StartTime(main)
	if err != nil {
		t.Fatal(err)
	}
	r.signal(r.cmd.Process.Pid, unix.SIGKILL)
	r.wantCode(-1)
	await(t, "main's end", func() bool {
		now, err := StartTime(main)
		return err != nil || now != started || zombie(main)
	})
	if err := unix.Kill(container, 0); err != nil || zombie(container) {
		t.Errorf("the container died too: %v", err)
	}
	_ = unix.Kill(container, unix.SIGKILL)
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.HasPrefix(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " Z")
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i := range 20 {
		if err := writeExit(dir, i, 1, i); err != nil {
			t.Fatal(err)
		}
		at := now.Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(exitPath(dir, i, 1), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		age  time.Duration
		most int
		left int
	}{{24 * time.Hour, 100, 20}, {10*time.Hour + time.Minute, 100, 11}, {24 * time.Hour, 5, 5}} {
		if err := prune(dir, now, step.age, step.most); err != nil {
			t.Fatal(err)
		}
		entries, _ := os.ReadDir(dir)
		if len(entries) != step.left {
			t.Errorf("age %v, most %d leaves %d, want %d", step.age, step.most, len(entries), step.left)
		}
	}
	for i := range 5 { // the youngest are what stays
		if code, known := ReadExit(dir, i, 1); !known || code != i {
			t.Errorf("exit %d: %d, %v", i, code, known)
		}
		if err := ForgetExit(dir, i, 1); err != nil {
			t.Error(err)
		}
		if err := ForgetExit(dir, i, 1); err != nil {
			t.Error(err)
		}
	}
}

func TestMerge(t *testing.T) {
	got := merge([]string{"A=1", "ROLE=supervisor", "AB=2"}, []string{"ROLE=main", "A=3"})
	if want := []string{"AB=2", "ROLE=main", "A=3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestVerdict(t *testing.T) {
	exit := func(code int) unix.WaitStatus { return unix.WaitStatus(code << 8) }
	killed := unix.WaitStatus(unix.SIGKILL)
	for _, c := range []struct {
		status          unix.WaitStatus
		stopping, young bool
		code            int
		over            bool
	}{
		{exit(0), false, false, 0, true},
		{exit(8), false, true, 8, true},
		{exit(8), false, false, 0, false},
		{killed, false, true, 0, false},
		{killed, true, false, 137, true},
		{exit(1), true, false, 1, true},
	} {
		if code, over := verdict(c.status, c.stopping, c.young); code != c.code || over != c.over {
			t.Errorf("%+v: got %d, %v", c, code, over)
		}
	}
}

// fileBytes is how much of files is mapped and resident in a process.
func fileBytes(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	kibibytes := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 {
			kibibytes[fields[0]], _ = strconv.ParseInt(fields[1], 10, 64)
		}
	}
	return (kibibytes["Rss:"] - kibibytes["Anonymous:"]) << 10
}

// Main has set itself up as the supervisor has, and gave nothing back.
func TestASupervisorKeepsLittleOfTheProgram(t *testing.T) {
	r := begin(t, "wait")
	main := r.line("main")[0]
	most := fileBytes(t, main) * 3 / 4
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := fileBytes(t, r.cmd.Process.Pid)
		if got < most {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes of files are mapped, want below %d", got, most)
		}
	}
}
