package control

import (
	"time"

	"shoal/runtime"
)

// failingFor is for how long after a start for the second time a workload counts as failing here, and within which one that has
// started should be ready.
const failingFor = time.Minute

// Trouble counts the workloads that have an instance here which was ready or had a minute to become it, and those of them of
// which one has failed here lately: its probe fails, or it had to be started again.
func (m *Machine) Trouble() (workloads, failing int) {
	failed := map[string]bool{}
	for _, id := range m.heldIDs {
		in := m.held[id]
		if in.stopping || in.withheld || !in.judged(m.now.Elapsed) {
			continue
		}
		failed[in.record.Workload] = failed[in.record.Workload] || in.ailing(m.now.Elapsed)
	}
	for _, is := range failed {
		workloads++
		if is {
			failing++
		}
	}
	return workloads, failing
}

// judged says whether something can be said of how an instance does.
func (in *instance) judged(now time.Duration) bool {
	if in.everReady {
		return true
	}
	for i := range in.containers {
		if c := &in.containers[i]; c.failures > 0 || c.phase == runtime.Running && now-c.startedBy >= failingFor {
			return true
		}
	}
	return false
}

func (in *instance) ailing(now time.Duration) bool {
	for i := range in.containers {
		c := &in.containers[i]
		again := c.restarts() > 0 && now-c.startedBy < failingFor
		if again || c.startAt > now || c.phase == runtime.Running && !c.ready() {
			return true
		}
	}
	return false
}
