//go:build next

package wire

import "fmt"

// nextKey is a key of a map that no version knows yet.
const nextKey = 99

// extend makes this the next version of the program, as far as its neighbours can tell: whatever it writes, signed or
// not, to the network or to the disk, has one key more, {99: "of a later version"}. The tests of compatibility build such
// a program and let it replicate with this version. Maps of this version have at most 22 keys, so the head
// of one is a single byte, and canonical order puts the new key last (RFC 8949, section 4.2.1).
func extend(f form, data []byte) []byte {
	const mapOfNone, mapOfMost = 0xa0, 0xa0 + 22
	if head := data[headerBytes]; head < mapOfNone || head > mapOfMost {
		panic(fmt.Sprintf("wire: a %s is no small map: it begins with %#x", f.name, head))
	}
	data[headerBytes]++
	value, err := encoding.Marshal("of a later version")
	if err != nil {
		panic(err)
	}
	return append(append(data, 0x18, nextKey), value...)
}
