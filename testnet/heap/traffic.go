package heap

import (
	"math"
	"time"
)

// Membership is modelled by what becomes known when, not packet by packet, so what it sends is worked out here, for a
// cluster at rest. The figures of gossip/swim's profile Near (profile.go) and the message forms of memberlist v0.5
// (net.go: ping, ackResp, pushNodeState; all msgpack maps with their field names) and serf v0.10 (messages.go:
// messagePushPull) give, in bytes:
//
//	ping      map 1, SeqNo 11, Node 71, SourceAddr 17, SourcePort 14, SourceNode 77, kind 1, CRC 5, encryption 29, UDP/IP 28 = 254
//	ack       map 1, SeqNo 11, Payload 9, kind 1, CRC 5, encryption 29, UDP/IP 28                                        =  84
//	member in a push/pull: Addr 11, Port 8, Name 71, Meta 7 + tags 35, Incarnation 15, State 7, Vsn 11, map 1, and
//	          serf's StatusLTimes 69                                                                                      = 235
//
// Each peer probes one other in each interval and is probed as often. Each begins one push/pull in each interval and
// answers one on average; beyond 32 members memberlist makes the interval longer: ceil(log2 n - 5) + 1 times (util.go,
// pushPullScale). Gossip sends nothing while there is no news. Without headers the probes come to 564 B/s, which is
// what gossip/swim's TestTrafficAtRest measures for five peers (47 MB a day).
const (
	pingBytes, ackBytes = 254, 84
	memberBytes         = 235
	probeEach           = 500 * time.Millisecond
	pushPullEach        = 90 * time.Second
	pushPullScale       = 32
)

// membershipBytes is what each of n peers at rest sends for membership, in bytes a second.
func membershipBytes(n int) map[string]float64 {
	probes := 0.0
	if n > 1 {
		probes = (pingBytes + ackBytes) / probeEach.Seconds()
	}
	interval := pushPullEach.Seconds()
	if n > pushPullScale {
		interval *= math.Ceil(math.Log2(float64(n))-math.Log2(pushPullScale)) + 1
	}
	exchange := float64(n*memberBytes) * (1 + float64(segmentHeaders)/segmentBytes)
	return map[string]float64{"membership probes": probes, "membership push/pull": 2 * exchange / interval}
}

// Connections. One that is used is kept for two minutes, and closed at the next sweep (peer/stream: idleAtMost,
// sweepEvery). What opening one costs each side: TCP's handshake and end 4 x 40 + 20; multistream-select of Noise 28;
// the handshake Noise XX with libp2p's payload (key 36, signature 64, extensions 25): 32 and 48 + 125 + 16 of who
// opens, 96 + 125 of who answers, taken as equal; three packets' headers 120; a stream with its protocol 38 + 12 and the
// proof of membership, two certificates of about 220 bytes, 460 (a stream for each direction).
const (
	openBytes = 180 + 28 + 221 + 120 + 50 + 460
	keptFor   = 2*time.Minute + 15*time.Second/2
)

// connectionBytes is what opening connections costs each of n peers that do nothing but reconcile, in bytes a second: each
// begins a round with one of the others every two seconds and answers as many, and the connection is gone if the
// two have not talked for a while.
func connectionBytes(n int) float64 {
	const contacts = 2 / 2.0 // a second
	return contacts * openBytes * math.Exp(-contacts*keptFor.Seconds()/float64(n-1))
}

// pair is two peers, in order.
type pair struct{ a, b int32 }

// opened counts what opening a connection costs, if none was open between two peers.
func (a *accounts) opened(from, to *Peer) {
	p := pair{int32(min(from.index, to.index)), int32(max(from.index, to.index))}
	last, known := a.talked[p]
	a.talked[p] = a.world.now
	if !known || a.world.now-last > keptFor {
		a.add(from, "connections", openBytes)
		a.add(to, "connections", openBytes)
	}
}
