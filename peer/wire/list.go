package wire

import (
	"encoding/binary"
	"errors"

	"github.com/fxamacker/cbor/v2"
)

// List is sealed forms. Nearly all bytes of nearly all messages are in such lists, so they are coded here by hand; what looks
// unusual is left to the general decoder.
type List []Sealed

// Lists are those of many objects.
type Lists []List

// leastSealed is how many bytes a sealed form without any content takes: with fewer a list would take far
// more room than its bytes.
const leastSealed = 5

var errCrowded = errors.New("a list of more than its bytes can hold")

// IsZero says whether there is nothing to write.
func (l List) IsZero() bool { return len(l) == 0 }

// IsZero says whether there is nothing to write.
func (l Lists) IsZero() bool { return len(l) == 0 }

// MarshalCBOR writes [sealed, …].
func (l List) MarshalCBOR() ([]byte, error) { return l.append(make([]byte, 0, l.room())), nil }

// MarshalCBOR writes [[sealed, …], …].
func (l Lists) MarshalCBOR() ([]byte, error) {
	room := mostHead
	for i := range l {
		room += l[i].room()
	}
	data := appendHead(make([]byte, 0, room), headList, len(l))
	for i := range l {
		data = l[i].append(data)
	}
	return data, nil
}

func (l List) room() int {
	room := mostHead
	for i := range l {
		room += len(l[i].Signed) + len(l[i].Signature) + leastSealed + 2*mostHead
	}
	return room
}

func (l List) append(data []byte) []byte {
	data = appendHead(data, headList, len(l))
	for i := range l {
		data = appendHead(data, headMap, 2)
		data = appendBytes(appendHead(data, headNumber, 1), l[i].Signed)
		data = appendBytes(appendHead(data, headNumber, 2), l[i].Signature)
	}
	return data
}

// UnmarshalCBOR reads what MarshalCBOR wrote, also by a newer version.
func (l *List) UnmarshalCBOR(data []byte) error {
	c := cursor{rest: data}
	if list := c.list(); !c.odd && len(c.rest) == 0 {
		*l = list
		return nil
	}
	c = cursor{rest: data}
	if c.head(headList) > uint64(len(data)/leastSealed) {
		return errCrowded
	}
	return decoding.Unmarshal(data, (*[]Sealed)(l))
}

// UnmarshalCBOR reads what MarshalCBOR wrote, also by a newer version.
func (l *Lists) UnmarshalCBOR(data []byte) error {
	c := cursor{rest: data}
	lists := Lists{}
	for n := c.count(headList); n > 0 && !c.odd; n-- {
		lists = append(lists, c.list())
	}
	if !c.odd && len(c.rest) == 0 {
		*l = lists
		return nil
	}
	var items []cbor.RawMessage
	if err := decoding.Unmarshal(data, &items); err != nil {
		return err
	}
	*l = make(Lists, len(items))
	for i, item := range items {
		if err := (*l)[i].UnmarshalCBOR(item); err != nil {
			return err
		}
	}
	return nil
}

func (c *cursor) list() List {
	n := c.count(headList)
	if n > uint64(len(c.rest)/leastSealed) {
		c.odd = true
		return nil
	}
	list := make(List, 0, n)
	for ; n > 0 && !c.odd; n-- {
		list = append(list, c.sealed())
	}
	return list
}

// sealed copies what it reads, once: whoever keeps one form does not keep the message.
func (c *cursor) sealed() Sealed {
	two, first := c.count(headMap) == 2, c.number() == 1
	signed := c.bytes(headBytes)
	second := c.number() == 2
	signature := c.bytes(headBytes)
	if c.odd = c.odd || !two || !first || !second; c.odd {
		return Sealed{}
	}
	n := len(signed)
	both := make([]byte, n+len(signature))
	copy(both[copy(both, signed):], signature)
	return Sealed{Signed: both[:n:n], Signature: both[n:]}
}

const mostHead = 9

// appendHead writes the shortest head of an item (RFC 8949, section 4.2.1).
func appendHead(data []byte, kind byte, argument int) []byte {
	kind <<= 5
	switch n := uint64(argument); {
	case n < 24:
		return append(data, kind|byte(n))
	case n < 1<<8:
		return append(data, kind|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(data, kind|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(data, kind|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(data, kind|27), n)
	}
}

func appendBytes(data, text []byte) []byte {
	if text == nil {
		return append(data, itemNull)
	}
	return append(appendHead(data, headBytes, len(text)), text...)
}
