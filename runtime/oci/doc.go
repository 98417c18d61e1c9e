// Package oci runs containers with libcontainer, in the calling program's own process. It implements
// runtime.Runtime on Linux as root, is built with cgo and the tag seccomp, and is the only importer of libcontainer.
//
// main must call Init before anything else: a container starts as a copy of this very program, which turns
// itself into the container's first process there.
//
// Everything is below Config.Dir:
//
//	instances/INSTANCE/instance.json          the spec, the address, the resolved images
//	instances/INSTANCE/ns/{net,ipc,uts}       namespaces kept alive by bind mounts, where they are shared
//	instances/INSTANCE/volumes/VOLUME/        what containers share and what outlives a restart
//	instances/INSTANCE/CONTAINER/state.json   generation, process, exit
//	instances/INSTANCE/CONTAINER/root/        overlay: the image's layers below layer/{upper,work}/
//	instances/INSTANCE/CONTAINER/dev/         what becomes /dev
//	logs/INSTANCE/CONTAINER/GENERATION.log    stdout and stderr, appended by the container itself
//	run/ID-GENERATION/                        libcontainer's own state, needed for Exec
//	trash/                                    what is being deleted
//
// # Lives
//
// No container depends on this program: there is no parent-death signal, and output goes to a file that
// the container holds open itself. A process is known by its id and its start time together, under one boot of the machine, so
// that an id used again by a stranger is never taken for ours. Who learns an exit code:
//
//   - of a child, we do, by waiting for it;
//   - of a container adopted from an earlier life, its new parent: the supervisor, which leaves the code in
//     ExitsDir/PID-STARTTIME; or the kernel tells us through a pidfd (Linux 6.15 and later);
//   - else it is -1 with the reason "Lost".
//
// An exit is written to state.json before it is handed over. The next life does not repeat what was written; List tells it.
//
// # Steps and crashes
//
// Start writes the new generation down before the container is made, and what runs after it does. A life that ends in
// between leaves a generation that has begun and a cgroup that may hold a process. The next life kills what is in that
// cgroup and reports the generation as lost. Every other step can just be done again.
//
// # Deadlines
//
// Bound hands an instance's deadline and cgroups to the guard of package supervise. A container is made first, and its program let go
// only if the deadline has not passed by then.
//
// # Output
//
// The newest generation and the one before it are kept, older ones are deleted at Start. Every five seconds each file that
// occupies more than 16 MiB loses all but its newest 8 MiB: the head becomes a hole, or where the file system knows no
// holes the file is emptied. Lines carry no time, so LogOptions.Since can only leave out a generation that
// was silent since then.
//
// # Storage
//
// Every ten seconds the instances with limits of storage are measured by looking at each file, in constant memory: 4 µs for each (100,000 in
// 0.4 s). One that takes long is looked at more seldom, so that it costs at most a fiftieth of a core. Looking ends where a limit is passed, and an
// empty file counts as half a KiB, so that it does end. Quotas of the file system would be exact, and few are mounted with them.
//
// # Confinement
//
// Own pid and mount namespaces per container; network, ipc and uts per instance; nine capabilities; no new privileges; a
// seccomp filter that allows by name, for the machine's own architecture, and for 32 bits where the program needs it; /proc and /sys masked and read-only where they reach the machine; limits for CPU, memory
// and processes on cgroup v2, and on v1.
package oci
