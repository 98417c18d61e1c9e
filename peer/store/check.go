package store

import (
	"errors"
	"fmt"
)

// checked is what a file of bbolt was found to be.
type checked struct {
	version uint64
	meta    map[string][]byte
	counts  tallies
	faults  *DamageError
}

func (c *checked) sound() bool { return len(c.faults.Faults) == 0 }

// id is the store's identity; false when it cannot be read.
func (c *checked) id() (storeID, bool) {
	id, err := decodeID(c.meta[idKey])
	return id, err == nil
}

// applied is the last frame of the journal that the file has; false when it cannot be read.
func (c *checked) applied() (uint64, bool) {
	n, err := decodeUint64(c.meta[appliedKey])
	return n, err == nil
}

// check verifies the whole file before bbolt gets to see it. The error is a *VersionError or one of reading.
func check(path string) (*checked, error) {
	c := &checked{meta: map[string][]byte{}, counts: tallies{}, faults: &DamageError{Path: path}}
	err := verify(path, c.faults, func(bucket string, key, value []byte) {
		content, err := unseal(bucket, key, value)
		switch {
		case err != nil:
			c.faults.add("record %s/%s: %v", bucket, printable(bucket, key), err)
		case bucket == metaBucket:
			c.meta[string(key)] = append([]byte(nil), content...)
		default:
			c.counts.add(bucket, value)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read store %s: %w", path, err)
	}
	if c.version, err = decodeUint64(c.meta[versionKey]); err == nil && c.version > version {
		return nil, &VersionError{Path: path, Found: c.version}
	}
	if c.sound() {
		c.checkMeta()
	}
	return c, nil
}

// checkMeta compares what was found with what the store says it holds.
func (c *checked) checkMeta() {
	number := func(content []byte) error { _, err := decodeUint64(content); return err }
	want := map[string]func([]byte) error{versionKey: number, bootKey: number}
	if c.version >= 2 {
		want[appliedKey] = number
		want[idKey] = func(content []byte) error { _, err := decodeID(content); return err }
	}
	for _, key := range []string{versionKey, bootKey, appliedKey, idKey} {
		if decode := want[key]; decode != nil && decode(c.meta[key]) != nil {
			c.faults.add("record meta/%s: %v", key, decode(c.meta[key]))
		}
	}
	wanted, err := c.wanted()
	all, found := wanted.all(), c.counts.all()
	switch {
	case err != nil:
		c.faults.add("%v", err)
	case all.count != found.count:
		c.faults.add("%d records are there instead of %d", found.count, all.count)
	case all != found:
		c.faults.add("some of the %d records are older than the last write", found.count)
	}
}

// wanted is how many records the store says it holds; of version 1 under a name for all of them.
func (c *checked) wanted() (tallies, error) {
	if content, ok := c.meta[talliesKey]; ok {
		return decodeTallies(content)
	}
	content, ok := c.meta[totalsKey]
	if !ok {
		return nil, errors.New("the store does not say how much it holds")
	}
	all, err := decodeTotals(content)
	return tallies{everything: all}, err
}

// everything stands for all buckets together.
const everything = "all"

func printable(bucket string, key []byte) string {
	if bucket == metaBucket || bucket == bookBucket {
		return fmt.Sprintf("%q", key)
	}
	return fmt.Sprintf("%x", key)
}
