// Package stream carries messages, requests to join and API connections between peers over libp2p. It is the
// only importer of go-libp2p, and uses of it the swarm alone: TCP, Noise with the peers' own Ed25519 keys, yamux.
// There is no identify, ping, relay, DHT or discovery: gossip knows who is here and where.
//
//	peer ──TCP── Noise (mutual, key = PeerID) ── yamux ──┬── /shoal/message/1  intent: frames, one way, one stream per direction
//	                                                     ├── /shoal/row/1      observations, likewise
//	                                                     ├── /shoal/join/1     one request, one reply; open to strangers
//	                                                     └── /shoal/api/1      a byte stream; a net.Conn at both ends
//
// A frame is a length of four bytes, big-endian, and that many bytes, at most MaxMessage.
//
// Noise and not TLS, because libp2p's TLS makes certificates that are valid from an hour before the program started: a
// peer whose clock is behind by more could talk to nobody, and no clock may keep peers apart. Noise knows no time. It
// gives away a fifth of the speed (7.8 against 9.8 Gbit/s on a loopback), and holds less memory per connection.
//
// What waits for a peer is bounded, on each of the two lanes by itself: of intent 64 messages or 8 MiB, and the newest
// beyond that are dropped; of observations 64 messages or 2 MiB, and the oldest are dropped. Both are counted, and
// reconciliation repairs what is lost. Each lane to each peer has an outbox of its own with its own goroutine, and each
// lane from each peer its own stream, with its own window: a slow or lost peer delays nobody, and a flood of observations
// no intent. What the two lanes share is the connection: so the kernel is asked to keep little that is not yet sent
// (TCP_NOTSENT_LOWAT), and on a link that is full a frame of intent waits at most for the window of one stream (1 MiB). While a peer cannot be reached, each attempt costs its oldest message; attempts are at most some
// seconds apart, and come at once when the peer connects by itself. A connection on which nothing is acknowledged for a
// few seconds is closed, so that after a cut the next message does not wait for TCP's long timers.
//
// Connections are bounded too (door.go): in all, and per host. One that no stream uses is closed within half a minute, a
// message stream that carries nothing after two minutes. A lane has one stream at a time; a newer one ends the
// older (inbox.go).
//
// Streams other than to join begin with a frame in which the opener proves that it belongs to the cluster. Strangers, for
// whom the handler's Known says no, get nothing but join, at most a few at once, each with a deadline, and not too
// often from one host (rate.go).
package stream
