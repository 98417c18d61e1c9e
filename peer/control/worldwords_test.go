package control

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"shoal/crdt"
	"shoal/peer/replication"
)

// keep is the part of the store that is not operations and the book.
func (w *world) keep(p Persist) {
	for name, value := range p.Records {
		if value == nil {
			delete(w.records, name)
		} else {
			w.records[name] = value
		}
	}
	for _, entry := range p.History {
		w.history[entry.Key] = append(w.history[entry.Key], entry)
	}
}

func (w *world) trip(site, name string) {
	if w.trips[site+" "+peerNames(name)] {
		panic("tripped at " + site)
	}
}

func peerNames(text string) string { return hexID.ReplaceAllStringFunc(text, peerNameOf) }

func (w *world) tripVerb(args []string) error {
	if len(args) == 0 {
		clear(w.trips)
		return nil
	}
	w.trips[args[0]+" "+args[1]] = true
	return nil
}

func (w *world) asideVerb([]string) error {
	for _, a := range w.machine.Aside() {
		w.print("%s %s: %s", a.Site, hexOp.ReplaceAllString(a.Subject, "operation …"), a.Text)
	}
	return nil
}

func (w *world) conflictsVerb([]string) error {
	for _, c := range w.machine.Conflicts() {
		w.print("%s live %v", c.Key, c.Live)
		for _, f := range c.Fields {
			w.print("  %s = %s by %s", f.Path, f.Value, f.Writer.Writer)
			for _, r := range f.Conflicts {
				w.print("    not %s by %s", r.Value, r.Writer.Writer)
			}
		}
		for _, f := range c.Orphans {
			w.print("  orphan %s = %s by %s", f.Path, f.Value, f.Writer.Writer)
		}
		if !c.Live {
			w.print("  deleted by %s for %s", c.Deleted.Stamp.Writer, c.Deleted.User)
		}
	}
	return nil
}

func (w *world) resolveVerb(args []string) error {
	key := deploymentKey(args[0])
	current, _ := w.machine.Object(key)
	write := Write{Key: key, Verb: crdt.Delete, Seen: current.Seen, Manager: "script", User: "op"}
	if len(args) > 1 {
		write.Verb, write.Changes = crdt.Update, []crdt.Change{{Path: crdt.Path(args[1]), Value: []byte(args[2])}}
	}
	w.requests++
	write.Request = w.requests
	w.machine.Step(write)
	return nil
}

func (w *world) historyVerb(args []string) error {
	verbs := []string{"update", "create", "delete"}
	for _, e := range w.history[deploymentKey(args[0])] {
		w.print("%s by %s for %s, %d changes", verbs[e.Verb], e.Stamp.Writer, e.User, len(e.Diffs))
		for _, d := range e.Diffs[:min(len(e.Diffs), 3)] {
			w.print("  %s: %s -> %s", d.Path, orNone(d.Old), orNone(d.New))
		}
	}
	return nil
}

func orNone(value []byte) string {
	if value == nil {
		return "none"
	}
	return string(value)
}

func (w *world) floorVerb([]string) error {
	s := w.machine.FloorStatus()
	w.print("registered %d forgotten %d forgettable %d pending %v applied %v doubtful %v",
		len(s.Registered), len(s.Forgotten), s.Forgettable, s.Pending, s.Applied, s.Doubtful)
	for _, wait := range s.Waiting {
		w.print("  waits for %s: %s", wait.Name, wait.Why)
	}
	return nil
}

func (w *world) skewsVerb([]string) error {
	report := w.machine.Skews()
	w.print("own %s known %v", report.Own, report.Known)
	for _, s := range report.Members {
		w.print("  %s %s ahead, %d rows", s.Peer, s.Ahead, s.Rows)
	}
	return nil
}

func (w *world) auditVerb([]string) error {
	for _, e := range w.audited {
		w.print("%s %s from %s: %s", e.Reason, hexOp.ReplaceAllString(e.Subject, "operation …"), e.From, e.Text)
	}
	w.audited = nil
	return nil
}

func (w *world) acksVerb(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if err := w.apply(args[1:]); err != nil {
		return err
	}
	last := len(w.machine.inbox) - 1
	write := w.machine.inbox[last].(Write)
	write.Acks = n
	w.machine.inbox[last] = write
	return nil
}

func (w *world) ackVerb(args []string) error {
	if len(w.machine.acks) == 0 {
		return fmt.Errorf("nobody waits for an acknowledgement")
	}
	op := w.machine.acks[len(w.machine.acks)-1].op
	w.machine.Step(Received{From: peerID(args[0]), Message: replication.Message{Ack: &replication.Ack{Ops: []crdt.OpID{op}}}})
	return nil
}

// sentVerb tells to whom operations went in the last flush.
func (w *world) sentVerb([]string) error {
	to := map[string]bool{}
	for _, s := range w.last.Send {
		if s.Message.Push != nil {
			to[fmt.Sprintf("%s ack %v", peerNames(string(s.To)), s.Message.Push.Ack)] = true
		}
	}
	w.print("pushed to %s", strings.Join(slices.Sorted(maps.Keys(to)), ", "))
	return nil
}
