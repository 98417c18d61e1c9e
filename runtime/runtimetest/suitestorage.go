package runtimetest

import (
	"strings"

	"shoal/runtime"
)

// storage: who writes more than it may is ended, with a reason, and can be started again; who does not goes on.
func (s *suite) storage() {
	side, web := s.Container(Program{Print: []string{"up"}}), s.Container(Program{Print: []string{"up"}, Writes: 3 << 20})
	web.Name, side.Name = "web", "side"
	web.Limits.StorageBytes, side.Limits.StorageBytes = 1<<20, 8<<20
	if _, err := s.rt.Prepare(s.Context(), runtime.Spec{Instance: one, Containers: []runtime.Container{web, side}}); err != nil {
		s.Fatal(err)
	}
	if _, err := s.rt.Start(s.Context(), one, "side", 1); err != nil {
		s.Fatal(err)
	}
	s.Measure()
	s.noExit()
	for generation := range uint64(2) {
		s.start(generation + 1)
		s.waitLine("up")
		s.Measure()
		for range 2 - generation { // the first time its neighbour too
			status := s.nextExit()
			if status.Phase != runtime.Exited || status.ExitCode != 137 || status.Reason != "StorageExceeded" || !strings.Contains(status.Detail, "1Mi") {
				s.Fatalf("over its limit it ended as %+v", status)
			}
		}
		s.Measure()
		s.noExit()
	}
}
