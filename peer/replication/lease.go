package replication

import (
	"math"
	"time"

	"shoal/crdt"
	"shoal/peer/lease"
	"shoal/peer/wire"
)

func leaseToWire(m *lease.Message) *wire.Lease {
	if m == nil {
		return nil
	}
	return &wire.Lease{
		Life: m.Life, Number: m.Number, Term: uint64(m.Term.Milliseconds()), Frees: m.Frees,
		Asks: each(m.Asks, func(a lease.Ask) wire.LeaseAsk {
			return wire.LeaseAsk{Name: a.Name, Workload: a.Workload, Terms: wire.Short(a.Terms), Next: peerOrNone(a.Next)}
		}),
		Answers: each(m.Answers, func(a lease.Answer) wire.LeaseAnswer {
			return wire.LeaseAnswer{Name: a.Name, Verdict: uint8(a.Verdict), Holder: peerOrNone(a.Holder), Wait: uint64(ceilMillis(a.Wait))}
		}),
	}
}

// ceilMillis rounds up: who is told to wait must not come too early.
func ceilMillis(span time.Duration) int64 { return (span + time.Millisecond - 1).Milliseconds() }

func peerOrNone(id crdt.PeerID) *wire.Peer {
	if id == "" {
		return nil
	}
	peer := wire.Peer(id)
	return &peer
}

func leaseFromWire(form *wire.Lease) *lease.Message {
	return &lease.Message{
		Life: form.Life, Number: form.Number, Term: spanOf(form.Term), Frees: form.Frees,
		Asks: each(form.Asks, func(a wire.LeaseAsk) lease.Ask {
			return lease.Ask{Name: a.Name, Workload: a.Workload, Terms: lease.Terms(a.Terms), Next: noneOrPeer(a.Next)}
		}),
		Answers: each(form.Answers, func(a wire.LeaseAnswer) lease.Answer {
			return lease.Answer{Name: a.Name, Verdict: lease.Verdict(a.Verdict), Holder: noneOrPeer(a.Holder), Wait: spanOf(a.Wait)}
		}),
	}
}

// spanOf takes what would overflow for the longest span.
func spanOf(ms uint64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

func noneOrPeer(peer *wire.Peer) crdt.PeerID {
	if peer == nil {
		return ""
	}
	return crdt.PeerID(*peer)
}
