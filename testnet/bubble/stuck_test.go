package bubble

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"shoal/crdt"
	"shoal/peer"
	"shoal/peer/control"
)

// counted is how often a peer's audit has a reason, about another peer or about nobody.
func (p *Peer) counted(reason string, about crdt.PeerID) (n uint64) {
	for _, c := range p.audit().Counts {
		if c.Reason == reason && c.Peer == about {
			n += c.Count
		}
	}
	return n
}

func (p *Peer) audit() peer.AuditReport {
	p.world.t.Helper()
	report, err := p.program.Audit(context.Background())
	if err != nil {
		p.world.t.Fatal(err)
	}
	return report
}

// TestAStuckPartner lets the loop of one peer hang, while its gossip and its streams go on: it says so itself, the
// others find out, begin anew with it again and again, and go on without it; when it comes free, all are one cluster again.
func TestAStuckPartner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		bait := crdt.Key{Kind: "Namespace", Name: "bait"}
		w := NewFaultyWorld(t, 4, func(peer, site, name string) {
			if peer == "p3" && site == "read" && name == bait.String() {
				<-release
			}
		})
		defer w.Close()
		stuck, others := w.Peer("p3"), []*Peer{w.Peer("p1"), w.Peer("p2"), w.Peer("p4")}
		w.Peer("p1").create(bait)
		// Partners are drawn, one of three each 2 s: that none of the first 50 draws is the stuck peer, or each of the last
		// 20, does not happen in a hundred million runs; none of 20 did, in one of a thousand.
		time.Sleep(2 * time.Minute)
		if s := stuck.audit().Sync; s.Stuck < 90*time.Second || stuck.counted(peer.AuditStuck, "") != 1 {
			t.Errorf("the stuck peer says %+v", s)
		}
		id := crdt.PeerID(stuck.ID)
		for _, p := range others {
			if s := p.audit().Sync; s.LivePeers != 3 || s.Silent[id] < 20*time.Second || len(s.Silent) != 1 || time.Since(s.Answered) > 40*time.Second {
				t.Errorf("%s says %+v", p.Name, s)
			}
			if n := p.counted(peer.AuditSilent, id); n < 1 || n > 6 {
				t.Errorf("%s has begun anew with the stuck peer %d times in two minutes", p.Name, n)
			}
			p.write("meanwhile-" + p.Name)
		}
		w.Await(5*time.Second, "the others go on", func() bool {
			return others[0].intent() == others[1].intent() && others[1].intent() == others[2].intent()
		})
		w.heals("the stuck peer comes free", func() { close(release) })
		time.Sleep(time.Minute)
		for _, p := range w.peers {
			if s := p.audit().Sync; len(s.Silent) != 0 || s.Stuck != 0 {
				t.Errorf("afterwards %s says %+v", p.Name, s)
			}
			p.read(func(m *control.Machine) {
				for _, note := range m.Notes() {
					if note.Reason == "ClockSkew" {
						t.Errorf("%s takes what lay waiting for a clock that is wrong: %s", p.Name, note.Text)
					}
				}
			})
		}
	})
}
