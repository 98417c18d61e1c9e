package control

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
)

// What makes the code fail is set aside under its site and name with a hash of its content, and is
// left alone while that content stays, also by the next program of the same build that starts on this store (P13).

// Sites at which objects, rows and replicas are handled one by one.
const (
	siteDecode = "decode" // the row of a peer
	siteMerge  = "merge"  // an operation, or the operations of an object
	siteRead   = "read"   // an object, as a workload
	sitePlan   = "plan"   // a workload, among the others
	siteAct    = "act"    // a replica, when it is started, stopped or judged
)

const mostAside = 1024 // beyond it the oldest are tried again

// aside is one thing set aside. Its JSON is its record.
type aside struct {
	At      time.Time
	Site    string
	Name    string
	Subject string
	Key     crdt.Key
	Writer  crdt.PeerID // empty where it is about many
	From    crdt.PeerID
	Content [32]byte
	Build   string // of the program that failed
	Text    string
}

func asideName(site, name string) string { return site + "/" + name }

func (m *Machine) resumeAside(records map[string][]byte) {
	for name, data := range records {
		var a aside
		if strings.HasPrefix(name, recordAside) && json.Unmarshal(data, &a) == nil {
			m.asides[asideName(a.Site, a.Name)] = &a
		}
	}
}

// setAside takes something out of use.
func (m *Machine) setAside(a aside) {
	name := asideName(a.Site, a.Name)
	old := m.asides[name]
	if old != nil && old.Content == a.Content && old.Build == m.config.Build {
		return
	}
	a.At, a.Build = m.now.Wall, m.config.Build
	if len(m.asides) >= mostAside {
		m.dropAside(asideName(m.oldestAside()))
	}
	m.asides[name] = &a
	data, err := json.Marshal(a)
	if err != nil {
		panic(err) // plain text and numbers always have a JSON form
	}
	m.record(recordAside+name, data)
	m.audit(AuditEntry{Reason: "panic", Subject: a.Subject, Key: a.Key, Writer: a.Writer, From: a.From, Text: a.Site + ": " + a.Text})
	if old != nil {
		return // said already, of its content before
	}
	m.note(Note{Warning: true, Reason: "SetAside", Object: a.Key, Peer: m.self, Text: a.Subject + ": " + a.Text})
}

func (m *Machine) oldestAside() (site, name string) {
	all := slices.Collect(maps.Values(m.asides))
	a := slices.MinFunc(all, func(a, b *aside) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Site, b.Site), cmp.Compare(a.Name, b.Name))
	})
	return a.Site, a.Name
}

func (m *Machine) dropAside(name string) {
	delete(m.asides, name)
	m.record(recordAside+name, nil)
}

// isAside says whether something was set aside with just this content. With another it is tried again.
func (m *Machine) isAside(site, name string, content [32]byte) bool {
	if len(m.asides) == 0 {
		return false
	}
	a := m.asides[asideName(site, name)]
	if a == nil {
		return false
	}
	if a.Content != content || a.Build != m.config.Build {
		m.dropAside(asideName(site, name))
		return false
	}
	return true
}

// dropStale ends what was set aside of an object that has changed since.
func (m *Machine) dropStale(key crdt.Key, digest [32]byte) {
	if len(m.asides) > 0 {
		m.isAside(siteRead, key.String(), digest)
		m.isAside(sitePlan, key.String(), digest)
	}
}

// isAsideNow is isAside for readers: it changes nothing.
func (m *Machine) isAsideNow(site, name string, content [32]byte) bool {
	a := m.asides[asideName(site, name)]
	return a != nil && a.Content == content && a.Build == m.config.Build
}

// trip lets a test make the code fail.
func (m *Machine) trip(site, name string) {
	if m.config.Trip != nil {
		m.config.Trip(site, name)
	}
}

// guard runs do, and says what it panicked with; empty if it did not.
func guard(do func()) (failure string) {
	defer func() {
		if r := recover(); r != nil {
			failure = panicText(r)
		}
	}()
	do()
	return ""
}

// stage runs one part of a flush: what fails in it is named, and the other parts go on.
func (m *Machine) stage(name string, do func()) {
	if failure := guard(do); failure != "" {
		m.audit(AuditEntry{Reason: "panic", Subject: name, Text: failure})
		m.note(Note{Warning: true, Reason: "Failed", Peer: m.self, Text: name + " failed: " + failure})
	}
}

const mostAudit = 256 // entries of one flush; the last one tells how many more there were

// audit names what was refused or set aside.
func (m *Machine) audit(e AuditEntry) {
	e.At = m.now.Wall
	if len(m.out.Audit) >= mostAudit {
		last := &m.out.Audit[mostAudit-1]
		m.auditMore++
		last.Subject, last.Text = "more", fmt.Sprintf("%d more were refused or set aside in the same moment", m.auditMore)
		return
	}
	m.auditMore = 1
	m.out.Audit = append(m.out.Audit, e)
}

func opSubject(id crdt.OpID) string { return fmt.Sprintf("operation %x", id[:8]) }

// Aside returns what was set aside because it made the code fail, sorted by site and subject.
func (m *Machine) Aside() []AsideEntry {
	all := make([]AsideEntry, 0, len(m.asides))
	for _, name := range slices.Sorted(maps.Keys(m.asides)) {
		a := m.asides[name]
		all = append(all, AsideEntry{At: a.At, Site: a.Site, Subject: a.Subject, Key: a.Key, Text: a.Text})
	}
	return all
}
