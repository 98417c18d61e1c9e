// Package gossiptest holds what tests of a cluster need in place of a real network and a real
// membership: Network, a network in memory; Hub, a scripted membership; and Conformance, the tests
// that every gossip.Cluster must pass, Hub's included.
//
// # Network
//
// Hosts have an IP address each and speak packets (net.PacketConn) and byte streams
// (net.Listener, net.Conn) to each other, with latency, loss, cuts between groups, one-way cuts, stalls and
// silent power loss. It knows nothing of what is carried, so that gossip and streams run over one
// network and meet the same cuts.
//
//	Host 10.0.0.1 --ListenPacket--> packets  --latency, loss, cut--> bounded queue --> ReadFrom
//	              --Dial----------> pipe     --latency, cut--------> bounded buffer -> Read
//
// It works inside a bubble of testing/synctest: everything waits on channels and timers made in
// the bubble, every wait ends when its end is closed, and no goroutine of its own outlives a
// delivery. In a bubble, latency costs no real time.
//
// What happens at each limit: a packet that finds the receiver's queue full (queueLength) is dropped,
// as UDP does. A stream's writer waits while more than windowBytes are under way, as TCP does. A
// dial that finds the listener's backlog full waits until its context ends.
//
// A cut drops packets. It delays streams: what was written arrives after the heal, as TCP would
// send it again; whoever cannot wait sets a deadline. A dial across a cut waits likewise. A host that
// was put to Sleep (power loss) sends and answers nothing, not even a refusal. One that is stalled sends and takes nothing until
// it resumes, and then all of it. Loss drops packets, and makes what goes over streams later.
//
// Loss and latency are drawn from one generator, seeded in NewNetwork; since goroutines take turns as they like,
// a seed gives statistics, not replay.
package gossiptest
