package replication

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/crdt/sketch"
	"shoal/peer/wire"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write the golden files anew; only for a form that was never released")

var testKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func testSign(message []byte) []byte { return ed25519.Sign(testKey, message) }

func testPeer() crdt.PeerID {
	return crdt.PeerID(hex.EncodeToString(testKey.Public().(ed25519.PublicKey)))
}

func sampleOp() crdt.Op {
	return crdt.Op{
		Key:   web,
		Stamp: crdt.Stamp{Time: 1_790_000_000_000<<16 + 3, Writer: testPeer()},
		Seen:  crdt.Seen{testPeer(): 1_780_000_000_000 << 16, "simulated": 7},
		Verb:  crdt.Create, Manager: "shoal", User: "ops",
		Changes: []crdt.Change{
			{Path: "spec/replicas", Value: []byte("6")},
			{Path: "metadata/labels/app"},
		},
	}
}

func sampleRow() Row {
	return Row{Peer: testPeer(), Version: Version{3, 14}, Body: []byte("body")}
}

func sampleMessages() map[string]Message {
	op := Seal(sampleOp(), testSign)
	object := Object{web, []crdt.Op{op}}
	symbols := &Symbols{
		Count: 1_000_000, Version: 7, Part: sketch.Part{Bits: 3, Index: 5}, From: 24, Floor: FloorHash{3},
		Symbols: []sketch.Symbol{{ID: sketch.ID{1, 2}, Check: 5, Count: 9600}, {Count: -3}},
	}
	more := &More{Version: 7, Part: sketch.Part{Bits: 3, Index: 5}, From: 24, Number: 100}
	return map[string]Message{
		"push": {Push: &Push{Ops: []crdt.Op{op}, Ack: true}},
		"digest": {Digest: &Digest{Root: [32]byte{1}, Count: 1_000_000, RowRoot: [32]byte{2}, RowCount: 1000,
			Floor: FloorHash{3}, Doubted: FloorHash{4}, Own: Version{3, 14}, Answer: true, Busy: true}},
		"digest-empty": {Digest: &Digest{}},
		"symbols":      {Symbols: symbols},
		"more":         {More: more},
		"objects":      {Objects: &Objects{Objects: []Object{object}, Left: 70_000, Paused: true, Part: 2, Gone: []crdt.OpID{{9}}}},
		"want":         {Want: &Want{Ops: []crdt.OpID{{1}, {2}}, Unseen: []Known{{web, crdt.Seen{testPeer(): 5, "simulated": 7}}}}},
		"want-left":    {Want: &Want{Left: 70_000}},
		"page":         {Page: &Page{After: Place{Key: FloorKey}, Until: Place{web, op.Stamp}, Last: true, Objects: []Object{object}}},
		"fill":         {Fill: &Fill{After: Place{web, op.Stamp}}},
		"ack":          {Ack: &Ack{Ops: []crdt.OpID{op.ID()}}},
		"rows":         {Rows: &Rows{Rows: []Row{SealRow(sampleRow(), testSign)}}},
		"row-symbols":  {RowSymbols: symbols},
		"row-more":     {RowMore: more},
		"row-want":     {RowWant: &RowWant{Names: []sketch.ID{{1}}, Held: []Held{{testPeer(), Version{3, 14}}}, Peers: []crdt.PeerID{testPeer(), "simulated"}}},
	}
}

func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, fmt.Appendf(nil, "%x\n", got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	if _, err := fmt.Sscanf(string(text), "%x", &data); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGoldenMessages(t *testing.T) {
	for name, message := range sampleMessages() {
		old := golden(t, "message-"+name+"-1.hex", Encode(message))
		if diff := cmp.Diff(old, Encode(message)); diff != "" {
			t.Errorf("%s is coded otherwise than it was: %s", name, diff)
		}
		got, err := Decode(old)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(message, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestGoldenOp(t *testing.T) {
	op := Seal(sampleOp(), testSign)
	old := golden(t, "op-1.hex", EncodeOp(op))
	if diff := cmp.Diff(old, EncodeOp(op)); diff != "" {
		t.Errorf("coded otherwise than it was: %s", diff)
	}
	got, err := DecodeOp(old)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(op, got); diff != "" {
		t.Error(diff)
	}
	if !ed25519.Verify(testKey.Public().(ed25519.PublicKey), got.Signed, got.Signature) {
		t.Error("the signature does not hold")
	}
}

func TestSealDoesNotDependOnOrder(t *testing.T) {
	op := sampleOp()
	op.Changes[0], op.Changes[1] = op.Changes[1], op.Changes[0]
	if a, b := Seal(op, testSign), Seal(sampleOp(), testSign); a.Hash != b.Hash {
		t.Error("the order of changes changes the hash")
	}
}

func TestUnknownFieldsPassThrough(t *testing.T) {
	op := Seal(sampleOp(), testSign)
	newer := append([]byte(nil), op.Signed...)
	newer[2]++                                 // one more entry in the map
	newer = append(newer, 0x18, 99, 0x61, 'x') // 99: "x"
	sealed := wire.EncodeSealed(wire.Sealed{Signed: newer, Signature: testSign(newer)})
	got, err := DecodeOp(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sealed, EncodeOp(got)); diff != "" {
		t.Errorf("what a newer version wrote was changed: %s", diff)
	}
	if diff := cmp.Diff(op, got, cmpopts.IgnoreFields(crdt.Op{}, "Signed", "Signature", "Hash")); diff != "" {
		t.Error(diff)
	}
}

func TestUnreadablePartsCostNoOther(t *testing.T) {
	good := Seal(sampleOp(), testSign)
	newer, broken, large := good, good, good
	newer.Signed = append([]byte{'O', 9}, good.Signed[2:]...)
	broken.Signed = good.Signed[:10]
	large.Signed = make([]byte, MaxOpBytes+1)
	other := good
	other.Key.Name = "other"
	other = Seal(other, testSign)
	push, err := Decode(Encode(Message{Push: &Push{Ops: []crdt.Op{newer, broken, good, large}}}))
	if err != nil || push.Skipped != 3 || len(push.Push.Ops) != 1 {
		t.Errorf("push: %v, %d skipped", err, push.Skipped)
	}
	reasons := newMachine("a").Receive("b", push).Refused
	if len(reasons) != 3 || reasons[0].Reason != Gap || reasons[1].Reason != Invalid || reasons[2].Reason != Oversize || reasons[1].From != "b" {
		t.Errorf("refused: %+v", reasons)
	}
	row := SealRow(sampleRow(), testSign)
	spoiled := row
	spoiled.Signed = nil
	rows, err := Decode(Encode(Message{Rows: &Rows{Rows: []Row{spoiled, row}}}))
	if err != nil || rows.Skipped != 1 || len(rows.Rows.Rows) != 1 {
		t.Errorf("rows: %v, %d skipped", err, rows.Skipped)
	}
	objects, err := Decode(Encode(Message{Objects: &Objects{Objects: []Object{
		{web, []crdt.Op{good}}, {web, []crdt.Op{good, newer, good}}, {web, []crdt.Op{good, other}}, {web, nil}, {web, []crdt.Op{newer}},
	}}}))
	if err != nil || objects.Skipped != 4 || len(objects.Objects.Objects) != 3 || len(objects.Objects.Objects[1].Ops) != 1 {
		t.Errorf("objects: %v, %d skipped", err, objects.Skipped)
	}
}

func TestUnknownKindsAreSkippedAndCounted(t *testing.T) {
	message, err := Decode([]byte{'M', 1, 0xa1, 0x18, 99, 0x61, 'x'}) // {99: "x"}
	if err != nil || message.Skipped != 1 {
		t.Errorf("%v, %d skipped", err, message.Skipped)
	}
	if received := newMachine("a", "b").Receive("b", message); !cmp.Equal(received, Received{}) {
		t.Errorf("had an effect: %+v", received)
	}
}

func TestHostileSymbolsAreRefused(t *testing.T) {
	for name, form := range map[string]wire.Message{
		"no such part":      {Symbols: &wire.Symbols{Bits: 17}},
		"no such index":     {RowSymbols: &wire.Symbols{Bits: 1, Index: 2}},
		"beyond all":        {Symbols: &wire.Symbols{From: sketch.MaxSymbols + 1}},
		"cut short":         {Symbols: &wire.Symbols{Symbols: make([]byte, 24)}},
		"an endless number": {Symbols: &wire.Symbols{Symbols: bytes.Repeat([]byte{0xff}, 40)}},
		"more of no part":   {More: &wire.More{Bits: 200}},
		"more beyond all":   {RowMore: &wire.More{From: 1 << 31}},
	} {
		if m, err := Decode(wire.EncodeMessage(form)); err == nil {
			t.Errorf("%s is taken: %+v", name, m)
		}
	}
}

// Intent never waits for observations: these are in a lane of their own, whatever is said about them.
func TestOnlyRowsTravelInTheLaneOfObservations(t *testing.T) {
	for name, message := range sampleMessages() {
		want := Intent
		if strings.HasPrefix(name, "row") {
			want = Observation
		}
		if got := message.Lane(); got != want {
			t.Errorf("%s travels in lane %d", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, message := range sampleMessages() {
		f.Add(Encode(message))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		message, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Decode(Encode(message))
		message.Skipped, message.Unreadable = 0, nil
		again.Skipped = 0
		if diff := cmp.Diff(message, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
		m := newMachine("a", "b", "c")
		m.Write(sealedUpdate(m, web, "1"), 0)
		m.Observe(sealedRowOf("a", 1, 1))
		m.Reconcile() // opens a round with b
		m.Receive("b", message)
		m.Receive("c", message)
		m.Doubt(crdt.Seen{"a": 9}, closed)
		m.Receive("b", message)
		m.beginFill(&Received{}, "b")
		m.Receive("b", message)
		for _, key := range m.set.Keys() {
			m.set.Object(key)
		}
	})
}

func FuzzDecodeOp(f *testing.F) {
	f.Add(EncodeOp(Seal(sampleOp(), testSign)))
	f.Fuzz(func(t *testing.T, data []byte) {
		op, err := DecodeOp(data)
		if err != nil {
			return
		}
		if again, err := DecodeOp(EncodeOp(op)); err != nil || !cmp.Equal(op, again) {
			t.Fatalf("%v\n%s", err, cmp.Diff(op, again))
		}
	})
}

func BenchmarkSealAndEncode(b *testing.B) {
	op := sampleOp()
	for b.Loop() {
		EncodeOp(Seal(op, testSign))
	}
}

func BenchmarkEncodePush(b *testing.B) {
	message := Message{Push: &Push{Ops: []crdt.Op{Seal(sampleOp(), testSign)}}}
	b.ReportMetric(float64(len(Encode(message))), "B/message")
	for b.Loop() {
		Encode(message)
	}
}

func BenchmarkDecodePush(b *testing.B) {
	data := Encode(Message{Push: &Push{Ops: []crdt.Op{Seal(sampleOp(), testSign)}}})
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReconcile finds one missing operation among 10,000 objects.
func BenchmarkReconcile(b *testing.B) {
	a, c := newMachine("a", "c"), newMachine("c", "a")
	for i := range 10_000 {
		op := sealedUpdate(a, crdt.Key{Kind: "Deployment", Namespace: "default", Name: fmt.Sprint(i)}, "1")
		a.set.Add(op)
		c.set.Add(op)
	}
	at := crdt.Next(0, nil, time.UnixMilli(1))
	for b.Loop() {
		at++
		a.set.Add(Seal(crdt.Op{Key: web, Stamp: crdt.Stamp{Time: at, Writer: "a"}, Seen: a.set.Seen(web),
			Changes: []crdt.Change{{Path: "x", Value: []byte("1")}}}, fakeSign))
		talk(c, a, c.Reconcile)
		if a.set.Digest() != c.set.Digest() {
			b.Fatal("not equal")
		}
	}
}
