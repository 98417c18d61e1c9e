package placement

// terms are what one wanted replica asks that depends on what else is where, beside room.
type terms struct {
	board *board
	at    int32
}

// termsOf returns the terms of a wanted replica; nil where its ground and room say all.
func (b *board) termsOf(i int32) *terms {
	if len(b.refusals) == 0 || len(b.refusals[b.wanted[i].Replica]) == 0 {
		return nil
	}
	return &terms{board: b, at: i}
}

// allows says whether a peer that is open in the replica's ground may be given it, as far as other replicas, ports, devices and
// refusals go.
func (t *terms) allows(peer int32) bool {
	_, refused := t.board.refused(&t.board.wanted[t.at], t.board.peers[peer].ID)
	return !refused
}

// cost orders the peers that are allowed, the lower first. It includes that of the ground.
func (t *terms) cost(int32) int64 { return 0 }

// near says whether the replica must be near others, so that it is better placed after them.
func (t *terms) near() bool { return false }

// indexRules starts the counts, with all incumbents held.
func (b *board) indexRules() {}

// put counts a wanted replica where it is assigned. Held says that an instance of its wanted revision is there already.
func (b *board) put(i, peer int32, held bool) {}

// take undoes put.
func (b *board) take(i, peer int32, held bool) {}

// hold counts what an incumbent has of its peer.
func (b *board) hold(at int32) {}

// release undoes hold.
func (b *board) release(at int32) {}
