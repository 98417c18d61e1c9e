package replication

import (
	"crypto/sha256"
	"encoding/binary"

	"shoal/crdt"
	"shoal/crdt/sketch"
)

// rows holds the newest row of each peer.
type rows struct {
	held   map[crdt.PeerID]*heldRow
	gone   map[crdt.PeerID]Version // of peers that left
	sketch *sketch.Sketch          // over the names of the versions held
	root   [32]byte                // exclusive or of their hashes

	names map[sketch.ID]crdt.PeerID // nil while the sketch rests; see named
	idle  int                       // changes since somebody asked for them
}

// idleMost is how many rows may change before the names of all are of no more use, in fractions of their number: after as many
// changes a sketch has forgotten where a comparison began.
const idleMost = 4

// heldRow is a row and the hash of its name, which takes longer to work out than to find.
type heldRow struct {
	Row
	hash [32]byte
}

func newRows() *rows {
	r := &rows{held: map[crdt.PeerID]*heldRow{}, gone: map[crdt.PeerID]Version{}}
	r.sketch = sketch.New(func(_ sketch.Part, yield func(sketch.ID) bool) {
		for _, h := range r.held { // sums do not depend on the order
			if !yield(idOf(h.hash)) {
				return
			}
		}
	})
	return r
}

// compare returns the sketch, for a comparison that begins or goes on.
func (r *rows) compare() *sketch.Sketch {
	r.idle = 0
	return r.sketch
}

// named finds the peer whose row has a name.
func (r *rows) named(id sketch.ID) (crdt.PeerID, bool) {
	r.idle = 0
	if r.names == nil {
		r.names = make(map[sketch.ID]crdt.PeerID, len(r.held))
		for peer, h := range r.held { // in any order: each has its own name
			r.names[idOf(h.hash)] = peer
		}
	}
	peer, held := r.names[id]
	return peer, held
}

// changed keeps up what a comparison needs, unless many rows have changed since the last one.
func (r *rows) changed() {
	if r.idle++; r.idle > max(64, len(r.held)/idleMost) {
		r.names = nil
		r.sketch.Rest()
	}
}

// hashOf names a version of a row. Each peer signs one version at a time of one row, so that nobody can choose enough of
// these hashes to make their exclusive or collide.
func hashOf(peer crdt.PeerID, version Version) [32]byte {
	var space [128]byte
	text := append(append(space[:0], peer...), 0)
	text = binary.BigEndian.AppendUint64(text, version.Boot)
	text = binary.BigEndian.AppendUint64(text, version.Sequence)
	return sha256.Sum256(text)
}

func nameOf(peer crdt.PeerID, version Version) sketch.ID { return idOf(hashOf(peer, version)) }

func idOf(hash [32]byte) sketch.ID { return sketch.ID(hash[:len(sketch.ID{})]) }

// row returns the row held of a peer.
func (r *rows) row(peer crdt.PeerID) (Row, bool) {
	if h := r.held[peer]; h != nil {
		return h.Row, true
	}
	return Row{}, false
}

// known returns the newest version that was ever held of a peer.
func (r *rows) known(peer crdt.PeerID) (Version, bool) {
	if h := r.held[peer]; h != nil {
		return h.Version, true
	}
	version, ok := r.gone[peer]
	return version, ok
}

// take keeps row if it is newer than what is known.
func (r *rows) take(row Row) bool {
	h := r.held[row.Peer]
	if h == nil {
		if version, left := r.gone[row.Peer]; left && row.Version.Compare(version) <= 0 {
			return false
		}
		delete(r.gone, row.Peer)
		h = &heldRow{}
		r.held[row.Peer] = h
	} else if row.Version.Compare(h.Version) <= 0 {
		return false
	} else {
		r.unname(h)
	}
	h.Row, h.hash = row, hashOf(row.Peer, row.Version)
	id := idOf(h.hash)
	if r.names != nil {
		r.names[id] = row.Peer
	}
	r.sketch.Add(id)
	r.mix(h.hash)
	r.changed()
	return true
}

func (r *rows) forget(peer crdt.PeerID) {
	if h := r.held[peer]; h != nil {
		r.gone[peer] = h.Version
		delete(r.held, peer)
		r.unname(h)
	}
}

// unname takes the name of a version that is held no longer out of the sums.
func (r *rows) unname(h *heldRow) {
	id := idOf(h.hash)
	delete(r.names, id)
	r.sketch.Remove(id)
	r.mix(h.hash)
}

func (r *rows) mix(hash [32]byte) {
	for i := range r.root {
		r.root[i] ^= hash[i]
	}
}

// digest is equal where peers hold the same versions of the same rows.
func (r *rows) digest() [32]byte { return r.root }

// past says which names are those of rows that were forgotten.
func (r *rows) past() map[sketch.ID]bool {
	past := make(map[sketch.ID]bool, len(r.gone))
	for peer, version := range r.gone {
		past[nameOf(peer, version)] = true
	}
	return past
}
