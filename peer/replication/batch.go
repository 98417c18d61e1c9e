package replication

import (
	"shoal/crdt"
	"shoal/crdt/sketch"
)

const (
	splitBytes    = 1 << 20 // where lists are split into messages, and of a page
	answerBytes   = 4 << 20 // of operations, and of rows, in answer to one message
	partBytes     = 2 << 20 // of one object's operations in one message
	symbolsAtOnce = 1 << 16 // some 1.6 MiB
	namesAtOnce   = sketch.MaxSymbols
	unseenAtMost  = 4096 // objects asked for at once
	sealBytes     = 8    // what coding adds to a sealed form, at most
)

func opBytes(op crdt.Op) int { return len(op.Signed) + len(op.Signature) + sealBytes }

func keyBytes(key crdt.Key) int {
	return len(key.Kind) + len(key.Namespace) + len(key.Name) + sealBytes
}

func rowBytes(row Row) int { return len(row.Signed) + len(row.Signature) + sealBytes }

func objectBytes(object Object) int { return sum(object.Ops, opBytes) + sealBytes/4 }

// batches splits a list so that each part stays within splitBytes, or is one item alone.
func batches[T any](list []T, size func(T) int) [][]T {
	var parts [][]T
	begin, bytes := 0, 0
	for i, item := range list {
		n := size(item)
		if i > begin && bytes+n > splitBytes {
			parts = append(parts, list[begin:i:i])
			begin, bytes = i, 0
		}
		bytes += n
	}
	if begin < len(list) {
		parts = append(parts, list[begin:])
	}
	return parts
}

func toEach(peers []crdt.PeerID, messages []Message) []Outgoing {
	var send []Outgoing
	for _, peer := range peers {
		for _, message := range messages {
			send = append(send, Outgoing{peer, message})
		}
	}
	return send
}

// gathered adds up deltas: what came and went again within them is left out.
type gathered struct {
	added   []crdt.Op
	dropped []crdt.Op
	refused []crdt.Refusal
	at      map[crdt.OpID]int // in added, of the first so many
	placed  int               // how many
	gone    map[int]bool      // of added
}

func (g *gathered) add(delta crdt.Delta) {
	g.added = append(g.added, delta.Added...)
	for _, op := range delta.Dropped {
		g.drop(op)
	}
	g.refused = append(g.refused, delta.Refused...)
}

func (g *gathered) drop(op crdt.Op) {
	if g.at == nil {
		g.at, g.gone = map[crdt.OpID]int{}, map[int]bool{}
	}
	for ; g.placed < len(g.added); g.placed++ {
		g.at[g.added[g.placed].ID()] = g.placed
	}
	if at, ok := g.at[op.ID()]; ok {
		g.gone[at] = true
		delete(g.at, op.ID())
	} else {
		g.dropped = append(g.dropped, op)
	}
}

func (g *gathered) delta() crdt.Delta {
	if len(g.gone) == 0 {
		return crdt.Delta{Added: g.added, Dropped: g.dropped}
	}
	delta := crdt.Delta{Dropped: g.dropped}
	for i, op := range g.added {
		if !g.gone[i] {
			delta.Added = append(delta.Added, op)
		}
	}
	return delta
}
