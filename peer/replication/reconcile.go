package replication

import (
	"slices"

	"shoal/crdt"
)

// Reconcile begins a round with one live peer.
func (m *Machine) Reconcile() []Outgoing {
	partner := m.some(1, m.self)
	if len(partner) == 0 {
		return nil
	}
	opening := m.digest()
	if own, ok := m.rows.held[m.self]; ok {
		opening.Rows = map[crdt.PeerID]Version{m.self: own.Version}
	}
	return []Outgoing{{partner[0], Message{Digest: opening}}}
}

func (m *Machine) digest() *Digest {
	return &Digest{Root: m.set.Digest(), RowRoot: m.rows.digest()}
}

// opens says whether d begins a round, or goes on with one.
func (d *Digest) opens() bool { return d.Buckets == nil && len(d.InBuckets) == 0 && !d.AllRows }

// compare answers a digest with what is needed to come nearer.
func (m *Machine) compare(from crdt.PeerID, d *Digest) []Outgoing {
	if d.opens() {
		return m.answer(from, d)
	}
	var send []Outgoing
	if d.AllRows {
		send = append(send, m.compareRows(from, d.Rows)...)
	}
	if d.Buckets != nil {
		send = append(send, m.compareBuckets(from, d.Buckets)...)
	}
	if len(d.InBuckets) > 0 {
		send = append(send, m.compareObjects(from, d)...)
	}
	return send
}

// answer tells what differs at the root, one step finer.
func (m *Machine) answer(from crdt.PeerID, d *Digest) []Outgoing {
	reply := m.digest()
	if d.Root == reply.Root && d.RowRoot == reply.RowRoot {
		return nil
	}
	if d.Root != reply.Root {
		reply.Buckets = map[uint16][32]byte{}
		for bucket := range uint16(crdt.Buckets) {
			if digest := m.set.BucketDigest(bucket); digest != ([32]byte{}) {
				reply.Buckets[bucket] = digest
			}
		}
	}
	if d.RowRoot != reply.RowRoot {
		reply.Rows, reply.AllRows = m.rows.versions(), true
	}
	return []Outgoing{{from, Message{Digest: reply}}}
}

// compareBuckets names the objects in the buckets that differ.
func (m *Machine) compareBuckets(from crdt.PeerID, theirs map[uint16][32]byte) []Outgoing {
	var send []Outgoing
	next := m.digest()
	bytes := 0
	flush := func() {
		if len(next.InBuckets) > 0 {
			send = append(send, Outgoing{from, Message{Digest: next}})
		}
		next, bytes = m.digest(), 0
	}
	for bucket := range uint16(crdt.Buckets) {
		if theirs[bucket] == m.set.BucketDigest(bucket) {
			continue
		}
		objects := m.objectDigests(bucket)
		size := 0
		for _, object := range objects {
			size += keyBytes(object.Key) + 34
		}
		if bytes+size > splitBytes {
			flush()
		}
		next.InBuckets = append(next.InBuckets, bucket)
		next.Objects = append(next.Objects, objects...)
		bytes += size
	}
	flush()
	return send
}

func (m *Machine) objectDigests(bucket uint16) []ObjectDigest {
	keys := m.set.BucketKeys(bucket)
	digests := make([]ObjectDigest, len(keys))
	for i, key := range keys {
		digests[i] = ObjectDigest{key, m.set.ObjectDigest(key)}
	}
	return digests
}

// compareObjects gives what differs here, and asks for what differs there.
func (m *Machine) compareObjects(from crdt.PeerID, d *Digest) []Outgoing {
	theirs := make(map[crdt.Key][32]byte, len(d.Objects))
	var want, give []crdt.Key
	for _, object := range d.Objects {
		theirs[object.Key] = object.Digest
		if m.set.ObjectDigest(object.Key) != object.Digest {
			want = append(want, object.Key)
		}
	}
	buckets := slices.Clone(d.InBuckets)
	slices.Sort(buckets)
	for _, bucket := range slices.Compact(buckets) {
		if bucket >= crdt.Buckets {
			continue
		}
		for _, key := range m.set.BucketKeys(bucket) {
			if theirs[key] != m.set.ObjectDigest(key) {
				give = append(give, key)
			}
		}
	}
	return append(m.objects(from, give), wants(from, want, nil)...)
}

// compareRows gives what is newer here, and asks for what is newer there.
func (m *Machine) compareRows(from crdt.PeerID, theirs map[crdt.PeerID]Version) []Outgoing {
	var want, give []crdt.PeerID
	for _, peer := range m.rows.peers() {
		if version, ok := theirs[peer]; !ok || version.Compare(m.rows.held[peer].Version) < 0 {
			give = append(give, peer)
		}
	}
	for peer, version := range theirs {
		if held, ok := m.rows.known(peer); peer != m.self && (!ok || held.Compare(version) < 0) {
			want = append(want, peer)
		}
	}
	slices.Sort(want)
	return append(m.rowsFor(from, give), wants(from, nil, want)...)
}

// give answers a Want.
func (m *Machine) give(from crdt.PeerID, want *Want) []Outgoing {
	return append(m.objects(from, unique(want.Keys)), m.rowsFor(from, unique(want.Rows))...)
}

// objects sends whole objects, as far as one answer goes.
func (m *Machine) objects(to crdt.PeerID, keys []crdt.Key) []Outgoing {
	var objects []Object
	total := 0
	for _, key := range keys {
		object := Object{Key: key, Ops: m.set.Ops(key)}
		size := objectBytes(object)
		if len(object.Ops) == 0 || size > objectAtMost {
			continue
		}
		if total += size; total > answerBytes && len(objects) > 0 {
			break
		}
		objects = append(objects, object)
	}
	var messages []Message
	for _, batch := range batches(objects, objectBytes) {
		messages = append(messages, Message{Objects: &Objects{Objects: batch}})
	}
	return toEach([]crdt.PeerID{to}, messages)
}

func (m *Machine) rowsFor(to crdt.PeerID, peers []crdt.PeerID) []Outgoing {
	var rows []Row
	total := 0
	for _, peer := range peers {
		row, ok := m.rows.held[peer]
		if !ok {
			continue
		}
		if total += rowBytes(row); total > answerBytes && len(rows) > 0 {
			break
		}
		rows = append(rows, row)
	}
	var messages []Message
	for _, batch := range batches(rows, rowBytes) {
		messages = append(messages, Message{Rows: &Rows{Rows: batch}})
	}
	return toEach([]crdt.PeerID{to}, messages)
}
