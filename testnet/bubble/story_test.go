package bubble

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/runtime"
	"shoal/testnet/promise"
)

func web(replicas int, color string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: %s
          env: [{name: COLOR, value: %s}]
          resources: {requests: {cpu: 100m, memory: 32Mi}}
`, replicas, webImage, color)
}

func names(from, to int) []string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprintf("p%d", i))
	}
	return list
}

// holder finds a peer that runs an instance of a replica.
func (w *World) holder(replica string) (*Peer, runtime.InstanceID) {
	w.t.Helper()
	for _, p := range w.peers {
		for _, instance := range p.running() {
			if instance.Replica == replica && len(instance.Containers) > 0 {
				return p, runtime.InstanceID(instance.ID)
			}
		}
	}
	w.t.Fatalf("%s runs nowhere", replica)
	return nil, ""
}

func none(t *testing.T, what string, violations []promise.Violation) {
	t.Helper()
	for _, v := range violations {
		t.Errorf("%s: %s", what, v)
	}
}

// TestStory is the story of the first vertical, with 20 whole peers.
func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 20)
		defer w.Close()
		w.Peer("p3").Apply("web", web(30, "blue"))
		applied := w.Rest(time.Minute)

		p, instance := w.holder("default/web-0")
		p.machine.Exit(instance, "web", 1)
		back := w.Await(5*time.Second, "the killed container is back", func() bool {
			for _, i := range p.running() {
				if i.ID == string(instance) && len(i.Containers) > 0 {
					return true
				}
			}
			return false
		})
		if back > time.Second {
			t.Errorf("a killed container is back after %v", back)
		}
		killed := w.Rest(time.Minute)
		none(t, "a killed container moved something", promise.MovedOnlyNeeded(applied, killed, 0))

		w.Peer("p2").PowerOff()
		moved := w.Rest(time.Minute)
		none(t, "power loss", promise.MovedOnlyNeeded(killed, moved, 0))

		w.Peer("p1").Crash()
		time.Sleep(time.Second)
		none(t, "program killed", promise.SameContainers(moved, w.Snapshot(), string(w.Peer("p1").ID)))
		w.Peer("p1").Start()
		restarted := w.Rest(time.Minute)
		none(t, "program restarted", promise.SameContainers(moved, restarted, string(w.Peer("p1").ID)))

		w.Peer("p2").Start()
		time.Sleep(time.Minute) // until it has its share
		whole := w.Rest(time.Minute)
		w.Split(names(1, 8), names(9, 20))
		split := w.Rest(2 * time.Minute)
		none(t, "split", promise.CutAlone(whole, split))
		w.Peer("p1").Scale("web", 34)
		w.Peer("p12").Apply("web", web(30, "green"))
		w.Rest(2 * time.Minute)

		w.Heal()
		w.Rest(2 * time.Minute)
		for _, p := range w.peers {
			object, _ := p.Get("web")
			if !strings.Contains(object, `"green"`) || !strings.Contains(object, `"replicas":34`) {
				t.Errorf("%s lost a change: %s", p.Name, object)
			}
		}
	})
}

// TestDeleteWhileApart deletes on one side what the other goes on running: it stays dead after the heal.
func TestDeleteWhileApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 5)
		defer w.Close()
		w.Peer("p1").Apply("web", web(5, "blue"))
		w.Rest(time.Minute)
		w.Split(names(1, 2), names(3, 5))
		w.Rest(time.Minute)
		w.Peer("p1").Delete("web")
		w.Rest(time.Minute)
		w.Heal()
		w.Rest(time.Minute)
		for _, p := range w.peers {
			if object, live := p.Get("web"); live {
				t.Errorf("%s brought the deleted object back: %s", p.Name, object)
			}
			if running := p.running(); len(running) != 0 {
				t.Errorf("%s still runs %v", p.Name, running)
			}
		}
	})
}

// TestAlone restarts a peer that is cut off from all others: it resumes, and takes commands.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 3)
		defer w.Close()
		w.Peer("p1").Apply("web", web(3, "blue"))
		w.Rest(time.Minute)
		w.Split(names(1, 1), names(2, 3))
		w.Peer("p1").Crash()
		w.Peer("p1").Start()
		w.Rest(time.Minute)
		w.Peer("p1").Scale("web", 5)
		w.Rest(time.Minute)
		if got := len(w.Peer("p1").running()); got != 5 {
			t.Errorf("the peer alone runs %d of 5", got)
		}
		w.Heal()
		w.Rest(time.Minute)
	})
}
