package wire

import (
	"encoding/binary"
	"encoding/hex"
)

// A Reader reads many operations. Texts that repeat, such as kinds, paths and writers, are the same string in all of
// them: of a million operations they would take more room than all else. It keeps at most 4096 texts, and as many
// peers, of at most 64 bytes. The zero Reader is ready.
type Reader struct {
	texts   map[string]string
	peers   map[string]string // by key
	seen    []Seen
	changes []Change
}

const (
	maxTexts     = 4096
	maxTextBytes = 64
	fewItems     = 16 // room made before they were read
)

// Op is DecodeOp. Values point into signed. Seen and Changes are good until the next call.
func (r *Reader) Op(signed []byte) (Op, error) {
	if len(signed) > headerBytes && len(signed) <= formOp.most && signed[0] == formOp.letter && signed[1] == formOp.version {
		c := cursor{rest: signed[headerBytes:]}
		if op := r.op(&c); !c.odd && len(c.rest) == 0 {
			return op, nil
		}
	}
	var op Op
	err := formOp.decode(signed, &op)
	return op, err
}

// op reads what EncodeOp writes. The cursor is odd after anything else, be it wrong or only unusual: the general
// decoder then says which.
func (r *Reader) op(c *cursor) (op Op) {
	last := uint64(0)
	for n := c.count(headMap); n > 0 && !c.odd; n-- {
		key := c.number()
		c.odd = c.odd || key <= last
		last = key
		switch key {
		case 1:
			op.Kind = r.text(c)
		case 2:
			op.Namespace = r.text(c)
		case 3:
			op.Name = string(c.bytes(headText))
		case 4:
			op.Time = c.number()
		case 5:
			op.Writer = r.peer(c)
		case 6:
			op.Seen = r.vector(c)
		case 7:
			op.Verb = c.byte()
		case 8:
			op.Manager = r.text(c)
		case 9:
			op.User = r.text(c)
		case 10:
			op.Changes = r.list(c)
		default:
			c.odd = true
		}
	}
	return op
}

func (r *Reader) vector(c *cursor) []Seen {
	n := c.count(headList)
	if r.seen = r.seen[:0]; r.seen == nil {
		r.seen = make([]Seen, 0, min(n, fewItems))
	}
	for ; n > 0 && !c.odd; n-- {
		c.pair()
		r.seen = append(r.seen, Seen{Writer: r.peer(c), Time: c.number()})
	}
	return r.seen
}

func (r *Reader) list(c *cursor) []Change {
	n := c.count(headList)
	if r.changes = r.changes[:0]; r.changes == nil {
		r.changes = make([]Change, 0, min(n, fewItems))
	}
	for ; n > 0 && !c.odd; n-- {
		c.pair()
		r.changes = append(r.changes, Change{Path: r.text(c), Value: c.optional()})
	}
	return r.changes
}

func (r *Reader) text(c *cursor) string {
	return same(&r.texts, c.bytes(headText), func(text []byte) string { return string(text) })
}

// peer reads a key, or a name too short for one.
func (r *Reader) peer(c *cursor) Peer {
	if len(c.rest) > 0 && c.rest[0]>>5 == headText {
		name := r.text(c)
		c.odd = c.odd || len(name) >= 2*keyBytes
		return Peer(name)
	}
	key := c.bytes(headBytes)
	c.odd = c.odd || len(key) != keyBytes
	return Peer(same(&r.peers, key, hex.EncodeToString))
}

// same returns the form of data, the same string each time.
func same(known *map[string]string, data []byte, form func([]byte) string) string {
	if text, ok := (*known)[string(data)]; ok {
		return text
	}
	text := form(data)
	if len(text) <= maxTextBytes && len(*known) < maxTexts {
		if *known == nil {
			*known = map[string]string{}
		}
		(*known)[string(data)] = text
	}
	return text
}

// The kinds of CBOR items that operations consist of.
const (
	headNumber = 0
	headBytes  = 2
	headText   = 3
	headList   = 4
	headMap    = 5
	itemNull   = 0xf6
)

// cursor goes through CBOR (RFC 8949, section 3). Once something odd came, what it returns means nothing.
type cursor struct {
	rest []byte
	odd  bool
}

// head reads the head of an item of this kind.
func (c *cursor) head(kind byte) (argument uint64) {
	if len(c.rest) == 0 || c.rest[0]>>5 != kind {
		c.odd = true
		return 0
	}
	short := c.rest[0] & 31
	if short < 24 {
		c.rest = c.rest[1:]
		return uint64(short)
	}
	size := 1 << (short - 24)
	if short > 27 || len(c.rest) <= size {
		c.odd = true
		return 0
	}
	var space [8]byte
	copy(space[8-size:], c.rest[1:1+size])
	c.rest = c.rest[1+size:]
	return binary.BigEndian.Uint64(space[:])
}

func (c *cursor) number() uint64 { return c.head(headNumber) }

func (c *cursor) byte() uint8 {
	n := c.number()
	c.odd = c.odd || n > 0xff
	return uint8(n)
}

// count reads how many items follow in a list or a map: not more than there are bytes.
func (c *cursor) count(kind byte) uint64 {
	n := c.head(kind)
	c.odd = c.odd || n > uint64(min(len(c.rest), maxItems))
	return n
}

func (c *cursor) pair() { c.odd = c.count(headList) != 2 || c.odd }

func (c *cursor) bytes(kind byte) []byte {
	n := c.head(kind)
	if c.odd || n > uint64(len(c.rest)) {
		c.odd = true
		return nil
	}
	data := c.rest[:n:n]
	c.rest = c.rest[n:]
	return data
}

// optional reads bytes, or nothing.
func (c *cursor) optional() []byte {
	if len(c.rest) > 0 && c.rest[0] == itemNull {
		c.rest = c.rest[1:]
		return nil
	}
	return c.bytes(headBytes)
}
