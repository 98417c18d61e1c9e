package store

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// applier changes records within one transaction and keeps their tallies.
type applier struct {
	tx     *bbolt.Tx
	fill   float64 // how full pages of operations are left when they are split; 0: not decided yet
	counts tallies
	ended  int64 // bytes of the history of ended objects; -1 until it is needed
}

func newApplier(tx *bbolt.Tx) (*applier, error) {
	counts, err := getMeta(tx, talliesKey, decodeTallies)
	return &applier{tx: tx, counts: counts, ended: -1}, err
}

// apply makes the changes of all frames after the one numbered applied. It does nothing to what is already so.
func (a *applier) apply(frames []frame, applied uint64) error {
	records, additions := latest(frames, applied)
	if a.fill == 0 {
		a.fill = fillFor(records)
	}
	for _, c := range records {
		if err := a.change(c); err != nil {
			return err
		}
	}
	for _, c := range additions {
		if err := a.addEntry(c.key, c.content); err != nil {
			return err
		}
	}
	return nil
}

// fillFor is how full pages are left: nearly full where what is written crowds into a small part of the tree, as in a
// fill, and hardly anything will come between it; else half.
func fillFor(records []change) float64 {
	const crowd, parts, most = 1024, 256, 256 / 8
	var seen [parts]bool
	number, different := 0, 0
	for _, c := range records {
		if c.bucket != opsBucket {
			continue
		}
		if number++; !seen[c.key[0]] {
			seen[c.key[0]] = true
			different++
		}
	}
	if number >= crowd && different <= most {
		return buildFill
	}
	return bbolt.DefaultFillPercent
}

func (a *applier) change(c change) error {
	switch {
	case c.bucket == metaBucket:
		return putMeta(a.tx, string(c.key), c.content)
	case c.kind == dropRecord:
		return a.drop(c.bucket, c.key)
	default:
		return a.put(c.bucket, c.key, c.content)
	}
}

// finish writes what the transaction as a whole has changed.
func (a *applier) finish(applied uint64) error {
	if err := putMetaNumber(a.tx, appliedKey, applied); err != nil {
		return err
	}
	return putMeta(a.tx, talliesKey, a.counts.encode())
}

func (a *applier) put(bucket string, key, content []byte) error {
	return a.putSealed(bucket, key, seal(bucket, key, content))
}

func (a *applier) putSealed(bucket string, key, value []byte) error {
	records, err := a.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return err
	}
	if bucket == opsBucket && a.fill != 0 {
		records.FillPercent = a.fill
	}
	if old := records.Get(key); old != nil {
		a.counts.drop(bucket, old)
	}
	a.counts.add(bucket, value)
	return records.Put(key, value)
}

func (a *applier) drop(bucket string, key []byte) error {
	records := a.tx.Bucket([]byte(bucket))
	if records == nil {
		return nil
	}
	old := records.Get(key)
	if old == nil {
		return nil
	}
	a.counts.drop(bucket, old)
	return records.Delete(key)
}

// get returns a copy of a record's content, nil when there is none.
func (a *applier) get(bucket string, key []byte) ([]byte, error) {
	value := a.tx.Bucket([]byte(bucket)).Get(key)
	if value == nil {
		return nil, nil
	}
	content, err := unseal(bucket, key, value)
	if err != nil {
		return nil, damage{fmt.Sprintf("record %s/%s: %v", bucket, printable(bucket, key), err)}
	}
	return append([]byte{}, content...), nil
}
