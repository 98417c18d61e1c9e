package control

import (
	"reflect"
	"testing"

	"shoal/crdt"
	"shoal/gossip"
)

// TestAnswerTakesWritesAlone holds Answer and the Flush behind it against one Flush of the same events.
func TestAnswerTakesWritesAlone(t *testing.T) {
	var one, two Output
	for _, answers := range []bool{false, true} {
		w := startedWorld(t, "room 4000 4096Mi", "flush", "wait 5s")
		write := func(name string) Write {
			return Write{Request: uint64(len(name)), Key: crdt.Key{Kind: "Namespace", Name: name}, Verb: crdt.Create, Manager: "shoal"}
		}
		now := Clock{Elapsed: w.elapsed, Wall: w.wall}
		w.machine.Step(write("a"))
		w.machine.Step(write("bb"))
		w.machine.Step(write("a")) // exists by then
		w.machine.Step(MemberChanged{Member: memberNamed("p2", gossip.Alive)})
		if !answers {
			one = w.machine.Flush(now)
			continue
		}
		out := w.machine.Answer(now)
		if len(out.Replies) != 3 || len(out.Persist.Put) != 2 || len(out.Persist.Book) != 0 || len(out.Persist.History) != 2 || len(out.Persist.Records) != 2 {
			t.Fatalf("the answer is %+v", out)
		}
		for i, failed := range []bool{false, false, true} {
			if reply := out.Replies[i]; reply.Err != nil != failed || reply.Version != w.machine.Version() {
				t.Errorf("reply %+v", reply)
			}
		}
		if again := w.machine.Answer(now); len(again.Replies) != 0 || !again.Persist.Empty() {
			t.Errorf("answered twice: %+v", again)
		}
		two = w.machine.Flush(now)
		two.Persist.Put, two.Persist.History = append(out.Persist.Put, two.Persist.Put...), append(out.Persist.History, two.Persist.History...)
		two.Persist.Records = out.Persist.Records
		two.Replies, two.Send = append(out.Replies, two.Replies...), append(out.Send, two.Send...)
	}
	for _, out := range []*Output{&one, &two} {
		out.Version = 0
		for i := range out.Replies {
			out.Replies[i].Version = 0
		}
	}
	if !reflect.DeepEqual(one, two) {
		t.Errorf("one flush puts out\n%+v\nan answer and a flush\n%+v", one, two)
	}
}

// TestAnswerBeforeTheFirstFlush leaves all to it.
func TestAnswerBeforeTheFirstFlush(t *testing.T) {
	w := newWorld()
	if err := w.start(nil); err != nil {
		t.Fatal(err)
	}
	w.machine.Step(Write{Request: 1, Key: crdt.Key{Kind: "Namespace", Name: "a"}, Verb: crdt.Create, Manager: "shoal"})
	now := Clock{Elapsed: w.elapsed, Wall: w.wall}
	if out := w.machine.Answer(now); len(out.Replies) != 0 || !out.Persist.Empty() {
		t.Errorf("got %+v", out)
	}
	if out := w.machine.Flush(now); len(out.Replies) != 1 || len(out.Persist.Put) != 1 {
		t.Errorf("got %+v", out)
	}
}
