package bubble

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"shoal/peer"
	"shoal/peer/stream"
	"shoal/peer/trust"
)

// join asks a peer for admission as `shoal agent --join` does.
func (p *Peer) join(at *Peer, ticket trust.Ticket) error {
	config := stream.JoinConfig{PrivateKey: p.key, Addr: at.config().Stream.String(), Network: p.world.network.Host(p.addr)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	remote, reply, err := stream.Join(ctx, config, func(remote trust.PeerID) []byte {
		return peer.JoinRequest(ticket, p.ID, remote, p.Name, time.Now())
	})
	if err != nil {
		return err
	}
	membership, err := peer.ReadJoinReply(ticket, p.ID, remote, reply, time.Now())
	p.chain = membership.Certificates
	return err
}

func wantRefusal(t *testing.T, err error, code string) {
	t.Helper()
	var refused *peer.JoinError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// TestJoinByTicket lets a stranger in at one peer, and expects all others to take it for a member.
func TestJoinByTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 3)
		defer w.Close()
		ticket, err := w.Peer("p2").program.CreateTicket(t.Context(), 1, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // until p3 knows the ticket
		newcomer, late := w.newPeer(4), w.newPeer(5)

		wrong := ticket
		wrong.Secret = make([]byte, 16)
		wantRefusal(t, newcomer.join(w.Peer("p3"), wrong), peer.TicketWrong)
		unknown := ticket
		unknown.ID = "0000000000"
		wantRefusal(t, newcomer.join(w.Peer("p3"), unknown), peer.TicketUnknown)
		elsewhere := ticket
		elsewhere.Cluster = peer.ID(keyOf("another root"))
		if newcomer.join(w.Peer("p3"), elsewhere) == nil {
			t.Error("joined a cluster that the ticket does not name")
		}
		for range 2 { // the second time as if the first answer was lost
			if err := newcomer.join(w.Peer("p3"), ticket); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		wantRefusal(t, late.join(w.Peer("p1"), ticket), peer.TicketUsedUp)

		w.peers = append(w.peers, newcomer)
		newcomer.Start()
		w.Await(time.Minute, "the newcomer is a member", func() bool { return w.Peer("p1").alive() == 4 && newcomer.alive() == 4 })
		newcomer.Apply("web", web(4, "blue"))
		w.Rest(time.Minute)
	})
}

func TestTicketExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 1)
		defer w.Close()
		ticket, err := w.Peer("p1").program.CreateTicket(t.Context(), 1, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		wantRefusal(t, w.newPeer(2).join(w.Peer("p1"), ticket), peer.TicketExpired)
	})
}

// TestJoinMeasuresTheClock lets in a peer whose clock is five years behind, and tells it by how much.
func TestJoinMeasuresTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 1)
		defer w.Close()
		ticket, err := w.Peer("p1").program.CreateTicket(t.Context(), 1, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		const behind = 5 * 365 * 24 * time.Hour
		p := w.newPeer(2)
		config := stream.JoinConfig{PrivateKey: p.key, Addr: w.Peer("p1").config().Stream.String(), Network: w.network.Host(p.addr)}
		remote, reply, err := stream.Join(t.Context(), config, func(remote trust.PeerID) []byte {
			return peer.JoinRequest(ticket, p.ID, remote, p.Name, time.Now().Add(-behind))
		})
		if err != nil {
			t.Fatal(err)
		}
		membership, err := peer.ReadJoinReply(ticket, p.ID, remote, reply, time.Now().Add(-behind))
		if err != nil {
			t.Fatal(err)
		}
		if off := (membership.Skew - behind).Abs(); off > time.Second {
			t.Errorf("the clock differs by %v, and was measured as %v", behind, membership.Skew)
		}
	})
}
