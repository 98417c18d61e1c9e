package swim

import (
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// Profile says between what kind of peers a cluster gossips. All its peers should use the same.
type Profile uint8

const (
	// LAN is for peers within some tens of milliseconds of each other: a site, a region. A lost peer is known after 3 s.
	LAN Profile = iota
	// WAN is for peers that are up to half a second away from each other, in several sites or clouds: after 8 s.
	WAN
	// Edge is for peers that are up to a second away or pay for what they send: mobile links, satellites: after half a minute.
	Edge
)

var profileNames = []string{LAN: "lan", WAN: "wan", Edge: "edge"}

// ParseProfile reads a profile's name: lan, wan or edge.
func ParseProfile(name string) (Profile, error) {
	for i, known := range profileNames {
		if name == known {
			return Profile(i), nil
		}
	}
	return 0, fmt.Errorf("%q: use lan, wan or edge", name)
}

// String is the profile's name.
func (p Profile) String() string { return profileNames[min(p, Edge)] }

// figures are what differs between profiles.
type figures struct {
	probeEach, probeTimeout   time.Duration
	suspicion                 int
	roundEach                 time.Duration // of the inquest
	misses                    int
	alone                     time.Duration
	gossipEach, pushPull, tcp time.Duration
	goodbye, goodbyeSpreads   time.Duration // longest wait for each of the two parts of a goodbye; and then that
	patience                  time.Duration // with an address that does not accept a connection
}

// Of n peers one loses its power. It is probed first after about probeEach/2 (each survivor probes somebody each interval, all
// in turn), is suspected one interval later, and is held dead by memberlist suspicion x max(1, log10 n) intervals after that.
// Then each peer inquires for itself, for at least misses rounds and the last one's answer (inquest.go). With the figures
// of LAN and 5 peers: 0.4 + 0.5 + 0.5 + 1.8 s, so about 3 s; TestProfiles measures all three.
//
// LAN gives memberlist's suspicion the shortest time there is, since the inquest tells far better in a second what is dead: it asks the
// member itself, again and again, where one more interval would only wait for an objection that may be lost. WAN and Edge give objections
// a few intervals, because there an inquest costs more of what is paid for.
//
// At rest five peers of LAN send 47 MB a day each, without headers (TestTrafficAtRest), nearly all of it probes and their answers;
// WAN costs half of that, Edge a sixth. A loss costs each other peer some 15 kB more within 4 s.
//
// An exchange of all states costs 235 bytes for each peer, twice in each interval, and memberlist makes the interval
// longer above 32 peers: six times at 1,000. With one minute that is 1,340 B/s of each of 1,000 peers, nearly half of what a
// peer at rest may send; with 90 s it is 900. The price: of what gossip loses (each piece of news is sent to each
// peer some 12 times) a peer hears half an interval later on average: after 45 s instead of 30 s among up to 32 peers,
// after 4.5 minutes instead of 3 among 1,000. Cuts do not heal by it: lost peers are tried by the peer's own loop, which
// begins an exchange with each of them.
//
// patience has room for two of TCP's requests, of which the second goes out after a second, and an answer from as far as the
// profile says. Who looks for many lost peers waits no longer for each.
var profiles = [...]figures{
	LAN: {
		probeEach: 500 * time.Millisecond, probeTimeout: 200 * time.Millisecond, // then over others and by TCP, for the rest of the interval
		suspicion: 1,
		roundEach: 100 * time.Millisecond, misses: 16, alone: 8 * time.Second,
		gossipEach: 100 * time.Millisecond, // news reaches 100 peers in half a second; without news nothing is sent
		pushPull:   90 * time.Second, tcp: 5 * time.Second,
		goodbye: time.Second, goodbyeSpreads: 500 * time.Millisecond, patience: 2 * time.Second,
	},
	WAN: {
		probeEach: time.Second, probeTimeout: 500 * time.Millisecond, // a round trip around the globe takes 300 ms
		suspicion: 3,
		roundEach: 250 * time.Millisecond, misses: 8, alone: 20 * time.Second,
		gossipEach: 200 * time.Millisecond, pushPull: 90 * time.Second, tcp: 10 * time.Second,
		goodbye: 2 * time.Second, goodbyeSpreads: time.Second, patience: 3 * time.Second,
	},
	Edge: {
		probeEach: 3 * time.Second, probeTimeout: 1500 * time.Millisecond, // a satellite's 600 ms twice, and a queue
		suspicion: 4, // links of radio pause for seconds
		roundEach: time.Second, misses: 8, alone: 60 * time.Second,
		gossipEach: 500 * time.Millisecond, pushPull: 5 * time.Minute, tcp: 15 * time.Second,
		goodbye: 4 * time.Second, goodbyeSpreads: 2 * time.Second, patience: 4 * time.Second,
	},
}

// silence is the least time between a loss of power and the end of the inquest on it.
func (f figures) silence() time.Duration {
	return time.Duration(1+f.suspicion)*f.probeEach + time.Duration(f.misses)*f.roundEach
}

func (p Profile) figures() figures { return profiles[min(p, Edge)] }

// tune sets memberlist's figures of failure detection and of gossip.
func (f figures) tune(m *memberlist.Config) {
	m.ProbeInterval, m.ProbeTimeout = f.probeEach, f.probeTimeout
	m.SuspicionMult = f.suspicion
	m.SuspicionMaxTimeoutMult = 3 // without the witness that a suspicion of 3 or more intervals asks for
	m.TCPTimeout = f.tcp          // for a whole exchange of states
	m.GossipInterval, m.PushPullInterval = f.gossipEach, f.pushPull
	m.IndirectChecks = 3         // 4 paths that must all fail; more add traffic, not certainty
	m.AwarenessMaxMultiplier = 8 // memberlist's own: who misses answers of several peers probes up to so much slower
	m.DisableTcpPings = false    // a network that drops packets but not streams is no dead peer
	m.RetransmitMult = 4         // each piece of news is sent 4 x log10(n+1) times by each who has it
	m.GossipNodes = 3
	m.GossipToTheDeadTime = 30 * time.Second // so that a living one can object; also lets a short split heal by itself
	m.UDPBufferSize = 1350                   // fits an IPv6 packet in a tunnel, after encryption
	m.HandoffQueueDepth = 1024               // news that finds it full is dropped; push-pull repairs
	m.EnableCompression = false              // tags are binary and packets small; LZW costs more than it saves
	m.DeadNodeReclaimTime = time.Millisecond // a failed peer may come back with another address at once
}

// tuneSerf sets what serf adds on top.
func (f figures) tuneSerf(c *serf.Config) {
	c.BroadcastTimeout, c.LeavePropagateDelay = f.goodbye, f.goodbyeSpreads
	c.ReconnectInterval = 3 * time.Second          // one attempt at one failed member; the peer's own loop does more
	c.ReapInterval = time.Hour                     // nothing to reap, see below
	c.ReconnectTimeout = 50 * 365 * 24 * time.Hour // failed members are never forgotten
	c.TombstoneTimeout = 7 * 24 * time.Hour        // members that left are, after a week
	c.RecentIntentTimeout = 5 * time.Minute        // serf's own
	c.FlapTimeout = time.Minute                    // only counts
	c.MaxQueueDepth, c.MinQueueDepth = 4096, 0     // news waiting to be sent; beyond it the oldest is dropped
	c.QueueCheckInterval = 30 * time.Second        // serf's own
	c.EventBuffer, c.QueryBuffer = 16, 16          // for user events and queries, which we do not send
	c.DisableCoordinates = true                    // nobody asks for distances
	c.EnableNameConflictResolution = false         // it would shut a peer down
}
