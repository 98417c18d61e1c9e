// Package store keeps on disk what must outlive the program: the operations of the intent, the
// certificates of the cluster, the book of all peers ever admitted, and how often the program
// started. It implements peer.Store over bbolt and is the only importer of it.
//
// Commit writes a whole batch or nothing, and returns only when it is on disk (P2): one bbolt
// transaction, two fdatasyncs. Nothing is kept in memory besides bbolt's list of free pages.
//
// # Layout
//
// A data directory DIR is locked (flock on the directory itself, so that no lock file is left
// behind) and holds one file of this package:
//
//	DIR/store.db               bbolt, file format 2, never present half made
//	  meta                     version -> uint64        form of everything below; now 1
//	                           boot    -> uint64        how often Load was called
//	                           totals  -> count, sum    uint64 each, over the records of the other buckets
//	  ops           key 40 B   SHA-256(object key)[:16] time(8) SHA-256(writer)[:16] -> replication.EncodeOp
//	  certificates  key 32 B   SHA-256(certificate)     -> the certificate, opaque
//	  book          PeerID     -> JSON, see bookRecord
//
// Integers are big-endian. Every value, those in meta included, is sealed:
//
//	+--------------------------------------------------+---------+
//	| CRC-32C of bucket, key and content (4, big-endian) | content |
//	+--------------------------------------------------+---------+
//
// totals counts the records and adds up their checksums, so that records that vanished whole, or
// a page that is an older version of itself, are noticed too.
//
// # Damage
//
// bbolt panics, or worse answers wrongly, on many kinds of damage, and it opens an empty file as a
// new store. So Open first reads the file by itself (verify.go) and checks both headers, every
// page and every record. What does not hold is a *DamageError that names it and says what to do;
// the file is not changed. (One case cannot be told: a disk that forgot the write of the newest header
// alone looks like a commit that never was.) Damage that appears later, under the running program, becomes a
// DamageError of the call that met it. Nothing here ever panics, and nothing is repaired silently.
//
// # Limits
//
// The file never grows beyond maxFileBytes: a Commit that would need more fails with ErrFull and
// changes nothing. The file does not shrink; space of dropped operations is used again. A full disk
// fails the Commit that meets it and no other. After a Commit that failed while writing the Store refuses all
// further ones (ErrBroken), because what reached the disk is not known; reopening decides it.
package store
