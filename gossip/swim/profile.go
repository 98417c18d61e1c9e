package swim

import (
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// Profile says between what kind of peers a cluster gossips. All its peers should use the same.
type Profile uint8

const (
	// Near is for peers within some tens of milliseconds of each other: a site, a region.
	Near Profile = iota
	// Far is for peers that are up to a second away from each other: satellites, mobile links.
	Far
)

// tune sets the figures of failure detection and of gossip.
//
// Of n peers one loses its power. It is probed first after about ProbeInterval/2 (each survivor probes
// somebody each interval), is suspected one interval later, and is held to have failed SuspicionMult x
// max(1, log10 n) intervals after that, if SuspicionMult-2 others confirm it by then, which takes a
// few intervals because all probe all in turn. With the figures of Near and 5 peers: 0.25 + 0.5 + 2 s,
// so about 3 s (TestPowerLossIsKnownSoon: 3.0 s on average, 4 s at worst); with 100 peers about 5 s.
//
// At rest five peers send 47 MB a day each, without headers (TestTrafficAtRest), nearly all of it
// probes and their answers; Far costs a quarter of that.
//
// An exchange of all states costs 235 bytes for each peer, twice in each interval, and memberlist makes the interval
// longer above 32 peers: six times at 1,000. With one minute that is 1,340 B/s of each of 1,000 peers, nearly half of what a
// peer at rest may send; with 90 s it is 900. The price: of what gossip loses (each piece of news is sent to each
// peer some 12 times) a peer hears half an interval later on average: after 45 s instead of 30 s among up to 32 peers,
// after 4.5 minutes instead of 3 among 1,000. Cuts do not heal by it: lost peers are tried by the peer's own loop, which
// begins an exchange with each of them.
//
// A peer that is only slow has all of the suspicion's time to object, and a prober that
// misses answers of several peers takes itself for the slow one and waits up to AwarenessMaxMultiplier
// times longer (Lifeguard), so that a busy machine does not declare others dead.
func tune(profile Profile, m *memberlist.Config) {
	m.ProbeInterval = 500 * time.Millisecond // the unit of everything above
	m.ProbeTimeout = 200 * time.Millisecond  // then over others and by TCP, for the rest of the interval
	m.SuspicionMult = 4                      // 3 would save half a second and need one witness less
	m.SuspicionMaxTimeoutMult = 3            // without witnesses (a split in two of few peers): 6 s
	m.TCPTimeout = 5 * time.Second           // for a whole exchange of states
	if profile == Far {
		m.ProbeInterval, m.ProbeTimeout = 2*time.Second, 1200*time.Millisecond
		m.TCPTimeout = 15 * time.Second
	}
	m.IndirectChecks = 3                      // 4 paths that must all fail; more add traffic, not certainty
	m.AwarenessMaxMultiplier = 8              // memberlist's own
	m.DisableTcpPings = false                 // a network that drops packets but not streams is no dead peer
	m.RetransmitMult = 4                      // each piece of news is sent 4 x log10(n+1) times by each who has it
	m.GossipInterval = 100 * time.Millisecond // news reaches 100 peers in half a second; without news nothing is sent
	m.GossipNodes = 3
	m.GossipToTheDeadTime = 30 * time.Second // also lets a short split heal by itself
	m.PushPullInterval = 90 * time.Second    // repairs what gossip lost; see below
	m.UDPBufferSize = 1350                   // fits an IPv6 packet in a tunnel, after encryption
	m.HandoffQueueDepth = 1024               // news that finds it full is dropped; push-pull repairs
	m.EnableCompression = false              // tags are binary and packets small; LZW costs more than it saves
	m.DeadNodeReclaimTime = time.Millisecond // a failed peer may come back with another address at once
}

// patience is how long an address may take to accept a connection: two of TCP's requests, of which the second goes out after
// a second, and an answer from as far as the profile says. Who looks for many lost peers waits no longer for each.
func (p Profile) patience() time.Duration {
	if p == Far {
		return 4 * time.Second
	}
	return 2 * time.Second
}

// tuneSerf sets what serf adds on top.
func tuneSerf(profile Profile, c *serf.Config) {
	c.BroadcastTimeout = time.Second               // longest wait for each of the two parts of a goodbye
	c.LeavePropagateDelay = 500 * time.Millisecond // 5 rounds of gossip
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
	if profile == Far {
		c.BroadcastTimeout, c.LeavePropagateDelay = 4*time.Second, 2*time.Second
	}
}
