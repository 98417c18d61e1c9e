// Package swim fulfils gossip.Cluster with serf over memberlist, and is the only importer of both.
//
// Every member probes one other per interval; who does not answer, directly, over others or by TCP,
// is suspected, and held to have failed when enough others could not reach it either and it did not
// object in time (SWIM: Das et al. 2002; Lifeguard: Dadgar et al. 2017). News spreads by being
// attached to probes and gossip. What a peer says of itself travels in serf's tags (tags.go), and
// everything is encrypted with the cluster's key where one is given.
//
//	memberlist -> serf -> EventCh -> drain -> news -> report -> changed(Member)
//	                                          |
//	                newest per member, so at most one entry for each
//
// The two goroutines in the middle exist so that the function given to New can be as slow as it
// likes: serf hands events over while it holds its lock, so drain takes them at once, always. The
// queue between them is bounded by the number of members. Its overflow rule: a newer state of a
// member replaces the waiting older one and keeps its place.
//
// The network is a parameter (Network): the machine's own, or one in memory. The code on top,
// including memberlist's packet and stream handling, is the same for both.
//
// What it will never do: forget a failed member (serf would after a day; a peer that is away for a
// year must still be known as failed, not as unknown), keep anything on disk (the peer's book does),
// resolve two members of one name by shutting one of them down (names are keys; two machines with one
// key are reported by the peer), or measure distances (serf's coordinates are off).
package swim
