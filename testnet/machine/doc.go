// Package machine makes machines out of namespaces: the machine world of the tests, and what
// `shoal testnet` is built on. It knows nothing of clusters; package testnet starts agents on
// these machines and asks them things.
//
//	caller (shoal testnet …)             the real machine's namespaces
//	 │ keeper.sock
//	 ▼
//	keeper, pid 1 of its own             own pid, mount, net, uts, ipc namespaces; the fabric's
//	 │                                   bridges and all wires are in its network namespace
//	 ├── machine p1, pid 1 of its own    own pid, mount, net, uts, ipc; 10.77.0.1/24 on eth0
//	 │    ├── agent (supervisor, main)   ◄── started through machine.sock
//	 │    │    └── containers
//	 │    └── commands of `testnet run`  ◄── started through machine.sock, with the caller's terminal
//	 └── machine p2 …
//
// A testnet is one directory:
//
//	state.json            what it is: keeper, peers, addresses (type State)
//	keeper.sock           control of the keeper: boot, power off, split, cut, heal
//	keeper.log
//	p1/machine.sock       control of one machine: agent, run, status
//	p1/bin/shoal          its program, as a link
//	p1/agent.log          what the agent writes to its standard outputs
//	p1/data/              the agent's data directory; outlives `kill`, as a disk would
//
// and one cgroup, shoal-testnet-NAME/pN for each machine, in every hierarchy of version 1 or in
// the one of version 2.
//
// Invariants. All processes of a testnet live below the keeper's pid namespace, so that the kernel
// ends all of them when the keeper ends, however it ends; with them go the mounts, networks and
// namespaces, none of which is pinned by a file. What can remain is the directory and empty cgroups, and those
// are removed by Destroy, which works with and without a living keeper and may be repeated. Killing a machine's
// pid 1 is the same one level lower, and as sudden as a power cut for everything but the disk's own cache.
// Nothing of the real machine is changed: every mount is private, and no address, route or rule
// is made outside of the keeper's and the machines' network namespaces.
//
// A machine has no wall clock of its own. The kernel's time namespaces shift only the clocks that count from the boot
// (time_namespaces(7)), and a program linked statically asks the kernel itself; so peers with wrong wall clocks are tested in the
// other two worlds alone.
//
// A testnet is bounded in time: the keeper tears it down at State.Expires, and also when whoever
// holds its leash (the process that called Launch, until it calls Lease.Keep) goes away.
package machine
