package heap

import (
	"slices"
	"strings"
	"testing"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/replication"
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
	for _, c := range slices.Concat(plantedFaults, plantedPlacements) {
		t.Run(strings.ReplaceAll(strings.SplitN(c.fault, ":", 2)[0], " ", "-"), func(t *testing.T) {
			var others []promise.Violation
			for seed := uint64(1); seed <= plantSeeds; seed++ {
				_, broken := playWith(c.scripts(seed), c.plant(), nil)
				others = append(others, broken...)
				if at := slices.IndexFunc(broken, c.finds); at >= 0 {
					t.Logf("%s\nfound by seed %d: %s", c.fault, seed, broken[at])
					c.notWithout(t, seed)
					return
				}
			}
			t.Errorf("%s was not found by %s; instead by %v", c.fault, c.finder, others)
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
	{"one generation: a peer that starts takes the second part of its floor for the first, too", "P2: nor is a conflict",
		oneGeneration, text(lateRival), writeUnderWay},
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
