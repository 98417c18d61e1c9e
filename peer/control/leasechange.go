package control

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/lease"
	"shoal/peer/manifest"
	"shoal/peer/wire"
)

// A list of witnesses may be dropped only when no lease can be had by it alone any more: when a majority of it has known, for a term, a
// value with a list that stays. A witness of a workload that has several lists says in its row which ones it knows; who writes counts from when
// it read that.
//
//	a,b,c ──▶ a,b,c; d,e,f ──────────▶ most of a, b, c say so ── one term ──▶ d,e,f
//
// See docs/decisions/0010.

// heardTerms is what a witness says that it knows of a workload.
type heardTerms struct {
	witness  crdt.PeerID
	workload string
	terms    lease.Terms
}

// mostHanding bounds the workloads with several lists of which a row tells; the rest waits until fewer have them.
const mostHanding = 64

// noteLists keeps the indexes of workloads that need leases, and has the row tell of those with several lists of witnesses.
func (m *Machine) noteLists(key crdt.Key, o *object) {
	w := o.workload
	m.rowDirty = m.rowDirty || m.leases.several[key]
	delete(m.leases.leased, key)
	delete(m.leases.several, key)
	if w == nil || !w.Split.Leased() {
		return
	}
	m.leases.leased[key] = true
	if len(w.Split.Also) > 0 || o.conflicts > 0 {
		m.leases.several[key], m.rowDirty = true, true
	}
}

// handing are the workloads with several lists of witnesses that this peer is among, for its row.
func (m *Machine) handing() (all []wire.LeaseTerms) {
	for _, key := range slices.SortedFunc(maps.Keys(m.leases.several), compareKeys) {
		if len(all) == mostHanding {
			break
		}
		w := m.objects[key].workload
		t := m.leaseTermsOf(w)
		if len(t.lists) > 1 && slices.ContainsFunc(t.lists, func(l []crdt.PeerID) bool { return slices.Contains(l, m.self) }) {
			all = append(all, wire.LeaseTerms{Workload: w.Key.String(), Terms: t.hash[:]})
		}
	}
	return all
}

// heardHanding notes since when a witness is known to know what it says.
func (m *Machine) heardHanding(witness crdt.PeerID, said []wire.LeaseTerms) {
	if len(said) == 0 && len(m.leases.heard) == 0 {
		return
	}
	for key := range m.leases.heard {
		if key.witness == witness && !slices.ContainsFunc(said, func(t wire.LeaseTerms) bool {
			return t.Workload == key.workload && bytes.Equal(t.Terms, key.terms[:])
		}) {
			delete(m.leases.heard, key)
		}
	}
	for _, t := range said[:min(len(said), mostHanding)] {
		key := heardTerms{witness: witness, workload: t.Workload}
		copy(key.terms[:], t.Terms)
		if _, known := m.leases.heard[key]; !known {
			m.leases.heard[key] = m.now.Elapsed
		}
	}
}

// leaseChange says what is wrong with a change of the witnesses of a workload; nil if nothing. Whoever takes the policy away
// says that several may run.
func (m *Machine) leaseChange(after *crdt.Object, to *manifest.Workload) []string {
	o := m.objects[after.Key]
	if o == nil || o.workload == nil || to == nil || !o.workload.Split.Leased() || !to.Split.Leased() {
		return nil
	}
	now := m.leaseTermsOf(o.workload)
	lists := allLists(to, after)
	var stays, dropped [][]string
	for _, list := range now.names {
		if slices.ContainsFunc(lists, func(l []string) bool { return slices.Equal(l, list) }) {
			stays = append(stays, list)
		} else {
			dropped = append(dropped, list)
		}
	}
	var faults []string
	for _, list := range dropped {
		if len(stays) == 0 {
			return []string{fmt.Sprintf("the witnesses %s cannot be replaced at once, for two sides could both have most of theirs: write %q first, and %q alone a little later",
				strings.Join(list, ","), strings.Join(list, ",")+"; "+strings.Join(lists[0], ","), strings.Join(lists[0], ","))}
		}
		if missing := m.notHeard(now, after.Key.String(), list); missing != "" {
			faults = append(faults, fmt.Sprintf("the witnesses %s cannot be dropped yet: %s", strings.Join(list, ","), missing))
		}
	}
	return faults
}

// notHeard says why a list may not be dropped yet; empty if it may.
func (m *Machine) notHeard(now *leaseTerms, workload string, list []string) string {
	term := lease.Kept(m.config.Tuning.LeaseTerm)
	heard, wait := 0, time.Duration(0)
	var missing []string
	for _, name := range list {
		bearers := m.bearers(name)
		var since time.Duration
		known := false
		if len(bearers) == 1 {
			since, known = m.leases.heard[heardTerms{bearers[0], workload, now.hash}]
		}
		switch left := since + term - m.now.Elapsed; {
		case !known:
			missing = append(missing, name)
		case left > 0:
			wait = max(wait, left)
			missing = append(missing, name)
		default:
			heard++
		}
	}
	if heard > len(list)/2 {
		return ""
	}
	text := fmt.Sprintf("%s must have known for %s that others follow, most of %d are needed", listed(missing), m.config.Tuning.LeaseTerm, len(list))
	if wait > 0 {
		text += fmt.Sprintf("; try again in %s", wait.Round(time.Second))
	}
	return text
}
