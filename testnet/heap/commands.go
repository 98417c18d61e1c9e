package heap

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/testnet/promise"
)

// writeLog is every command that a peer was given, with what became of it.
type writeLog struct {
	requests uint64
	open     map[uint64]*command
	done     []promise.Write
	stamps   map[crdt.Key][]crdt.Stamp // of acknowledged writes, by object
	ops      map[string]string         // by the ID of an acknowledged write: the operation
	keys     []crdt.Key                // of all objects that were written
}

type command struct {
	peer     *Peer
	write    control.Write
	leave    bool // not a write: to leave the cluster
	answered bool
	err      error
}

func newWriteLog() *writeLog {
	return &writeLog{open: map[uint64]*command{}, stamps: map[crdt.Key][]crdt.Stamp{}, ops: map[string]string{}}
}

// ErrDied is the answer of a command whose peer's program died before it answered.
var ErrDied = errors.New("the peer's program died before it answered")

// abandon ends the commands that a peer will no longer answer.
func (w *World) abandon(p *Peer) {
	for _, id := range slices.Sorted(maps.Keys(w.log.open)) {
		if c := w.log.open[id]; c.peer == p {
			c.answered, c.err = true, ErrDied
			if !c.leave {
				w.log.noteUnknown(p, c.write)
			}
			delete(w.log.open, id)
		}
	}
}

// replied takes a peer's answer to a command.
func (w *World) replied(p *Peer, reply control.Reply) {
	c := w.log.open[reply.Request]
	if c == nil {
		return
	}
	delete(w.log.open, reply.Request)
	c.answered, c.err = true, reply.Err
	w.tracef("%s answers %s: %s %v", p.Name, c.write.Key, stampID(reply.Stamp), reply.Err)
	var invalid *control.InvalidError
	if c.leave || errors.Is(reply.Err, control.ErrStale) || errors.As(reply.Err, &invalid) {
		return // the writer's to mend
	}
	w.log.note(p, c.write, reply, w.facts[reply.Op].Fields)
}

// note takes an answered write into the log that the promises are checked against, with the fields that it set as it was
// signed: a write also says again what the one before it deleted, and who sees it has seen both.
func (l *writeLog) note(p *Peer, write control.Write, reply control.Reply, signed map[string]string) {
	entry := l.entry(p, write)
	if reply.Err != nil {
		entry.Refused = reply.Err.Error()
	} else {
		maps.Copy(entry.Fields, signed)
		entry.ID = stampID(reply.Stamp)
		l.ops[entry.ID] = hex.EncodeToString(reply.Op[:])
		l.stamps[write.Key] = append(l.stamps[write.Key], reply.Stamp)
	}
	l.done = append(l.done, entry)
}

// noteRewritten takes into the log what a peer wrote again by itself: nobody asked for it, and it must not be lost either.
func (w *World) noteRewritten(p *Peer, out *control.Output) {
	for i := range out.Persist.Put {
		op := &out.Persist.Put[i]
		again := func(n control.Note) bool { return n.Reason == "Rewritten" && n.Object == op.Key }
		if op.Stamp.Writer == crdt.PeerID(p.self.ID) && slices.ContainsFunc(out.Notes, again) {
			write := control.Write{Key: op.Key, Verb: op.Verb, Seen: op.Seen, Changes: op.Changes}
			w.log.note(p, write, control.Reply{Stamp: op.Stamp, Op: op.ID()}, nil)
		}
	}
}

// noteUnknown takes a write into the log of which nobody knows whether it took effect.
func (l *writeLog) noteUnknown(p *Peer, write control.Write) {
	entry := l.entry(p, write)
	entry.Unknown = true
	l.done = append(l.done, entry)
}

func (l *writeLog) entry(p *Peer, write control.Write) promise.Write {
	if !slices.Contains(l.keys, write.Key) {
		l.keys = append(l.keys, write.Key)
	}
	entry := promise.Write{Peer: string(p.self.ID), Object: write.Key.String(),
		Create: write.Verb == crdt.Create, Delete: write.Verb == crdt.Delete, Fields: map[string]string{}}
	for _, change := range write.Changes {
		entry.Fields[string(change.Path)] = string(change.Value)
	}
	for _, stamp := range l.stamps[write.Key] {
		if stamp.Time <= write.Seen[stamp.Writer] {
			entry.Saw = append(entry.Saw, stampID(stamp))
		}
	}
	return entry
}

func stampID(s crdt.Stamp) string {
	if s.Writer == "" {
		return ""
	}
	return fmt.Sprintf("%d@%.8s", s.Time, s.Writer)
}

// patience is how long a command waits for its answer.
const patience = 2 * time.Second

// order gives a peer a command and lets time pass until it has answered.
func (w *World) order(p *Peer, write control.Write) error {
	c := w.tell(p, write)
	if _, ok := w.Await(patience, func() bool { return c.answered }); !ok {
		w.broken("P1", "%s did not answer a write to %s", p.Name, write.Key)
		return fmt.Errorf("no answer from %s", p.Name)
	}
	return c.err
}

// tell gives a peer a command, and waits for nothing.
func (w *World) tell(p *Peer, write control.Write) *command {
	w.log.requests++
	write.Request = w.log.requests
	write.Acks = int(w.log.requests % 3) // every now and then others are to say when they hold it
	c := &command{peer: p, write: write}
	w.log.open[write.Request] = c
	w.tracef("%s is told to %s %s, seen %v", p.Name, []string{"update", "create", "delete"}[write.Verb], write.Key, write.Seen)
	p.feed(write)
	return c
}

// attempts is how often a command reads again after the object changed under it.
const attempts = 5

// change computes a write from what the peer shows now, and gives it to the peer.
func (w *World) change(peer string, key crdt.Key, compute func(object crdt.Object) (control.Write, error)) error {
	p := w.Peer(peer)
	for range attempts {
		if !p.alive {
			return ErrDied
		}
		object, _ := p.core.Object(key)
		write, err := compute(object)
		if err != nil {
			return err
		}
		write.Key, write.Seen, write.User = key, object.Seen, peer
		if err := w.order(p, write); !errors.Is(err, control.ErrStale) {
			return err
		}
	}
	return control.ErrStale
}

// Apply gives a manifest to a peer, as `shoal apply` does, and lets time pass until it has taken it. Each peer's user applies as
// somebody else, so that what one said another leaves alone.
func (w *World) Apply(peer, yaml string) error {
	return w.give(peer, yaml, func(current []crdt.Field, desired map[crdt.Path]json.RawMessage) []crdt.Change {
		return manifest.Apply(current, manifest.Owner{Manager: "apply", User: peer}, desired)
	})
}

// Replace does so as an editor does: what the manifest does not say is gone, whoever said it.
func (w *World) Replace(peer, yaml string) error { return w.give(peer, yaml, manifest.Replace) }

func (w *World) give(peer, yaml string, changes func([]crdt.Field, map[crdt.Path]json.RawMessage) []crdt.Change) error {
	documents, err := manifest.Decode("test.yaml", []byte(yaml))
	if err != nil {
		return err
	}
	for _, d := range documents {
		w.noteApplied(d.Key, d.Tree)
		fields, err := manifest.Flatten(d.Key.Kind, d.Tree)
		if err != nil {
			return err
		}
		err = w.change(peer, d.Key, func(object crdt.Object) (control.Write, error) {
			if !object.Live {
				return control.Write{Verb: crdt.Create, Manager: "apply", Changes: changes(nil, fields)}, nil
			}
			return control.Write{Manager: "apply", Changes: changes(object.Fields, fields)}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Set sets one field of an object on a peer.
func (w *World) Set(peer string, key crdt.Key, path crdt.Path, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return w.change(peer, key, func(object crdt.Object) (control.Write, error) {
		if !object.Live {
			return control.Write{}, fmt.Errorf("%s has no %s", peer, key)
		}
		return control.Write{Manager: "edit", Changes: []crdt.Change{{Path: path, Value: data}}}, nil
	})
}

// Delete deletes an object on a peer.
func (w *World) Delete(peer string, key crdt.Key) error {
	return w.change(peer, key, func(object crdt.Object) (control.Write, error) {
		if !object.Live {
			return control.Write{}, fmt.Errorf("%s has no %s", peer, key)
		}
		return control.Write{Verb: crdt.Delete}, nil
	})
}

// Scale sets how many replicas a Deployment has.
func (w *World) Scale(peer, name string, replicas int) error {
	return w.Set(peer, Deployment(name), "spec/replicas", replicas)
}

// Deployment is the key of a Deployment in the default namespace.
func Deployment(name string) crdt.Key {
	return crdt.Key{Kind: "Deployment", Namespace: "default", Name: name}
}

// Leave lets a peer hand over its work, and says goodbye for it once it has.
func (w *World) Leave(name string, within time.Duration) error {
	p := w.Peer(name)
	w.log.requests++
	c := &command{peer: p, leave: true}
	w.log.open[w.log.requests] = c
	w.tracef("%s is told to leave", name)
	p.drives = true
	p.feed(control.LeaveAsked{Request: w.log.requests, Within: within})
	if _, ok := w.Await(within+patience, func() bool { return c.answered }); !ok {
		return fmt.Errorf("%s does not leave", name)
	}
	p.left, p.drives, p.drove = true, p.node.drives(), w.now
	p.halt()
	return nil
}
