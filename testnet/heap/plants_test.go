package heap

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/peer/replication"
	"shoal/peer/wire"
	"shoal/testnet/promise"
)

// planted is a fault put into the code on purpose: what it is, which checker has to find it, how it is planted, and the
// scripts in which it is found within so many seeds. What else has to be wrong for it to matter is in besides.
type planted struct {
	fault   string
	finder  string // promise, and part of the text
	plant   func() plants
	scripts func(seed uint64) Script
	besides func() plants // nil: nothing
}

// plantSeeds is how many seeds each fault may take, the normal ones from 1 on.
const plantSeeds = 40

// TestPlantedFaultsAreFound plays scripts until the checker that is named finds the fault. That it is the fault which was
// found shows in the same script with the same seed, which breaks nothing without it.
func TestPlantedFaultsAreFound(t *testing.T) {
	for _, c := range plantedFaults {
		t.Run(strings.ReplaceAll(strings.SplitN(c.fault, ":", 2)[0], " ", "-"), func(t *testing.T) {
			for seed := uint64(1); seed <= plantSeeds; seed++ {
				_, broken := playWith(c.scripts(seed), c.plant(), nil)
				if at := slices.IndexFunc(broken, c.finds); at >= 0 {
					t.Logf("%s\nfound by seed %d: %s", c.fault, seed, broken[at])
					c.notWithout(t, seed)
					return
				}
			}
			t.Errorf("%s was not found by %s", c.fault, c.finder)
		})
	}
}

func (c planted) notWithout(t *testing.T, seed uint64) {
	var besides plants
	if c.besides != nil {
		besides = c.besides()
	}
	if _, broken := playWith(c.scripts(seed), besides, nil); len(broken) > 0 {
		t.Errorf("without its fault the script breaks as well: %v\n%s", broken[0], c.scripts(seed))
	}
}

func (c planted) finds(v promise.Violation) bool {
	name, text, _ := strings.Cut(c.finder, ": ")
	return v.Promise == name && strings.Contains(v.Text, text)
}

// text is a script that leads to where a fault matters. The seed changes what is random in it.
func text(text string) func(uint64) Script {
	return func(seed uint64) Script {
		s, err := ParseScript(text)
		if err != nil {
			panic(err)
		}
		s.Seed = seed
		return s
	}
}

func ops(change func(p *Peer, op *crdt.Op) bool) func() plants {
	return func() plants { return plants{op: change} }
}

var plantedFaults = []planted{
	{"skipped fsync: batches are said to be on disk and are in a cache, which the power loses", "P2: started without it",
		func() plants { return plants{cached: true} }, Random, nil},
	{"torn batch: the disk keeps what a batch drops and not what it adds", "P2: started without it",
		func() plants { return plants{torn: true} }, text(manyDeaths), nil},
	{"early answer: a write is acknowledged before it is on disk", "P2: which is not on its disk",
		func() plants { return plants{early: true} }, Random, nil},
	{"early ack: a peer says that it holds another's write before it is on its disk", "P2: which is not on its disk",
		func() plants { return plants{earlyAcks: true} }, Random, nil},
	{"dropped head: an operation comes in with one entry of Seen less", "P3: shows",
		ops(dropHead), Random, nil},
	{"clock for causality: whatever has a lower stamp counts as seen", "P2: nobody who had seen it had overwritten",
		ops(seeAllLower), text(twoWriters), nil},
	{"tie kept local: of two concurrent writes a peer prefers its own", "P3: shows",
		ops(preferOwn), text(twoWriters), nil},
	{"gap ignored: what an operation had seen and is not here is taken as not seen", "P3: shows",
		ops(ignoreGap), Random, nil},
	{"deletion lost: one peer never takes a deletion", "P3: holds intent",
		ops(func(p *Peer, op *crdt.Op) bool { return p.index != 1 || op.Verb != crdt.Delete }), Random, nil},
	{"contradiction by arrival: of two operations with one stamp the first one stays", "P3: holds intent",
		ops(firstStays), text(halves), nil},
	{"no reconciliation: what was pushed is pushed once, and nobody compares", "P3: holds intent",
		func() plants { return plants{incoming: pushesOnly} }, Random, nil},
	{"reused sequence: the program does not count its starts", "P3: said two things of itself",
		func() plants { return plants{config: func(_ *Peer, c *control.Config) { c.Boot = 1 }} }, Random, nil},
	{"older row taken: rows come in under a version that their peer never gave", "P3: which that never said",
		func() plants { return plants{row: func(_ *Peer, r *replication.Row) { r.Version.Boot += 9 }} }, Random, nil},
	{"not all asked: a peer that failed is taken for one that left, and deletions are forgotten without it", "P4: had heard of it",
		func() plants { return plants{member: failedIsLeft} }, text(offWhileDeleted), nil},
	{"wrong attestation: a peer that missed a deletion takes every word on a mark for its own", "P4: had heard of it",
		wrongAttestation, text(deafPeer), deafToDeployments},
	{"floor while in doubt: a peer whose disk is old believes that it agreed to the newest floor", "P4: was deleted",
		func() plants { return plants{saved: believesItAgreed} }, text(oldDisk), nil},
	{"forged signature: signatures are not checked", "P11: nobody made who may",
		func() plants { return plants{unguarded: true} }, text(forgery), nil},
	{"dead connection: connections to members that failed are not dropped", "converged: behind a dead connection",
		func() plants { return plants{neverDrops: true} }, text(longCut), nil},
	{"no waiting for rows: who returns is not waited for, and what runs on the other side is started again", "P8: does not run on there",
		func() plants { return plants{config: func(_ *Peer, c *control.Config) { c.Tuning.Settle = 1 }} }, text(rolledOutInACut), nil},
	{"invalid object not frozen: one that a merge made invalid counts as none, and what runs of it is stopped", "P7: its object lives",
		func() plants { return plants{config: takesInvalidForNone} }, text(invalidTogether), nil},
	{"unbounded queue: what waits for a peer that is away has no bound", "P12: messages wait",
		func() plants { return plants{unboundedQueues: true} }, text(manyWords()), nil},
	{"panic not set aside: a bad value is tried again at each start", "P13: failed",
		func() plants { return plants{saved: forgetsAside} }, text(badValue), nil},
}

// dropHead takes the first entry out of what an operation had seen.
func dropHead(_ *Peer, op *crdt.Op) bool {
	if len(op.Seen) > 0 {
		seen := op.Seen.Clone()
		delete(seen, slices.Min(slices.Collect(maps.Keys(seen))))
		op.Seen = seen
	}
	return true
}

// here lists what a peer has on disk of an object, in order.
func (p *Peer) here(key crdt.Key) []crdt.Op {
	var all []crdt.Op
	for _, name := range slices.SortedFunc(maps.Keys(p.disk.ops), compareOpNames) {
		if name.key == key {
			all = append(all, p.disk.ops[name])
		}
	}
	return all
}

func seeAllLower(p *Peer, op *crdt.Op) bool {
	seen := op.Seen.Clone()
	for _, o := range p.here(op.Key) {
		if o.Stamp.Time < op.Stamp.Time {
			seen[o.Stamp.Writer] = max(seen[o.Stamp.Writer], o.Stamp.Time)
		}
	}
	op.Seen = seen
	return true
}

func preferOwn(p *Peer, op *crdt.Op) bool {
	for _, o := range p.here(op.Key) {
		if own := o.Stamp.Writer == crdt.PeerID(p.self.ID); own && !op.Seen.Has(o.Stamp) && !o.Seen.Has(op.Stamp) {
			op.Stamp.Time = min(op.Stamp.Time, max(o.Stamp.Time-1, op.Seen.Latest()+1))
		}
	}
	return true
}

func ignoreGap(p *Peer, op *crdt.Op) bool {
	known := crdt.Seen{}
	for _, o := range p.here(op.Key) {
		known[o.Stamp.Writer] = max(known[o.Stamp.Writer], o.Stamp.Time)
		for writer, at := range o.Seen {
			known[writer] = max(known[writer], at)
		}
	}
	seen := op.Seen.Clone()
	for writer, at := range op.Seen {
		if at > known[writer] {
			delete(seen, writer)
		}
	}
	op.Seen = seen
	return true
}

func firstStays(p *Peer, op *crdt.Op) bool {
	return !slices.ContainsFunc(p.here(op.Key), func(o crdt.Op) bool { return o.Stamp == op.Stamp && o.Hash != op.Hash })
}

func pushesOnly(_, _ *Peer, m replication.Message) (replication.Message, bool) {
	return m, m.Push != nil || m.Rows != nil
}

func failedIsLeft(_ *Peer, m *gossip.Member) {
	if m.State == gossip.Failed {
		m.State = gossip.Left
	}
}

// deafToDeployments makes p3 miss what becomes of Deployments.
func deafToDeployments() plants {
	return plants{op: func(p *Peer, op *crdt.Op) bool {
		return p.Name != "p3" || p.world.now < 10*time.Second || op.Key.Kind != "Deployment"
	}}
}

// wrongAttestation lets p3, which is deaf, read its own word on a mark in every row. It closes the floor, and then the others
// doubt what they hold: they compare themselves with it, which has applied the floor.
func wrongAttestation() plants {
	own := map[string][]byte{}               // p3's words, by mark
	read := map[string][]*wire.Observation{} // rows as p3 reads them, by mark
	wrong := deafToDeployments()
	wrong.config = func(p *Peer, c *control.Config) {
		decode := c.Decode
		c.Decode = func(body []byte) (*wire.Observation, error) {
			o, err := decode(body)
			if err != nil || len(o.Mark) == 0 {
				return o, err
			}
			mark := string(o.Mark)
			if o.Labels["kubernetes.io/hostname"] == "p3" {
				own[mark] = o.MarkDigest
			}
			if p.Name == "p3" {
				copied := *o
				o, read[mark] = &copied, append(read[mark], &copied)
			}
			for _, row := range read[mark] {
				if own[mark] != nil {
					row.MarkDigest = own[mark]
				}
			}
			return o, nil
		}
	}
	return wrong
}

// takesInvalidForNone reads an invalid object as one that asks for nothing.
func takesInvalidForNone(_ *Peer, c *control.Config) {
	c.Read = func(key crdt.Key, fields []crdt.Field) (*manifest.Workload, manifest.Faults) {
		w, faults := manifest.Read(key, manifest.Tree(key, fields))
		if len(faults) > 0 {
			return nil, nil
		}
		return w, nil
	}
}

// believesItAgreed gives a peer whose disk is old what another has noted of floors.
func believesItAgreed(p *Peer, s *control.Saved) {
	if p.wiped {
		s.Records = maps.Clone(p.world.Peer("p1").disk.records)
	}
}

func forgetsAside(_ *Peer, s *control.Saved) {
	maps.DeleteFunc(s.Records, func(name string, _ []byte) bool { return strings.HasPrefix(name, "aside") })
}

const (
	manyDeaths = `
world peers=3 slow
wait 5s
apply p1 web 2 blue
rest
paint p1 web red
restart p1 100ms
paint p2 web green
restart p1 100ms
wait 300ms
paint p2 web blue
restart p1 100ms
wait 300ms
paint p2 web red
restart p1 100ms
rest`
	twoWriters = `
world peers=4
wait 5s
apply p1 web 2 blue
rest
split p1,p2
paint p1 web red
paint p3 web green
wait 1s
heal
rest
paint p4 web blue
rest`
	halves = `
world peers=5
wait 5s
contradict p1 web
wait 5s
rest`
	offWhileDeleted = `
world peers=4
wait 5s
apply p1 web 2 blue
rest
off p3
wait 10s
delete p2 web
age 40m`
	deafPeer = `
world peers=4
wait 5s
apply p1 web 2 blue
rest
wait 5s
delete p2 web
age 70m`
	oldDisk = `
world peers=4
wait 5s
apply p1 web 2 blue
rest
backup p3
off p3
on
rest
delete p2 web
apply p1 api 1 red
age 40m
off p3
restore p3
on
rest`
	forgery = `
world peers=4
wait 5s
apply p1 web 2 blue
forge p2 web
wait 3s
rest`
	longCut = `
world peers=6
wait 5s
apply p1 web 12 blue
rest
split p1,p2,p3
scale p1 web 13
paint p5 web red
wait 40s
heal
rest`
	rolledOutInACut = `
world peers=6
wait 5s
apply p1 web 9 blue
rest
split p1,p2
rest
apply p3 web 9 green
rest
healalone`
	invalidTogether = `
world peers=4
wait 5s
apply p1 web 3 blue
rest
split p1,p2
set p1 web spec/template/spec/containers/name=web/resources/limits/cpu 150m
set p3 web spec/template/spec/containers/name=web/resources/requests/cpu 200m
rest
healalone
still`
	badValue = `
world peers=3
wait 5s
apply p1 web 2 blue
rest
trip p2 web
scale p1 web 3
wait 3s
restart p2 1s
wait 3s
restart p2 1s
wait 3s
restart p2 1s
wait 3s
restart p2 1s
wait 3s`
)

// manyWords is a script in which much is said to peers that are away and not yet known to be.
func manyWords() string {
	var b strings.Builder
	b.WriteString("world peers=4\nwait 5s\napply p1 web 1 blue\nrest\nsplit p1\n")
	for n := range 120 {
		fmt.Fprintf(&b, "paint p1 web %s\n", colors[n%len(colors)])
	}
	b.WriteString("heal\nrest\n")
	return b.String()
}
