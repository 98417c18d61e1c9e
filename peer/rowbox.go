package peer

import (
	"sync"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/replication"
	"shoal/peer/trust"
)

const (
	rowsWaitBytes  = 32 << 20 // of rows that wait for the loop
	rowTalkAtMost  = 64       // other messages about rows that wait for the loop
	rowsPerTurn    = 256      // taken into the loop at once
	rowsWhenBusy   = 32       // the same, while intent waits
	rowTalkPerTurn = 8
)

// rowBox holds the observations that wait for the loop. Of each peer it keeps the newest row alone; a row that would
// make all of them larger than 32 MiB is dropped, and so is other talk about rows beyond 64 messages.
// Reconciliation repairs both. It never blocks, so that observations cannot hold up the checking of intent.
type rowBox struct {
	now Ticker

	mu      sync.Mutex
	rows    map[crdt.PeerID]waitingRow
	order   []crdt.PeerID // of rows, by the first that came since it was taken last
	bytes   int
	talk    []control.Received
	dropped uint64
	wake    chan struct{} // has an entry when something came
}

type waitingRow struct {
	from crdt.PeerID
	row  replication.Row
	came time.Duration
}

func newRowBox(now Ticker) *rowBox {
	return &rowBox{now: now, rows: map[crdt.PeerID]waitingRow{}, wake: make(chan struct{}, 1)}
}

// put takes a message of the lane of observations.
func (b *rowBox) put(from trust.PeerID, message replication.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if message.Rows != nil {
		for _, row := range message.Rows.Rows {
			b.putRow(crdt.PeerID(from), row)
		}
	} else if len(b.talk) < rowTalkAtMost {
		b.talk = append(b.talk, control.Received{From: crdt.PeerID(from), Message: message})
	} else {
		b.dropped++
	}
	b.ring()
}

func (b *rowBox) ring() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *rowBox) putRow(from crdt.PeerID, row replication.Row) {
	held, waiting := b.rows[row.Peer]
	if waiting && row.Version.Compare(held.row.Version) <= 0 {
		return
	}
	grown := b.bytes + len(row.Signed) - len(held.row.Signed)
	if grown > rowsWaitBytes {
		b.dropped++
		return
	}
	if !waiting {
		b.order = append(b.order, row.Peer)
	}
	b.bytes = grown
	b.rows[row.Peer] = waitingRow{from, row, b.now().Elapsed}
}

// take gives out what waited longest: at most that many rows, in one message for each who sent some, and a little
// talk. More says that something is left.
func (b *rowBox) take(rows int) (events []control.Event, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(rows, len(b.order))
	now, pushes := b.now().Elapsed, map[crdt.PeerID]*control.Received{}
	var order []*control.Received
	for _, id := range b.order[:n] {
		held := b.rows[id]
		delete(b.rows, id)
		b.bytes -= len(held.row.Signed)
		push := pushes[held.from]
		if push == nil {
			push = &control.Received{From: held.from, Message: replication.Message{Rows: &replication.Rows{}}}
			pushes[held.from] = push
			order = append(order, push)
		}
		push.Message.Rows.Rows = append(push.Message.Rows.Rows, held.row)
		if held.from == id {
			push.Waited = now - held.came
		}
	}
	for _, push := range order {
		events = append(events, *push)
	}
	b.order = b.order[n:]
	t := min(rowTalkPerTurn, len(b.talk))
	for _, received := range b.talk[:t] {
		events = append(events, received)
	}
	b.talk = b.talk[t:]
	return events, len(b.order)+len(b.talk) > 0
}

// lost counts what was dropped.
func (b *rowBox) lost() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
