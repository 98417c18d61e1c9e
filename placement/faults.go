package placement

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// fault is one reason for which a peer cannot be given a replica.
type fault struct {
	rule   Rule
	detail string
	change change // what would take it away; zero: no one change would
}

// faults returns all that speaks against a peer, in a fixed order; none where the replica fits.
func (e *explanation) faults(i int32) []fault {
	p := &e.peers[i]
	var all []fault
	add := func(found bool, f func() fault) {
		if found {
			all = append(all, f())
		}
	}
	rules, pinned := e.w.rules(), e.w.Only != ""
	add(!p.Live, func() fault {
		return fault{NotLive, "", change{easeReturn, 0, "bring " + e.nameOf(i) + " back", func(p *Peer) { p.Live = true }}}
	})
	add(pinned && e.w.Only != p.ID, func() fault {
		return fault{rule: Elsewhere, detail: "it belongs to " + e.nameOfID(e.w.Only) + " alone"}
	})
	add(p.Draining && !pinned, func() fault { return fault{Draining, "", e.uncordon(i)} })
	add(p.Cordoned && !p.Draining && !pinned && !p.uncordoned(rules.Tolerations), func() fault { return fault{Cordoned, "", e.uncordon(i)} })
	add(!pinned && e.shuns(p), func() fault { return fault{rule: Damped, detail: "it came and went too often"} })
	add(!p.matches(e.w.NodeSelector), func() fault { return e.selectorFault(i) })
	add(!rules.affinityAllows(p), func() fault { return e.affinityFault(i) })
	add(p.repelling(rules.Tolerations) != nil, func() fault { return e.taintFault(i) })
	if r, refused := e.refusedHard(i); refused {
		all = append(all, fault{rule: Refused, detail: r.Reason})
	}
	if f, short := e.roomFault(i); short {
		all = append(all, f)
	}
	return append(all, e.termFaults(i)...)
}

func (e *explanation) uncordon(i int32) change {
	return change{easeUncordon, 0, "uncordon " + e.nameOf(i), func(p *Peer) { p.Cordoned, p.Draining = false, false }}
}

func (e *explanation) refusedHard(i int32) (Refusal, bool) {
	r, refused := e.refused(e.w, e.peers[i].ID)
	return r, refused && !r.Soft
}

func (e *explanation) selectorFault(i int32) fault {
	p := &e.peers[i]
	missing := slices.DeleteFunc(e.selected(), func(r Requirement) bool { return r.holds(p.Labels) })
	return fault{Selector, "needs " + asksText(missing) + ", has " + p.instead(missing), e.relabel(i, nil)}
}

func asksText(missing []Requirement) string {
	parts := make([]string, len(missing))
	for n, r := range missing {
		parts[n] = r.text()
	}
	return strings.Join(parts, " and ")
}

// instead says what a peer has where it does not meet requirements.
func (p *Peer) instead(missing []Requirement) string {
	var parts []string
	for _, r := range missing {
		value, labelled := p.Labels[r.Key]
		part := "no " + r.Key
		switch {
		case r.Key == nameField:
			part = r.Key + "=" + p.Name
		case labelled:
			part = r.Key + "=" + value
		}
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " and ")
}

func (e *explanation) affinityFault(i int32) fault {
	p, terms := &e.peers[i], e.w.rules().Peers
	var parts []string
	var all []Requirement
	var best change
	for n := range terms {
		missing := terms[n].allMissing(p)
		if len(missing) == 0 {
			continue // an empty term, which holds for no peer
		}
		part := asksText(missing)
		if len(missing) > 1 && len(terms) > 1 {
			part = "(" + part + ")"
		}
		parts, all = append(parts, part), append(all, missing...)
		if c := e.relabel(i, terms[n].Labels); c.text != "" && (best.text == "" || c.before(best)) {
			best = c
		}
	}
	if len(parts) == 0 {
		return fault{rule: Affinity, detail: "an empty affinity term holds for no peer"}
	}
	return fault{Affinity, "needs " + strings.Join(parts, " or ") + ", has " + p.instead(all), best}
}

func (e *explanation) taintFault(i int32) fault {
	p, tolerations := &e.peers[i], e.w.rules().Tolerations
	t := p.repelling(tolerations)
	f := fault{rule: Tainted, detail: t.text() + " is not tolerated"}
	if span := tolerated(t, tolerations); span > 0 {
		f.detail = fmt.Sprintf("%s is tolerated for %s only", t.text(), spanText(span))
	}
	repelling := 0
	for n := range p.Taints {
		if p.Taints[n].repels(tolerations) {
			repelling++
		}
	}
	if repelling > 1 {
		f.detail += fmt.Sprintf(", nor %d more", repelling-1)
	} else {
		text := "remove the taint " + t.text() + " from " + e.nameOf(i) + ", or tolerate it"
		f.change = change{easeTaint, 0, text, func(p *Peer) {
			p.Taints = slices.DeleteFunc(slices.Clone(p.Taints), func(other Taint) bool { return other == *t })
		}}
	}
	return f
}

// spanText writes a span without the zeros that time.Duration shows: 5m, not 5m0s.
func spanText(span time.Duration) string {
	text := span.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// shortage is how much of one thing is missing on a peer.
type shortage struct {
	rule             Rule
	name             string
	asks, left, room int64
	text             func(int64) string
}

func (e *explanation) shortages(i int32) []shortage {
	asks, left, room := e.w.Request, e.leftFor(i), e.peers[i].Room
	all := []shortage{
		{NoCPU, "CPU", asks.CPUMillis, left.CPUMillis, room.CPUMillis, cpuText},
		{NoMemory, "memory", asks.MemoryBytes, left.MemoryBytes, room.MemoryBytes, memoryText},
		{NoStorage, "storage", asks.StorageBytes, left.StorageBytes, room.StorageBytes, memoryText},
		{NoPids, "pids", asks.Pids, left.Pids, room.Pids, countText},
	}
	for _, device := range e.w.Devices {
		all = append(all, shortage{NoDevice, device.Name, device.Count, e.terms.deviceFor(i, device.Name), countOf(e.peers[i].Devices, device.Name), countText})
	}
	return slices.DeleteFunc(all, func(s shortage) bool { return need(s.asks) <= s.left })
}

func countText(n int64) string { return fmt.Sprint(n) }

// roomFault is one fault for all that is short on a peer, since one that goes makes room of all kinds.
func (e *explanation) roomFault(i int32) (fault, bool) {
	all := e.shortages(i)
	if len(all) == 0 {
		return fault{}, false
	}
	var details, frees, lowers []string
	c := change{ease: easeRoom}
	for _, s := range all {
		details = append(details, fmt.Sprintf("%s %s, %s left of %s", s.text(s.asks), s.name, s.text(s.left), s.text(s.room)))
		frees = append(frees, s.text(s.short())+" "+s.name)
		lowers = append(lowers, s.text(s.left)+" "+s.name)
		c.size += share(s.short(), s.asks)
		if s.asks > s.room {
			c.ease = easeLower
		}
		if s.left <= 0 && c.ease == easeLower {
			c.ease = easeNever
		}
	}
	c.text = "free " + strings.Join(frees, " and ") + " on " + e.nameOf(i)
	if c.ease == easeLower {
		c.text = "ask for at most " + strings.Join(lowers, " and ") + ", which " + e.nameOf(i) + " has left"
	}
	return fault{all[0].rule, "needs " + strings.Join(details, "; "), c}, true
}

// short is how much is missing, also of what was overdrawn.
func (s *shortage) short() int64 {
	if s.left < 0 && s.asks > math.MaxInt64+s.left {
		return math.MaxInt64
	}
	return s.asks - s.left
}
