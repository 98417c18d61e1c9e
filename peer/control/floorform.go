package control

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"shoal/crdt"
	"shoal/peer/replication"
)

// The object Floor/cluster has two fields, each a JSON string of Base64 (RFC 4648) of the bytes
// below; an empty string is none. Times are those of stamps.
//
//	mark    1 │ again │ base 8 │ n │ n × (writer, time)
//	floor   1 │ mark 32 │ digest 32 │ n │ n × (writer, first, second less first)
//	writer  0 │ 32 bytes, where the ID is hex of that; else length │ text
//
// Numbers are unsigned varints as in encoding/binary, and writers come in the order of their IDs.
const (
	floorVersion = 1
	pathMark     = crdt.Path("mark")
	pathFloor    = crdt.Path("floor")
)

var floorKey = crdt.Key{Kind: "Floor", Name: "cluster"}

// floorHash names floors that are in force together, as rows and digests carry it.
type floorHash = replication.FloorHash

// mark asks all peers what they hold at or below a vector of stamps.
type mark struct {
	base   floorHash // of the floors in force when it was proposed: with others in force it is void
	again  bool      // nobody has applied those: the floor that it becomes replaces them, and raises only the second part
	vector crdt.Seen
	hash   [32]byte // of its coded form
}

// floor is a mark on which all agreed: first and second are those of crdt.Set.Forget.
type floor struct {
	mark   [32]byte // hash of the mark
	digest [32]byte // of what all held at or below it
	first  crdt.Seen
	second crdt.Seen
	hash   [32]byte // of its coded form
	code   []byte
	by     crdt.PeerID // who closed it; not part of the form, and empty for one from a record
}

var errFloorForm = errors.New("not a form that this version can read")

func (k mark) encode() []byte {
	b := []byte{floorVersion, 0}
	if k.again {
		b[1] = 1
	}
	b = append(b, k.base[:]...)
	b = binary.AppendUvarint(b, uint64(len(k.vector)))
	for _, writer := range slices.Sorted(maps.Keys(k.vector)) {
		b = appendWriter(b, writer)
		b = binary.AppendUvarint(b, uint64(k.vector[writer]))
	}
	return b
}

func decodeMark(code []byte) (k mark, err error) {
	r := formReader{rest: code}
	version, again := r.byte(), r.byte()
	copy(k.base[:], r.bytes(len(k.base)))
	k.again = again == 1
	k.vector = crdt.Seen{}
	for n := r.count(); n > 0 && !r.bad; n-- {
		writer := r.writer()
		k.vector[writer] = crdt.Time(r.uvarint())
	}
	if r.bad || len(r.rest) > 0 || version != floorVersion {
		return mark{}, errFloorForm
	}
	k.hash = sha256.Sum256(code)
	return k, nil
}

func (f floor) encode() []byte {
	b := []byte{floorVersion}
	b = append(append(b, f.mark[:]...), f.digest[:]...)
	b = binary.AppendUvarint(b, uint64(len(f.second)))
	for _, writer := range slices.Sorted(maps.Keys(f.second)) {
		b = appendWriter(b, writer)
		first := min(f.first[writer], f.second[writer])
		b = binary.AppendUvarint(b, uint64(first))
		b = binary.AppendUvarint(b, uint64(f.second[writer]-first))
	}
	return b
}

func decodeFloor(code []byte) (f floor, err error) {
	r := formReader{rest: code}
	version := r.byte()
	copy(f.mark[:], r.bytes(32))
	copy(f.digest[:], r.bytes(32))
	f.first, f.second = crdt.Seen{}, crdt.Seen{}
	for n := r.count(); n > 0 && !r.bad; n-- {
		writer := r.writer()
		first := crdt.Time(r.uvarint())
		if first != 0 {
			f.first[writer] = first
		}
		f.second[writer] = first + crdt.Time(r.uvarint())
		r.bad = r.bad || f.second[writer] < first
	}
	if r.bad || len(r.rest) > 0 || version != floorVersion {
		return floor{}, errFloorForm
	}
	f.hash, f.code = sha256.Sum256(code), bytes.Clone(code)
	return f, nil
}

// appendWriter codes an ID in half its length where it is hex of 32 bytes.
func appendWriter(b []byte, writer crdt.PeerID) []byte {
	if raw, err := hex.DecodeString(string(writer)); err == nil && len(raw) == 32 && hex.EncodeToString(raw) == string(writer) {
		return append(append(b, 0), raw...)
	}
	b = binary.AppendUvarint(b, uint64(len(writer)))
	return append(b, writer...)
}

// formReader reads numbers and bytes until something is missing.
type formReader struct {
	rest []byte
	bad  bool
}

func (r *formReader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *formReader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *formReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count reads how many items follow; none of them is shorter than two bytes.
func (r *formReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/2) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *formReader) writer() crdt.PeerID {
	n := r.uvarint()
	if n == 0 {
		return crdt.PeerID(hex.EncodeToString(r.bytes(32)))
	}
	if n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	return crdt.PeerID(r.bytes(int(n)))
}

// fieldValue is code as the value of a field.
func fieldValue(code []byte) []byte {
	value, err := json.Marshal(base64.RawStdEncoding.EncodeToString(code))
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return value
}

// fieldCode is what fieldValue made a value of; nil for an empty one.
func fieldCode(value []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return nil, err
	}
	return base64.RawStdEncoding.DecodeString(text)
}

// hashOf names floors that are in force together; zero for none. They are sorted by hash.
func hashOf(floors []floor) floorHash {
	if len(floors) == 0 {
		return floorHash{}
	}
	var text []byte
	for i := range floors {
		text = append(text, floors[i].hash[:]...)
	}
	sum := sha256.Sum256(text)
	return floorHash(sum[:8])
}

// joined is the pointwise maximum of floors.
func joined(floors []floor) (first, second crdt.Seen) {
	first, second = crdt.Seen{}, crdt.Seen{}
	for i := range floors {
		raise(first, floors[i].first)
		raise(second, floors[i].second)
	}
	return first, second
}

func raise(s, by crdt.Seen) {
	for writer, at := range by {
		s[writer] = max(s[writer], at)
	}
}

// encodeFloors codes floors for a record: each with its length before it.
func encodeFloors(floors []floor) []byte {
	b := []byte{floorVersion}
	for i := range floors {
		b = binary.AppendUvarint(b, uint64(len(floors[i].code)))
		b = append(b, floors[i].code...)
	}
	return b
}

func decodeFloors(code []byte) ([]floor, error) {
	r := formReader{rest: code}
	if r.byte() != floorVersion {
		return nil, errFloorForm
	}
	var floors []floor
	for len(r.rest) > 0 {
		f, err := decodeFloor(r.bytes(int(min(r.uvarint(), uint64(len(r.rest))))))
		if err != nil {
			return nil, err
		}
		floors = append(floors, f)
	}
	return floors, nil
}

// encodeAttest codes the words given: the mark, then the digests.
func (f *forgetting) encodeAttest() []byte {
	b := append([]byte{floorVersion}, f.attested[:]...)
	for _, digest := range f.digests {
		b = append(b, digest[:]...)
	}
	return b
}

func (f *forgetting) decodeAttest(code []byte) {
	if len(code) < 33 || code[0] != floorVersion || len(code)%32 != 1 {
		return
	}
	f.attested = [32]byte(code[1:33])
	for rest := code[33:]; len(rest) > 0; rest = rest[32:] {
		f.digests = append(f.digests, [32]byte(rest[:32]))
	}
}
