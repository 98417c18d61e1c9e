// Package network gives the instances of one peer their place in the network. It is
// the only importer of netlink.
//
// A peer owns one bridge, in the network namespace in which Open was called. The bridge holds the
// first address of the peer's subnet. Each instance has a network namespace of its own, kept alive by a
// bind mount below Config.Dir, so that it outlives both the peer's program and the instance's processes:
//
//	  peer's namespace                          DIR/netns/default.web-0.5f3c9a1e
//	+-----------------------------+           +----------------------------------+
//	| bridge 10.1.0.1/24          |           | lo                               |
//	|   +-- sv5f0c…  -------------|--- veth --|-- eth0 10.1.0.2/24               |
//	|   +-- sv91aa…  ----- …      |           |   default route via 10.1.0.1     |
//	+-----------------------------+           +----------------------------------+
//
// Instances of one peer reach each other over the bridge, and the peer reaches them for its
// probes. Nothing is translated, forwarded or filtered here, and no setting of the machine is changed.
//
// # Invariants
//
//   - Names of interfaces follow from the bridge's and the instance's name, so that a life of the
//     program that began after a crash finds what the one before has made. Every step of Attach and
//     Detach first looks at what is there: repeated after a crash at any point, it finishes.
//   - No address is held twice. What is held is on disk before it is used. An address that was given
//     back is the last of its subnet to be given out again, so that what still knows the old holder does
//     not reach the new one.
//   - An address always has the same hardware address (02:53 and the four bytes), and so has the
//     bridge: no neighbour table goes stale when an address changes its holder or a port joins.
//   - Sockets are bound to a namespace once, when they are opened. Which thread a method runs on does
//     not matter, and no method leaves a thread in a namespace where it was not before.
//
// # Fabric
//
// Fabric is the other half: it joins whole machines, each a network namespace, by bridges in a
// namespace of its own, and cuts them apart again. The test worlds use it.
package network
