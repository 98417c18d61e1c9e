package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"shoal/peer"
	"shoal/peer/replication"
)

// FileName is the store's file within the data directory.
const FileName = "store.db"

// maxFileBytes bounds the file. The intent of the largest cluster that Shoal is made for is some
// hundred MiB; what would reach this is a fault, and must not fill the machine's disk.
const maxFileBytes = 1 << 30

// Store is a peer.Store in one data directory. Its methods may be called from any goroutine; they run one at a time.
type Store struct {
	mu     sync.Mutex
	path   string
	lock   *os.File
	db     *bbolt.DB // nil after Close
	broken error     // what left the disk in doubt
}

var _ peer.Store = (*Store)(nil)

// Open locks the data directory, makes it and the store where they do not exist, and checks every
// page and record. Errors: *InUseError, *DamageError, *VersionError, or that of a system call.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{path: filepath.Join(dir, FileName), lock: lock}
	if err := s.open(); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	if _, err := os.Stat(s.path); errors.Is(err, os.ErrNotExist) {
		if err := create(s.path); err != nil {
			return fmt.Errorf("create store %s: %w", s.path, err)
		}
	} else if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if err := check(s.path); err != nil {
		return err
	}
	return s.guard("open", func() (err error) {
		s.db, err = openBolt(s.path)
		return err
	})
}

// lockDir holds the directory until the file that it returns is closed or the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	lock, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, &InUseError{Dir: dir}
	}
	return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
}

// openBolt opens the file. The list of free pages is not written: it is one page less per commit
// and one less to be damaged, for a walk over the tree at start (which check has just done on cold pages).
func openBolt(path string) (*bbolt.DB, error) {
	return bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:        time.Second,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		MaxSize:        maxFileBytes,
		NoStatistics:   true,
	})
}

// create makes an empty store beside its place and moves it there, so that a file of the store's
// name is always whole.
func create(path string) error {
	fresh := path + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	db, err := openBolt(fresh)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{metaBucket, opsBucket, certificateBucket, bookBucket} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return errors.Join(putMeta(tx, versionKey, binary.BigEndian.AppendUint64(nil, version)),
			putMeta(tx, bootKey, binary.BigEndian.AppendUint64(nil, 0)), putMeta(tx, totalsKey, totals{}.encode()))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// check verifies the whole file before bbolt gets to see it.
func check(path string) error {
	faults := &DamageError{Path: path}
	var found totals
	meta := map[string][]byte{}
	err := verify(path, faults, func(bucket string, key, value []byte) {
		content, err := unseal(bucket, key, value)
		switch {
		case err != nil:
			faults.add("record %s/%s: %v", bucket, printable(bucket, key), err)
		case bucket == metaBucket:
			meta[string(key)] = append([]byte(nil), content...)
		default:
			found.add(value)
		}
	})
	if err != nil {
		return fmt.Errorf("read store %s: %w", path, err)
	}
	form, err := decodeUint64(meta[versionKey])
	if err == nil && form > version {
		return &VersionError{Path: path, Found: form}
	}
	if len(faults.Faults) == 0 {
		checkMeta(meta, found, faults)
	}
	if len(faults.Faults) > 0 {
		return faults
	}
	return nil
}

// checkMeta compares what was found with what the store says it holds.
func checkMeta(meta map[string][]byte, found totals, faults *DamageError) {
	for _, key := range []string{versionKey, bootKey} {
		if _, err := decodeUint64(meta[key]); err != nil {
			faults.add("record meta/%s: %v", key, err)
		}
	}
	want, err := decodeTotals(meta[totalsKey])
	switch {
	case err != nil:
		faults.add("record meta/%s: %v", totalsKey, err)
	case want.Count != found.Count:
		faults.add("%d records are there instead of %d", found.Count, want.Count)
	case want != found:
		faults.add("some of the %d records are older than the last write", found.Count)
	}
}

func printable(bucket string, key []byte) string {
	if bucket == metaBucket || bucket == bookBucket {
		return fmt.Sprintf("%q", key)
	}
	return fmt.Sprintf("%x", key)
}

// Load reads everything, and first makes durable that the program has started once more.
func (s *Store) Load() (peer.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out peer.Stored
	err := s.update("load", func(tx *bbolt.Tx) error {
		boot, err := getMeta(tx, bootKey, decodeUint64)
		if err != nil {
			return err
		}
		out.Boot = boot + 1
		return putMeta(tx, bootKey, binary.BigEndian.AppendUint64(nil, out.Boot))
	})
	if err != nil {
		return peer.Stored{}, err
	}
	err = s.guard("load", func() error { return s.db.View(func(tx *bbolt.Tx) error { return read(tx, &out) }) })
	if err != nil {
		return peer.Stored{}, err
	}
	return out, nil
}

// read takes in all records, in the order of their keys.
func read(tx *bbolt.Tx, out *peer.Stored) error {
	err := each(tx, opsBucket, func(_ string, content []byte) error {
		op, err := replication.DecodeOp(append([]byte(nil), content...))
		out.Ops = append(out.Ops, op)
		return err
	})
	if err != nil {
		return err
	}
	err = each(tx, certificateBucket, func(_ string, content []byte) error {
		out.Certificates = append(out.Certificates, append([]byte(nil), content...))
		return nil
	})
	if err != nil {
		return err
	}
	return each(tx, bookBucket, func(key string, content []byte) error {
		member, err := decodeMember(key, content)
		out.Book = append(out.Book, member)
		return err
	})
}

// damage marks an error as found in the content of the file.
type damage struct{ fault string }

func (d damage) Error() string { return d.fault }

func each(tx *bbolt.Tx, bucket string, take func(key string, content []byte) error) error {
	return tx.Bucket([]byte(bucket)).ForEach(func(key, value []byte) error {
		content, err := unseal(bucket, key, value)
		if err == nil {
			err = take(string(key), content)
		}
		if err != nil {
			return damage{fmt.Sprintf("record %s/%s: %v", bucket, printable(bucket, key), err)}
		}
		return nil
	})
}

// Commit writes the batch and returns when it is on disk. Dropping what is not there, and putting
// what is there already, is no error. See the package doc for what an error means.
func (s *Store) Commit(batch peer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.update("commit", func(tx *bbolt.Tx) error {
		sum, err := getMeta(tx, totalsKey, decodeTotals)
		if err != nil {
			return err
		}
		if err := apply(tx, batch, &sum); err != nil {
			return err
		}
		return putMeta(tx, totalsKey, sum.encode())
	})
}

func apply(tx *bbolt.Tx, batch peer.Batch, sum *totals) error {
	for _, op := range batch.Put {
		if err := put(tx, opsBucket, opKey(op.Key, op.Stamp), replication.EncodeOp(op), sum); err != nil {
			return err
		}
	}
	for _, op := range batch.Drop {
		if err := drop(tx, opsBucket, opKey(op.Key, op.Stamp), sum); err != nil {
			return err
		}
	}
	for _, certificate := range batch.Certificates {
		if err := put(tx, certificateBucket, certificateKey(certificate), certificate, sum); err != nil {
			return err
		}
	}
	for _, member := range batch.Book {
		content, err := encodeMember(member)
		if err != nil {
			return err
		}
		if err := put(tx, bookBucket, []byte(member.ID), content, sum); err != nil {
			return err
		}
	}
	return nil
}

func put(tx *bbolt.Tx, bucket string, key, content []byte, sum *totals) error {
	records := tx.Bucket([]byte(bucket))
	if old := records.Get(key); old != nil {
		sum.drop(old)
	}
	value := seal(bucket, key, content)
	sum.add(value)
	return records.Put(key, value)
}

func drop(tx *bbolt.Tx, bucket string, key []byte, sum *totals) error {
	records := tx.Bucket([]byte(bucket))
	old := records.Get(key)
	if old == nil {
		return nil
	}
	sum.drop(old)
	return records.Delete(key)
}

func putMeta(tx *bbolt.Tx, key string, content []byte) error {
	return tx.Bucket([]byte(metaBucket)).Put([]byte(key), seal(metaBucket, []byte(key), content))
}

func getMeta[T any](tx *bbolt.Tx, key string, decode func([]byte) (T, error)) (T, error) {
	var none T
	content, err := unseal(metaBucket, []byte(key), tx.Bucket([]byte(metaBucket)).Get([]byte(key)))
	if err != nil {
		return none, damage{fmt.Sprintf("record meta/%s: %v", key, err)}
	}
	return decode(content)
}

// update runs one write transaction and decides what its failure means for the next ones. What fails
// before bbolt begins to write leaves nothing in doubt.
func (s *Store) update(what string, change func(*bbolt.Tx) error) error {
	if s.broken != nil {
		return fmt.Errorf("%s to store %s: %w (%w)", what, s.path, ErrBroken, s.broken)
	}
	writing := false
	err := s.guard(what, func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			err := change(tx)
			writing = err == nil
			return err
		})
	})
	if err != nil && writing && !errors.Is(err, ErrFull) && !errors.Is(err, syscall.ENOSPC) {
		s.broken = err
	}
	return err
}

// guard turns whatever bbolt does about damage into an error. It reads the file through a memory
// map, where a page that the disk cannot give is a fault of the processor.
func (s *Store) guard(what string, call func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			s.broken = fmt.Errorf("%v", r)
			err = &DamageError{Path: s.path, Faults: []string{fmt.Sprintf("%s: %v", what, r)}}
		}
	}()
	if what != "open" && s.db == nil {
		return fmt.Errorf("%s to store %s: %w", what, s.path, os.ErrClosed)
	}
	err = call()
	var found damage
	switch {
	case err == nil:
		return nil
	case errors.As(err, &found):
		return &DamageError{Path: s.path, Faults: []string{found.fault}}
	case errors.Is(err, bolterrors.ErrMaxSizeReached):
		err = ErrFull
	case errors.Is(err, bolterrors.ErrTimeout):
		return &InUseError{Dir: filepath.Dir(s.path)}
	}
	return fmt.Errorf("%s to store %s: %w", what, s.path, err)
}

// Close releases the file and the data directory. It may be called more than once.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	db := s.db
	err := s.guard("close", db.Close)
	s.db = nil
	return errors.Join(err, s.lock.Close())
}
