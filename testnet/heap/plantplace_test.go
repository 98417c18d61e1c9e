package heap

import (
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/peer/wire"
	"shoal/placement"
)

// Faults of placement and repair, planted into what a plan is made from and into what becomes of it.

// viewed changes the view of each plan.
func viewed(change func(p *Peer, v *placement.View)) func() plants {
	return func() plants {
		return plants{config: func(p *Peer, c *control.Config) {
			c.Plan = func(v placement.View) placement.Plan {
				v.Peers, v.Wanted = slices.Clone(v.Peers), slices.Clone(v.Wanted)
				v.Incumbents, v.Refusals = slices.Clone(v.Incumbents), slices.Clone(v.Refusals)
				change(p, &v)
				return v.Plan()
			}
		}}
	}
}

// eachPeer changes each peer of the view.
func eachPeer(change func(p *Peer, q *placement.Peer)) func() plants {
	return viewed(func(p *Peer, v *placement.View) {
		for i := range v.Peers {
			change(p, &v.Peers[i])
		}
	})
}

// eachWanted changes each replica wanted of the view.
func eachWanted(change func(w *placement.Wanted)) func() plants {
	return viewed(func(_ *Peer, v *placement.View) {
		for i := range v.Wanted {
			change(&v.Wanted[i])
		}
	})
}

// readAs changes what a workload is read as.
func readAs(change func(w *manifest.Workload)) func() plants {
	return func() plants {
		return plants{config: func(_ *Peer, c *control.Config) {
			c.Read = func(key crdt.Key, fields []crdt.Field) (*manifest.Workload, manifest.Faults) {
				w, faults := manifest.Read(key, manifest.Tree(key, fields))
				if w != nil {
					change(w)
				}
				return w, faults
			}
		}}
	}
}

// heardAs changes what each row says of each instance.
func heardAs(change func(i *wire.Instance)) func() plants {
	return func() plants {
		return plants{config: func(p *Peer, c *control.Config) {
			decode := c.Decode
			c.Decode = func(body []byte) (*wire.Observation, error) {
				o, err := decode(body)
				if err != nil || o.Labels["kubernetes.io/hostname"] == p.Name {
					return o, err
				}
				copied := *o
				copied.Instances = slices.Clone(o.Instances)
				for i := range copied.Instances {
					change(&copied.Instances[i])
				}
				return &copied, nil
			}
		}}
	}
}

func otherThan(p *Peer, q *placement.Peer) bool { return q.ID != placement.PeerID(p.self.ID) }

var plantedPlacements = []planted{
	{"no incumbents: each plan begins from nothing", "P8: was begun",
		viewed(func(_ *Peer, v *placement.View) { v.Incumbents = nil }), text(fullAndLost), nil},
	{"own mind: each peer plans as if it alone took something new", "P8: was begun",
		eachPeer(func(p *Peer, q *placement.Peer) { q.Cordoned = q.Cordoned || otherThan(p, q) }), text(fullAndLost), nil},
	{"refusals not heard: what a peer refused is given to it again and again", "converged: runs nowhere",
		viewed(func(_ *Peer, v *placement.View) { v.Refusals = nil }), text(oneRefuses), nil},
	{"measured twice: a peer takes itself for twice as large as it is", "P6: holds",
		func() plants { return plants{measured: func(m *control.SelfChanged) { m.Room.CPUMillis *= 2 }} }, text(tooMuch), nil},
	{"device not counted: nobody keeps account of devices", "P6: keeps",
		readAs(func(w *manifest.Workload) { w.Devices = nil }), text(oneDevice), nil},
	{"port not counted: nobody keeps account of the ports of peers", "P6: keeps",
		readAs(func(w *manifest.Workload) { w.Ports = nil }), text(onePort), nil},
	{"drain not heard: what runs on a drained peer stays", "converged: still runs",
		eachPeer(func(_ *Peer, q *placement.Peer) { q.Draining = false }), text(drained), nil},
	{"cordon drives out: a cordoned peer hands over its work", "P8: was begun",
		eachPeer(func(_ *Peer, q *placement.Peer) { q.Draining = q.Draining || q.Cordoned }), text(cordoned), nil},
	{"old one first: a copy counts as ready from when it is admitted", "P7: alone",
		heardAs(func(i *wire.Instance) { i.Ready = true }), text(drained), nil},
	{"lost ones live: a peer that does not answer counts as one that does", "converged: runs nowhere",
		eachPeer(func(_ *Peer, q *placement.Peer) { q.Live = true }), text(fullAndLost), nil},
	{"patience ignored: what waits for its peer is started elsewhere", "P9: at once",
		eachWanted(func(w *placement.Wanted) { w.LostWait = 0 }), text(frozen), nil},
	{"exclusive ignored: a replica of which there may be one is taken for any", "P9: ",
		readAs(func(w *manifest.Workload) { w.Split = manifest.Split{Policy: manifest.Everywhere} }), text(exclusive), nil},
	{"no limit: all that may move for the balance moves at once", "P8: on their way at once",
		eachWanted(func(w *placement.Wanted) { w.MostMoving = 1000 }), text(returns), nil},
	{"steady at once: who has just come back is given everything back", "P8: begun",
		eachPeer(func(_ *Peer, q *placement.Peer) { q.Steady, q.Damped = true, false }), text(flaps), nil},
	{"all are equal: whoever is named first displaces", "P7: alone",
		eachWanted(func(w *placement.Wanted) { w.Priority = priorityByName(w) }), text(fullAndUrgent), nil},
	{"gone at once: a taint drives out before its time", "P8: begun",
		eachPeer(func(_ *Peer, q *placement.Peer) {
			q.Taints = slices.Clone(q.Taints)
			for i := range q.Taints {
				q.Taints[i].For = placement.Forever
			}
		}), text(tolerated), nil},
	{"gives up early: only the first two peers are looked at", "converged: pending",
		viewed(func(_ *Peer, v *placement.View) {
			for i := range v.Peers {
				v.Peers[i].Cordoned = v.Peers[i].Cordoned || i > 1
			}
		}), text(fullAndLost), nil},
	{"own answer: who is asked why names itself", "P14: explain",
		func() plants {
			return plants{explained: func(p *Peer, text string) string { return text + p.Name }}
		}, text(quietDay), nil},
	{"no answer: what is pending has no explanation", "P14: nothing to say",
		func() plants {
			return plants{explained: func(_ *Peer, text string) string {
				if strings.Contains(text, "Rule: ") {
					return ""
				}
				return text
			}}
		}, text(oneDevice), nil},
	{"forgotten journey: who plans does not see that a replica is on its way", "P3: has plan",
		heardAs(func(i *wire.Instance) { i.Arriving = false }), text(returns), nil},
}

// priorityByName lets those rank first whose workload comes first.
func priorityByName(w *placement.Wanted) int32 {
	return 1000 - int32(w.Workload[len("Deployment/default/")])
}

// Scripts that lead to where they matter. Everything that is checked in them holds without a fault.
const (
	fullAndLost = `
world peers=5 cpu=700
wait 20s
mark
apply p1 web 14 blue
apply p2 api 8 green
rest
placed
begun 0
off p2
wait 12s
rest
placed
mark
wait 20s
begun 0
still`
	oneRefuses = `
world peers=4
wait 20s
refuse p2 web
refuse p3 web
apply p1 web 8 blue
wait 30s
rest
placed`
	tooMuch = `
world peers=3 cpu=500
wait 20s
apply p1 web 20 blue
wait 5s
scale p1 web 15
rest`
	oneDevice = `
world peers=3 devices=2
wait 20s
gives p1 gpu 8
wait 5s
rest`
	onePort = `
world peers=3
wait 20s
ported p1 door 4
wait 5s
rest`
	drained = `
world peers=4 late
wait 20s
apply p1 web 12 blue
rest
drain p2
wait 25s
rest
empty p2
uncordon p2
rest`
	cordoned = `
world peers=4
wait 20s
apply p1 web 12 blue
rest
mark
cordon p2
wait 20s
rest
begun 0
uncordon p2
rest`
	frozen = `
world peers=4
wait 20s
said p1 till 6 shoal/split=freeze
rest
split p1,p2
wait 1m
policies
heal
rest`
	exclusive = `
world peers=5
wait 20s
said p1 only 3 shoal/exclusive=true shoal/witnesses=p1,p2,p3
wait 30s
rest
split p1,p4
wait 90s
policies
heal
wait 30s
rest`
	returns = `
world peers=5 late
wait 20s
said p1 web 60 shoal/max-moving=1
rest
off p3
wait 20s
rest
on
wait 70s
rest
still`
	flaps = `
world peers=4
wait 20s
apply p1 web 12 blue
wait 3m
rest
mark
flap p2 10 50s 10s
begun 2
wait 1m
rest
begun 2`
	fullAndUrgent = `
world peers=3 cpu=500
wait 20s
apply p1 web 15 blue
rest
apply p2 api 6 green
wait 20s
rest
still`
	tolerated = `
world peers=3
wait 20s
tolerant p1 web 6 60
rest
mark
taint p1 out=yes:NoExecute
wait 40s
begun 0
wait 40s
rest
empty p1
untaint p1
rest`
	quietDay = `
world peers=5
wait 20s
apply p1 web 12 blue
apply p2 api 6 green
rest
mark
wait 3m
rest
begun 0
still`
)
