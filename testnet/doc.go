// Package testnet is the machine world: whole clusters of real agents with real containers on
// one machine, each peer on a machine made of namespaces (package machine). It is what `shoal testnet`, the
// scenario scripts, the demo and the benchmarks drive.
//
//	net, err := testnet.Up(ctx, testnet.Options{Name: "demo", Peers: 5})
//	net.Kill(ctx, "p2")                           // as if its power went
//	net.Split(ctx, [][]string{{"p1"}, {"p3"}})
//	report, err := net.Check(ctx)                 // the promises
//	net.Down(ctx)
//
// Peers are p1, p2 … at 10.77.0.1, 10.77.0.2 …, which exist only inside of the testnet. p1 makes the
// cluster; a ticket from it lets the others join. Every later start of an agent resumes from its own data
// directory and is told of no other peer.
//
// Invariants: what Up begins and cannot finish is gone when it returns. Down leaves nothing, from any state, and
// can be repeated. A testnet whose time (Options.TTL) has passed ends by itself. All that Check, PS and the callers of
// Client know of a peer comes from its API over its unix socket, and from the kernel; never from the
// peer's files.
//
// The other two worlds are the packages below: heap and bubble. They share the checkers of package promise with this one.
package testnet
