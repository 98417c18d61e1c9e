package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/placement"
	"shoal/runtime"
)

// flush runs the machine, keeps what it says must be kept, and prints what it says must be done.
func (w *world) flush() {
	out := w.machine.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall})
	w.last = out
	w.keepTells()
	w.keep(out.Persist)
	w.audited = append(w.audited, out.Audit...)
	for _, a := range out.Acks {
		w.print("  ack by %s", a.By)
	}
	for _, op := range out.Persist.Put {
		w.ops[opName(op)] = op
	}
	for _, op := range out.Persist.Drop {
		delete(w.ops, opName(op))
	}
	for _, m := range out.Persist.Book {
		w.book[m.ID] = m
	}
	w.nameRevisions()
	for _, n := range out.Notes {
		if !w.quiet {
			w.print("  %s", noteText(n))
		}
	}
	for _, r := range out.Replies {
		w.print("  reply %d: %s", r.Request, replyText(r.Err))
	}
	for _, a := range out.Actions {
		w.take(a)
	}
	if out.Self != nil {
		w.print("  tell room %dm", out.Self.Room.CPUMillis)
	}
	if w.answerQuestions() {
		w.flush()
	}
}

func (w *world) nameRevisions() {
	for _, want := range w.machine.PlacementView().Wanted {
		w.revision(string(want.Revision))
	}
}

func opName(op crdt.Op) string {
	return fmt.Sprintf("%s %020d %s", op.Key, op.Stamp.Time, op.Stamp.Writer)
}

func (w *world) take(a Action) {
	w.pending = append(w.pending, a)
	text := map[ActionKind]string{Prepare: "prepare", Start: "start", Stop: "stop", Remove: "remove"}[a.Kind]
	parts := strings.Split(string(a.Instance), ".")
	text += " " + parts[1] + "@" + w.revision(parts[2])
	switch a.Kind {
	case Prepare:
		w.instances[a.Instance] = &runtime.Instance{Spec: *a.Spec}
		for _, c := range a.Spec.Containers {
			w.instances[a.Instance].Containers = append(w.instances[a.Instance].Containers,
				runtime.Status{Instance: a.Instance, Container: c.Name})
		}
	case Start:
		text += fmt.Sprintf(" generation %d", a.Generation)
	case Stop:
		text += fmt.Sprintf(" grace %s", a.Grace)
	}
	if !w.quiet {
		w.print("> %s", text)
	}
}

func replyText(err error) string {
	var invalid *InvalidError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &invalid):
		return "invalid: " + err.Error()
	}
	return err.Error()
}

func noteText(n Note) string {
	about := n.Replica
	if about == "" && n.Object != (crdt.Key{}) {
		about = n.Object.String()
	}
	text := n.Reason
	if about != "" {
		text += " " + strings.TrimPrefix(about, "default/")
	}
	text += ": " + n.Text
	if n.Count > 1 {
		text += fmt.Sprintf(" (%d times)", n.Count)
	}
	return text
}

func (w *world) plan([]string) error {
	for a := range w.machine.planner.plan.Assignments.All() {
		peer := string(a.Peer)
		if peer == "" {
			peer = "nowhere"
		}
		text := fmt.Sprintf("%s@%s on %s %s", strings.TrimPrefix(string(a.Replica), "default/"), w.revision(string(a.Revision)), peer, a.Rule)
		if len(a.Makes) > 0 {
			text += fmt.Sprintf(" makes %s go", a.Makes)
		}
		if a.By != "" {
			text += fmt.Sprintf(" for %s", a.By)
		}
		w.print("%s", text)
	}
	return nil
}

func (w *world) replicas([]string) error {
	for _, r := range w.machine.Replicas() {
		text := strings.TrimPrefix(string(r.ID), "default/")
		if !r.Wanted {
			text += " unwanted"
		}
		if r.Pending != "" {
			text += " pending: " + r.Pending
		}
		if r.Waits != "" {
			text += " " + r.Waits
		}
		w.print("%s", text)
		for _, in := range r.Instances {
			w.print("  %s", w.instanceText(in))
		}
	}
	return nil
}

func (w *world) instanceText(in InstanceView) string {
	text := fmt.Sprintf("%s %s %s", w.revision(string(in.Revision)), in.Peer, in.State)
	if in.Ready {
		text += " ready"
	}
	for _, c := range in.Containers {
		text += fmt.Sprintf(" generation %d restarts %d", c.Generation, c.Restarts)
		if c.Reason != "" {
			text += fmt.Sprintf(" last %d %s", c.ExitCode, c.Reason)
		}
		if c.Detail != "" {
			text += " (" + c.Detail + ")"
		}
	}
	return text
}

func (w *world) membersVerb([]string) error {
	states := map[gossip.State]string{gossip.Alive: "alive", gossip.Suspect: "suspect", gossip.Failed: "failed"}
	for _, v := range w.machine.Members() {
		text := fmt.Sprintf("%s %s boot %d admitted %dm", v.Name, states[v.State], v.Boot, v.Admitted.CPUMillis)
		if v.Draining {
			text += " draining"
		}
		w.print("%s", text)
	}
	return nil
}

func (w *world) invalid(args []string) error {
	for _, fault := range w.machine.Invalid(deploymentKey(args[0])) {
		w.print("%s", fault)
	}
	return nil
}

func (w *world) why(args []string) error {
	verdicts, ok := w.machine.Why(placement.ReplicaID("default/" + args[0]))
	if !ok {
		return fmt.Errorf("there is no such replica")
	}
	for _, v := range verdicts {
		w.print("%s", strings.TrimRight(fmt.Sprintf("%s %s %s", v.Peer, v.Rule, v.Detail), " "))
	}
	return nil
}

func (w *world) notes([]string) error {
	for _, n := range w.machine.Notes() {
		w.print("%s", noteText(n))
	}
	return nil
}

func (w *world) admitted([]string) error {
	sum, room := w.machine.Admitted()
	w.print("%dm of %dm", sum.CPUMillis, room.CPUMillis)
	return nil
}

func (w *world) persist([]string) error {
	var names []string
	for _, id := range slices.Sorted(mapsKeys(w.book)) {
		name := w.book[id].Name
		if w.book[id].State == gossip.Left {
			name += " (left)"
		}
		names = append(names, name)
	}
	w.print("%d operations, book: %s", len(w.ops), strings.Join(names, " "))
	return nil
}

func (w *world) wakeVerb([]string) error {
	if w.last.Wake == 0 {
		w.print("never")
		return nil
	}
	w.print("in %s", (w.last.Wake - w.elapsed).Round(time.Millisecond))
	return nil
}
