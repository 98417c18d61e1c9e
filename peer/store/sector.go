package store

import (
	"encoding/binary"
	"hash/crc32"
)

// The journal's unit is the sector, which a disk writes whole or not at all. A frame begins with a sector of its own, so that
// writing one never touches what an earlier one holds:
//
//	+-----------+----------+-------------+----------+-----------+-----------+-------------+
//	| CRC-32C 4 | count 4  | sequence 8  | index 4  | frame's   | frame's   | content 484 |
//	| of store  | sectors  | of the      | of the   | CRC-32C 4 | length 4  | zero beyond |
//	| and rest  | in frame | frame       | sector   | of content| in bytes  | the length  |
//	+-----------+----------+-------------+----------+-----------+-----------+-------------+
//
// Integers are big-endian. The checksum of a sector begins with the store's identity, so that a journal of another store is
// not mistaken for this one's. Each sector names its frame: what a crash left of a frame is told from what damage did.
const (
	sectorBytes        = 512
	sectorHeaderBytes  = 28
	sectorContentBytes = sectorBytes - sectorHeaderBytes
)

// storeID tells the files of one store from those of any other, also of its own predecessor that was set aside.
type storeID [16]byte

func (id storeID) seed() uint32 { return crc32.Checksum(id[:], castagnoli) }

type sector struct {
	count, index  uint32
	sequence      uint64
	frame, length uint32
	content       []byte // aliases what was read
}

func sectorsFor(contentBytes int) int {
	return max(1, (contentBytes+sectorContentBytes-1)/sectorContentBytes)
}

// appendFrame adds the sectors of one frame to buf.
func appendFrame(buf []byte, id storeID, sequence uint64, content []byte) []byte {
	seed, count := id.seed(), sectorsFor(len(content))
	sum, length := crc32.Checksum(content, castagnoli), uint32(len(content))
	for index := range count {
		start := len(buf)
		buf = binary.BigEndian.AppendUint32(buf, 0)
		buf = binary.BigEndian.AppendUint32(buf, uint32(count))
		buf = binary.BigEndian.AppendUint64(buf, sequence)
		buf = binary.BigEndian.AppendUint32(buf, uint32(index))
		buf = binary.BigEndian.AppendUint32(buf, sum)
		buf = binary.BigEndian.AppendUint32(buf, length)
		part := content[:min(len(content), sectorContentBytes)]
		content = content[len(part):]
		buf = append(buf, part...)
		buf = append(buf, zeroSector[:start+sectorBytes-len(buf)]...)
		binary.BigEndian.PutUint32(buf[start:], crc32.Update(seed, castagnoli, buf[start+4:]))
	}
	return buf
}

var zeroSector [sectorBytes]byte

// condition is what a sector was found in.
type condition uint8

const (
	garbled condition = iota // neither of the others
	blank                    // never written
	whole                    // as it was written, once
)

func readSector(seed uint32, raw []byte) (sector, condition) {
	if [sectorBytes]byte(raw) == zeroSector {
		return sector{}, blank
	}
	if binary.BigEndian.Uint32(raw) != crc32.Update(seed, castagnoli, raw[4:sectorBytes]) {
		return sector{}, garbled
	}
	return sector{
		count: binary.BigEndian.Uint32(raw[4:]), sequence: binary.BigEndian.Uint64(raw[8:]), index: binary.BigEndian.Uint32(raw[16:]),
		frame: binary.BigEndian.Uint32(raw[20:]), length: binary.BigEndian.Uint32(raw[24:]), content: raw[sectorHeaderBytes:sectorBytes],
	}, whole
}

// readFrame puts together the frame whose first sector is at the beginning of data; false when not all of it is there.
func readFrame(seed uint32, data []byte) (content []byte, first sector, ok bool) {
	first, state := readSector(seed, data)
	count := int(first.count)
	if state != whole || first.index != 0 || count > len(data)/sectorBytes || count != sectorsFor(int(first.length)) {
		return nil, first, false
	}
	content = make([]byte, 0, count*sectorContentBytes)
	for index := range count {
		next, state := readSector(seed, data[index*sectorBytes:])
		if state != whole || next.index != uint32(index) || next.count != first.count || next.sequence != first.sequence || next.frame != first.frame {
			return nil, first, false
		}
		content = append(content, next.content...)
	}
	content = content[:first.length]
	return content, first, crc32.Checksum(content, castagnoli) == first.frame
}
