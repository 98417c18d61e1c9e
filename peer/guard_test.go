package peer

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/peer/replication"
	"shoal/peer/trust"
)

func keyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func signer(key ed25519.PrivateKey) func([]byte) []byte {
	return func(message []byte) []byte { return ed25519.Sign(key, message) }
}

func certificate(subject, issuer string, may ...trust.Capability) []byte {
	return trust.EncodeCertificate(trust.NewCertificate(ID(keyOf(subject)), subject, may, ID(keyOf(issuer)), time.Unix(0, 0), signer(keyOf(issuer))))
}

// cluster is a guard that knows a writer, a reader, and a peer that the writer admitted.
func cluster() *guard {
	g := newGuard(ID(keyOf("root")), newAudit(time.Now))
	g.load([][]byte{
		certificate("late", "writer", trust.MayWrite), // before its issuer's
		certificate("reader", "root"),
		certificate("writer", "root", trust.MayWrite, trust.MayAdmit),
	})
	return g
}

func opBy(name, object string, at crdt.Time) crdt.Op {
	return replication.Seal(crdt.Op{
		Key:   crdt.Key{Kind: "Deployment", Namespace: "default", Name: object},
		Stamp: crdt.Stamp{Time: at, Writer: crdt.PeerID(ID(keyOf(name)))}, Verb: crdt.Create,
		Changes: []crdt.Change{{Path: "spec/replicas", Value: []byte("1")}},
	}, signer(keyOf(name)))
}

// checkAll passes one message through a guard.
func checkAll(g *guard, message replication.Message) (checked replication.Message, refused int) {
	in := g.inspect("sender", message, 0)
	g.judge([]*inspection{in})
	return in.result, in.refused
}

func TestOnlyWhoMayWriteIsHeard(t *testing.T) {
	g := cluster()
	forged := opBy("writer", "forged", 4)
	forged.Signature = append([]byte(nil), forged.Signature...)
	forged.Signature[0] ^= 1
	message := replication.Message{Push: &replication.Push{Ops: []crdt.Op{
		opBy("writer", "a", 1), opBy("late", "b", 2), opBy("reader", "c", 3), opBy("stranger", "d", 3), forged,
	}}}
	checked, bad := checkAll(g, message)
	if bad != 3 || len(checked.Push.Ops) != 2 {
		t.Fatalf("%d dropped, %d kept; want 3 and 2", bad, len(checked.Push.Ops))
	}
	counts := map[string]uint64{}
	for _, c := range g.audit.report().Counts {
		counts[c.Reason] += c.Count
	}
	if counts[AuditWithoutRight] != 2 || counts[AuditForged] != 1 {
		t.Fatalf("counted as %v", counts)
	}
}

func TestAChangedOperationIsNotTheOneVerified(t *testing.T) {
	g := cluster()
	op := opBy("writer", "a", 1)
	for range 2 { // the second time from memory
		if _, bad := checkAll(g, replication.Message{Push: &replication.Push{Ops: []crdt.Op{op}}}); bad > 0 {
			t.Fatal("a good signature was refused")
		}
	}
	forged, err := replication.DecodeOp(replication.EncodeOp(op))
	if err != nil {
		t.Fatal(err)
	}
	forged.Signed = append([]byte(nil), forged.Signed...)
	forged.Signed[len(forged.Signed)-1] ^= 1
	forged.Hash = sha256.Sum256(append(append([]byte(nil), forged.Signed...), forged.Signature...))
	if _, bad := checkAll(g, replication.Message{Push: &replication.Push{Ops: []crdt.Op{forged}}}); bad != 1 {
		t.Fatal("a changed operation passed")
	}
}

func TestAnObjectIsTakenWholeOrNotAtAll(t *testing.T) {
	g := cluster()
	key := crdt.Key{Kind: "Deployment", Namespace: "default", Name: "a"}
	message := replication.Message{Objects: &replication.Objects{Objects: []replication.Object{
		{Key: key, Ops: []crdt.Op{opBy("writer", "a", 1), opBy("stranger", "a", 2)}},
		{Key: key, Ops: []crdt.Op{opBy("writer", "a", 1)}},
	}}}
	checked, bad := checkAll(g, message)
	if bad != 1 || len(checked.Objects.Objects) != 1 || len(checked.Objects.Objects[0].Ops) != 1 {
		t.Fatalf("%d bad, kept %v", bad, checked.Objects.Objects)
	}
}

func TestSealCarriesWhatTheReceiverNeeds(t *testing.T) {
	sender, receiver := cluster(), newGuard(ID(keyOf("root")), newAudit(time.Now))
	message := replication.Message{Push: &replication.Push{Ops: []crdt.Op{opBy("late", "b", 2)}}}
	body, err := receiver.open(sender.seal(replication.Encode(message), message))
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := replication.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if _, bad := checkAll(receiver, decoded); bad != 0 {
		t.Fatal("the receiver could not check the operation")
	}
	if got := len(receiver.takeNew()); got != 2 {
		t.Fatalf("%d certificates are to be stored, want the chain of 2", got)
	}
}

func TestStrangersCannotWriteThemselvesIn(t *testing.T) {
	g := cluster()
	if g.learn(certificate("stranger", "stranger", trust.MayWrite)) == nil {
		t.Fatal("a certificate signed by its own subject was taken")
	}
	if g.learn(certificate("thief", "reader", trust.MayWrite)) == nil {
		t.Fatal("a peer that may not admit has admitted")
	}
}

// TestWhoVouchesForARow: what was on disk counts only where its peer signed it and is of the cluster.
func TestWhoVouchesForARow(t *testing.T) {
	g := cluster()
	by := func(name, signs string) replication.Row {
		return replication.SealRow(replication.Row{Peer: crdt.PeerID(ID(keyOf(name))), Body: []byte("{}")}, signer(keyOf(signs)))
	}
	if !g.vouches(by("reader", "reader")) || g.vouches(by("reader", "writer")) || g.vouches(by("stranger", "stranger")) {
		t.Error("a row counts of a peer that did not sign it, or of a stranger, or not one that its peer signed")
	}
}
