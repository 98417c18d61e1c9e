package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"shoal/runtime"
)

func (w *world) instance(name string) runtime.InstanceID {
	var found runtime.InstanceID
	replica, revision, _ := strings.Cut(name, "@")
	for _, id := range slices.Sorted(mapsKeys(w.instances)) {
		parts := strings.Split(string(id), ".")
		if parts[1] == replica && (revision == "" || parts[2] == w.realRevision(revision)) {
			found = id
		}
	}
	return found
}

// done answers all actions given out, or those of one instance.
func (w *world) done(args []string) error {
	var only runtime.InstanceID
	if len(args) > 0 && args[0] != "error" {
		if only = w.instance(args[0]); only == "" {
			return fmt.Errorf("nothing is known of it")
		}
		args = args[1:]
	}
	var failure *runtime.Error
	if len(args) > 1 {
		failure = &runtime.Error{Op: "run", Subject: "it", Reason: runtime.Reason(args[1]), Err: fmt.Errorf("%s", args[2])}
	}
	var rest []Action
	for _, a := range w.pending {
		if only != "" && a.Instance != only {
			rest = append(rest, a)
			continue
		}
		w.machine.Step(w.answer(a, failure))
	}
	w.pending = rest
	return nil
}

// answer plays the runtime.
func (w *world) answer(a Action, failure *runtime.Error) Done {
	done := Done{Action: a, Err: failure}
	if failure != nil {
		return done
	}
	switch a.Kind {
	case Prepare:
		done.Address = netip.MustParseAddr("10.1.0.5")
		w.setStatus(a.Instance, "", func(s *runtime.Status) { s.Phase, s.Address = runtime.Prepared, done.Address })
	case Start:
		w.setStatus(a.Instance, a.Container, func(s *runtime.Status) {
			s.Phase, s.Generation, s.StartedAt = runtime.Running, a.Generation, w.wall
			done.Status = *s
		})
	case Stop:
		w.setStatus(a.Instance, a.Container, func(s *runtime.Status) {
			s.Phase, s.ExitCode, s.Reason = runtime.Exited, 143, "Error"
			done.Status = *s
		})
	case Remove:
		delete(w.instances, a.Instance)
	}
	return done
}

func (w *world) setStatus(id runtime.InstanceID, container string, set func(*runtime.Status)) {
	in := w.instances[id]
	for i := range in.Containers {
		if s := &in.Containers[i]; container == "" || s.Container == container {
			set(s)
		}
	}
}

func (w *world) run([]string) error {
	for range 100 {
		w.flush()
		if len(w.pending) == 0 {
			return nil
		}
		if err := w.done(nil); err != nil {
			return err
		}
	}
	return fmt.Errorf("it does not come to rest")
}

func (w *world) exit(args []string) error {
	id := w.instance(args[0])
	code, err := strconv.Atoi(args[1])
	w.setStatus(id, "web", func(s *runtime.Status) {
		s.Phase, s.ExitCode, s.Reason = runtime.Exited, code, "Error"
		if code == 0 {
			s.Reason = "Completed"
		}
		if len(args) > 2 && args[2] == "storage" {
			s.Reason, s.Detail = "StorageExceeded", "container web wrote more than its limit of ephemeral-storage, 10Mi"
		}
		w.machine.Step(Exited{*s})
	})
	return err
}

func (w *world) probe(args []string) error {
	id := w.instance(args[0])
	w.setStatus(id, "web", func(s *runtime.Status) {
		p := Probed{Instance: id, Container: "web", Generation: s.Generation, OK: args[1] == "ready"}
		switch args[1] {
		case "unready":
			p.Detail = "HTTP 503"
		case "dead":
			p.Liveness, p.Detail = true, "connection refused"
		case "late":
			p.Generation--
			p.OK = true
		}
		w.machine.Step(p)
	})
	return nil
}
