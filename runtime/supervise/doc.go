// Package supervise is the small process above a peer's main process, which sees to it that the main process's death costs
// nothing: it restarts it, and inherits its containers.
//
//	supervisor  (child subreaper; no network, no state but ExitsDir)
//	 |- main     the peer: starts containers, and reaps those it started
//	 |- container, container, …   orphans of an earlier main
//
// Containers are children of the main process that started them. When that dies the kernel hands them to the nearest
// subreaper above, which is the supervisor. It reaps each one as it ends and leaves the exit code in a file for
// the main process of that time, in a directory of which runtime/oci reads:
//
//	EXITSDIR/PID-STARTTIME   "137\n": the code, or 128 and the signal
//
// PID and start time (field 22 of /proc/PID/stat, in clock ticks) together name a process under one boot. Files older than
// a day, and the oldest beyond 10,000, are deleted.
//
// # When main ends
//
//   - By a signal (a crash, kill -9, a panic, which is made to abort): it is restarted, at once at first, then
//     after pauses that double from 100 ms to 30 s. A life of ten seconds starts over at no pause.
//   - With code 0: the supervisor ends with 0.
//   - With another code, in its first life and before ten seconds are over: a refusal to start (usage, configuration, a
//     data directory in use). The supervisor ends with the same code.
//   - With another code later: it is restarted like after a crash. The containers need their peer.
//   - After the supervisor was told to end (SIGTERM, SIGINT): in any way. The supervisor passes the signal on, waits, and ends with main's
//     code. Containers stay.
//
// When the supervisor is killed, main is too (parent-death signal): there is never a main without a supervisor,
// whose containers' exits nobody would learn. Containers have no such signal and stay; the next start adopts them. Those that
// end before it are told by the kernel, from Linux 6.15 on as long as somebody holds them, or are lost.
//
// # Deadlines
//
// What may run only until a deadline (see runtime.Runtime's Bound) must end then although main is dead or stopped, and the supervisor
// too. So a process of its own, the guard, is started with the first deadline and ends when none is left:
//
//	main ── unix socket in the data directory ──▶ guard   a session of its own; no parent-death signal; deaf to signals to end
//	                                              timerfd of CLOCK_BOOTTIME, cgroup.kill
//
// A guard that is killed is replaced at once by main, which keeps all deadlines too; after main died the next one finds the guard and
// what it keeps. Where both died at once nobody knows the deadlines, and who finds such containers must end them.
package supervise
