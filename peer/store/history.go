package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"shoal/crdt"
	"shoal/peer/control"
)

// The history has for each object a head, whose key is the object's, and entries, whose keys are the object's and, from
// all ones downwards, the number of the entry: so the newest comes first. An object whose newest entry is a deletion is
// ended, and has a record in the bucket of that name, whose keys rise in the order of the deletions.
//
// The oldest go first: of an object all beyond historyEntries or historyBytes (the newest always stays), and of the ended
// objects all beyond endedObjects or endedBytes.
const (
	historyEntries = 32
	historyBytes   = 1 << 20
	endedObjects   = 1024
	endedBytes     = 4 << 20
)

// entryRecord is a HistoryEntry as it is stored, in JSON. Fields that this program does not know are skipped.
type entryRecord struct {
	Kind      string       `json:"kind"`
	Namespace string       `json:"namespace,omitempty"`
	Name      string       `json:"name"`
	Time      uint64       `json:"time"`
	Writer    string       `json:"writer"`
	Verb      uint8        `json:"verb,omitempty"`
	Manager   string       `json:"manager,omitempty"`
	User      string       `json:"user,omitempty"`
	At        time.Time    `json:"at"`
	Diffs     []diffRecord `json:"diffs,omitempty"`
}

type diffRecord struct {
	Path string `json:"path"`
	Old  []byte `json:"old"` // base64; null: not set
	New  []byte `json:"new"`
}

func encodeEntry(e control.HistoryEntry) ([]byte, error) {
	r := entryRecord{
		Kind: e.Key.Kind, Namespace: e.Key.Namespace, Name: e.Key.Name, Time: uint64(e.Stamp.Time), Writer: string(e.Stamp.Writer),
		Verb: uint8(e.Verb), Manager: e.Manager, User: e.User, At: e.At,
	}
	for _, d := range e.Diffs {
		r.Diffs = append(r.Diffs, diffRecord{string(d.Path), d.Old, d.New})
	}
	return json.Marshal(r)
}

func decodeEntry(content []byte) (control.HistoryEntry, error) {
	var r entryRecord
	if err := json.Unmarshal(content, &r); err != nil {
		return control.HistoryEntry{}, err
	}
	e := control.HistoryEntry{
		Key:   crdt.Key{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name},
		Stamp: crdt.Stamp{Time: crdt.Time(r.Time), Writer: crdt.PeerID(r.Writer)},
		Verb:  crdt.Verb(r.Verb), Manager: r.Manager, User: r.User, At: r.At,
	}
	for _, d := range r.Diffs {
		e.Diffs = append(e.Diffs, control.Diff{Path: crdt.Path(d.Path), Old: d.Old, New: d.New})
	}
	return e, nil
}

// head says what there is of one object's history: entries first to next-1.
type head struct {
	First uint64 `json:"first"`
	Next  uint64 `json:"next"`
	Bytes int64  `json:"bytes"`
	Ended uint64 `json:"ended,omitempty"` // key in the bucket of the ended, 0: not ended
}

type endedRecord struct {
	Object []byte `json:"object"`
	Bytes  int64  `json:"bytes"`
}

func entryKey(object []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 24), object...), ^n)
}

// addEntry appends to the history of an object and lets go what is too much.
func (a *applier) addEntry(object, content []byte) error {
	h, err := getJSON[head](a, historyBucket, object)
	if err != nil {
		return err
	}
	if err := a.revive(&h); err != nil {
		return err
	}
	if err := a.put(historyBucket, entryKey(object, h.Next), content); err != nil {
		return err
	}
	h.Next++
	h.Bytes += int64(len(content))
	for h.Next-h.First > historyEntries || h.Bytes > historyBytes && h.Next-h.First > 1 {
		if err := a.dropOldest(object, &h); err != nil {
			return err
		}
	}
	entry, err := decodeEntry(content)
	if err != nil {
		return err
	}
	if entry.Verb == crdt.Delete {
		if err := a.end(object, &h); err != nil {
			return err
		}
	}
	if err := a.putJSON(historyBucket, object, h); err != nil {
		return err
	}
	return a.evict()
}

func (a *applier) dropOldest(object []byte, h *head) error {
	key := entryKey(object, h.First)
	h.First++
	content, err := a.get(historyBucket, key)
	if err != nil {
		return err
	}
	h.Bytes -= int64(len(content))
	return a.drop(historyBucket, key)
}

// end notes that an object is ended.
func (a *applier) end(object []byte, h *head) error {
	if err := a.countEnded(); err != nil {
		return err
	}
	h.Ended = 1
	if last, _ := a.tx.Bucket([]byte(endedBucket)).Cursor().Last(); len(last) == 8 {
		h.Ended = binary.BigEndian.Uint64(last) + 1
	}
	a.ended += h.Bytes
	return a.putJSON(endedBucket, number(h.Ended), endedRecord{object, h.Bytes})
}

// revive takes an object out of the ended ones, if it is there.
func (a *applier) revive(h *head) error {
	if h.Ended == 0 {
		return nil
	}
	if err := a.countEnded(); err != nil {
		return err
	}
	record, err := getJSON[endedRecord](a, endedBucket, number(h.Ended))
	if err != nil {
		return err
	}
	a.ended -= record.Bytes
	err = a.drop(endedBucket, number(h.Ended))
	h.Ended = 0
	return err
}

func (a *applier) countEnded() error {
	if a.ended >= 0 {
		return nil
	}
	a.ended = 0
	return a.tx.Bucket([]byte(endedBucket)).ForEach(func(key, _ []byte) error {
		record, err := getJSON[endedRecord](a, endedBucket, key)
		a.ended += record.Bytes
		return err
	})
}

// evict drops the history of the objects that ended first, while there is too much of it.
func (a *applier) evict() error {
	for a.counts[endedBucket].count > endedObjects || a.ended > endedBytes && a.counts[endedBucket].count > 1 {
		key, _ := a.tx.Bucket([]byte(endedBucket)).Cursor().First()
		if key == nil {
			return damage{"the tally of ended objects does not match"}
		}
		key = bytes.Clone(key)
		record, err := getJSON[endedRecord](a, endedBucket, key)
		if err != nil {
			return err
		}
		a.ended -= record.Bytes
		if err := a.drop(endedBucket, key); err != nil {
			return err
		}
		if err := a.forget(record.Object); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) forget(object []byte) error {
	h, err := getJSON[head](a, historyBucket, object)
	if err != nil {
		return err
	}
	for n := h.First; n < h.Next; n++ {
		if err := a.drop(historyBucket, entryKey(object, n)); err != nil {
			return err
		}
	}
	return a.drop(historyBucket, object)
}

// getJSON reads a record of the history's own; zero when there is none.
func getJSON[T any](a *applier, bucket string, key []byte) (T, error) {
	var out T
	content, err := a.get(bucket, key)
	if err != nil || content == nil {
		return out, err
	}
	if err := json.Unmarshal(content, &out); err != nil {
		return out, damage{fmt.Sprintf("record %s/%x: %v", bucket, key, err)}
	}
	return out, nil
}

func (a *applier) putJSON(bucket string, key []byte, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return a.put(bucket, key, content)
}

// History returns what was done to an object, newest first; at most 32 entries. An object of which nothing is known has none.
func (s *Store) History(key crdt.Key) ([]control.HistoryEntry, error) {
	object := objectKey(key)
	var out []control.HistoryEntry
	err := s.view("history", func(tx *bbolt.Tx, pending []frame, applied uint64) error {
		_, additions := latest(pending, applied)
		for i := len(additions) - 1; i >= 0 && len(out) < historyEntries; i-- {
			if bytes.Equal(additions[i].key, object) {
				entry, err := decodeEntry(additions[i].content)
				if err != nil {
					return err
				}
				out = append(out, entry)
			}
		}
		return storedHistory(tx, object, &out)
	})
	return out, err
}

func storedHistory(tx *bbolt.Tx, object []byte, out *[]control.HistoryEntry) error {
	cursor := tx.Bucket([]byte(historyBucket)).Cursor()
	for key, value := cursor.Seek(object); bytes.HasPrefix(key, object) && len(*out) < historyEntries; key, value = cursor.Next() {
		if len(key) == len(object) {
			continue
		}
		content, err := unseal(historyBucket, key, value)
		if err != nil {
			return damage{fmt.Sprintf("record %s/%x: %v", historyBucket, key, err)}
		}
		entry, err := decodeEntry(content)
		if err != nil {
			return damage{fmt.Sprintf("record %s/%x: %v", historyBucket, key, err)}
		}
		*out = append(*out, entry)
	}
	return nil
}
