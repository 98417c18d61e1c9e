package probe

import (
	"context"
	"time"

	"shoal/runtime"
)

// The first wait between two probes of a container that is not ready yet. A command costs a process.
const (
	firstWait     = 20 * time.Millisecond
	firstWaitExec = 100 * time.Millisecond
)

// quietFor is how long a container that was never ready may fail before that is reported.
const quietFor = time.Second

// watch is one probe of one container.
type watch struct {
	prober   *Prober
	target   Target
	probe    runtime.Probe // with defaults
	liveness bool
	age      time.Duration // how long the container had run when it was handed over
}

func (w *watch) run(ctx context.Context) {
	if !sleep(ctx, w.delay()) {
		return
	}
	begun := time.Now()
	j := judge{
		success: w.probe.SuccessThreshold, failure: w.probe.FailureThreshold,
		liveness: w.liveness, quiet: min(w.probe.Period, quietFor),
	}
	wait := w.firstWait()
	for {
		verdict, ok := w.ask(ctx)
		if !ok {
			return
		}
		if j.take(verdict, time.Since(begun)) {
			w.prober.changed(Result{
				Instance: w.target.Instance, Container: w.target.Container, Generation: w.target.Generation,
				Liveness: w.liveness, OK: j.ok, Detail: verdict.detail,
			})
		}
		if j.wasOK {
			wait = w.probe.Period
		}
		if !sleep(ctx, wait) {
			return
		}
		wait = min(wait+wait/4, w.probe.Period)
	}
}

// delay is how long to wait before the first probe.
func (w *watch) delay() time.Duration {
	delay := w.probe.InitialDelay
	if w.liveness && delay <= 0 {
		delay = w.probe.Period
	}
	return max(0, delay-w.age)
}

func (w *watch) firstWait() time.Duration {
	switch {
	case w.liveness:
		return w.probe.Period
	case len(w.probe.Exec) > 0:
		return min(firstWaitExec, w.probe.Period)
	}
	return min(firstWait, w.probe.Period)
}

// ask probes once; false when the watch is over.
func (w *watch) ask(ctx context.Context) (verdict, bool) {
	select {
	case w.prober.slots <- struct{}{}:
	case <-ctx.Done():
		return verdict{}, false
	}
	defer func() { <-w.prober.slots }()
	within, cancel := context.WithTimeout(ctx, w.probe.Timeout)
	defer cancel()
	v := w.check(within)
	return v, ctx.Err() == nil
}

// sleep waits; false when the context ended before.
func sleep(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// verdict is what one probe has shown.
type verdict struct {
	ok     bool
	detail string
	here   bool // it failed for a cause on this side
}

// judge turns verdicts into changes, by the rules in the package's doc.
type judge struct {
	success, failure int
	liveness         bool
	quiet            time.Duration

	said   bool // something was reported
	ok     bool // what was reported last
	detail string
	wasOK  bool // it was reported ok once

	good, bad int // verdicts of that kind in a row
	last      string
	same      int // failures of one detail in a row
}

// take says whether a verdict, given so long after the first probe, is a change to be reported.
func (j *judge) take(v verdict, since time.Duration) bool {
	if v.here && j.liveness {
		return false
	}
	if v.ok {
		j.good, j.bad, j.same = j.good+1, 0, 0
		if j.good < j.success || j.said && j.ok {
			return false
		}
		j.said, j.ok, j.wasOK, j.detail = true, true, true, v.detail
		return true
	}
	if v.detail != j.last {
		j.last, j.same = v.detail, 0
	}
	j.good, j.bad, j.same = 0, j.bad+1, j.same+1
	switch {
	case j.bad < j.failure:
		return false
	case !j.said && !j.liveness && since < j.quiet:
		return false
	case j.said && !j.ok && (v.detail == j.detail || j.same < j.failure):
		return false
	}
	j.said, j.ok, j.detail = true, false, v.detail
	return true
}
