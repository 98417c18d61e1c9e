package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"shoal/runtime"
)

// Program is what a container of the suite does: print, wait, and exit or go on for ever.
type Program struct {
	Print      []string
	Exits      bool
	ExitCode   int
	IgnoreTerm bool
	Writes     int64 // bytes below its root, before it prints
}

// Harness is a Runtime under test.
type Harness struct {
	// Open begins a life of the program. A further Open is the next life on the same machine; the earlier Runtime is not
	// used any more, and its containers are still running.
	Open func(exited func(runtime.Status)) runtime.Runtime
	// Container makes the container that does as program says.
	Container func(program Program) runtime.Container
	// Now is the clock of deadlines.
	Now func() time.Duration
	// Kill ends a running container from outside with SIGKILL.
	Kill func(status runtime.Status)
	// Measure looks now at what instances wrote.
	Measure func()
}

// patience bounds every wait of the suite.
const patience = 20 * time.Second

// Run checks a Runtime against the contract. open is called once per part, each time for an empty machine.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	parts := []struct {
		name  string
		check func(*suite)
	}{
		{"Prepare", (*suite).prepare}, {"BadSpec", (*suite).badSpec}, {"Generations", (*suite).generations},
		{"Exit", (*suite).exit}, {"Kill", (*suite).kill}, {"Stop", (*suite).stop}, {"StopStubborn", (*suite).stubborn},
		{"Remove", (*suite).remove}, {"Unknown", (*suite).unknown}, {"Exec", (*suite).exec}, {"Logs", (*suite).logs},
		{"Follow", (*suite).follow}, {"Adopt", (*suite).adopt}, {"Several", (*suite).several},
		{"Deadline", (*suite).deadline}, {"DeadlineOfTheDead", (*suite).deadlineOfTheDead}, {"Bounded", (*suite).bounded},
		{"Storage", (*suite).storage},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			s := &suite{T: t, Harness: open(t)}
			s.reopen()
			t.Cleanup(func() {
				all, _ := s.rt.List(context.Background())
				for _, in := range all {
					if err := s.rt.Remove(context.Background(), in.Spec.Instance); err != nil {
						t.Errorf("cleaning up: %v", err)
					}
				}
			})
			part.check(s)
		})
	}
}

type suite struct {
	*testing.T
	Harness
	rt    runtime.Runtime
	exits chan runtime.Status
}

const one = runtime.InstanceID("default.web-0.5f3c9a1e")

// reopen begins the next life of the program.
func (s *suite) reopen() {
	exits := make(chan runtime.Status, 100)
	s.exits = exits
	s.rt = s.Open(func(status runtime.Status) { exits <- status })
}

// ready prepares an instance with one container.
func (s *suite) ready(program Program) runtime.Spec {
	s.Helper()
	c := s.Container(program)
	c.Name = "web"
	spec := runtime.Spec{Instance: one, Hostname: "web-0", Note: []byte("note"), Containers: []runtime.Container{c}}
	if _, err := s.rt.Prepare(s.Context(), spec); err != nil {
		s.Fatal(err)
	}
	return spec
}

func (s *suite) start(generation uint64) runtime.Status {
	s.Helper()
	status, err := s.rt.Start(s.Context(), one, "web", generation)
	if err != nil {
		s.Fatal(err)
	}
	if status.Phase < runtime.Running || status.Generation != generation || status.Container != "web" || status.Instance != one {
		s.Fatalf("start gave %+v", status)
	}
	return status
}

// nextExit waits for the callback.
func (s *suite) nextExit() runtime.Status {
	s.Helper()
	select {
	case status := <-s.exits:
		return status
	case <-time.After(patience):
		s.Fatal("no exit was reported")
		return runtime.Status{}
	}
}

// noExit checks that nothing was reported up to now. The runtime's answers so far are in, so what is
// reported late would be reported twice or wrongly, which other parts see.
func (s *suite) noExit() {
	s.Helper()
	select {
	case status := <-s.exits:
		s.Fatalf("an exit was reported that nobody should hear of: %+v", status)
	default:
	}
}

func (s *suite) wantReason(err error, want runtime.Reason) {
	s.Helper()
	var typed *runtime.Error
	if !errors.As(err, &typed) || typed.Reason != want {
		s.Fatalf("got error %v, want reason %s", err, want)
	}
	if typed.Op == "" || typed.Subject == "" || typed.Err == nil {
		s.Fatalf("error lacks its operation, subject or cause: %#v", typed)
	}
}

// listed returns the state of the one container as List tells it.
func (s *suite) listed() (runtime.Instance, runtime.Status) {
	s.Helper()
	all, err := s.rt.List(s.Context())
	if err != nil || len(all) != 1 || len(all[0].Containers) != 1 {
		s.Fatalf("list gave %+v, %v", all, err)
	}
	return all[0], all[0].Containers[0]
}

func (s *suite) prepare() {
	spec := s.ready(Program{})
	first, err := s.rt.Prepare(s.Context(), spec)
	if err != nil {
		s.Fatal(err)
	}
	again, err := s.rt.Prepare(s.Context(), spec)
	if err != nil || again != first {
		s.Fatalf("a repeated prepare gave %v, %v after %v", again, err, first)
	}
	in, status := s.listed()
	if string(in.Spec.Note) != "note" || in.Spec.Hostname != "web-0" || in.Spec.Containers[0].Name != "web" {
		s.Fatalf("the spec did not come back: %+v", in.Spec)
	}
	if status.Phase != runtime.Prepared || status.Generation != 0 || status.Address != first {
		s.Fatalf("prepared status is %+v", status)
	}
	s.start(1)
	if _, err := s.rt.Prepare(s.Context(), spec); err != nil {
		s.Fatalf("preparing what runs: %v", err)
	}
	if _, status := s.listed(); status.Phase != runtime.Running {
		s.Fatalf("prepare descended the ladder: %+v", status)
	}
}

func (s *suite) badSpec() {
	for _, spec := range []runtime.Spec{
		{Instance: one},
		{Instance: "a/b", Containers: []runtime.Container{{Name: "web"}}},
		{Instance: one, Containers: []runtime.Container{{Name: "web"}, {Name: "web"}}},
	} {
		_, err := s.rt.Prepare(s.Context(), spec)
		s.wantReason(err, runtime.BadSpec)
	}
}

func (s *suite) generations() {
	s.ready(Program{})
	first := s.start(3)
	again, err := s.rt.Start(s.Context(), one, "web", 3)
	if err != nil || again.PID != first.PID || !again.StartedAt.Equal(first.StartedAt) {
		s.Fatalf("repeating a start gave %+v, %v after %+v", again, err, first)
	}
	_, err = s.rt.Start(s.Context(), one, "web", 2)
	s.wantReason(err, runtime.Stale)
	if _, err = s.rt.Start(s.Context(), one, "web", 4); err == nil {
		s.Fatal("a second generation was started beside the first")
	}
	if _, err = s.rt.Stop(s.Context(), one, "web", 0); err != nil {
		s.Fatal(err)
	}
	_, err = s.rt.Start(s.Context(), one, "web", 3)
	s.wantReason(err, runtime.Stale)
	s.start(5)
}

func (s *suite) exit() {
	s.ready(Program{Exits: true, ExitCode: 7})
	s.start(1)
	status := s.nextExit()
	if status.Phase != runtime.Exited || status.ExitCode != 7 || status.Reason != "Error" || status.Generation != 1 {
		s.Fatalf("exit reported as %+v", status)
	}
	if status.StartedAt.IsZero() || status.ExitedAt.Before(status.StartedAt) || status.PID != 0 {
		s.Fatalf("times or pid of an exit: %+v", status)
	}
	if _, listed := s.listed(); listed.ExitCode != 7 || listed.Phase != runtime.Exited {
		s.Fatalf("list says %+v", listed)
	}
	s.start(2)
	if status := s.nextExit(); status.Generation != 2 {
		s.Fatalf("second exit is %+v", status)
	}
	s.noExit()
}

func (s *suite) kill() {
	s.ready(Program{})
	s.Kill(s.start(1))
	if status := s.nextExit(); status.ExitCode != 137 || status.Reason != "Error" {
		s.Fatalf("a killed container ended as %+v", status)
	}
}

func (s *suite) stop() {
	s.ready(Program{Print: []string{"up"}})
	s.start(1)
	s.waitLine("up")
	status, err := s.rt.Stop(s.Context(), one, "web", patience)
	if err != nil || status.Phase != runtime.Exited || status.ExitCode != 143 {
		s.Fatalf("stop gave %+v, %v", status, err)
	}
	again, err := s.rt.Stop(s.Context(), one, "web", patience)
	if err != nil || again.Phase != runtime.Exited || again.ExitCode != 143 {
		s.Fatalf("a repeated stop gave %+v, %v", again, err)
	}
	s.noExit()
}

func (s *suite) stubborn() {
	s.ready(Program{IgnoreTerm: true, Print: []string{"up"}})
	s.start(1)
	s.waitLine("up")
	status, err := s.rt.Stop(s.Context(), one, "web", 50*time.Millisecond)
	if err != nil || status.Phase != runtime.Exited || status.ExitCode != 137 {
		s.Fatalf("stop gave %+v, %v", status, err)
	}
	s.noExit()
}

func (s *suite) remove() {
	s.ready(Program{})
	s.start(1)
	for range 2 {
		if err := s.rt.Remove(s.Context(), one); err != nil {
			s.Fatal(err)
		}
	}
	if all, err := s.rt.List(s.Context()); err != nil || len(all) != 0 {
		s.Fatalf("after remove: %+v, %v", all, err)
	}
	_, err := s.rt.Start(s.Context(), one, "web", 2)
	s.wantReason(err, runtime.NotFound)
	s.noExit()
	s.ready(Program{})
	s.start(1)
}

func (s *suite) unknown() {
	ctx := s.Context()
	if err := s.rt.Remove(ctx, "default.none-0.0"); err != nil {
		s.Fatal(err)
	}
	_, err := s.rt.Start(ctx, "default.none-0.0", "web", 1)
	s.wantReason(err, runtime.NotFound)
	_, err = s.rt.Stop(ctx, "default.none-0.0", "web", 0)
	s.wantReason(err, runtime.NotFound)
	_, err = s.rt.Exec(ctx, "default.none-0.0", "web", []string{"true"})
	s.wantReason(err, runtime.NotFound)
	_, err = s.rt.Logs(ctx, "default.none-0.0", "web", runtime.LogOptions{TailLines: -1})
	s.wantReason(err, runtime.NotFound)
	_, err = s.rt.Stats(ctx, "default.none-0.0", "web")
	s.wantReason(err, runtime.NotFound)
	s.ready(Program{})
	_, err = s.rt.Start(ctx, one, "other", 1)
	s.wantReason(err, runtime.NotFound)
	_, err = s.rt.Exec(ctx, one, "web", []string{"true"})
	s.wantReason(err, runtime.NotFound)
}

func (s *suite) exec() {
	s.ready(Program{})
	s.start(1)
	result, err := s.rt.Exec(s.Context(), one, "web", []string{"echo", "hello"})
	if err != nil || result.ExitCode != 0 || len(result.Output) == 0 {
		s.Fatalf("exec gave %+v, %v", result, err)
	}
	usage, err := s.rt.Stats(s.Context(), one, "web")
	if err != nil || usage.Pids < 1 || usage.MemoryBytes <= 0 {
		s.Fatalf("stats gave %+v, %v", usage, err)
	}
}

// read returns all output that options choose.
func (s *suite) read(options runtime.LogOptions) string {
	s.Helper()
	logs, err := s.rt.Logs(s.Context(), one, "web", options)
	if err != nil {
		s.Fatal(err)
	}
	defer logs.Close()
	text, err := io.ReadAll(logs)
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

func (s *suite) logs() {
	s.ready(Program{Print: []string{"a", "b", "c"}, Exits: true})
	s.start(1)
	s.nextExit()
	for tail, want := range map[int]string{-1: "a\nb\nc\n", 0: "", 1: "c\n", 2: "b\nc\n", 9: "a\nb\nc\n"} {
		if got := s.read(runtime.LogOptions{TailLines: tail}); got != want {
			s.Errorf("tail %d gave %q, want %q", tail, got, want)
		}
	}
	if got := s.read(runtime.LogOptions{TailLines: -1, Since: time.Now().Add(time.Hour)}); got != "" && got != "a\nb\nc\n" {
		s.Errorf("since gave part of a line: %q", got)
	}
	s.start(2)
	s.nextExit()
	if got := s.read(runtime.LogOptions{TailLines: 1, Previous: true}); got != "c\n" {
		s.Errorf("previous gave %q", got)
	}
	if got := s.read(runtime.LogOptions{TailLines: -1}); got != "a\nb\nc\n" {
		s.Errorf("the newest generation has also %q", got)
	}
}

// waitLine follows the output until a line comes by.
func (s *suite) waitLine(want string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	logs, err := s.rt.Logs(ctx, one, "web", runtime.LogOptions{Follow: true, TailLines: -1})
	if err != nil {
		s.Fatal(err)
	}
	defer logs.Close()
	var line string
	if _, err := fmt.Fscanln(logs, &line); err != nil || line != want {
		s.Fatalf("followed %q, %v; want %q", line, err, want)
	}
}

func (s *suite) follow() {
	s.ready(Program{Print: []string{"line"}, Exits: true})
	s.start(1)
	logs, err := s.rt.Logs(s.Context(), one, "web", runtime.LogOptions{Follow: true, TailLines: -1})
	if err != nil {
		s.Fatal(err)
	}
	defer logs.Close()
	var line string
	if _, err := fmt.Fscanln(logs, &line); err != nil || line != "line" {
		s.Fatalf("first generation: %q, %v", line, err)
	}
	s.nextExit()
	s.start(2)
	if _, err := fmt.Fscanln(logs, &line); err != nil || line != "line" {
		s.Fatalf("second generation: %q, %v", line, err)
	}
	s.nextExit()
	if err := s.rt.Remove(s.Context(), one); err != nil {
		s.Fatal(err)
	}
	if rest, err := io.ReadAll(logs); err != nil || len(rest) != 0 {
		s.Fatalf("after remove: %q, %v", rest, err)
	}
}

func (s *suite) adopt() {
	s.ready(Program{})
	running := s.start(4)
	s.reopen()
	in, status := s.listed()
	if status.Phase != runtime.Running || status.Generation != 4 || status.PID != running.PID || !status.StartedAt.Equal(running.StartedAt) {
		s.Fatalf("the next life sees %+v, was %+v", status, running)
	}
	if string(in.Spec.Note) != "note" {
		s.Fatalf("the note is lost: %+v", in.Spec)
	}
	s.noExit()
	s.Kill(status)
	if status := s.nextExit(); status.Generation != 4 || status.Phase != runtime.Exited {
		s.Fatalf("exit of an adopted container: %+v", status)
	}
	s.reopen()
	if _, status := s.listed(); status.Phase != runtime.Exited || status.Generation != 4 {
		s.Fatalf("the third life sees %+v", status)
	}
	_, err := s.rt.Start(s.Context(), one, "web", 4)
	s.wantReason(err, runtime.Stale)
	s.noExit()
	s.start(5)
}

func (s *suite) several() {
	var addresses []string
	for i := range 3 {
		spec := runtime.Spec{Instance: runtime.InstanceID(fmt.Sprintf("default.web-%d.5f3c9a1e", 2-i))}
		for _, name := range []string{"web", "side"} {
			c := s.Container(Program{})
			c.Name = name
			spec.Containers = append(spec.Containers, c)
		}
		address, err := s.rt.Prepare(s.Context(), spec)
		if err != nil {
			s.Fatal(err)
		}
		addresses = append(addresses, address.String())
		for _, name := range []string{"side", "web"} {
			if _, err := s.rt.Start(s.Context(), spec.Instance, name, 1); err != nil {
				s.Fatal(err)
			}
		}
	}
	all, err := s.rt.List(s.Context())
	if err != nil || len(all) != 3 {
		s.Fatalf("list gave %+v, %v", all, err)
	}
	for i, in := range all {
		if want := runtime.InstanceID(fmt.Sprintf("default.web-%d.5f3c9a1e", i)); in.Spec.Instance != want {
			s.Errorf("instance %d is %s", i, in.Spec.Instance)
		}
		if len(in.Containers) != 2 || in.Containers[0].Container != "web" || in.Containers[1].Container != "side" {
			s.Errorf("containers are not in the spec's order: %+v", in.Containers)
		}
		for _, c := range in.Containers {
			if c.Phase != runtime.Running || c.Address.String() != addresses[2-i] {
				s.Errorf("container %+v, want address %s", c, addresses[2-i])
			}
		}
	}
}
