// Package runtimetest has an in-memory runtime.Runtime and the suite that every Runtime passes.
//
// A Machine is an imaginary machine with instances on it. Open starts a life of the program on it, as a
// runtime.Runtime; a further Open is the next life, which finds the containers where the last one left them,
// just as they would be on a real machine. A test steers what happens:
//
//   - Exit ends a container with a code, OOM ends it for lack of memory, PowerOff ends all at once.
//   - Print adds to a container's output.
//   - Fail makes the next calls of a verb fail, before or after they took effect.
//   - Behaviour says what programs do by themselves: run forever, exit after a while, ignore SIGTERM.
//   - Delays make verbs take time.
//
// The Machine starts no goroutine. Time is the time package's, so that inside testing/synctest all of it is virtual. The
// callback runs on the goroutine that caused the exit (of Exit, of OOM, or of a timer), with no lock held.
//
// Run is the conformance suite. It sees a Runtime only through its contract and a Harness, which says how
// this Runtime's containers are made to sleep, print and exit.
package runtimetest
