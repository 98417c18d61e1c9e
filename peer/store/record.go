package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"

	"shoal/crdt"
	"shoal/gossip"
)

// version is the form of everything in the store. A change that this program's predecessors would
// misread raises it.
const version = 1

const (
	metaBucket        = "meta"
	opsBucket         = "ops"
	certificateBucket = "certificates"
	bookBucket        = "book"

	versionKey = "version"
	bootKey    = "boot"
	totalsKey  = "totals"
)

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

// opKey places the operations of one object side by side, oldest first. Hashes keep it short
// whatever names a write brings (bbolt's keys have a limit, and P13 wants no write to hit it).
func opKey(key crdt.Key, stamp crdt.Stamp) []byte {
	var object []byte
	for _, part := range []string{key.Kind, key.Namespace, key.Name} {
		object = binary.AppendUvarint(object, uint64(len(part)))
		object = append(object, part...)
	}
	objectHash := sha256.Sum256(object)
	writerHash := sha256.Sum256([]byte(stamp.Writer))
	out := append(make([]byte, 0, 40), objectHash[:16]...)
	out = binary.BigEndian.AppendUint64(out, uint64(stamp.Time))
	return append(out, writerHash[:16]...)
}

func certificateKey(certificate []byte) []byte {
	hash := sha256.Sum256(certificate)
	return hash[:]
}

// totals is the count of all records outside meta, and the sum of their checksums.
type totals struct{ Count, Sum uint64 }

func (t *totals) add(value []byte)  { t.Count++; t.Sum += uint64(sealOf(value)) }
func (t *totals) drop(value []byte) { t.Count--; t.Sum -= uint64(sealOf(value)) }

func (t totals) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, t.Count), t.Sum)
}

func decodeTotals(content []byte) (totals, error) {
	if len(content) < 16 {
		return totals{}, fmt.Errorf("totals have %d bytes instead of 16", len(content))
	}
	return totals{Count: binary.BigEndian.Uint64(content), Sum: binary.BigEndian.Uint64(content[8:])}, nil
}

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
