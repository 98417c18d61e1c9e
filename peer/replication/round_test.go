package replication

import (
	"fmt"
	"math"
	"testing"

	"shoal/crdt"
	"shoal/crdt/sketch"
	"shoal/peer/wire"
)

func TestEqualRoundIsOneSmallMessageEachWay(t *testing.T) {
	set := crdt.NewSet()
	for i := range 100_000 {
		set.Add(bareOp(i, testPeer()))
	}
	a, b := New("a", set, first), New("b", set, first)
	for i := range 1000 {
		row := sealedRowOf(crdt.PeerID(fmt.Sprint(i)), 1<<40, 1<<50)
		for _, m := range []*Machine{a, b} {
			m.Receive("c", Message{Rows: &Rows{Rows: []Row{row}}})
		}
	}
	a.Applied(FloorHash{1})
	b.Applied(FloorHash{1})
	l := newLine(t, a, b)
	l.round(0)
	if l.messages != [2]int{1, 1} || !l.results[0].Equal || !l.results[1].Equal {
		t.Errorf("%v messages, %+v", l.messages, l.results)
	}
	largest := Message{Digest: &Digest{Count: math.MaxUint64, RowCount: math.MaxUint64, Own: Version{math.MaxUint64, math.MaxUint64},
		Doubted: FloorHash{2}, Answer: true, Busy: true, Missed: true, Question: 7}}
	envelope := wire.EncodeEnvelope(wire.Envelope{Message: Encode(largest)})
	if t.Logf("%d and %d bytes; at most %d in an envelope", l.bytes[0], l.bytes[1], len(envelope)); l.largest > 1400 || len(envelope) > 1400 {
		t.Error("more than 1,400 bytes")
	}
}

// differ makes n differences: one third is only at the first, one third only at the second, and one third has been
// changed at the second. It returns what differs.
func differ(t testing.TB, l *line, n, from int) (differing []crdt.Op) {
	for i := range n {
		op := smallOp(from+i, "w")
		at := i % 3
		if at == 2 {
			add(t, l.ends[0], op)
			add(t, l.ends[1], op)
			update := Seal(crdt.Op{Key: op.Key, Stamp: crdt.Stamp{Time: op.Stamp.Time + 1, Writer: "v"}, Seen: crdt.Seen{"w": op.Stamp.Time},
				Changes: []crdt.Change{{Path: "data/a", Value: []byte("1")}, {Path: "data/c", Value: []byte("1")}}}, longSign)
			add(t, l.ends[1], update)
			differing = append(differing, update)
			continue
		}
		add(t, l.ends[at], op)
		differing = append(differing, op)
	}
	return differing
}

func TestARoundCostsNearTheDifference(t *testing.T) {
	const shared = 100_000
	a, b := newMachine("a", "b"), newMachine("b", "a")
	for i := range shared {
		op := smallOp(i, "w")
		add(t, a, op)
		add(t, b, op)
	}
	l := newLine(t, a, b)
	next := shared
	for i, n := range []int{1, 1, 2, 3, 5, 10, 20, 50, 100, 300, 1000, 3000, 10_000} {
		differing := differ(t, l, n, next)
		next += n
		l.clear()
		l.round(i % 2)
		limit := sealedBytes(differing...)*9/5 + 2048
		t.Logf("%d differences of %d bytes: %v bytes (%.2f), %v messages, %d turns", n, sealedBytes(differing...), l.bytes,
			float64(l.total()-2048)/float64(sealedBytes(differing...)), l.messages, l.turns)
		if !l.equal() || l.total() > limit {
			t.Errorf("%d differences: equal %v after %d bytes, of at most %d", n, l.equal(), l.total(), limit)
		}
		if n <= 10 && l.turns > 4 {
			t.Errorf("%d differences took %d turns", n, l.turns)
		}
	}
}

func TestManyOperationsOnFewObjects(t *testing.T) {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	l := newLine(t, a, b)
	both := func(op crdt.Op) { add(t, a, op); add(t, b, op) }
	ops := largeObject(1000, 40)
	for i, op := range ops {
		switch i % 10 {
		case 0:
			add(t, a, op)
		case 1:
			add(t, b, op)
		default:
			both(op)
		}
	}
	l.round(0)
	if limit := sealedBytes(ops[:200]...)*9/5 + 2048; !l.equal() || l.total() > limit {
		t.Errorf("equal %v after %d bytes of at most %d", l.equal(), l.total(), limit)
	}
	if n := a.set.Count(); n != 1000 {
		t.Errorf("%d operations", n)
	}
}

func TestLargeDifferencesComeInBoundedAnswers(t *testing.T) {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	value := fmt.Sprintf("%0*d", 300<<10, 7)
	for i := range 60 {
		key := crdt.Key{Kind: "ConfigMap", Namespace: "default", Name: fmt.Sprint(i)}
		m := []*Machine{a, b}[i%2]
		if delta, _ := m.Write(sealedUpdate(m, key, value), 0); len(delta.Added) != 1 {
			t.Fatal("cannot write 300 KiB")
		}
	}
	l := newLine(t, a, b)
	inFlight, most := 0, 0
	l.send(0, a.Reconcile())
	for l.step() {
		inFlight = 0
		for _, q := range l.queue {
			inFlight += len(q.data)
		}
		most = max(most, inFlight)
	}
	if !l.equal() || l.largest > splitBytes+1<<10 || most > 2*answerBytes+2<<20 {
		t.Errorf("equal %v, a message of %d bytes, %d bytes in flight", l.equal(), l.largest, most)
	}
	if len(a.giving)+len(b.giving) != 0 || a.round != nil || a.busy() || b.busy() {
		t.Errorf("left over: %v %v %v", a.giving, b.giving, a.round)
	}
}

func TestObjectsAboveTheMessageLimit(t *testing.T) {
	ops := largeObject(14, 900<<10) // 12.6 MB
	small := smallOp(1, "w")
	for name, test := range map[string]struct{ a, b []crdt.Op }{
		"given":    {ops, []crdt.Op{small}},
		"asked":    {[]crdt.Op{small}, ops},
		"of parts": {append([]crdt.Op{small}, ops[3], ops[4], ops[5]), append([]crdt.Op{smallOp(2, "w")}, ops...)},
	} {
		a, b := newMachine("a", "b"), newMachine("b", "a")
		add(t, a, test.a...)
		add(t, b, test.b...)
		l := newLine(t, a, b)
		l.round(0)
		if !l.equal() || l.largest > partBytes+1<<10 || len(a.set.Ops(web)) != 14 {
			t.Errorf("%s: equal %v, a message of %d bytes", name, l.equal(), l.largest)
		}
	}
}

// An operation must not arrive before one that it has seen, even where parts of an object are lost or change places.
func TestPartsOfAnObjectAreTakenInOrderOnly(t *testing.T) {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	var ops []crdt.Op
	seen := crdt.Seen{}
	value := fmt.Sprintf("%0*d", 900<<10, 7)
	for i := range 8 {
		op := Seal(crdt.Op{Key: web, Stamp: crdt.Stamp{Time: crdt.Time(i + 1), Writer: "w"}, Seen: seen.Clone(),
			Changes: []crdt.Change{{Path: crdt.Path(fmt.Sprint("f", i)), Value: []byte(value)}}}, longSign)
		seen["w"] = op.Stamp.Time
		ops = append(ops, op)
	}
	add(t, a, ops...)
	messages, _ := a.give("b", idsOf(ops))
	if len(messages) < 3 || messages[1].Objects.Part != 2 {
		t.Fatalf("%d messages", len(messages))
	}
	if b.Receive("a", messages[1]); b.set.Count() != 0 {
		t.Error("took the second part without the first")
	}
	b.Receive("a", messages[0])
	if b.Receive("a", messages[2]); b.set.Count() != 2 {
		t.Error("took the third part after the first")
	}
	if b.Receive("a", messages[0]); b.set.Count() != 2 {
		t.Errorf("holds %d of the first part", b.set.Count())
	}
	if b.Receive("a", messages[1]); b.set.Count() != 4 {
		t.Errorf("holds %d of two parts", b.set.Count())
	}
	b.Live([]crdt.PeerID{"c"}) // what was under way is given up
	b.Reconcile()
	l := newLine(t, a, b)
	l.round(0)
	if !l.equal() {
		t.Errorf("not equal after a round of %v messages: %d and %d", l.messages, a.set.Count(), b.set.Count())
	}
}

func TestVeryLargeDifferencesAreFoundInParts(t *testing.T) {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	for i := range 100_000 {
		add(t, a, bareOp(i, "w"))
		add(t, b, bareOp(i+100_000, "w"))
	}
	parts := map[sketch.Part]bool{}
	for _, r := range talk(a, b, a.Reconcile) {
		for _, o := range r.Send {
			if s := o.Message.Symbols; s != nil {
				parts[s.Part] = true
			}
		}
	}
	if a.set.Digest() != b.set.Digest() || len(parts) < 3 {
		t.Errorf("equal %v after %d parts", a.set.Digest() == b.set.Digest(), len(parts))
	}
}

func TestOfTwoRoundsThatCrossOneGoesOn(t *testing.T) {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	for i := range 3000 {
		op := smallOp(i, "w")
		switch i % 4 {
		case 0:
			add(t, a, op)
		case 1:
			add(t, b, op)
		default:
			add(t, a, op)
			add(t, b, op)
		}
	}
	l := newLine(t, a, b)
	l.send(0, a.Reconcile())
	l.send(1, b.Reconcile())
	for l.step() {
	}
	var differing int
	for i := range 1500 {
		differing += sealedBytes(smallOp(i, "w"))
	}
	if limit := differing*9/5 + 2048; !l.equal() || l.total() > limit {
		t.Errorf("equal %v after %d bytes of at most %d", l.equal(), l.total(), limit)
	}
}

// No message, lost at any place of a conversation, does damage or keeps the next rounds from ending it.
func TestAConversationMayEndAtAnyMessage(t *testing.T) {
	var ops []crdt.Op
	for i := range 400 {
		ops = append(ops, smallOp(i, "w"))
	}
	large := largeObject(6, 900<<10)
	for lost := range 200 {
		a, b := newMachine("a", "b"), newMachine("b", "a")
		for i := range 400 {
			if op := ops[i]; i%5 != 0 {
				add(t, a, op)
			} else {
				add(t, b, op)
			}
		}
		add(t, a, large...)
		l := newLine(t, a, b)
		seen := 0
		l.cut = func(Message) bool { seen++; return seen > lost }
		l.round(lost % 2)
		through := seen <= lost
		l.cut = nil
		for range idleAtMost + 2 {
			l.round(0)
			l.round(1)
		}
		if !l.equal() {
			t.Fatalf("not equal after the end at message %d: %d and %d, %+v %+v", lost, a.set.Count(), b.set.Count(), a.round, b.round)
		}
		if through {
			return
		}
	}
	t.Fatal("a conversation does not end")
}

func TestHostileSymbolsEndARound(t *testing.T) {
	noise := func(n, from int) []sketch.Symbol {
		list := make([]sketch.Symbol, n)
		for i := range list {
			h := bareOp(from+i, "x").Hash
			list[i] = sketch.Symbol{ID: sketch.ID(h[:16]), Check: uint64(h[20]) << 40, Count: int64(h[16]) - 100}
		}
		return list
	}
	a := newMachine("a", "b")
	for i := range 100 {
		add(t, a, smallOp(i, "w"))
	}
	a.Reconcile()
	answers, version := 0, uint64(0)
	message := Message{Symbols: &Symbols{Count: 50, Symbols: noise(30, 0)}}
	for ; answers < 10_000; answers++ {
		send := a.Receive("b", message).Send
		if len(send) == 0 || send[0].Message.More == nil {
			break
		}
		more := send[0].Message.More
		message = Message{Symbols: &Symbols{Count: 50, Version: more.Version, Part: more.Part, From: more.From, Symbols: noise(min(more.Number, 100), more.From)}}
		if answers%7 == 6 { // a set that seems to change all the time
			version++
			message.Symbols.From, message.Symbols.Version = 0, version
		}
	}
	if t.Logf("ended after %d answers", answers); answers > 200 {
		t.Errorf("a round took %d answers", answers)
	}
}

func TestACrowdOfWantsIsBounded(t *testing.T) {
	m := newMachine("a")
	value := fmt.Sprintf("%0*d", 300<<10, 7)
	var ids []crdt.OpID
	for i := range 30 {
		op := sealedUpdate(m, crdt.Key{Kind: "ConfigMap", Name: fmt.Sprint(i)}, value)
		m.Write(op, 0)
		ids = append(ids, op.ID())
	}
	left := 0
	for i := range 100 {
		peer := crdt.PeerID(fmt.Sprint("p", i))
		total := 0
		for _, o := range m.Receive(peer, Message{Want: &Want{Ops: append(ids, ids...)}}).Send {
			total += len(Encode(o.Message))
			left = o.Message.Objects.Left
		}
		if total > answerBytes+splitBytes || len(m.giving) > givingAtMost {
			t.Fatalf("an answer of %d bytes, %d remembered", total, len(m.giving))
		}
	}
	if send := m.Receive("p99", Message{Want: &Want{Left: left}}).Send; len(send) == 0 {
		t.Error("the last one does not get the rest")
	}
	if send := m.Receive("p99", Message{Want: &Want{Left: left}}).Send; len(send) != 0 {
		t.Error("who asks twice gets the rest twice")
	}
	if send := m.Receive("p1", Message{Want: &Want{Left: left}}).Send; len(send) != 0 {
		t.Error("one that was forgotten gets something")
	}
}

func TestWhatIsGoneIsSaid(t *testing.T) {
	m := newMachine("a")
	send := m.Receive("b", Message{Want: &Want{Ops: []crdt.OpID{{1}, {2}}}}).Send
	if len(send) != 1 || len(send[0].Message.Objects.Gone) != 2 {
		t.Errorf("answers %+v", send)
	}
}

func TestSymbolsThatDoNotFollowAreIgnored(t *testing.T) {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	for i := range 500 {
		add(t, []*Machine{a, b}[i%2], smallOp(i, "w"))
	}
	opening := a.Reconcile()[0].Message
	first := b.Receive("a", opening).Send[0].Message
	more := a.Receive("b", first).Send[0].Message
	next := b.Receive("a", more).Send[0].Message
	late := func(change func(s *Symbols)) Message {
		symbols := *next.Symbols
		change(&symbols)
		return Message{Symbols: &symbols}
	}
	for name, message := range map[string]Message{
		"repeated":           first,
		"of another version": late(func(s *Symbols) { s.Version++ }),
		"of another part":    late(func(s *Symbols) { s.Part.Bits = 1 }),
		"further on":         late(func(s *Symbols) { s.From++ }),
		"none":               late(func(s *Symbols) { s.Symbols = nil }),
	} {
		if received := a.Receive("b", message); received.Send != nil || a.round.decoder.Len() != more.More.From {
			t.Errorf("%s: sends %+v", name, received.Send)
		}
	}
	if received := a.Receive("c", next); received.Send != nil {
		t.Errorf("from another peer: sends %+v", received.Send)
	}
	if received := a.Receive("b", next); len(received.Send) == 0 {
		t.Error("the right ones are not taken")
	}
}

func TestWhoTakesInALotIsNotComparedWith(t *testing.T) {
	a, b, c := newMachine("a", "b"), newMachine("b", "a", "c"), newMachine("c", "b")
	value := fmt.Sprintf("%0*d", 300<<10, 7)
	for i := range 40 {
		op := sealedUpdate(a, crdt.Key{Kind: "ConfigMap", Name: fmt.Sprint(i)}, value)
		add(t, a, op)
		add(t, c, op)
	}
	l := newLine(t, a, b)
	l.send(0, a.Reconcile())
	l.until(func() bool { return b.inbound.from == "a" })
	b.Live([]crdt.PeerID{"a", "c"})
	for _, o := range b.Receive("c", c.Reconcile()[0].Message).Send {
		if o.Message.Digest == nil || !o.Message.Digest.Busy {
			t.Errorf("answers %+v", o.Message)
		}
	}
	b.pick = func(n int) int { return n - 1 }
	for _, o := range b.Reconcile() {
		if o.Message.Digest != nil {
			if answer := c.Receive("b", o.Message).Send; len(answer) != 1 || answer[0].Message.Digest == nil {
				t.Errorf("is answered %+v", answer)
			}
		}
	}
	for l.step() {
	}
	if !l.equal() || b.busy() {
		t.Errorf("equal %v, still busy %v", l.equal(), b.busy())
	}
}

// Of two rounds that cross one goes on; when that one stands still, since its opening was lost, the other does.
func TestACrossingRoundGivesWayOnce(t *testing.T) {
	a, b := newMachine("a", "b"), newMachine("b", "a")
	add(t, a, smallOp(1, "w"))
	add(t, b, smallOp(2, "w"))
	a.Reconcile() // lost
	opening := Message{Digest: b.digest()}
	for turn, symbols := range []bool{false, true} {
		sent := a.Receive("b", opening).Send
		if len(sent) == 0 || (sent[0].Message.Symbols != nil) != symbols {
			t.Errorf("opening %d is answered with %+v", turn, sent)
		}
	}
}
