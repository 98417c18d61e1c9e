package control

import (
	"fmt"
	"slices"
	"strings"

	"shoal/peer/lease"
	"shoal/placement"
)

// leaseText says, for people, what an instance lacks to run; empty if it has its lease. It changes only when that changes, so that rows
// do not change with the time.
func (m *Machine) leaseText(in *instance) string {
	w := m.workloadOf(in)
	if !in.withheld || w == nil {
		return ""
	}
	if m.rivalHere(in) {
		return "exclusive: its other revision still runs on this peer"
	}
	t := m.leaseTermsOf(w)
	if t.fault != "" {
		return "lease: " + t.fault
	}
	hearings := m.leaseHolder().Hearings(string(in.record.Replica), m.now.Elapsed)
	return "lease: " + strings.Join(m.hearingTexts(t, hearings), ", ")
}

// hearingTexts begin with how many granted, in each list, and go on with why the others did not.
func (m *Machine) hearingTexts(t *leaseTerms, hearings []lease.Hearing) []string {
	texts := grantedTexts(t, hearings)
	var young, silent []string
	for _, h := range hearings {
		if h.Refused == lease.Young {
			young = append(young, m.peerName(h.Witness))
		} else if text := m.refusalText(h); text != "" {
			texts = append(texts, text)
		} else if !h.Granted {
			silent = append(silent, m.peerName(h.Witness))
		}
	}
	if len(young) > 0 {
		texts = append(texts, fmt.Sprintf("%s new as %s in %s first %s", listed(young)+plural(young, " is", " are"), plural(young, "witness and grants nothing", "witnesses and grant nothing"),
			plural(young, "its", "their"), m.config.Tuning.LeaseTerm))
	}
	if len(silent) > 0 {
		texts = append(texts, listed(silent)+plural(silent, " does not answer", " do not answer"))
	}
	if missing := t.missing(); len(missing) > 0 {
		texts = append(texts, listed(missing)+plural(missing, " is not known here", " are not known here"))
	}
	return texts
}

// grantedTexts say how many of each list granted.
func grantedTexts(t *leaseTerms, hearings []lease.Hearing) (texts []string) {
	for i, list := range t.lists {
		granted := 0
		for _, h := range hearings {
			if h.Granted && slices.Contains(list, h.Witness) {
				granted++
			}
		}
		text := fmt.Sprintf("%d of %d witnesses granted", granted, len(list))
		if len(t.lists) > 1 {
			text += " of " + strings.Join(t.names[i], " ")
		}
		texts = append(texts, text)
	}
	return texts
}

// missing are the names that no known peer bears, each once.
func (t *leaseTerms) missing() (names []string) {
	for i, list := range t.lists {
		for j, witness := range list {
			if name := t.names[i][j]; witness == "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func plural(names []string, one, many string) string {
	if len(names) == 1 {
		return one
	}
	return many
}

func (m *Machine) refusalText(h lease.Hearing) string {
	name := m.peerName(h.Witness)
	switch h.Refused {
	case lease.Taken:
		return name + " granted it to " + m.peerName(h.Holder)
	case lease.Unknown:
		return name + " does not know yet that it is wanted"
	case lease.OtherTerms:
		return name + " knows other witnesses or another policy"
	case lease.NoWitness:
		return name + " is no witness by what it knows"
	case lease.Full:
		return name + " keeps as many grants as it can"
	}
	return ""
}

// listed joins names as people do, sorted.
func listed(names []string) string {
	names = slices.Sorted(slices.Values(names))
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func (m *Machine) noteWithheld(in *instance) {
	switch {
	case !in.withheld:
		m.noteReplica(in, Note{Reason: "Leased", Text: "holds its lease"})
	case in.active():
		in.ends = m.noteReplica(in, Note{Warning: true, Reason: "LeaseLost", Text: "stops, for its lease is about to end: " + m.leaseText(in)})
	}
}

// LeaseWait says what a replica lacks to run for want of a lease, as its holders' rows say it; empty if nothing.
func (m *Machine) LeaseWait(replica placement.ReplicaID) string {
	for _, id := range m.peerIDs() {
		r := m.rows[id]
		if n := m.members[id]; r == nil || id != m.self && (n == nil || !n.live()) {
			continue
		}
		for _, in := range r.observation.Instances {
			if in.Replica == string(replica) && in.Waits != "" {
				return in.Waits
			}
		}
	}
	return ""
}
