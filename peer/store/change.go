package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"shoal/peer"
	"shoal/peer/replication"
)

// changeKind is what a change does to a bucket.
type changeKind uint8

const (
	putRecord changeKind = iota + 1
	dropRecord
	addHistory // key is the object's; the entry gets its place when the journal is applied
)

// change is one step of a commit. The content carries no seal yet.
type change struct {
	kind    changeKind
	bucket  string
	key     []byte
	content []byte
}

// frame is what one sync made durable: the changes of one or more commits.
type frame struct {
	sequence uint64
	changes  []change
}

// frameForm is the first byte of a frame's content. A program that reads only lower ones must not open the journal.
const frameForm = 1

const (
	maxKeyBytes     = 1 << 15 // bbolt's own limit
	maxContentBytes = 1 << 28 // far above any operation, and what verify takes for a record
)

// changesOf checks a batch and turns it into changes, so that what is in the journal can always be applied.
func changesOf(batch peer.Batch) ([]change, error) {
	changes := make([]change, 0, len(batch.Put)+len(batch.Drop)+len(batch.Certificates)+len(batch.Book))
	for _, op := range batch.Put {
		changes = append(changes, change{putRecord, opsBucket, opKey(op), replication.EncodeOp(op)})
	}
	for _, op := range batch.Drop {
		changes = append(changes, change{dropRecord, opsBucket, opKey(op), nil})
	}
	for _, certificate := range batch.Certificates {
		changes = append(changes, change{putRecord, certificateBucket, certificateKey(certificate), certificate})
	}
	for _, member := range batch.Book {
		content, err := encodeMember(member)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{putRecord, bookBucket, []byte(member.ID), content})
	}
	for _, name := range slices.Sorted(maps.Keys(batch.Records)) {
		key, content := encodeRecord(name, batch.Records[name])
		if batch.Records[name] == nil {
			changes = append(changes, change{dropRecord, recordBucket, key, nil})
		} else {
			changes = append(changes, change{putRecord, recordBucket, key, content})
		}
	}
	for _, entry := range batch.History {
		content, err := encodeEntry(entry)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{addHistory, historyBucket, objectKey(entry.Key), content})
	}
	return changes, checkChanges(changes)
}

func checkChanges(changes []change) error {
	for _, c := range changes {
		if len(c.key) == 0 || len(c.key) > maxKeyBytes || len(c.content) > maxContentBytes {
			return fmt.Errorf("a record of %s with a key of %d and a content of %d bytes", c.bucket, len(c.key), len(c.content))
		}
	}
	return nil
}

// appendChanges adds the form in which changes are in a frame: for each its kind, bucket, key and content, the
// latter three with their length before them as an unsigned varint.
func appendChanges(buf []byte, changes []change) []byte {
	for _, c := range changes {
		buf = append(buf, byte(c.kind))
		buf = binary.AppendUvarint(buf, uint64(len(c.bucket)))
		buf = append(buf, c.bucket...)
		buf = binary.AppendUvarint(buf, uint64(len(c.key)))
		buf = append(buf, c.key...)
		buf = binary.AppendUvarint(buf, uint64(len(c.content)))
		buf = append(buf, c.content...)
	}
	return buf
}

// errNewerFrame says that a newer program wrote a frame.
var errNewerFrame = errors.New("a frame of a newer form")

// decodeChanges reads a frame's content. What it returns aliases content.
func decodeChanges(content []byte) ([]change, error) {
	if len(content) == 0 {
		return nil, errors.New("a frame without content")
	}
	if content[0] > frameForm {
		return nil, errNewerFrame
	}
	var changes []change
	for rest := content[1:]; len(rest) > 0; {
		c := change{kind: changeKind(rest[0])}
		if c.kind < putRecord || c.kind > addHistory {
			return nil, fmt.Errorf("a change of unknown kind %d", c.kind)
		}
		rest = rest[1:]
		var bucket []byte
		for _, part := range []*[]byte{&bucket, &c.key, &c.content} {
			length, n := binary.Uvarint(rest)
			if n <= 0 || length > uint64(len(rest)-n) {
				return nil, errors.New("a change that is cut off")
			}
			*part, rest = rest[n:n+int(length):n+int(length)], rest[n+int(length):]
		}
		if c.bucket = string(bucket); c.bucket == "" || len(c.key) == 0 || len(c.key) > maxKeyBytes {
			return nil, errors.New("a change without bucket or key")
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// latest returns, of all changes to records in frames after the one numbered after, the last one of each record, by
// bucket and key; and the additions to the history in their order.
func latest(frames []frame, after uint64) (records, additions []change) {
	for _, f := range frames {
		if f.sequence <= after {
			continue
		}
		for _, c := range f.changes {
			if c.kind == addHistory {
				additions = append(additions, c)
			} else {
				records = append(records, c)
			}
		}
	}
	slices.SortStableFunc(records, compareChanges)
	kept := records[:0]
	for i, c := range records {
		if i+1 < len(records) && compareChanges(c, records[i+1]) == 0 {
			continue
		}
		kept = append(kept, c)
	}
	return kept, additions
}

func compareChanges(a, b change) int {
	if by := strings.Compare(a.bucket, b.bucket); by != 0 {
		return by
	}
	return bytes.Compare(a.key, b.key)
}
