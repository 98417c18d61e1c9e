package control

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"shoal/crdt"
	"shoal/peer/wire"
)

// TestBookOfEvents holds the book of what others said against all that they said: of each the newest stand, of all the newest, in order.
func TestBookOfEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, said := newHappened(), map[crdt.PeerID][]wire.Event{}
		var all []told
		for range rapid.IntRange(1, 300).Draw(t, "rows") {
			peer := crdt.PeerID(fmt.Sprint("p", rapid.IntRange(0, 40).Draw(t, "peer")))
			for range rapid.IntRange(0, mostRowEvents).Draw(t, "new") {
				said[peer] = append(said[peer], wire.Event{Number: uint64(len(said[peer]) + 1)})
				all = append(all, told{peer, &said[peer][len(said[peer])-1]})
			}
			h.tell(peer, said[peer])
		}
		of := map[crdt.PeerID]int{}
		for _, x := range slices.Backward(h.newest()) {
			of[x.peer]++
			if newest := len(said[x.peer]) - of[x.peer] + 1; x.event.Number != uint64(newest) {
				t.Fatalf("of %s stands %d, not %d", x.peer, x.event.Number, newest)
			}
			if of[x.peer] > mostToldOf {
				t.Fatalf("of %s stand %d", x.peer, of[x.peer])
			}
		}
		if got := len(h.newest()); got > mostTold || got < min(len(all), mostRowEvents) || len(h.book) > 3*mostTold {
			t.Fatalf("%d stand of %d, and %d are kept", got, len(all), len(h.book))
		}
		for peer, known := range h.upTo {
			if n := len(slices.DeleteFunc(slices.Clone(h.book), func(x told) bool { return x.peer != peer })); n != known.stand {
				t.Fatalf("of %s stand %d, not %d", peer, n, known.stand)
			}
		}
	})
}

// What fails again and again pushes out neither in the row nor in the book of others what happened once.
func TestEventsOfOneLeaveRoomForOthers(t *testing.T) {
	h := newHappened()
	row := []wire.Event{{Number: 1, Reason: "HealthChanged"}, {Number: 2, Replica: "default/web-0", Reason: "Moved"}}
	for n := range 200 {
		row = newestEvents(append(slices.Clone(row), wire.Event{Number: uint64(3 + n), Replica: fmt.Sprint("default/bad-", n%3)}))
		h.tell("p1", row)
	}
	if len(row) != mostRowEvents || row[0].Number != 1 || row[1].Number != 2 || row[len(row)-1].Number != 202 {
		t.Errorf("the row holds %v", row)
	}
	book := h.newest()
	if len(book) != mostToldOf || book[0].event.Number != 1 || book[1].event.Number != 2 || book[len(book)-1].event.Number != 202 {
		t.Errorf("the book holds %d events, from %v", len(book), book[0].event)
	}
}
