package replication

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"shoal/crdt"
)

// rows holds the newest row of each peer.
type rows struct {
	held map[crdt.PeerID]Row
	gone map[crdt.PeerID]Version // of peers that left

	root  [32]byte // over the versions in held
	stale bool     // root is out of date
}

func newRows() rows {
	return rows{held: map[crdt.PeerID]Row{}, gone: map[crdt.PeerID]Version{}}
}

// known returns the newest version that was ever held of a peer.
func (r *rows) known(peer crdt.PeerID) (Version, bool) {
	if row, ok := r.held[peer]; ok {
		return row.Version, true
	}
	version, ok := r.gone[peer]
	return version, ok
}

// take keeps row if it is newer than what is known.
func (r *rows) take(row Row) bool {
	if version, ok := r.known(row.Peer); ok && row.Version.Compare(version) <= 0 {
		return false
	}
	delete(r.gone, row.Peer)
	r.held[row.Peer] = row
	r.stale = true
	return true
}

func (r *rows) forget(peer crdt.PeerID) {
	if row, ok := r.held[peer]; ok {
		r.gone[peer] = row.Version
		delete(r.held, peer)
		r.stale = true
	}
}

func (r *rows) peers() []crdt.PeerID { return slices.Sorted(maps.Keys(r.held)) }

func (r *rows) versions() map[crdt.PeerID]Version {
	versions := make(map[crdt.PeerID]Version, len(r.held))
	for peer, row := range r.held {
		versions[peer] = row.Version
	}
	return versions
}

// digest is equal where peers hold the same versions of the same rows.
func (r *rows) digest() [32]byte {
	if r.stale {
		var text []byte
		for _, peer := range r.peers() {
			version := r.held[peer].Version
			text = append(append(text, peer...), 0)
			text = binary.BigEndian.AppendUint64(text, version.Boot)
			text = binary.BigEndian.AppendUint64(text, version.Sequence)
		}
		r.root, r.stale = sha256.Sum256(text), false
	}
	return r.root
}
