package replication

import (
	"shoal/crdt"
	"shoal/peer/wire"
)

const (
	splitBytes   = 1 << 20 // where lists are split into messages
	answerBytes  = 4 << 20 // of objects, and of rows, in answer to one message
	objectAtMost = wire.MaxMessage - 1<<10
	wantsAtMost  = 4096 // keys asked for at once; the next round asks for more
	sealBytes    = 16   // what coding adds to a sealed form, at most
)

func opBytes(op crdt.Op) int { return len(op.Signed) + len(op.Signature) + sealBytes }

func rowBytes(row Row) int { return len(row.Signed) + len(row.Signature) + sealBytes }

func objectBytes(object Object) int {
	size := sealBytes
	for _, op := range object.Ops {
		size += opBytes(op)
	}
	return size
}

func keyBytes(key crdt.Key) int {
	return len(key.Kind) + len(key.Namespace) + len(key.Name) + sealBytes
}

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

func wants(from crdt.PeerID, keys []crdt.Key, rows []crdt.PeerID) []Outgoing {
	if len(keys) == 0 && len(rows) == 0 {
		return nil
	}
	want := &Want{Keys: keys[:min(len(keys), wantsAtMost)], Rows: rows[:min(len(rows), wantsAtMost)]}
	return []Outgoing{{from, Message{Want: want}}}
}

func unique[T comparable](list []T) []T {
	known := make(map[T]bool, len(list))
	var result []T
	for _, item := range list {
		if !known[item] {
			known[item] = true
			result = append(result, item)
		}
	}
	return result
}

// gathered adds up deltas: what came and went again within them is left out.
type gathered struct {
	added   []crdt.Op
	at      map[opName]int // in added
	gone    map[int]bool   // of added
	dropped []crdt.Op
}

type opName struct {
	key   crdt.Key
	stamp crdt.Stamp
	hash  [32]byte
}

func nameOf(op crdt.Op) opName { return opName{op.Key, op.Stamp, op.Hash} }

func (g *gathered) add(delta crdt.Delta) {
	if g.at == nil {
		g.at, g.gone = map[opName]int{}, map[int]bool{}
	}
	for _, op := range delta.Added {
		g.at[nameOf(op)] = len(g.added)
		g.added = append(g.added, op)
	}
	for _, op := range delta.Dropped {
		if at, ok := g.at[nameOf(op)]; ok {
			g.gone[at] = true
		} else {
			g.dropped = append(g.dropped, op)
		}
	}
}

func (g *gathered) delta() crdt.Delta {
	delta := crdt.Delta{Dropped: g.dropped}
	for i, op := range g.added {
		if !g.gone[i] {
			delta.Added = append(delta.Added, op)
		}
	}
	return delta
}
