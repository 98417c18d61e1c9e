// Package probe asks running containers how they are, and reports when the answer changes.
//
// A Prober watches targets. Each has a readiness probe, a liveness probe, or both; each of them is asked by a goroutine of its
// own, which Forget ends:
//
//	wait InitialDelay -> ask -> judge -> changed? report -> wait -> ask -> …
//
// # What is reported
//
// Only changes, and of each generation the first result.
//
//   - A container starts as not ready. SuccessThreshold successes in a row make it ready, at once.
//   - FailureThreshold failures in a row make it not ready, or not live.
//   - While a container has never been ready, failures are reported with their cause once FailureThreshold of them came and
//     a second (or a period, if that is shorter) has passed: one that is ready sooner never shows a failure.
//   - A new cause of a failure that goes on ("HTTP 503" after "connection refused") is reported when it came
//     FailureThreshold times in a row, so that a cause that changes each time floods nobody.
//   - What says more about this machine than about the container (no file descriptors left, a runtime
//     that could not even start the command) never makes a container not live. It makes it not ready.
//
// # When it is asked
//
// Until it is ready for the first time a container is asked for readiness every 20 ms (a command every 100 ms), or every
// period if that is shorter, each wait a quarter longer than the one before until it is the period: a container that starts
// fast is ready fast. After that, and for liveness always, it is asked every period. Liveness is first asked after
// InitialDelay, or after one period where there is none. How long the container had run when it was handed to
// Resume counts towards InitialDelay.
//
// # Bounds
//
// At most 32 probes are under way at once; others wait, and their timeout does not run meanwhile. A
// probe that takes longer than Timeout has failed. Of an answer's body and of a command's output only the beginning is read.
// Connections are never kept for another probe, and no proxy is used.
package probe
