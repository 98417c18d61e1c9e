package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"shoal/peer"
	"shoal/peer/replication"
)

// Load reads everything, and first makes durable that the program has started once more.
//
// Boot is above every Boot before, also of a store that was lost: the seconds since 1970 are, save where a clock runs far
// behind, and where a clock is at 1970 the stored number still rises.
func (s *Store) Load() (peer.Stored, error) {
	boot, err := s.raiseBoot()
	if err != nil {
		return peer.Stored{}, err
	}
	out := peer.Stored{Boot: boot}
	err = s.view("load", func(tx *bbolt.Tx, pending []frame, applied uint64) error { return read(tx, pending, applied, &out) })
	if err != nil {
		return peer.Stored{}, err
	}
	return out, nil
}

func (s *Store) raiseBoot() (uint64, error) {
	s.writeMu.Lock()
	boot := s.boot + 1
	if now := s.now().Unix(); now > 0 {
		boot = max(boot, uint64(now))
	}
	s.boot = boot
	s.writeMu.Unlock()
	err := s.commit([]change{{putRecord, metaBucket, []byte(bootKey), number(boot)}})
	if errors.Is(err, ErrFull) {
		err = nil // a peer with a full disk starts; until there is room its clock alone makes the number rise
	}
	return boot, err
}

// read takes in all records, in the order of their keys.
func read(tx *bbolt.Tx, pending []frame, applied uint64, out *peer.Stored) error {
	changes, _ := latest(pending, applied)
	unread, err := readOps(tx, changes, out)
	if err != nil {
		return err
	}
	err = each(tx, changes, certificateBucket, func(_, content []byte) error {
		out.Certificates = append(out.Certificates, bytes.Clone(content))
		return nil
	})
	if err != nil {
		return err
	}
	err = each(tx, changes, bookBucket, func(key, content []byte) error {
		member, err := decodeMember(string(key), content)
		out.Book = append(out.Book, member)
		return err
	})
	if err != nil {
		return err
	}
	if err := readRecords(tx, changes, out); err != nil {
		return err
	}
	out.Damage = loadDamage(out.Records[RefillRecord])
	if unread > 0 && out.Damage == nil {
		lost := fmt.Sprintf("%d of %d operations were left out; they are kept", unread, unread+len(out.Ops))
		out.Damage = &peer.Damage{What: "operations of a form that this program does not read", Lost: lost}
	}
	return nil
}

// readOps leaves out, counts and keeps what a newer program wrote and this one cannot read.
func readOps(tx *bbolt.Tx, changes []change, out *peer.Stored) (unread int, err error) {
	err = each(tx, changes, opsBucket, func(_, content []byte) error {
		op, err := replication.DecodeOp(bytes.Clone(content))
		if err != nil {
			unread++
			return nil
		}
		out.Ops = append(out.Ops, op)
		return nil
	})
	return unread, err
}

func readRecords(tx *bbolt.Tx, changes []change, out *peer.Stored) error {
	return each(tx, changes, recordBucket, func(_, content []byte) error {
		name, value, err := decodeRecord(bytes.Clone(content))
		if err != nil {
			return err
		}
		if out.Records == nil {
			out.Records = map[string][]byte{}
		}
		out.Records[name] = value
		return nil
	})
}

// each hands out the records of a bucket as they are with the changes, which are in the order of their keys too.
func each(tx *bbolt.Tx, changes []change, bucket string, take func(key, content []byte) error) error {
	changes = slices.DeleteFunc(slices.Clone(changes), func(c change) bool { return c.bucket != bucket })
	handOut := func(key, content []byte) error {
		if err := take(key, content); err != nil {
			return damage{fmt.Sprintf("record %s/%s: %v", bucket, printable(bucket, key), err)}
		}
		return nil
	}
	flush := func(before []byte) error {
		for len(changes) > 0 && (before == nil || bytes.Compare(changes[0].key, before) < 0) {
			c := changes[0]
			changes = changes[1:]
			if c.kind == dropRecord {
				continue
			}
			if err := handOut(c.key, c.content); err != nil {
				return err
			}
		}
		return nil
	}
	err := tx.Bucket([]byte(bucket)).ForEach(func(key, value []byte) error {
		if err := flush(key); err != nil {
			return err
		}
		if len(changes) > 0 && bytes.Equal(changes[0].key, key) {
			return nil // the change comes out with the next key
		}
		content, err := unseal(bucket, key, value)
		if err != nil {
			return damage{fmt.Sprintf("record %s/%s: %v", bucket, printable(bucket, key), err)}
		}
		return handOut(key, content)
	})
	if err != nil {
		return err
	}
	return flush(nil)
}
