package bubble

import (
	"context"
	"fmt"
	"strings"
	"time"

	"shoal/gossip"
	"shoal/peer/control"
	"shoal/placement"
	"shoal/runtime"
	"shoal/testnet/promise"
)

// alive counts the members that the peer sees alive.
func (p *Peer) alive() int {
	count := 0
	p.read(func(m *control.Machine) {
		for _, member := range m.Members() {
			if member.State == gossip.Alive {
				count++
			}
		}
	})
	return count
}

func (p *Peer) read(look func(*control.Machine)) {
	if p.program != nil {
		_ = p.program.Read(context.Background(), look)
	}
}

// Snapshot shows the world from outside.
func (w *World) Snapshot() promise.Snapshot {
	var s promise.Snapshot
	for _, p := range w.peers {
		s.Peers = append(s.Peers, p.snapshot())
	}
	return s
}

func (p *Peer) snapshot() promise.Peer {
	s := promise.Peer{ID: string(p.ID), Name: p.Name, Alive: p.program != nil, Powered: true, Side: p.world.sides[p.Name]}
	ready := map[string]bool{}
	p.read(func(m *control.Machine) {
		s.IntentDigest, s.PlanDigest = m.Digests()
		sum, room := m.Admitted()
		s.Admitted, s.Room = promise.Resources(sum), promise.Resources(room)
		for _, r := range m.Replicas() {
			if r.Wanted {
				s.Wanted = append(s.Wanted, promise.Wanted{
					Replica: string(r.ID), Revision: string(r.Assignment.Revision), Pending: r.Assignment.Peer == "",
					Moving: r.Assignment.From != "" || r.Assignment.Rule == placement.Moving,
				})
			}
			for _, instance := range r.Instances {
				if string(instance.Peer) == string(p.ID) && instance.Ready {
					ready[string(instance.Instance)] = true
				}
			}
		}
	})
	for _, instance := range p.running() {
		instance.Ready = ready[instance.ID]
		s.Instances = append(s.Instances, instance)
	}
	return s
}

// running is what the imagined machine runs, whatever the program believes.
func (p *Peer) running() []promise.Instance {
	var all []promise.Instance
	for _, held := range p.machine.Instances() {
		name := string(held.Spec.Instance)
		instance := promise.Instance{ID: name}
		instance.Replica, instance.Revision = replicaOf(name)
		for _, c := range held.Containers {
			if c.Phase == runtime.Running {
				instance.Containers = append(instance.Containers, promise.Container{
					Peer: string(p.ID), Instance: name, Name: c.Container, Generation: c.Generation, StartedAt: c.StartedAt,
				})
			}
		}
		all = append(all, instance)
	}
	return all
}

// Rest lets time pass until every promise that holds at rest holds, and has held for a while. What moves for the balance may begin
// to move when a peer that came has been there for long enough, so that one moment of rest may not last.
func (w *World) Rest(most time.Duration) promise.Snapshot {
	w.t.Helper()
	const lasts, each = 4 * time.Second, 500 * time.Millisecond
	for ended := time.Now().Add(most); ; {
		w.Await(time.Until(ended), "rest", func() bool { return len(promise.AtRest(w.Snapshot())) == 0 })
		began := time.Now()
		for time.Since(began) < lasts && len(promise.AtRest(w.Snapshot())) == 0 {
			time.Sleep(each)
		}
		if s := w.Snapshot(); len(promise.AtRest(s)) == 0 && time.Since(began) >= lasts {
			return s
		}
	}
}

func (w *World) describe() string {
	var text strings.Builder
	for _, violation := range promise.AtRest(w.Snapshot()) {
		fmt.Fprintln(&text, violation)
	}
	for _, p := range w.peers {
		fmt.Fprintf(&text, "%s: side %d, sees %d alive, runs", p.Name, w.sides[p.Name], p.alive())
		for _, instance := range p.running() {
			fmt.Fprintf(&text, " %s", instance.ID)
		}
		fmt.Fprintln(&text)
	}
	return text.String()
}
