package bubble

import (
	"context"
	"fmt"
	"strings"
	"time"

	"shoal/gossip"
	"shoal/peer/control"
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
		namespace, rest, _ := strings.Cut(name, ".")
		at := strings.LastIndexByte(rest, '.')
		instance := promise.Instance{ID: name, Replica: namespace + "/" + rest[:at], Revision: rest[at+1:]}
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

// Rest lets time pass until every promise that holds at rest holds, and still holds a while later.
func (w *World) Rest(most time.Duration) promise.Snapshot {
	w.t.Helper()
	w.Await(most, "rest", func() bool { return len(promise.AtRest(w.Snapshot())) == 0 })
	time.Sleep(4 * time.Second)
	s := w.Snapshot()
	for _, violation := range promise.AtRest(s) {
		w.t.Errorf("rest did not last: %s", violation)
	}
	return s
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
