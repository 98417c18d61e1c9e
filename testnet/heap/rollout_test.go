package heap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// rolledOut waits until every replica of a workload runs in the revision that is wanted, and nothing else of it.
func (w *World) rolledOut(replicas int, within time.Duration) (time.Duration, bool) {
	return w.Await(within, func() bool {
		ready := 0
		for _, r := range w.Core("p1").Replicas() {
			if len(r.Instances) == 1 && r.Instances[0].Ready && r.Instances[0].Revision == r.Newest {
				ready++
			}
		}
		return ready == replicas
	})
}

// onEveryPeer wants a port of its peer, and as many replicas as there are peers.
func onEveryPeer(replicas int, color string) string {
	return strings.Replace(Manifest("edge", replicas, color), "          image:", "          ports: [{containerPort: 80, hostPort: 8080}]\n          image:", 1)
}

// filling is a workload of which each peer has room for one, of two that run on four peers and leave none for a third.
func filling(replicas int, color, strategy string) string {
	manifest := strings.Replace(Manifest("fat", replicas, color), "cpu: 100m", "cpu: 1500m", 1)
	return strings.Replace(manifest, "  selector:", "  strategy: {rollingUpdate: {"+strategy+"}}\n  selector:", 1)
}

// TestRolloutWhereRoomIsTight: where nothing is said the new ones wait for room, and the old ones stay; with maxUnavailable so many old
// ones go first at once.
func TestRolloutWhereRoomIsTight(t *testing.T) {
	for strategy, least := range map[string]int{"maxSurge: 2": 4, "maxSurge: 2, maxUnavailable: 1": 3, "maxSurge: 3, maxUnavailable: 50%": 2} {
		t.Run(strategy, func(t *testing.T) {
			w := New(Options{Seed: 5, Peers: 4})
			w.Run(10 * time.Second)
			must(t, w.Apply("p1", filling(4, "blue", strategy)))
			rest(t, w, 30*time.Second)
			must(t, w.Apply("p2", filling(4, "green", strategy)))
			w.rollsOut(t, 4, least)
		})
	}
}

// rollsOut checks that a rollout ends within a minute, with so many up at the least; with all of them up it cannot go on.
func (w *World) rollsOut(t *testing.T, replicas, least int) {
	t.Helper()
	up, end := replicas, w.now+time.Minute
	over := false
	for !over && w.now < end {
		_, over = w.rolledOut(replicas, lookEach)
		up = min(up, w.course.Up())
	}
	if over != (least < replicas) || up != least {
		t.Errorf("rolled out %t, with at least %d of %d up; want %d", over, up, replicas, least)
	}
	for _, v := range w.Violations() {
		if v.Promise != "P7" { // which cannot hold here
			t.Error(v)
		}
	}
}

// TestRolloutWithAPortOnEveryPeer ends: new before old cannot be there, so the old ones go first, one after the other.
func TestRolloutWithAPortOnEveryPeer(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			w := New(Options{Seed: seed, Peers: 4})
			w.Run(10 * time.Second)
			must(t, w.Apply("p1", onEveryPeer(4, "blue")))
			rest(t, w, 30*time.Second)
			must(t, w.Apply("p2", onEveryPeer(4, "green")))
			w.rollsOut(t, 4, 3)
		})
	}
}

// TestDaemonSetInTurn: where the old one of a peer must go first, for its port, no more peers than its strategy says are without one at once.
func TestDaemonSetInTurn(t *testing.T) {
	for strategy, least := range map[string]int{"": 5, "maxUnavailable: 2": 4, "maxSurge: 50%": 3} {
		t.Run(strategy, func(t *testing.T) {
			daemons := func(color string) string {
				manifest := strings.Replace(onEveryPeer(1, color), "  replicas: 1\n", "  updateStrategy: {rollingUpdate: {"+strategy+"}}\n", 1)
				return strings.Replace(manifest, "kind: Deployment", "kind: DaemonSet", 1)
			}
			w := New(Options{Seed: 7, Peers: 6})
			w.Run(10 * time.Second)
			must(t, w.Apply("p1", daemons("blue")))
			rest(t, w, 30*time.Second)
			must(t, w.Apply("p2", daemons("green")))
			w.rollsOut(t, 6, least)
		})
	}
}

// strategic is a workload with a strategy, for which there is room everywhere.
func strategic(replicas int, color, strategy string) string {
	return strings.Replace(Manifest("web", replicas, color), "  selector:", "  strategy: {"+strategy+"}\n  selector:", 1)
}

// revisionsOf lists the revisions in which containers of each replica run.
func (w *World) revisionsOf() map[string][]string {
	of := map[string][]string{}
	for _, p := range w.peers {
		for id, i := range p.machine.instances {
			if p.powered && slices.ContainsFunc(i.containers, func(c *simContainer) bool { return running(c.status) }) {
				of[replicaOf(id)] = append(of[replicaOf(id)], strings.TrimPrefix(string(id), strings.ReplaceAll(replicaOf(id), "/", ".")+"."))
			}
		}
	}
	return of
}

// TestOldFirst: without a surge no replica ever runs twice, and no more are missing than may be; with Recreate no two revisions run at once.
// Both end, also where a program dies and a machine is lost in the middle, and where the next change comes before the one before has ended.
func TestOldFirst(t *testing.T) {
	slow := Usual // to stop
	slow.LeastStop, slow.MostStop = 500*time.Millisecond, 2*time.Second
	for strategy, least := range map[string]int{"rollingUpdate: {maxSurge: 0}": 5, "rollingUpdate: {maxSurge: 0, maxUnavailable: 3}": 3, "type: Recreate": 0} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprint(strategy, seed), func(t *testing.T) {
				w := New(Options{Seed: seed, Peers: 4, Pace: slow})
				w.Run(10 * time.Second)
				must(t, w.Apply("p1", strategic(6, "blue", strategy)))
				rest(t, w, 30*time.Second)
				must(t, w.Apply("p2", strategic(6, "green", strategy)))
				for n := 0; ; n++ {
					_, over := w.rolledOut(6, lookEach)
					w.watchOldFirst(t, strategy, least, seed < 2)
					if over || t.Failed() {
						break
					}
					switch {
					case n > 600:
						t.Fatal("it does not end")
					case n == 5 && seed == 1:
						must(t, w.Apply("p3", strategic(6, "red", strategy)))
					case n == 5 && seed == 2:
						w.KillProgram("p3", time.Second)
					case n == 5 && seed == 3:
						w.LosePower("p4")
					}
				}
			})
		}
	}
}

func (w *World) watchOldFirst(t *testing.T, strategy string, least int, calm bool) {
	t.Helper()
	all := map[string]bool{}
	for replica, revisions := range w.revisionsOf() {
		if len(revisions) > 1 {
			t.Errorf("%s: %s runs in %s at once", w.now, replica, revisions)
		}
		all[revisions[0]] = true
	}
	if len(all) > 1 && strings.Contains(strategy, "Recreate") {
		t.Errorf("%s: two revisions run at once: %v", w.now, all)
	}
	if up := w.course.Up(); calm && up < least {
		t.Errorf("%s: only %d are up, and %d must be", w.now, up, least)
	}
}
