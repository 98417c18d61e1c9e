package control

import (
	"cmp"
	"fmt"
	"strings"

	"shoal/crdt"
	"shoal/peer/wire"
	"shoal/placement"
	"shoal/runtime"
)

// rowEvent is something that another peer says happened there, now.
func (w *world) rowEvent(args []string) wire.Event {
	w.told++
	e := wire.Event{Number: w.told, At: w.wall.UnixMilli(), Reason: args[1], Text: args[2], Cause: args[3]}
	if args[0] != "-" {
		e.Replica = "default/" + args[0]
		e.Object = "Deployment/default/" + args[0][:strings.LastIndexByte(args[0], '-')]
	}
	return e
}

// serving makes an instance of a row one whose container runs.
func serving(in wire.Instance) wire.Instance {
	in.State, in.Ready = "Running", true
	in.Containers = []wire.Container{{Name: "web", Phase: uint8(runtime.Running), Ready: true, StartedAt: in.Since}}
	return in
}

// eventsVerb prints what happened here and elsewhere, with causes.
func (w *world) eventsVerb([]string) error {
	for _, n := range w.machine.Notes() {
		text := fmt.Sprintf("%s %s %s", n.At.Sub(epoch), orDash(w.machine.peerName(n.Peer)), strings.TrimSpace(noteText(n)))
		if n.Cause != "" {
			text += " <- " + n.Cause
		}
		w.print("%s", text)
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (w *world) healsVerb([]string) error {
	for _, h := range w.machine.Heals() {
		end := "goes on"
		if !h.Ended.IsZero() {
			end = "ended " + h.Ended.Sub(epoch).String()
		}
		w.print("reunion at %s, %s", h.Began.Sub(epoch), end)
		for _, p := range h.Peers {
			w.print("  %s lost %s back %s", p.Name, p.Lost.Sub(epoch), p.Back.Sub(epoch))
		}
		for _, r := range h.Twice {
			until := "both run"
			if !r.Until.IsZero() {
				until = fmt.Sprintf("until %s, when it went from %s", r.Until.Sub(epoch), w.machine.peerName(r.Gone))
			}
			w.print("  twice %s on %s and %s from %s %s", r.Replica, r.Names[0], r.Names[1], r.From.Sub(epoch), until)
		}
		for _, c := range h.Conflicts {
			w.print("  conflict %s %s", c.Object, strings.Join(c.Fields, ", "))
		}
		for _, n := range h.Stopped {
			w.print("  stopped %s on %s: %s <- %s", n.Replica, w.machine.peerName(n.Peer), n.Text, n.Cause)
		}
		if len(h.Short) > 0 {
			w.print("  and more on %s", strings.Join(h.Short, ", "))
		}
	}
	return nil
}

// explainVerb prints what the view says of a replica.
func (w *world) explainVerb(args []string) error {
	e, known := w.machine.Explain(placement.ReplicaID("default/" + args[0]))
	if !known {
		w.print("not wanted")
		return nil
	}
	w.print("%s %s %s", e.Assignment.Replica, orDash(string(e.Assignment.Peer)), e.Assignment.Rule)
	if e.Pending != "" {
		w.print("  pending: %s; one change that would help: %s", e.Pending, orDash(e.Remedy))
	}
	for _, v := range e.Verdicts {
		w.print("  %s", strings.TrimSpace(fmt.Sprintf("%s %s %s", v.Peer, v.Rule, v.Detail)))
	}
	return nil
}

// whatIfVerb prints what would become of everything: what-if lose p2 | drain p2 | add p9 CPU | scale NAME N | remove NAME
func (w *world) whatIfVerb(args []string) error {
	var s Supposition
	switch args[0] {
	case "lose":
		for _, name := range args[1:] {
			s.Lose = append(s.Lose, placement.PeerID(peerID(name)))
		}
	case "drain":
		for _, name := range args[1:] {
			s.Drain = append(s.Drain, placement.PeerID(peerID(name)))
		}
	case "add":
		s.Add = []placement.Peer{{ID: placement.PeerID(peerID(args[1])), Name: args[1], Live: true, Steady: true,
			Room: placement.Resources{CPUMillis: 4000, MemoryBytes: 4 << 30}}}
	case "apply":
		change, err := w.supposed(args[1], args[2:])
		if err != nil {
			return err
		}
		s.Objects = []PreviewChange{change}
	case "remove":
		s.Objects = []PreviewChange{{Key: deploymentKey(args[1])}}
	default:
		return fmt.Errorf("unknown supposition")
	}
	q, faults := w.machine.Suppose(s)
	for _, f := range faults {
		w.print("fault: %s", f)
	}
	f := q.Foresee()
	for _, c := range f.Changes {
		w.print("%s %s from %s to %s %s", c.Replica, c.Deed, orDash(string(c.From)), orDash(string(c.To)), c.Rule)
	}
	for _, c := range f.Stuck {
		w.print("%s stays on %s: %s", c.Replica, c.Peer, cmp.Or(c.Budget, "no other peer can take it"))
	}
	for _, c := range f.Later {
		w.print("later %s %s from %s to %s %s", c.Replica, c.Deed, orDash(string(c.From)), orDash(string(c.To)), c.Rule)
	}
	return nil
}

// supposed is a Deployment as it would be if a manifest were applied.
func (w *world) supposed(name string, options []string) (PreviewChange, error) {
	key := deploymentKey(name)
	current, _ := w.machine.Object(key)
	current.Key = key
	changes, err := changesFor(current, manifestOf(key, pairs(options)))
	change := PreviewChange{Key: key}
	fields := map[string]int{}
	if current.Live {
		change.Fields = current.Fields
	}
	for i, f := range change.Fields {
		fields[string(f.Path)] = i
	}
	for _, c := range changes {
		if at, known := fields[string(c.Path)]; known {
			change.Fields[at].Value = c.Value
		} else if c.Value != nil {
			change.Fields = append(change.Fields, crdt.Field{Path: c.Path, Value: c.Value})
		}
	}
	return change, err
}
