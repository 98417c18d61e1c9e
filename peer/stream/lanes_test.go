package stream

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/gossip/gossiptest"
	"shoal/peer"
	"shoal/peer/trust"
)

// laneDesk notes when messages of intent come, and holds up observations.
type laneDesk struct {
	*desk
	hold chan struct{} // observations are taken once it is closed; nil: at once
	rows int
}

func (d *laneDesk) Receive(from trust.PeerID, lane peer.Lane, message []byte) {
	if lane == peer.Intent {
		d.desk.Receive(from, lane, message)
		return
	}
	if d.hold != nil {
		<-d.hold
	}
	d.mu.Lock()
	d.rows++
	d.mu.Unlock()
}

// TestLanesDoNotWaitForEachOther floods one lane of a connection, taken in at full speed and not taken in at all, and
// measures how long messages of the other take on a link of 5 ms.
func TestLanesDoNotWaitForEachOther(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			world := gossiptest.NewNetwork(1)
			world.Latency(5*time.Millisecond, 5*time.Millisecond)
			a := open(t, world.Host(hostAt(0).Addr()), hostAt(0))
			b := &laneDesk{desk: newDesk()}
			if stuck {
				b.hold = make(chan struct{})
			}
			key := newTestKey(t)
			streams, err := New(Config{PrivateKey: key, Bind: hostAt(1), Network: world.Host(hostAt(1).Addr())}, b)
			if err != nil {
				t.Fatal(err)
			}
			defer streams.Close()
			to, row := peer.ID(key), []byte(strings.Repeat("x", 32<<10))
			a.Send(to, hostAt(1), peer.Intent, []byte("hello"))
			b.desk.wait(t, 1)
			var took []time.Duration
			for i := range 50 {
				for range 40 { // 1.3 MB every 20 ms
					a.Send(to, hostAt(1), peer.Observation, row)
				}
				began := time.Now()
				a.Send(to, hostAt(1), peer.Intent, []byte("write"))
				b.desk.wait(t, i+2)
				took = append(took, time.Since(began))
				time.Sleep(20 * time.Millisecond)
			}
			slices.Sort(took)
			b.mu.Lock()
			rows := b.rows
			b.mu.Unlock()
			t.Logf("observations stuck %v: %d taken in, %d dropped; intent takes %v in the median, %v at worst", stuck, rows, a.Lost(), took[25], took[49])
			if took[49] > 50*time.Millisecond {
				t.Errorf("intent waits up to %v for observations", took[49])
			}
			if !stuck && rows < 100 {
				t.Errorf("only %d observations were taken in: that is no flood", rows)
			}
			if stuck {
				close(b.hold)
			}
		})
	}
}

// TestEachLaneHasItsOwnRule fills the queues to a peer that is not there: of intent the oldest messages stay, of
// observations the newest.
func TestEachLaneHasItsOwnRule(t *testing.T) {
	box := func(lane peer.Lane) *outbox { return &outbox{line: line{lane: lane}, wake: make(chan struct{}, 1)} }
	intent, rows := box(peer.Intent), box(peer.Observation)
	dropped := 0
	for i := range 3 * queueMessages {
		dropped += intent.put(hostAt(1), []byte{byte(i)}) + rows.put(hostAt(1), []byte{byte(i)})
	}
	if dropped != 4*queueMessages || len(intent.queue) != queueMessages || len(rows.queue) != queueMessages {
		t.Fatalf("%d dropped, %d and %d wait", dropped, len(intent.queue), len(rows.queue))
	}
	if intent.queue[0][0] != 0 || rows.queue[queueMessages-1][0] != 3*queueMessages-1 {
		t.Errorf("intent begins with %d, observations end with %d", intent.queue[0][0], rows.queue[queueMessages-1][0])
	}
	for range 10 {
		rows.put(hostAt(1), make([]byte, rowBytes/2))
	}
	if rows.bytes > rowBytes || len(rows.queue) != 2 {
		t.Errorf("%d bytes in %d observations wait", rows.bytes, len(rows.queue))
	}
}
