// Package runtime is the contract for running containers on one machine.
//
// What is run is an instance: one replica's containers on this peer, which share a network, an ipc and a uts
// namespace. A container climbs a ladder, one rung per call, and never descends within one generation:
//
//	          Prepare            Start g              exit, Stop
//	Absent ------------> Prepared ------> Running g ------------> Exited g
//	   ^                    |                 ^                      |
//	   |                    |                 |       Start g+1      |
//	   |                    |                 +----------------------+
//	   +--------------------+------------------- Remove -------------+
//
// The generation is the caller's and only rises. Start with an older one than the newest fails with Stale, and each
// Status carries the generation it is about, so an answer that comes late about an older container harms nobody.
//
// A restarted container gets a fresh writable layer; what must survive a restart goes into a Mount, which
// lives as long as the instance.
//
// What an instance writes to the machine's disk is measured every now and then, as the kubelet does: for each container its writable layer and
// the output of its generation, and each volume. Where a container is over its StorageBytes, a volume over its VolumeBytes, or all of it
// together over the sum of the containers' limits (where any has one), the whole instance ends by SIGKILL with the reason StorageExceeded, and its volumes
// are emptied. Files that are deleted and still open are not seen.
//
// What holds for every Runtime:
//
//   - Containers do not depend on the life of the program. When it ends, in whatever way, they go on running and writing
//     output; the next life finds them by List with the exit codes of those that ended meanwhile.
//   - An exit is handed to the callback at most once per generation, and those of one container in order. An exit that Stop or
//     Remove brought about is not handed over. An exit that an earlier life of the program already knew is told by List alone.
//   - An instance with a deadline does not run beyond it, whatever becomes of the program.
//   - A verb that fails can be repeated, and Remove clears whatever it left.
//   - Output is kept for the newest generation and the one before, and is bounded.
//
// The runtime decides nothing: when to restart, how long to wait and what to do about a failing probe is
// up to its caller. It never pulls an image.
//
// The parts of an instance that come from elsewhere are contracts too: Images resolves references to unpacked
// layers and Network gives an instance its namespace and address.
package runtime
