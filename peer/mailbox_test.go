package peer

import (
	"testing"

	"shoal/gossip"
	"shoal/peer/control"
)

func TestMailboxKeepsTheNewestOfEachMember(t *testing.T) {
	box := newMailbox()
	for i := range 1000 {
		box.member(member("a", uint16(i+1), gossip.Alive))
		box.member(member("b", uint16(i+1), gossip.Failed))
	}
	events := box.take()
	if len(events) != 2 {
		t.Fatalf("%d events wait, want 2", len(events))
	}
	if got := events[0].(control.MemberChanged).Member; got.ID != "a" || got.Addr.Port() != 1000 {
		t.Fatalf("got %+v, want the newest of a", got)
	}
	if len(box.take()) != 0 {
		t.Fatal("events were given out twice")
	}
}

func TestMailboxGivesAnswersBeforeProbes(t *testing.T) {
	box := newMailbox()
	box.probe(control.Probed{Instance: "i", Container: "c", Generation: 2, OK: true})
	box.add(control.Done{Action: control.Action{Kind: control.Start, Instance: "i", Generation: 2}})
	events := box.take()
	if _, ok := events[0].(control.Done); !ok || len(events) != 2 {
		t.Fatalf("got %T first, want the start", events[0])
	}
}

func TestMailboxRingsOnce(t *testing.T) {
	box := newMailbox()
	box.add(control.Exited{})
	box.add(control.Exited{})
	<-box.wake
	select {
	case <-box.wake:
		t.Fatal("rang twice")
	default:
	}
}
