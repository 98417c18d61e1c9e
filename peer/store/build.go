package store

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

const (
	buildFill  = 0.9
	buildChunk = 8 << 20
)

// builder writes a new file of bbolt, records in any order, nothing of it durable until the end.
type builder struct {
	db     *bbolt.DB
	tx     *bbolt.Tx
	counts tallies
	bytes  int
}

// build makes the file path anew, whole and durable, though not its name.
func (s *Store) build(path string, fill func(*builder) error) error {
	if err := s.disk.remove(path); err != nil {
		return err
	}
	err := s.disk.transact(path, false, func() error { return s.fillBuilder(path, fill) })
	if err == nil {
		err = s.trim(path)
	}
	if err != nil {
		return errors.Join(asFull(err), s.disk.remove(path))
	}
	return nil
}

func (s *Store) fillBuilder(path string, fill func(*builder) error) (err error) {
	// Within transact: this opens the file as openBolt does.
	b := &builder{counts: tallies{}}
	if b.db, err = bbolt.Open(path, 0o600, s.boltOptions(true)); err != nil {
		return err
	}
	b.db.AllocSize = maxGrowBytes
	defer func() { err = errors.Join(err, b.db.Close()) }()
	if b.tx, err = b.db.Begin(true); err != nil {
		return err
	}
	for _, name := range bucketNames {
		if _, err := b.tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return errors.Join(err, b.tx.Rollback())
		}
	}
	if err := fill(b); err != nil {
		return errors.Join(err, b.tx.Rollback())
	}
	if err := putMeta(b.tx, talliesKey, b.counts.encode()); err != nil {
		return errors.Join(err, b.tx.Rollback())
	}
	return b.tx.Commit()
}

// trim cuts off what bbolt took in advance, and makes the whole file durable.
func (s *Store) trim(path string) error {
	v, err := openVerifier(path, &DamageError{}, nil)
	if err != nil {
		return err
	}
	err = v.readHeaders(true)
	v.file.Close()
	if err != nil {
		return err
	}
	f, err := s.disk.open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(int64(v.header.highWater)*v.pageSize), f.Sync(), f.Close())
}

// put takes a sealed value. Of two with one key the later stays.
func (b *builder) put(bucket string, key, value []byte) error {
	records, err := b.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return err
	}
	records.FillPercent = buildFill
	if bucket != metaBucket {
		if old := records.Get(key); old != nil {
			b.counts.drop(bucket, old)
		}
		b.counts.add(bucket, value)
	}
	b.bytes += len(key) + len(value)
	if err := records.Put(key, value); err != nil || b.bytes < buildChunk {
		return err
	}
	b.bytes = 0
	if err := b.tx.Commit(); err != nil {
		return err
	}
	b.tx, err = b.db.Begin(true)
	return err
}

// describe writes meta of a new store.
func (b *builder) describe(id storeID, boot uint64) error {
	return errors.Join(
		putMetaNumber(b.tx, versionKey, version), putMetaNumber(b.tx, bootKey, boot),
		putMetaNumber(b.tx, appliedKey, 0), putMeta(b.tx, idKey, id[:]),
	)
}

// apply takes in what the journal held.
func (b *builder) apply(frames []frame) error {
	a := &applier{tx: b.tx, fill: buildFill, counts: b.counts, ended: -1}
	return a.apply(frames, 0)
}

// copyFrom takes all records of db; meta too, save its tallies, which are counted anew.
func (b *builder) copyFrom(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, records *bbolt.Bucket) error {
			return records.ForEach(func(key, value []byte) error {
				if value == nil {
					return nil // a bucket in a bucket: none of ours has one
				}
				if _, err := unseal(string(name), key, value); err != nil {
					return damage{fmt.Sprintf("record %s/%s: %v", name, printable(string(name), key), err)}
				}
				if string(name) == metaBucket && string(key) == talliesKey {
					return nil
				}
				return b.put(string(name), key, value)
			})
		})
	})
}
