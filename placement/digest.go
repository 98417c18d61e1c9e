package placement

import (
	"crypto/sha256"
	"encoding/binary"
)

// digest of a plan is a sum of hashes (AdHash; Bellare and Micciancio 1997), one of each assignment, so that it is kept up at the
// cost of what changes.
type digest [4]uint64

func (d *digest) add(o digest) {
	for i := range d {
		d[i] += o[i]
	}
}

func (d *digest) take(o digest) {
	for i := range d {
		d[i] -= o[i]
	}
}

func (d *digest) bytes() (text [32]byte) {
	for i, part := range d {
		binary.BigEndian.PutUint64(text[8*i:], part)
	}
	return text
}

// digestOf is over where a replica should run. Rules are left out: one that has arrived where it was sent does not change the plan.
func digestOf(a *Assignment) (d digest) {
	var space [256]byte
	text := append(space[:0], "shoal plan 2\n"...)
	for _, part := range [...]string{string(a.Replica), string(a.Workload), string(a.Revision), string(a.Peer)} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	for i := range d {
		d[i] = binary.BigEndian.Uint64(sum[8*i:])
	}
	return d
}
