package api

import (
	"testing"

	"shoal/peer/control"
	"shoal/runtime"
)

// TestWhatLostItsLeaseSaysSo, and not how its containers ended when it did: they were stopped.
func TestWhatLostItsLeaseSaysSo(t *testing.T) {
	const waits = "lease: 1 of 2 witnesses granted, p2 does not answer"
	for state, want := range map[control.InstanceState][2]string{
		control.Leasing: {"Leasing", "web: " + waits},
		control.Running: {"Completed", "web: Completed"},
	} {
		i := control.InstanceView{State: state, Containers: []control.ContainerView{{Name: "web", Phase: runtime.Exited, Reason: "Completed"}}}
		if state == control.Leasing {
			i.Waits = waits
		}
		pod := object{"status": podStatus(control.ReplicaView{}, &i)}
		if got := [2]string{podWord(pod, false), podMessage(pod)}; got != want {
			t.Errorf("%s: it says %q, want %q", state, got, want)
		}
	}
}
