package replication

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/crdt"
	"shoal/peer/lease"
)

// TestLeaseMessages survive their coding, and are small.
func TestLeaseMessages(t *testing.T) {
	holder := crdt.PeerID(fmt.Sprintf("%064x", 1))
	ask := lease.Message{Life: 1 << 40, Number: 1000, Term: 10 * time.Second, Frees: []string{"default/old-0"}}
	answer := lease.Message{Life: 1 << 40, Number: 1000}
	for i := range 1000 {
		name := fmt.Sprintf("default/database-%d", i)
		ask.Asks = append(ask.Asks, lease.Ask{Name: name, Workload: "Deployment/default/database", Terms: lease.Terms{1}, Next: holder})
		answer.Answers = append(answer.Answers, lease.Answer{Name: name, Verdict: lease.Taken, Holder: holder, Wait: 9 * time.Second})
	}
	for _, m := range []lease.Message{ask, answer, {Life: 1 << 40, Number: 1, Term: 10 * time.Second, Asks: ask.Asks[:1]}, {Life: 1 << 40, Number: 1, Answers: []lease.Answer{{Name: "default/database-0"}}}} {
		data := Encode(Message{Lease: &m})
		again, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&m, again.Lease); diff != "" {
			t.Errorf("(-sent +came)\n%s", diff[:min(len(diff), 2000)])
		}
		t.Logf("%d asks, %d answers: %d bytes", len(m.Asks), len(m.Answers), len(data))
	}
	if lane := (Message{Lease: &ask}).Lane(); lane != Intent {
		t.Errorf("lane %v", lane)
	}
}
