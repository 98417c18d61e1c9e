package store

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer"
	"shoal/peer/replication"
)

// RefillRecord is the name of the record that a Store makes when it had to go on without a part of what it held. Whoever has
// fetched the missing part from other peers deletes it; until then each Load reports the damage again.
const RefillRecord = "refill"

// keptAside is how many damaged stores stay on disk, the newest.
const keptAside = 3

// asideSuffix stands between the name of a file that was set aside and when that was.
const asideSuffix = ".damaged-"

// damageRecord is a peer.Damage as RefillRecord has it, in JSON.
type damageRecord struct {
	At    time.Time `json:"at"`
	What  string    `json:"what"`
	Lost  string    `json:"lost"`
	Aside string    `json:"aside,omitempty"`
}

// salvage makes a fresh store of all that can be read of a damaged one, and puts it in its place. The damaged files are set
// aside. c is nil when the file of bbolt is not there.
func (s *Store) salvage(c *checked) error {
	applied, known := uint64(0), false
	if c != nil {
		applied, known = c.applied()
	}
	journal, _, err := recoverJournal(s.dir, s.beforeID(c), applied, known)
	if err != nil {
		return err
	}
	stamp, err := s.asideStamp()
	if err != nil {
		return err
	}
	if err := s.pruneAside(keptAside - 1); err != nil {
		return err
	}
	report := damageRecord{At: s.now().UTC(), Aside: s.path + stamp}
	if c == nil || c.version == 1 && c.sound() {
		report.Aside = segmentPath(s.dir, 0) + stamp
	}
	id := s.newID()
	err = s.build(s.path+".new", func(b *builder) error {
		return s.fillSalvaged(b, c, &journal, id, &report)
	})
	if err != nil {
		return fmt.Errorf("save what can be read of store %s: %w", s.path, err)
	}
	if err := s.disk.syncDir(s.dir); err != nil {
		return err
	}
	return s.install(id, stamp)
}

// beforeID is the identity of the damaged store: that of its file, or else what its journal says.
func (s *Store) beforeID(c *checked) storeID {
	if c != nil {
		if id, ok := c.id(); ok {
			return id
		}
	}
	for i := range 2 {
		if read, err := readSegment(segmentPath(s.dir, i)); err == nil && read.id != (storeID{}) {
			return read.id
		}
	}
	return storeID{}
}

// fillSalvaged writes the records that are sound, then what the journal adds, then what was lost.
func (s *Store) fillSalvaged(b *builder, c *checked, journal *recovered, id storeID, report *damageRecord) error {
	boot, saved, found := uint64(0), tallies{}, tallies{}
	if c != nil {
		var err error
		if saved, err = s.copySalvaged(b); err != nil {
			return err
		}
		if found, err = s.copyOrphans(b, c, saved); err != nil {
			return err
		}
		boot, _ = decodeUint64(c.meta[bootKey])
	}
	report.What, report.Lost = describeDamage(c, journal, saved, found)
	if err := b.describe(id, boot); err != nil {
		return err
	}
	a := &applier{tx: b.tx, counts: b.counts, ended: -1}
	if err := a.mendHistory(); err != nil {
		return err
	}
	frames := make([]frame, 0, len(journal.frames))
	for _, f := range journal.frames {
		if journal.unknown && c != nil {
			f.changes = slices.DeleteFunc(f.changes, func(c change) bool { return c.kind == addHistory })
		}
		frames = append(frames, f.frame)
	}
	if err := b.apply(frames); err != nil {
		return err
	}
	content, err := json.Marshal(report)
	if err != nil {
		return err
	}
	key, value := encodeRecord(RefillRecord, content)
	return b.put(recordBucket, key, seal(recordBucket, key, value))
}

// copySalvaged copies what the damaged file still holds and counts it.
func (s *Store) copySalvaged(b *builder) (tallies, error) {
	saved := tallies{}
	var failed error
	err := verify(s.path, &DamageError{}, func(bucket string, key, value []byte) {
		content, err := unseal(bucket, key, value)
		switch {
		case err != nil || failed != nil || bucket == metaBucket && slices.Contains(ownMeta, string(key)):
			return
		case bucket != metaBucket:
			saved.add(bucket, value)
		}
		if bucket == opsBucket {
			key, value = placeOp(key, content)
		}
		failed = b.put(bucket, key, value)
	})
	return saved, errors.Join(err, failed)
}

// copyOrphans looks for operations and certificates that the tree does not lead to any more, where some are missing. What it
// finds may be older than the damage: operations merge, and whoever sees RefillRecord lets the other peers decide which still count.
func (s *Store) copyOrphans(b *builder, c *checked, saved tallies) (tallies, error) {
	found := tallies{}
	if wanted, err := c.wanted(); err == nil && wanted.all().count == saved.all().count {
		return found, nil
	}
	var failed error
	err := orphans(s.path, func(key, value []byte) {
		for _, bucket := range []string{opsBucket, certificateBucket} {
			content, err := unseal(bucket, key, value)
			if err != nil || failed != nil {
				continue
			}
			if bucket == opsBucket {
				key, value = placeOp(key, content)
			}
			if records := b.tx.Bucket([]byte(bucket)); records.Get(key) == nil {
				found.add(bucket, value)
				failed = b.put(bucket, key, value)
			}
		}
	})
	return found, errors.Join(err, failed)
}

// placeOp gives an operation the key that it has in this version.
func placeOp(key, content []byte) (newKey, value []byte) {
	if op, err := replication.DecodeOp(content); err == nil {
		key = opKey(op)
	}
	return key, seal(opsBucket, key, content)
}

// describeDamage says in words what was found, and what is lost by it.
func describeDamage(c *checked, journal *recovered, saved, found tallies) (what, lost string) {
	faults, losses := slices.Clone(journal.faults), []string(nil)
	if c == nil {
		faults = append([]string{FileName + " is missing"}, faults...)
		losses = append(losses, "all that was not in the journal")
	} else if !c.sound() {
		faults = append([]string{FileName + ": " + c.faults.faults()}, faults...)
		losses = append(losses, lostRecords(c, saved, found)...)
	}
	if journal.lost > 0 {
		losses = append(losses, fmt.Sprintf("%d writes of the journal could not be read", journal.lost))
	} else if journal.doubtful {
		losses = append(losses, "the last writes may be lost")
	}
	if len(losses) == 0 {
		losses = append(losses, "nothing that was counted")
	}
	return strings.Join(faults, "; "), strings.Join(losses, "; ")
}

// nouns are what people call the records of a bucket.
var nouns = map[string]string{opsBucket: "operations", certificateBucket: "certificates", bookBucket: "peers of the book", everything: "records"}

func lostRecords(c *checked, saved, found tallies) (losses []string) {
	wanted, err := c.wanted()
	switch {
	case err != nil && saved.all().count == 0 && found.all().count == 0:
		return []string{"the header was gone: nothing could be salvaged"}
	case err != nil:
		return []string{fmt.Sprintf("%d operations were saved, how many there were is not known", saved[opsBucket].count+found[opsBucket].count)}
	}
	if count := found[opsBucket].count; count > 0 {
		losses = append(losses, fmt.Sprintf("%d operations were found out of place, some of which may be old", count))
	}
	saved[everything] = saved.all()
	for _, bucket := range []string{opsBucket, certificateBucket, bookBucket, recordBucket, historyBucket, endedBucket, everything} {
		noun := nouns[bucket]
		if noun == "" {
			noun = "records of " + bucket
		}
		if want := wanted[bucket].count; want > saved[bucket].count {
			losses = append(losses, fmt.Sprintf("%d of %d %s could not be read", want-saved[bucket].count, want, noun))
		}
	}
	return losses
}

// mendHistory makes the heads anew from the entries that are there, and the list of ended objects from the heads.
func (a *applier) mendHistory() error {
	heads, err := a.gatherHeads()
	if err != nil {
		return err
	}
	for _, h := range heads {
		if h.ended {
			if err := a.end(h.object, &h.head); err != nil {
				return err
			}
		}
		if err := a.putJSON(historyBucket, h.object, h.head); err != nil {
			return err
		}
	}
	return a.evict()
}

type gathered struct {
	object []byte
	head   head
	ended  bool
	order  uint64
}

// gatherHeads drops all heads and ended records, and counts the entries.
func (a *applier) gatherHeads() ([]*gathered, error) {
	var heads []*gathered
	var dropped []change
	err := a.tx.Bucket([]byte(historyBucket)).ForEach(func(key, value []byte) error {
		if len(key) != 16 && len(key) != 24 {
			return nil
		}
		if len(heads) == 0 || string(heads[len(heads)-1].object) != string(key[:16]) {
			heads = append(heads, &gathered{object: slices.Clone(key[:16])})
		}
		return heads[len(heads)-1].take(key, value[sealBytes:])
	})
	if err != nil {
		return nil, err
	}
	err = a.tx.Bucket([]byte(endedBucket)).ForEach(func(key, _ []byte) error {
		dropped = append(dropped, change{kind: dropRecord, bucket: endedBucket, key: slices.Clone(key)})
		return nil
	})
	for _, h := range heads {
		dropped = append(dropped, change{kind: dropRecord, bucket: historyBucket, key: h.object})
	}
	for _, c := range dropped {
		err = errors.Join(err, a.change(c))
	}
	heads = slices.DeleteFunc(heads, func(h *gathered) bool { return h.head.Next == 0 })
	slices.SortStableFunc(heads, func(a, b *gathered) int { return cmp.Compare(a.order, b.order) })
	return heads, err
}

func (g *gathered) take(key, content []byte) error {
	if len(key) == 16 {
		var old head
		_ = json.Unmarshal(content, &old) // unreadable: its place among the ended is not known
		g.order = old.Ended
		return nil
	}
	n := ^binary.BigEndian.Uint64(key[16:])
	if g.head.Next == 0 {
		entry, err := decodeEntry(content)
		g.ended = err == nil && entry.Verb == crdt.Delete
		g.head.Next = n + 1
	}
	g.head.First = n
	g.head.Bytes += int64(len(content))
	return nil
}

// asideStamp is what the files get added to their names now.
func (s *Store) asideStamp() (string, error) {
	stamp := asideSuffix + s.now().UTC().Format("20060102T150405Z")
	for n, try := 1, stamp; ; n++ {
		found, err := filepath.Glob(filepath.Join(s.dir, "*"+try))
		if err != nil || len(found) == 0 {
			return try, err
		}
		try = fmt.Sprintf("%s.%d", stamp, n)
	}
}

// pruneAside keeps the newest sets of files that were set aside.
func (s *Store) pruneAside(keep int) error {
	sets := map[string][]string{}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if _, stamp, ok := strings.Cut(entry.Name(), asideSuffix); ok {
			sets[stamp] = append(sets[stamp], filepath.Join(s.dir, entry.Name()))
		}
	}
	var stamps []string
	for stamp := range sets {
		stamps = append(stamps, stamp)
	}
	slices.Sort(stamps)
	for len(stamps) > keep {
		for _, path := range sets[stamps[0]] {
			if err := s.disk.remove(path); err != nil {
				return err
			}
		}
		stamps = stamps[1:]
	}
	return nil
}

// loadDamage reads what RefillRecord says.
func loadDamage(content []byte) *peer.Damage {
	var r damageRecord
	if json.Unmarshal(content, &r) != nil {
		return nil
	}
	return &peer.Damage{At: r.At, What: r.What, Lost: r.Lost, Aside: r.Aside}
}
