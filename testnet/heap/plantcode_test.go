package heap

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/peer/replication"
	"shoal/peer/wire"
)

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

// writeUnderWay lets p4 write before it hears what the others wrote meanwhile, and the others hear of its write only after
// a floor was closed.
func writeUnderWay() plants {
	own := func(op crdt.Op) bool { return op.Stamp.Writer == crdt.PeerID(peerID("p4")) }
	return plants{op: func(p *Peer, op *crdt.Op) bool {
		if op.Key.Kind != "Deployment" || p.world.now < 15*time.Second {
			return true
		}
		if p.Name == "p4" {
			return slices.ContainsFunc(p.here(op.Key), own)
		}
		return !own(*op) || p.world.now > 15*time.Minute
	}}
}

func oneGeneration() plants {
	one := writeUnderWay()
	one.saved = func(_ *Peer, s *control.Saved) {
		if record := s.Records["floor"]; record != nil {
			s.Records["floor"] = raiseFirst(record)
		}
	}
	return one
}

// raiseFirst raises the first part of the floors in a record of package control to their second part.
func raiseFirst(record []byte) []byte {
	number := func(b []byte) (uint64, []byte) { v, n := binary.Uvarint(b); return v, b[n:] }
	raised := record[:1:1]
	for rest := record[1:]; len(rest) > 0; {
		var length, writers, first, more uint64
		length, rest = number(rest)
		code, hashes := rest[:length], 65
		rest = rest[length:]
		floor := code[:hashes:hashes]
		writers, code = number(code[hashes:])
		floor = binary.AppendUvarint(floor, writers)
		for range writers {
			floor = append(floor, code[:33]...) // who wrote, as 0 and 32 bytes
			first, code = number(code[33:])
			more, code = number(code)
			floor = append(binary.AppendUvarint(floor, first+more), 0)
		}
		raised = append(binary.AppendUvarint(raised, uint64(len(floor))), floor...)
	}
	return raised
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
