package heap

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/peer/replication"
)

// accounts are the bytes that peers sent, by peer and kind of message. Membership is worked out, see
// membershipBytes; every message of replication is counted in the form in which it travels.
type accounts struct {
	world *World
	kinds []string // in the order in which they first came
	bytes [][]uint64
	last  sized
	since time.Duration

	talked map[pair]time.Duration // when two peers last talked
}

// sized is the size of the message that was counted last: one push goes to several peers.
type sized struct {
	part  any
	bytes int
}

// What a message costs beyond its encoding: length of the frame 4, yamux 12, Noise 2 + 16, TCP/IPv4 40, the
// acknowledgement that the receiver sends 40 (counted with the sender, which receives as many), envelope 8.
const frameBytes = 4 + 12 + 18 + 40 + 40 + 8

// segmentBytes is how much of a stream fits into one packet; each packet costs its headers.
const segmentBytes, segmentHeaders = 1400, 40

func newAccounts(w *World) *accounts { return &accounts{world: w, talked: map[pair]time.Duration{}} }

// message counts one message.
func (a *accounts) message(from, to *Peer, m replication.Message) {
	if !a.world.options.Accounts {
		return
	}
	part, kind := partOf(m)
	if part != a.last.part {
		a.last = sized{part, len(replication.Encode(m))}
	}
	size := a.last.bytes + frameBytes + a.last.bytes/segmentBytes*segmentHeaders
	a.add(from, kind, uint64(size))
	a.opened(from, to)
}

func (a *accounts) add(from *Peer, kind string, bytes uint64) {
	at := slices.Index(a.kinds, kind)
	if at < 0 {
		at = len(a.kinds)
		a.kinds = append(a.kinds, kind)
		a.bytes = append(a.bytes, make([]uint64, len(a.world.peers)))
	}
	a.bytes[at][from.index] += bytes
}

// reset begins to count anew. Connections stay open.
func (a *accounts) reset() { *a = accounts{world: a.world, since: a.world.now, talked: a.talked} }

// partOf returns what a message carries, and its name.
func partOf(m replication.Message) (part any, kind string) {
	switch {
	case m.Push != nil:
		return m.Push, "push"
	case m.Digest != nil:
		return m.Digest, "digest"
	case m.Symbols != nil:
		return m.Symbols, "symbols"
	case m.More != nil:
		return m.More, "more"
	case m.Objects != nil:
		return m.Objects, "objects"
	case m.Want != nil:
		return m.Want, "want"
	case m.Page != nil:
		return m.Page, "page"
	case m.Fill != nil:
		return m.Fill, "fill"
	case m.Ack != nil:
		return m.Ack, "ack"
	case m.Rows != nil:
		return m.Rows, "rows"
	case m.RowSymbols != nil:
		return m.RowSymbols, "row symbols"
	case m.RowMore != nil:
		return m.RowMore, "row more"
	case m.RowWant != nil:
		return m.RowWant, "row want"
	}
	return nil, "other"
}

// Traffic is what peers sent in a span, in bytes a second for each peer.
type Traffic struct {
	Span   time.Duration
	ByKind map[string]float64 // mean over the peers
	Median float64            // of all that one peer sent
	Worst  float64
}

// Traffic tells what was sent since the accounts began, membership included. The World must have been made with
// Options.Accounts.
func (w *World) Traffic() Traffic {
	a := w.accounts
	t := Traffic{Span: w.now - a.since, ByKind: map[string]float64{}}
	seconds, each := t.Span.Seconds(), make([]float64, len(w.peers))
	for at, kind := range a.kinds {
		for i, bytes := range a.bytes[at] {
			t.ByKind[kind] += float64(bytes) / seconds / float64(len(w.peers))
			each[i] += float64(bytes) / seconds
		}
	}
	for part, bytes := range membershipBytes(len(w.peers)) {
		t.ByKind[part] = bytes
		for i := range each {
			each[i] += bytes
		}
	}
	slices.Sort(each)
	t.Median, t.Worst = each[len(each)/2], each[len(each)-1]
	return t
}

// String is a line for each kind.
func (t Traffic) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bytes a second sent by each peer over %s: median %.0f, worst %.0f", t.Span, t.Median, t.Worst)
	for _, kind := range slices.Sorted(maps.Keys(t.ByKind)) {
		fmt.Fprintf(&b, "\n  %-24s %8.1f", kind, t.ByKind[kind])
	}
	return b.String()
}
