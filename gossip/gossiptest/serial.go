package gossiptest

import goruntime "runtime"

// Serial keeps goroutines from running in parallel for as long as the program lives. The TestMain of a package with large
// bubbles calls it: the race detector gives all timers of a bubble one context (Go 1.26, runtime/time.go,
// unlockAndRun), and crashes when two threads run timers of one bubble at the same moment. What it detects does not depend on
// parallel runs.
func Serial() { goruntime.GOMAXPROCS(1) }
