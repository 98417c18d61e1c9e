package bubble

import (
	"testing"
	"testing/synctest"
	"time"

	"shoal/testnet/promise"
)

// movedTo counts the copies that a peer began for the balance.
func (w *World) movedTo(name string) (count int) {
	w.course.tell(func(time.Duration) []promise.Violation {
		count = w.course.moved[name]
		return nil
	})
	return count
}

// returns lets a machine be without power for half a minute, and waits until the first replica moves back to it.
func (w *World) returns(name string) {
	w.t.Helper()
	before := w.movedTo(name)
	w.Peer(name).PowerOff()
	time.Sleep(30 * time.Second)
	w.Peer(name).Start()
	w.Await(time.Minute, "something moves to "+name, func() bool { return w.movedTo(name) > before })
}

// TestBalance lets peers return, and cuts the network, ends a program and takes a machine's power in the middle of the moves that give
// them their share. What is checked throughout is in course.go.
func TestBalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, 6)
		defer w.Close()
		w.Peer("p1").Apply("web", web(30, "blue"))
		w.Rest(time.Minute)

		w.returns("p5") // and nothing else happens: no move is excused
		time.Sleep(time.Minute)
		w.Rest(2 * time.Minute)

		w.returns("p2")
		w.Split(names(1, 5), names(6, 6)) // a flap of p6 alone: most others lose it
		time.Sleep(30 * time.Second)
		w.Heal()
		time.Sleep(time.Minute)
		w.Rest(2 * time.Minute)

		w.returns("p3")
		w.Peer("p5").Crash()
		time.Sleep(5 * time.Second)
		w.Peer("p5").Start()
		w.Rest(2 * time.Minute)

		w.returns("p4")
		w.Peer("p1").PowerOff()
		w.Rest(2 * time.Minute)
		w.Peer("p1").Start()
		time.Sleep(time.Minute)
		w.Rest(2 * time.Minute)
		for _, p := range w.peers {
			if n := len(p.running()); n < 4 || n > 6 {
				t.Errorf("%s runs %d of 30 replicas", p.Name, n)
			}
		}
	})
}
