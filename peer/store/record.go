package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"net/netip"
	"slices"

	"shoal/crdt"
	"shoal/gossip"
)

// version is the form of everything in the store. A change that this program's predecessors would
// misread raises it. Buckets, keys of meta and fields of records that a program does not know are kept as they are.
const version = 2

const (
	metaBucket        = "meta"
	opsBucket         = "ops"
	certificateBucket = "certificates"
	bookBucket        = "book"
	recordBucket      = "records"
	historyBucket     = "history"
	endedBucket       = "ended"

	versionKey = "version"
	bootKey    = "boot"
	totalsKey  = "totals"  // of version 1
	talliesKey = "tallies" // since version 2
	idKey      = "id"
	appliedKey = "applied"
)

// ownMeta are the keys of meta that a fresh store gets values of its own for.
var ownMeta = []string{versionKey, bootKey, totalsKey, talliesKey, idKey, appliedKey}

// bucketNames are those that every store has.
var bucketNames = []string{metaBucket, opsBucket, certificateBucket, bookBucket, recordBucket, historyBucket, endedBucket}

// sealBytes is the length of the checksum before each value.
const sealBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errSeal = errors.New("checksum does not match")

func checksum(bucket string, key, content []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(bucket))
	sum = crc32.Update(sum, castagnoli, key)
	return crc32.Update(sum, castagnoli, content)
}

// seal puts the checksum before content.
func seal(bucket string, key, content []byte) []byte {
	value := binary.BigEndian.AppendUint32(make([]byte, 0, sealBytes+len(content)), checksum(bucket, key, content))
	return append(value, content...)
}

// unseal checks the checksum and returns the content, which aliases value.
func unseal(bucket string, key, value []byte) ([]byte, error) {
	if len(value) < sealBytes {
		return nil, errSeal
	}
	content := value[sealBytes:]
	if sealOf(value) != checksum(bucket, key, content) {
		return nil, errSeal
	}
	return content, nil
}

// sealOf is the checksum that a value claims; 0 for a value too short to have one.
func sealOf(value []byte) uint32 {
	if len(value) < sealBytes {
		return 0
	}
	return binary.BigEndian.Uint32(value)
}

// opKey places the operations of one object side by side, oldest first; two that contradict each other have two places.
// Hashes keep it short whatever names a write brings (bbolt's keys have a limit, and P13 wants no write to hit it).
func opKey(op crdt.Op) []byte {
	out := append(make([]byte, 0, 40), objectKey(op.Key)...)
	out = binary.BigEndian.AppendUint64(out, uint64(op.Stamp.Time))
	return append(out, op.Hash[:16]...)
}

// objectKey is 16 bytes that stand for an object. That they begin with the object's bucket makes a fill, which goes from bucket to
// bucket, write to one place of the tree at a time.
func objectKey(key crdt.Key) []byte {
	hash := key.Hash()
	return hash[:16]
}

func certificateKey(certificate []byte) []byte {
	hash := sha256.Sum256(certificate)
	return hash[:]
}

// tally is the count of the records of one bucket, and the sum of their checksums.
type tally struct{ count, sum uint64 }

// tallies are those of all buckets but meta, by name.
type tallies map[string]tally

func (t tallies) add(bucket string, value []byte) {
	t[bucket] = tally{t[bucket].count + 1, t[bucket].sum + uint64(sealOf(value))}
}

func (t tallies) drop(bucket string, value []byte) {
	t[bucket] = tally{t[bucket].count - 1, t[bucket].sum - uint64(sealOf(value))}
}

// all is the tally over all buckets, which version 1 kept.
func (t tallies) all() (sum tally) {
	for _, one := range t {
		sum.count += one.count
		sum.sum += one.sum
	}
	return sum
}

// encode gives for each bucket, by name: length of the name, name, count, sum.
func (t tallies) encode() []byte {
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(t)) {
		out = binary.AppendUvarint(out, uint64(len(name)))
		out = append(out, name...)
		out = binary.BigEndian.AppendUint64(out, t[name].count)
		out = binary.BigEndian.AppendUint64(out, t[name].sum)
	}
	return out
}

func decodeTallies(content []byte) (tallies, error) {
	t := tallies{}
	for len(content) > 0 {
		length, n := binary.Uvarint(content)
		if n <= 0 || length > uint64(len(content)-n) || uint64(len(content)-n)-length < 16 {
			return nil, errors.New("the tallies are cut off")
		}
		name := string(content[n : n+int(length)])
		content = content[n+int(length):]
		t[name] = tally{binary.BigEndian.Uint64(content), binary.BigEndian.Uint64(content[8:])}
		content = content[16:]
	}
	return t, nil
}

func decodeTotals(content []byte) (tally, error) {
	if len(content) < 16 {
		return tally{}, fmt.Errorf("totals have %d bytes instead of 16", len(content))
	}
	return tally{count: binary.BigEndian.Uint64(content), sum: binary.BigEndian.Uint64(content[8:])}, nil
}

func decodeID(content []byte) (storeID, error) {
	if len(content) < len(storeID{}) {
		return storeID{}, fmt.Errorf("an identity has %d bytes", len(content))
	}
	return storeID(content[:16]), nil
}

// encodeRecord keeps the name with a record, whose key is a hash of it.
func encodeRecord(name string, content []byte) (key, value []byte) {
	hash := sha256.Sum256([]byte(name))
	value = binary.AppendUvarint(nil, uint64(len(name)))
	return hash[:16], append(append(value, name...), content...)
}

func decodeRecord(value []byte) (name string, content []byte, err error) {
	length, n := binary.Uvarint(value)
	if n <= 0 || length > uint64(len(value)-n) {
		return "", nil, errors.New("a record that is cut off")
	}
	return string(value[n : n+int(length)]), value[n+int(length):], nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func decodeUint64(content []byte) (uint64, error) {
	if len(content) < 8 {
		return 0, fmt.Errorf("a number has %d bytes instead of 8", len(content))
	}
	return binary.BigEndian.Uint64(content), nil
}

// bookRecord is a member as the book keeps it. Fields that this program does not know are skipped.
type bookRecord struct {
	Name        string         `json:"name"`
	Stream      netip.AddrPort `json:"stream"`
	Gossip      netip.AddrPort `json:"gossip"`
	CPUMillis   int64          `json:"cpuMillis"`
	MemoryBytes int64          `json:"memoryBytes"`
	Health      uint8          `json:"health"`
	State       uint8          `json:"state"`
}

func encodeMember(m gossip.Member) ([]byte, error) {
	return json.Marshal(bookRecord{Name: m.Name, Stream: m.Stream, Gossip: m.Addr, CPUMillis: m.Room.CPUMillis,
		MemoryBytes: m.Room.MemoryBytes, Health: uint8(m.Health), State: uint8(m.State)})
}

func decodeMember(id string, content []byte) (gossip.Member, error) {
	var r bookRecord
	if err := json.Unmarshal(content, &r); err != nil {
		return gossip.Member{}, err
	}
	self := gossip.Self{ID: gossip.PeerID(id), Name: r.Name, Stream: r.Stream,
		Room: gossip.Room{CPUMillis: r.CPUMillis, MemoryBytes: r.MemoryBytes}, Health: gossip.Health(r.Health)}
	return gossip.Member{Self: self, Addr: r.Gossip, State: gossip.State(r.State)}, nil
}
