package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt's file format 2, as far as reading it needs. Integers are in the machine's byte order.
//
//	page    id(8) flags(2) count(2) overflow(4) elements…; occupies 1+overflow pages
//	branch  pos(4) keySize(4) page(8); the key is at the element's own offset + pos
//	leaf    flags(4) pos(4) keySize(4) valueSize(4); key and value at the element's own offset + pos
//	header  in pages 0 and 1: magic(4) version(4) pageSize(4) flags(4) root(8) sequence(8)
//	        freelist(8) highWater(8) transaction(8) FNV-1a of all before(8)
//	bucket  a leaf value: root(8) sequence(8), and the bucket's page itself where root is 0
const (
	pageHeaderBytes  = 16
	elementBytes     = 16
	bucketBytes      = 16
	fileHeaderBytes  = 64
	branchFlag       = 0x01
	leafFlag         = 0x02
	bucketLeafFlag   = 0x01
	boltMagic        = 0xED0CDAED
	boltVersion      = 2
	maxOverflowPages = 1 << 16 // 256 MiB: no record of ours comes near
)

var order = binary.NativeEndian

// fileHeader is one of the two headers of the file; the one with the higher transaction rules.
type fileHeader struct {
	root, highWater, transaction uint64
}

// verifier walks the file and hands every record to record.
type verifier struct {
	file     *os.File
	size     int64
	pageSize int64
	header   fileHeader
	seen     map[uint64]bool // pages met so far
	record   func(bucket string, key, value []byte)
	faults   *DamageError
}

// openVerifier opens the file for reading; the caller closes it.
func openVerifier(path string, faults *DamageError, record func(bucket string, key, value []byte)) (*verifier, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &verifier{file: file, size: info.Size(), seen: map[uint64]bool{}, record: record, faults: faults}, nil
}

// verify reads the whole file and checks its structure; record gets every record whose page is
// sound. An error is about reading; what is wrong with the content goes to faults. A file with one sound header
// is faulty, and is read as that header says.
func verify(path string, faults *DamageError, record func(bucket string, key, value []byte)) error {
	v, err := openVerifier(path, faults, record)
	if err != nil {
		return err
	}
	defer v.file.Close()
	if err := v.readHeaders(true); err != nil {
		faults.add("%v", err)
		if v.readHeaders(false) != nil {
			return nil
		}
	}
	v.tree("", v.header.root, nil, nil)
	return nil
}

// newestTransaction is that of the newer of the two headers; 0 when they are not both sound.
func newestTransaction(path string) uint64 {
	v, err := openVerifier(path, &DamageError{}, nil)
	if err != nil {
		return 0
	}
	defer v.file.Close()
	if v.readHeaders(true) != nil {
		return 0
	}
	return v.header.transaction
}

// readHeaders wants both headers sound and of consecutive transactions. bbolt itself would fall back
// from a damaged header to the older one, and so lose the last transaction without a word. A crash
// cannot leave one half written: it lies within one sector. When not strict, one sound header will do.
func (v *verifier) readHeaders(strict bool) error {
	if v.size == 0 {
		return errors.New("the file is empty")
	}
	if err := v.readPageSize(); err != nil {
		return err
	}
	older, err := v.readHeader(0)
	newer, err2 := v.readHeader(1)
	switch {
	case strict && err != nil || err != nil && err2 != nil:
		return fmt.Errorf("the first header: %w", err)
	case strict && err2 != nil:
		return fmt.Errorf("the second header: %w", err2)
	}
	if older.transaction > newer.transaction {
		older, newer = newer, older
	}
	v.header = newer
	if !strict {
		return nil
	}
	if newer.transaction != older.transaction+1 {
		return fmt.Errorf("the headers are of transactions %d and %d: a write is missing", older.transaction, newer.transaction)
	}
	if need := int64(newer.highWater) * v.pageSize; newer.highWater > 1<<40 || need > v.size {
		return fmt.Errorf("the file is truncated: it has %d bytes and needs %d", v.size, need)
	}
	return nil
}

// readPageSize takes it from the first header, or else from where the second one is.
func (v *verifier) readPageSize() error {
	v.pageSize = int64(os.Getpagesize())
	var first [pageHeaderBytes + fileHeaderBytes]byte
	if _, err := v.file.ReadAt(first[:], 0); err != nil {
		return fmt.Errorf("the first header is cut off: the file has %d bytes", v.size)
	}
	if size := int64(order.Uint32(first[pageHeaderBytes+8:])); size >= 512 && size <= 1<<16 && size&(size-1) == 0 {
		v.pageSize = size
	}
	return nil
}

func (v *verifier) readHeader(page int64) (fileHeader, error) {
	var buf [pageHeaderBytes + fileHeaderBytes]byte
	if _, err := v.file.ReadAt(buf[:], page*v.pageSize); err != nil {
		return fileHeader{}, errors.New("it is cut off")
	}
	b := buf[pageHeaderBytes:]
	hash := fnv.New64a()
	hash.Write(b[:fileHeaderBytes-8])
	switch {
	case order.Uint32(b) != boltMagic:
		return fileHeader{}, errors.New("it is not that of a store")
	case order.Uint32(b[4:]) != boltVersion:
		return fileHeader{}, fmt.Errorf("it has file format %d instead of %d", order.Uint32(b[4:]), boltVersion)
	case order.Uint64(b[56:]) != hash.Sum64():
		return fileHeader{}, errors.New("its checksum does not match; the last write may be lost")
	case int64(order.Uint32(b[8:])) != v.pageSize:
		return fileHeader{}, fmt.Errorf("it has page size %d", order.Uint32(b[8:]))
	}
	return fileHeader{root: order.Uint64(b[16:]), highWater: order.Uint64(b[40:]), transaction: order.Uint64(b[48:])}, nil
}

// tree checks the page id and all below it. Keys must lie in [low, high); nil is no limit.
func (v *verifier) tree(bucket string, id uint64, low, high []byte) {
	page, err := v.readPage(id)
	if err != nil {
		v.faults.add("page %d: %v", id, err)
		return
	}
	v.elements(bucket, id, page, low, high)
}

// readPage reads a page with its overflow and marks it as met.
func (v *verifier) readPage(id uint64) ([]byte, error) {
	if id < 2 || id >= v.header.highWater {
		return nil, fmt.Errorf("lies outside of the %d pages in use", v.header.highWater)
	}
	var head [pageHeaderBytes]byte
	if _, err := v.file.ReadAt(head[:], int64(id)*v.pageSize); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if found := order.Uint64(head[:]); found != id {
		return nil, fmt.Errorf("says that it is page %d", found)
	}
	overflow := uint64(order.Uint32(head[12:]))
	if overflow > maxOverflowPages || id+overflow >= v.header.highWater {
		return nil, fmt.Errorf("claims %d pages more than there are", overflow)
	}
	for i := id; i <= id+overflow; i++ {
		if v.seen[i] {
			return nil, errors.New("is used twice")
		}
		v.seen[i] = true
	}
	page := make([]byte, int64(1+overflow)*v.pageSize)
	if _, err := io.ReadFull(io.NewSectionReader(v.file, int64(id)*v.pageSize, int64(len(page))), page); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return page, nil
}

// elements checks all elements of one page, and what lies below a branch.
func (v *verifier) elements(bucket string, id uint64, page, low, high []byte) {
	flags, count := order.Uint16(page[8:]), int(order.Uint16(page[10:]))
	if flags != branchFlag && flags != leafFlag {
		v.faults.add("page %d: has type %#x, neither branch nor leaf", id, flags)
		return
	}
	if flags == branchFlag && count == 0 {
		v.faults.add("page %d: is a branch without children", id)
		return
	}
	keys := make([][]byte, count)
	for i := range count {
		key, err := elementKey(page, flags, i)
		switch {
		case err != nil:
			v.faults.add("page %d, entry %d: %v", id, i, err)
			return
		case low != nil && bytes.Compare(key, low) < 0, i > 0 && bytes.Compare(key, keys[i-1]) <= 0, high != nil && bytes.Compare(key, high) >= 0:
			v.faults.add("page %d, entry %d: its key is out of order", id, i)
			return
		}
		keys[i] = key
	}
	for i, key := range keys {
		if flags == leafFlag {
			v.leaf(bucket, id, page, i, key)
			continue
		}
		below := high
		if i+1 < count {
			below = keys[i+1]
		}
		v.tree(bucket, order.Uint64(page[pageHeaderBytes+i*elementBytes+8:]), key, below)
	}
}

// leaf checks one leaf element: a record, or at the top a bucket.
func (v *verifier) leaf(bucket string, id uint64, page []byte, i int, key []byte) {
	element := pageHeaderBytes + i*elementBytes
	flags := order.Uint32(page[element:])
	start := int64(element) + int64(order.Uint32(page[element+4:])) + int64(len(key))
	end := start + int64(order.Uint32(page[element+12:]))
	if end > int64(len(page)) {
		v.faults.add("page %d, entry %d: its value reaches beyond the page", id, i)
		return
	}
	value := page[start:end]
	switch {
	case bucket != "" && flags == 0:
		v.record(bucket, key, value)
	case bucket == "" && flags == bucketLeafFlag && len(value) >= bucketBytes:
		v.bucket(string(key), id, value)
	default:
		v.faults.add("page %d, entry %d: has type %#x and %d bytes", id, i, flags, len(value))
	}
}

func (v *verifier) bucket(name string, id uint64, value []byte) {
	if root := order.Uint64(value); root != 0 {
		v.tree(name, root, nil, nil)
		return
	}
	inline := value[bucketBytes:]
	if len(inline) < pageHeaderBytes || order.Uint16(inline[8:]) != leafFlag {
		v.faults.add("page %d: bucket %q has no page", id, name)
		return
	}
	v.elements(name, id, inline, nil, nil)
}

// elementKey returns the key of element i, which aliases page.
func elementKey(page []byte, flags uint16, i int) ([]byte, error) {
	element := int64(pageHeaderBytes + i*elementBytes)
	if element+elementBytes > int64(len(page)) {
		return nil, errors.New("lies beyond the page")
	}
	position, size := order.Uint32(page[element:]), order.Uint32(page[element+4:])
	if flags == leafFlag {
		position, size = order.Uint32(page[element+4:]), order.Uint32(page[element+8:])
	}
	start := element + int64(position)
	end := start + int64(size)
	if end > int64(len(page)) {
		return nil, errors.New("its key reaches beyond the page")
	}
	return page[start:end], nil
}

// orphans hands out all elements of leaves that the walk over the tree did not come to, under no bucket. They are pages
// whose parent is gone, and also free ones, which hold what was there earlier.
func orphans(path string, record func(key, value []byte)) error {
	v, err := openVerifier(path, &DamageError{}, func(string, []byte, []byte) {})
	if err != nil {
		return err
	}
	defer v.file.Close()
	if v.readHeaders(false) == nil {
		v.tree("", v.header.root, nil, nil)
	} else if v.pageSize == 0 {
		return nil
	}
	v.header.highWater = uint64(v.size / v.pageSize)
	for id := uint64(2); id < v.header.highWater; id++ {
		if v.seen[id] {
			continue
		}
		page, err := v.readPage(id)
		if err != nil || order.Uint16(page[8:]) != leafFlag {
			continue
		}
		for i := range int(order.Uint16(page[10:])) {
			if key, value, ok := leafElement(page, i); ok {
				record(key, value)
			}
		}
	}
	return nil
}

func leafElement(page []byte, i int) (key, value []byte, ok bool) {
	key, err := elementKey(page, leafFlag, i)
	if err != nil || order.Uint32(page[pageHeaderBytes+i*elementBytes:]) != 0 {
		return nil, nil, false
	}
	element := pageHeaderBytes + i*elementBytes
	start := int64(element) + int64(order.Uint32(page[element+4:])) + int64(len(key))
	end := start + int64(order.Uint32(page[element+12:]))
	if end > int64(len(page)) {
		return nil, nil, false
	}
	return key, page[start:end], true
}
