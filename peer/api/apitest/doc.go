// Package apitest imitates a peer for tests of the API and of its clients: a peer.Backend over a
// real control.Machine, whose runtime, members and images are imagined.
//
// A Backend does everything at once: a write returns when all that follows from it has happened. An
// instance is running and ready as soon as it is asked for, unless its image has "missing" in its name (it
// is not there), "crash" (it ends at once) or "slow" (it is never ready). Time passes only by Advance.
//
// Every other peer that is alive acknowledges every write at once; one that is not never does.
//
// It answers no network: members come by AddPeer, what they write by Rival, and trouble by Full and Trip.
package apitest
