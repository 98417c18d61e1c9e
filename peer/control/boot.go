package control

import "encoding/binary"

// A store counts the starts of its peer, by its clock where it can. One that was lost on a machine without a clock, or was
// restored, counts below what others hold of the peer. What is then added to the count outlives the program: else a later start
// would say under one version what this one said of something else.

// resumeBoots adds what an earlier life had to.
func (m *Machine) resumeBoots(record []byte) {
	m.bootsRaised, _ = binary.Uvarint(record)
	m.config.Boot += m.bootsRaised
	m.version = m.config.Boot << 32
}

// raiseBoot raises the count to that of a row which others hold of this peer.
func (m *Machine) raiseBoot(boot uint64) {
	m.bootsRaised += boot - m.config.Boot
	m.config.Boot = boot
	m.record(recordBoots, binary.AppendUvarint(nil, m.bootsRaised))
}
