package main

import "shoal/peer"

// What test builds put between the peer and its adapters. In the program that is shipped nothing sets them.
var (
	// trip is set by builds with -tags faults: the values that they fail on.
	trip func(site, name string)
	// wrapStreams is set by builds with -tags next: what a later version says beside what this one says.
	wrapStreams = func(streams peer.Streams, err error) (peer.Streams, error) { return streams, err }
)
