package bubble

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"shoal/runtime"
)

const exclusive = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: db
  annotations: {shoal/exclusive: "true", shoal/witnesses: "p1,p2,p3"}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: shoal.example/web:1}]
`

// runningOn are the peers on which a container runs.
func (w *World) runningOn() (on []string) {
	for _, p := range w.peers {
		for _, in := range p.machine.Instances() {
			if slices.ContainsFunc(in.Containers, func(s runtime.Status) bool { return s.Phase == runtime.Running }) {
				on = append(on, p.Name)
			}
		}
	}
	return on
}

// once lets time pass, in which nothing runs twice, until done, and returns where it runs then.
func (w *World) once(most time.Duration, what string, done func(on []string) bool) string {
	w.t.Helper()
	var on []string
	w.Await(most, what, func() bool {
		on = w.runningOn()
		if len(on) > 1 {
			w.t.Fatalf("%s: it runs on %v", what, on)
		}
		return done(on)
	})
	return on[0]
}

// TestExclusive: with real streams, real gossip and the one loop, it runs once, and again soon after its peer was cut off or lost its power;
// a crash of the program costs nothing.
func TestExclusive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 4)
		defer w.Close()
		time.Sleep(5 * time.Second)
		w.Peer("p1").Apply("db", exclusive)
		here := func(on []string) bool { return len(on) == 1 }
		first := w.once(15*time.Second, "it runs", here)

		w.Peer(first).Crash()
		time.Sleep(time.Second)
		w.Peer(first).Start()
		for range 40 {
			time.Sleep(500 * time.Millisecond)
			if on := w.runningOn(); fmt.Sprint(on) != fmt.Sprint([]string{first}) {
				t.Fatalf("after a crash of the program it runs on %v", on)
			}
		}
		w.Split([]string{first})
		second := w.once(20*time.Second, "it runs on the other side", func(on []string) bool { return here(on) && on[0] != first })
		w.Heal()
		time.Sleep(15 * time.Second)
		if on := w.runningOn(); fmt.Sprint(on) != fmt.Sprint([]string{second}) {
			t.Errorf("after the heal it runs on %v, and ran on %s", on, second)
		}
		w.Peer(second).PowerOff()
		w.once(20*time.Second, "it runs again", func(on []string) bool { return here(on) && on[0] != second })
	})
}
