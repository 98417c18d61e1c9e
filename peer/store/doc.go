// Package store keeps on disk what must outlive the program: the operations of the intent, the
// certificates of the cluster, the book of all peers ever admitted, control's own records, the history of objects, and how
// often the program started. It implements peer.Store over bbolt and is the only importer of it.
//
// Commit writes a whole batch or nothing, and returns only when it is on disk (P2): one frame in a journal, one fdatasync.
// bbolt takes the frames over in the background, at Close and at Open. Until then they are kept in memory too: at most
// two segments of the journal.
//
// # Layout
//
// A data directory DIR is locked (flock on the directory itself, so that no lock file is left
// behind) and holds these files of this package. None is ever present half made.
//
//	DIR/store.db               bbolt, file format 2
//	  meta                     version -> uint64        form of everything below; now 2
//	                           id      -> 16 bytes      tells this store's journal from any other
//	                           boot    -> uint64        rises with every Load
//	                           applied -> uint64        the last frame of the journal that is in here
//	                           tallies -> per bucket    count of records and sum of their checksums; see tallies
//	  ops           key 40 B   SHA-256(object)[:16] time(8) operation(16) -> replication.EncodeOp
//	  certificates  key 32 B   SHA-256(certificate)     -> the certificate, opaque
//	  book          PeerID     -> JSON, see bookRecord
//	  records       key 16 B   SHA-256(name)[:16]       -> length of name, name, content
//	  history       key 16 B   SHA-256(object)[:16]     -> JSON, see head
//	                key 24 B   the same, ^number(8)     -> JSON, see entryRecord
//	  ended         number(8)  -> JSON, see endedRecord
//	DIR/store.journal.0, .1    the journal's segments; see segment.go, sector.go and appendChanges
//	DIR/store.acknowledged     one sector: the last frame acknowledged; see note.go
//	DIR/*.damaged-TIME         stores that were set aside, the newest three
//
// Version 1 had no journal, no records and no history; Open writes it anew as version 2. Buckets, keys of meta and
// fields that this program does not know are kept as they are.
//
// Integers are big-endian. Every value in bbolt, those in meta included, is sealed:
//
//	+--------------------------------------------------+---------+
//	| CRC-32C of bucket, key and content (4, big-endian) | content |
//	+--------------------------------------------------+---------+
//
// # Damage
//
// bbolt panics, or worse answers wrongly, on many kinds of damage, and it opens an empty file as a
// new store. So Open first reads the files by itself (verify.go, recover.go) and checks both headers, every
// page, every record, and that the journal goes on where bbolt stands. If anything does not hold, all files are set aside and a
// fresh store is made of every record whose checksum holds. Load says what was lost, and RefillRecord stands until somebody
// has fetched it from other peers. Nothing here panics, and nothing is repaired silently. Damage that appears later, under the
// running program, is a DamageError of the call that met it; starting again mends it. (One case cannot be told: a journal that lost
// its last frame, together with the note of it.)
//
// # Limits
//
// bbolt's file never grows beyond maxFileBytes. Free space is given back (compact.go), so the files are at most 1.3 times
// those of a fresh store with the same content, beyond 9 MiB. The history has at most 32 entries and 1 MiB for each object, 1,024
// ended objects and 4 MiB for them. A Commit without room fails with ErrFull, changes nothing, and a later one works; a store on a
// full disk opens and is read. After any other failure of a write the Store refuses all
// further ones (ErrBroken), because what reached the disk is not known; reopening decides it.
package store
