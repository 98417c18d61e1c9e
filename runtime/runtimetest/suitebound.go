package runtimetest

import (
	"time"

	"shoal/runtime"
)

// bound sets the deadline of the one instance.
func (s *suite) bound(until time.Duration) {
	s.Helper()
	if err := s.rt.Bound(s.Context(), []runtime.Bound{{Instance: one, Until: until}, {Instance: "default.unknown-0.1", Until: until}}); err != nil {
		s.Fatal(err)
	}
}

// deadline: what runs beyond it is killed and reported, one that was moved on in time or lifted is none.
func (s *suite) deadline() {
	s.ready(Program{IgnoreTerm: true})
	s.start(1)
	s.bound(s.Now() + 100*time.Millisecond)
	began := s.Now()
	if status := s.nextExit(); status.ExitCode != 137 || status.Generation != 1 {
		s.Errorf("%+v", status)
	} else if took := s.Now() - began; took > 2*time.Second {
		s.Errorf("it ran on for %v", took)
	}
	_, err := s.rt.Start(s.Context(), one, "web", 2)
	s.wantReason(err, runtime.Overdue)

	s.bound(s.Now() + time.Hour)
	s.start(2)
	if in, status := s.listed(); status.Phase != runtime.Running || in.Until < s.Now() {
		s.Errorf("%+v", in)
	}
	s.bound(runtime.Unbounded)
	if in, status := s.listed(); status.Phase != runtime.Running || in.Until != 0 {
		s.Errorf("%+v", in)
	}
	s.noExit()
}

// deadlineOfTheDead: it holds in a later life of the program, which knows of it.
func (s *suite) deadlineOfTheDead() {
	s.ready(Program{IgnoreTerm: true})
	until := s.Now() + 700*time.Millisecond
	s.bound(until)
	s.start(1)
	s.reopen()
	if in, _ := s.listed(); in.Until != until {
		s.Errorf("its deadline is %v, and was %v", in.Until, until)
	}
	if status := s.nextExit(); status.ExitCode != 137 && status.ExitCode != -1 {
		s.Errorf("%+v", status)
	}
	if s.Now() < until {
		s.Error("it ended before its deadline")
	}
}

// bounded: such an instance runs only once it was given time, and in no life of the program without.
func (s *suite) bounded() {
	c := s.Container(Program{})
	c.Name = "web"
	spec := runtime.Spec{Instance: one, Hostname: "web-0", Containers: []runtime.Container{c}, Bounded: true}
	if _, err := s.rt.Prepare(s.Context(), spec); err != nil {
		s.Fatal(err)
	}
	_, err := s.rt.Start(s.Context(), one, "web", 1)
	s.wantReason(err, runtime.Overdue)
	s.bound(s.Now() + time.Hour)
	s.start(2)
	s.reopen()
	if in, status := s.listed(); status.Phase != runtime.Running || !in.Spec.Bounded || in.Until == 0 {
		s.Errorf("in the next life: %+v", in)
	}
}
