package control

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"shoal/crdt"
	"shoal/peer/manifest"
	"shoal/placement"
)

// object is what is known of one object of the intent. It is made anew only when the object's
// digest changes, and never changed after.
type object struct {
	digest    [32]byte
	merged    crdt.Object
	faults    []string           // why merged is not in force; nil when it is
	workload  *manifest.Workload // of the form in force; nil if it runs nothing
	frozen    bool               // live, but not usable as merged: whatever runs of it stays as it is
	wanted    []placement.Wanted // one for each ordinal, in its newest revision; nil until it is needed
	asks      ViewDigest         // of what it adds to a view; zero until it is needed
	each      []eachPeer         // of a workload with one replica on each peer: these peers, by name
	conflicts int
}

// count is how many replicas an object in force asks for.
func (o *object) count() int {
	if o.workload.EachPeer {
		return len(o.each)
	}
	return max(o.workload.Replicas, 0)
}

// resumeIntent puts the saved operations into the set, object by object, so that one which makes
// the code fail is left out alone.
func (m *Machine) resumeIntent(ops []crdt.Op) {
	byKey := map[crdt.Key][]crdt.Op{}
	for _, op := range ops {
		byKey[op.Key] = append(byKey[op.Key], op)
		m.lastOwn = max(m.lastOwn, op.Seen[m.self])
		if op.Stamp.Writer == m.self {
			m.lastOwn = max(m.lastOwn, op.Stamp.Time)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(byKey), compareKeys) {
		m.resumeObject(key, byKey[key])
	}
}

func (m *Machine) resumeObject(key crdt.Key, ops []crdt.Op) {
	slices.SortFunc(ops, func(a, b crdt.Op) int { return compareStamps(a.Stamp, b.Stamp) })
	content := contentOf(ops)
	leaveOut := func(text string) {
		m.objects[key] = &object{merged: crdt.Object{Key: key}, frozen: true, faults: []string{text}}
		m.noteInvalid(key, m.objects[key].faults)
	}
	if m.isAside(siteMerge, key.String(), content) {
		leaveOut(m.asides[asideName(siteMerge, key.String())].Text)
		return
	}
	defer func() {
		if r := recover(); r != nil {
			leaveOut(asideText(r))
			m.setAside(aside{Site: siteMerge, Name: key.String(), Subject: key.String(), Key: key, Content: content, Text: asideText(r)})
		}
	}()
	m.trip(siteMerge, key.String())
	m.set.AddObject(key, ops)
	m.objectsDirty[key] = true
}

// contentOf hashes operations.
func contentOf(ops []crdt.Op) [32]byte {
	var text []byte
	for i := range ops {
		text = append(text, ops[i].Hash[:]...)
	}
	return sha256.Sum256(text)
}

func (m *Machine) refreshObjects() {
	if len(m.objectsDirty) == 0 {
		return
	}
	for _, key := range slices.SortedFunc(maps.Keys(m.objectsDirty), compareKeys) {
		m.refreshObject(key)
	}
}

// refreshObject reads one object again if its operations have changed.
func (m *Machine) refreshObject(key crdt.Key) {
	delete(m.objectsDirty, key)
	old := m.objects[key]
	digest := m.set.ObjectDigest(key)
	if old != nil && old.digest == digest && digest != ([32]byte{}) {
		delete(m.news, key)
		return
	}
	m.touched, m.decided = true, false
	delete(m.leases.terms, key)
	m.dropStale(key, digest)
	o := m.interpret(key, digest)
	o.digest = digest
	if o.workload != nil || o.frozen || old != nil && (old.workload != nil || old.frozen) {
		m.planner.wantedStale, m.planner.stale = true, true
	}
	m.objects[key] = o
	m.noteLists(key, o)
	if digest == ([32]byte{}) && !o.frozen {
		delete(m.objects, key)
	}
	m.tellHistory(key, old, o)
	if key == floorKey {
		m.floorChanged()
		return
	}
	m.refreshPlacing(key, o)
	m.noteObject(key, old, o)
}

// interpret turns the operations of one object into what they ask for.
func (m *Machine) interpret(key crdt.Key, digest [32]byte) (o *object) {
	defer func() {
		if r := recover(); r != nil {
			o = &object{merged: crdt.Object{Key: key}, frozen: true, faults: []string{asideText(r)}}
			m.asideObject(key, digest, asideText(r))
		}
	}()
	merged, known := m.set.Object(key)
	o = &object{merged: merged}
	o.merged.Key = key
	if known && key != floorKey {
		o.conflicts = len(dispute(&o.merged))
	}
	if !known || !merged.Live {
		return o
	}
	if m.isAside(siteRead, key.String(), digest) {
		o.faults, o.frozen = []string{m.asides[asideName(siteRead, key.String())].Text}, true
		return o
	}
	var failed bool
	if o.workload, o.faults, failed = m.tryForm(key, merged.Fields); o.faults != nil {
		o.workload, o.frozen = m.lastForm(key), true
	}
	if failed {
		m.asideObject(key, digest, o.faults[0])
	}
	return o
}

func (m *Machine) asideObject(key crdt.Key, digest [32]byte, text string) {
	m.setAside(aside{Site: siteRead, Name: key.String(), Subject: key.String(), Key: key, Content: digest, Text: text})
}

// form reads fields as a valid object; a failure of the code that reads them is a fault too (P13).
func (m *Machine) form(key crdt.Key, fields []crdt.Field) (w *manifest.Workload, faults []string) {
	w, faults, _ = m.tryForm(key, fields)
	return w, faults
}

// tryForm is form, and says whether the code failed.
func (m *Machine) tryForm(key crdt.Key, fields []crdt.Field) (w *manifest.Workload, faults []string, failed bool) {
	defer func() {
		if r := recover(); r != nil {
			w, faults, failed = nil, []string{asideText(r)}, true
		}
	}()
	if ownKind(key.Kind) {
		return nil, nil, false
	}
	if m.lastRead.is(key, fields) {
		return m.lastRead.workload, nil, false
	}
	m.trip(siteRead, key.String())
	w, found := m.readFields(key, fields)
	if len(found) > 0 {
		return nil, found.Strings(), false
	}
	m.lastRead = reading{key: key, fields: fields, workload: w}
	return w, nil, false
}

// reading is the last valid form that was read: a write is read once to check it and once when it has been merged.
type reading struct {
	key      crdt.Key
	fields   []crdt.Field
	workload *manifest.Workload
}

func (r reading) is(key crdt.Key, fields []crdt.Field) bool {
	return r.fields != nil && r.key == key && slices.EqualFunc(r.fields, fields, func(a, b crdt.Field) bool {
		return a.Path == b.Path && bytes.Equal(a.Value, b.Value)
	})
}

// ownKind says whether objects of this kind are written by peers for themselves, and are no manifests.
func ownKind(kind string) bool { return kind == "Ticket" || kind == floorKey.Kind }

// readFields reads an object, of which mostly only a part has changed since it was read before.
func (m *Machine) readFields(key crdt.Key, fields []crdt.Field) (*manifest.Workload, manifest.Faults) {
	if m.config.Read != nil {
		return m.config.Read(key, fields)
	}
	if old := m.objects[key]; old != nil && old.faults == nil && !old.frozen {
		return manifest.Reread(key, fields, old.merged.Fields, old.workload)
	}
	return readForm(key, fields)
}

func readForm(key crdt.Key, fields []crdt.Field) (*manifest.Workload, manifest.Faults) {
	return manifest.Read(key, manifest.Tree(key, fields))
}

// mostForms bounds how many earlier forms of an object are tried.
const mostForms = 64

// lastForm finds a form of an invalid object that is valid: what its retained operations give
// without the latest ones, leaving out as few as needed; nil if there is none. It depends on nothing but the
// operations, so that peers which hold the same writes agree on it, also after a restart (P3). Because
// operations that were overwritten are gone, it may be older than what was in force last. So nothing
// that runs is changed for it, and it repairs only what somebody still runs: see freeze.
func (m *Machine) lastForm(key crdt.Key) *manifest.Workload {
	ops := m.set.Ops(key)
	for n := len(ops) - 1; n > 0 && len(ops)-n <= mostForms; n-- {
		part := crdt.NewSet()
		part.AddObject(key, ops[:n])
		merged, known := part.Object(key)
		if !known || !merged.Live {
			break
		}
		w, faults, failed := m.tryForm(key, merged.Fields)
		if failed {
			break
		}
		if faults == nil {
			return w
		}
	}
	return nil
}

// wantedOf lists the replicas of a workload, each in its newest revision.
func (m *Machine) wantedOf(o *object) []placement.Wanted {
	w := o.workload
	all := placement.Wanted{
		Workload:     workloadID(w.Key),
		Request:      requestOf(w),
		Devices:      w.Devices,
		Ports:        w.Ports,
		NodeSelector: w.NodeSelector,
		Rules:        w.Rules,
		LostWait:     w.Split.LostWait,
		MostMoving:   w.MostMoving,
	}
	all.Priority, all.NeverDisplace = m.priorityOf(w)
	wanted := make([]placement.Wanted, o.count())
	for i := range wanted {
		wanted[i] = all
		if w.EachPeer {
			wanted[i].Replica, wanted[i].Only = replicaID(w.Key, o.each[i].name), o.each[i].id
			wanted[i].Revision = markedRevision(w, w.RestartsOn[o.each[i].name])
		} else {
			wanted[i].Replica, wanted[i].Revision = replicaID(w.Key, strconv.Itoa(i)), revisionOf(w, i)
		}
	}
	return wanted
}

func (m *Machine) noteObject(key crdt.Key, old, o *object) {
	switch {
	case o.faults != nil:
		m.noteInvalid(key, o.faults)
	case old != nil && old.faults != nil && o.merged.Live:
		m.note(Note{Reason: "Valid", Object: key, Text: "it is valid again, and in force as it is written"})
	}
	m.noteDispute(key, old, o)
}

func (m *Machine) noteInvalid(key crdt.Key, faults []string) {
	shown := faults[:min(len(faults), 5)]
	m.note(Note{Warning: true, Reason: "Invalid", Object: key, Text: strings.Join(shown, "; ")})
}

func asideText(r any) string { return "set aside, because reading it failed: " + panicText(r) }

// panicText is what a recovered panic said, in one bounded line.
func panicText(r any) string {
	text := strings.ReplaceAll(fmt.Sprint(r), "\n", " ")
	return text[:min(len(text), 200)]
}

func compareKeys(a, b crdt.Key) int {
	if c := strings.Compare(a.Kind, b.Kind); c != 0 {
		return c
	}
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

func compareStamps(a, b crdt.Stamp) int {
	if a.Time != b.Time {
		if a.Time < b.Time {
			return -1
		}
		return 1
	}
	return strings.Compare(string(a.Writer), string(b.Writer))
}
