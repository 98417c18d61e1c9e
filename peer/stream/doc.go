// Package stream carries messages, requests to join and API connections between peers over libp2p. It is the
// only importer of go-libp2p, and uses of it the swarm alone: TCP, TLS 1.3 with the peers' own Ed25519 keys, yamux.
// There is no identify, ping, relay, DHT or discovery: gossip knows who is here and where.
//
//	peer ──TCP── TLS (mutual, key = PeerID) ── yamux ──┬── /shoal/message/1  frames, one way, one stream per direction
//	                                                   ├── /shoal/join/1     one request, one reply; open to strangers
//	                                                   └── /shoal/api/1      a byte stream; a net.Conn at both ends
//
// A frame is a length of four bytes, big-endian, and that many bytes, at most MaxMessage.
//
// TLS and not Noise, because Go's TLS uses the CPU's AES and because both ends can then be read with usual tools.
//
// What waits for a peer is bounded: 64 messages or 8 MiB; the newest beyond that are dropped and counted, since
// reconciliation repairs what is lost. Each peer has an outbox of its own with its own goroutine, so a slow or lost peer
// delays nobody. A connection on which nothing is acknowledged for a few seconds is closed, so that after a cut the
// next message does not wait for TCP's long timers. Connections idle for two minutes are closed.
//
// Streams other than to join begin with a frame in which the opener proves that it belongs to the cluster. Strangers, for
// whom the handler's Known says no, get nothing but join, at most a few at once, each with a deadline.
package stream
