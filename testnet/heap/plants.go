package heap

import (
	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/replication"
)

// plants are faults put on purpose into the code around a machine, to see whether they are found. The zero value plants
// none. What a plant does to a machine it does through what goes in and comes out of it: the machine itself is the
// one that is shipped.
type plants struct {
	config    func(p *Peer, c *control.Config)
	saved     func(p *Peer, s *control.Saved)                                        // what a program finds on its disk
	incoming  func(p, from *Peer, m replication.Message) (replication.Message, bool) // after the guard; false: dropped
	row       func(p *Peer, r *replication.Row)                                      // of what comes in
	op        func(p *Peer, op *crdt.Op) bool                                        // of what comes in; false: dropped
	output    func(p *Peer, out *control.Output)                                     // of a flush, before anything is done with it
	explained func(p *Peer, text string) string                                      // of what a peer answers to why
	measured  func(m *control.SelfChanged)                                           // of what a peer finds out of itself
	member    func(p *Peer, m *gossip.Member)                                        // of the news that comes in

	cached          bool // batches are said to be on disk and are in a cache, which the power loses
	torn            bool // of a batch under way when the program dies, the disk keeps what it drops and not what it adds
	unguarded       bool // signatures are not checked
	early           bool // what a flush puts out does not wait for the disk
	earlyAcks       bool // the same, of the words to others that a write is on disk here
	neverDrops      bool // connections to members that failed are kept
	unboundedQueues bool
	drift           int64 // of clocks, in parts per million, instead of the bound; 0: the bound
	noGuard         bool  // nobody but the program ends what is overdue
}

// takes runs what comes in through the plants.
func (s *plants) takes(p, from *Peer, m replication.Message) (replication.Message, bool) {
	if s.incoming != nil {
		var kept bool
		if m, kept = s.incoming(p, from, m); !kept {
			return m, false
		}
	}
	if s.op != nil {
		m = eachOp(m, func(op *crdt.Op) bool { return s.op(p, op) })
	}
	if s.row != nil && m.Rows != nil {
		rows := append([]replication.Row(nil), m.Rows.Rows...)
		for i := range rows {
			s.row(p, &rows[i])
		}
		m.Rows = &replication.Rows{Rows: rows}
	}
	return m, true
}

// eachOp returns a message with every operation changed, or left out where change says false.
func eachOp(m replication.Message, change func(op *crdt.Op) bool) replication.Message {
	through := func(ops []crdt.Op) []crdt.Op {
		var kept []crdt.Op
		for _, op := range ops {
			if change(&op) {
				kept = append(kept, op)
			}
		}
		return kept
	}
	if m.Push != nil {
		push := *m.Push
		push.Ops = through(push.Ops)
		m.Push = &push
	}
	whole := func(objects []replication.Object) []replication.Object {
		objects = append([]replication.Object(nil), objects...)
		for i := range objects {
			objects[i].Ops = through(objects[i].Ops)
		}
		return objects
	}
	if m.Objects != nil {
		objects := *m.Objects
		objects.Objects = whole(objects.Objects)
		m.Objects = &objects
	}
	if m.Page != nil {
		page := *m.Page
		page.Objects = whole(page.Objects)
		m.Page = &page
	}
	return m
}
