package placement

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawTightView is a small world full of rules, with room that is short.
func drawTightView(t *rapid.T) View {
	v := drawView(t)
	for i := range v.Peers {
		v.Peers[i].Room = Resources{CPUMillis: rapid.Int64Range(1, 6).Draw(t, "cpu") * 100, MemoryBytes: rapid.Int64Range(1, 6).Draw(t, "memory") << 20, Pids: 100, StorageBytes: 1 << 30}
	}
	for i := range v.Wanted {
		v.Wanted[i].Request = Resources{CPUMillis: rapid.Int64Range(0, 4).Draw(t, "asks") * 100, MemoryBytes: rapid.Int64Range(0, 4).Draw(t, "asks") << 20,
			Pids: rapid.Int64Range(0, 60).Draw(t, "pids")}
	}
	return v
}

// placed is the slow model of what a plan makes of a view, without one replica.
func placed(v View, plan Plan, but ReplicaID) slow {
	s := slow{view: v, at: map[ReplicaID]PeerID{}}
	for a := range plan.Assignments.All() {
		if a.Peer != "" && a.Replica != but {
			s.at[a.Replica] = a.Peer
		}
	}
	return s
}

func wantedIn(v *View, replica ReplicaID) *Wanted {
	return &v.Wanted[slices.IndexFunc(v.Wanted, func(w Wanted) bool { return w.Replica == replica })]
}

// TestPlansKeepRules: what a plan newly places is where Kubernetes' rules allow it, also when all is placed. (What is near others, and
// how evenly, counts when each is placed: what comes later may change it.)
func TestPlansKeepRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawTightView(t)
		plan := v.Plan()
		for a := range plan.Assignments.All() {
			if a.Peer == "" || a.Rule != Hash && a.Rule != BestFit && a.Rule != Pinned {
				continue
			}
			w, s := wantedIn(&v, a.Replica), placed(v, plan, a.Replica)
			p := s.peer(a.Peer)
			for name, allows := range map[string]func(*Wanted, *Peer) bool{"peer": s.static, "refusals": s.unrefused, "apart": s.apart,
				"ports": s.ports, "devices": s.devices} {
				if !allows(w, p) {
					t.Fatalf("%s went to %s (%s) against the rule of %s\n%+v\nrules %+v\nplan %+v", a.Replica, a.Peer, a.Rule, name, v, *w.Rules, list(plan))
				}
			}
		}
	})
}

// TestFaultsAreAll: a peer has faults exactly if it may not be given the replica, or has no room for it.
func TestFaultsAreAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawTightView(t)
		plan := v.Plan()
		for _, w := range v.Wanted {
			e, s := v.explanation(plan, w.Replica), placed(v, plan, w.Replica)
			for i := range e.peers {
				p := &e.peers[i]
				left := e.leftFor(int32(i))
				fits := s.allows(&w, p) && w.Request.fits(left)
				if faults := e.faults(int32(i)); fits != (len(faults) == 0) {
					t.Fatalf("%s on %s: fits %t, room %t near %t apart %t even %t ports %t devices %t; faults %+v\n%+v\nrules %+v", w.Replica, p.ID, fits,
						w.Request.fits(left), s.near(&w, p), s.apart(&w, p), s.even(&w, p), s.ports(&w, p), s.devices(&w, p), faults, v, *w.Rules)
				}
			}
		}
	})
}

// TestRemediesComeTrue does what a remedy says, and looks whether the replica fits then.
func TestRemediesComeTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawTightView(t)
		plan := v.Plan()
		for a := range plan.Assignments.All() {
			text := v.Remedy(plan, a.Replica)
			if a.Peer != "" && text != "" {
				t.Fatalf("%s has a place, and the remedy %q", a.Replica, text)
			}
			if text == "" {
				continue
			}
			moves := strings.HasPrefix(text, "move ") || strings.HasPrefix(text, "free port ")
			if strings.HasPrefix(text, "run ") || moves && len(wantedIn(&v, a.Replica).Rules.Near) > 0 {
				continue // it depends on where the other replica goes
			}
			after, then := obey(t, v, plan, a.Replica, text)
			if e := after.explanation(then, a.Replica); !slices.ContainsFunc(e.orderFor(e.at), func(i int32) bool { return len(e.faults(i)) == 0 }) {
				t.Fatalf("%s does not fit after %q\n%+v\nrules %+v\nplan %+v", a.Replica, text, v, *wantedIn(&v, a.Replica).Rules, list(plan))
			}
		}
	})
}

// obey does what a remedy says.
func obey(t *rapid.T, v View, plan Plan, replica ReplicaID, text string) (View, Plan) {
	v.Peers, v.Wanted = slices.Clone(v.Peers), slices.Clone(v.Wanted)
	words := strings.Fields(strings.ReplaceAll(text, ",", ""))
	w := wantedIn(&v, replica)
	peer := func(name string) *Peer {
		return &v.Peers[slices.IndexFunc(v.Peers, func(p Peer) bool { return p.Name == name })]
	}
	switch words[0] {
	case "label":
		putLabels(peer(words[1]), words[2:])
	case "uncordon":
		p := peer(words[1])
		p.Cordoned, p.Draining = false, false
	case "remove":
		p := peer(words[5])
		p.Taints = slices.DeleteFunc(slices.Clone(p.Taints), func(x Taint) bool { return x.text() == words[3] })
	case "bring":
		peer(words[1]).Live = true
	case "free":
		if words[1] == "port" {
			return without(v, plan, ReplicaID(words[6]), func(p *Peer) bool { return p.Name == words[4] })
		}
		give(peer(words[len(words)-1]), text)
	case "move":
		if words[2] == "off" {
			return without(v, plan, ReplicaID(words[1]), func(p *Peer) bool { return p.Name == words[3] })
		}
		key, value, _ := strings.Cut(words[4], "=")
		return without(v, plan, ReplicaID(words[1]), func(p *Peer) bool { return p.Labels[key] == value })
	case "ask":
		lower(w, text)
	case "add":
		p := Peer{ID: "new", Name: "new", Live: true, Labels: map[string]string{}}
		if at := slices.Index(words, "labelled"); at >= 0 {
			putLabels(&p, words[at+1:])
		}
		give(&p, text)
		v.Peers = append(v.Peers, p)
	case "allow":
		rules := *w.Rules
		rules.Spread = slices.Clone(rules.Spread)
		for i := range rules.Spread {
			if s := &rules.Spread[i]; s.Required && s.TopologyKey == words[len(words)-1] {
				skew, _ := strconv.Atoi(words[4])
				s.MaxSkew = max(s.MaxSkew, int32(skew))
			}
		}
		w.Rules = &rules
	default:
		t.Fatalf("unknown remedy %q", text)
	}
	return v, plan
}

func putLabels(p *Peer, words []string) {
	p.Labels = maps.Clone(p.Labels)
	for _, word := range words {
		if key, value, set := strings.Cut(word, "="); set {
			p.Labels[key] = value
		} else {
			delete(p.Labels, strings.TrimSuffix(word, "-"))
		}
	}
}

// without takes a replica away from some peers.
func without(v View, plan Plan, replica ReplicaID, from func(*Peer) bool) (View, Plan) {
	on := func(id PeerID) bool { return from(slow{view: v}.peer(id)) }
	v.Incumbents = slices.DeleteFunc(slices.Clone(v.Incumbents), func(held Incumbent) bool { return held.Replica == replica && on(held.Peer) })
	all := list(plan)
	for i := range all {
		if a := &all[i]; a.Replica == replica && a.Peer != "" && on(a.Peer) {
			a.Peer, a.Rule = "", ""
		}
	}
	plan.Assignments = NewAssignments(all)
	return v, plan
}

// amountWritten finds the amounts in a text.
var amountWritten = regexp.MustCompile(`(-?\d+)(m|Ki|Mi|Gi|) (CPU|memory|storage|pids|gpu|tpu)`)

func eachAmount(text string, found func(name string, amount int64)) {
	units := map[string]int64{"": 1, "m": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
	for _, match := range amountWritten.FindAllStringSubmatch(text, -1) {
		number, _ := strconv.ParseInt(match[1], 10, 64)
		found(match[3], number*units[match[2]])
	}
}

// give adds what a text names to a peer's room.
func give(p *Peer, text string) {
	eachAmount(text, func(name string, amount int64) {
		switch name {
		case "CPU":
			p.Room.CPUMillis += amount
		case "memory":
			p.Room.MemoryBytes += amount
		case "storage":
			p.Room.StorageBytes += amount
		case "pids":
			p.Room.Pids += amount
		default:
			p.Devices = []Amount{{name, countOf(p.Devices, name) + amount}}
		}
	})
}

// lower sets a request to what a text names.
func lower(w *Wanted, text string) {
	eachAmount(text, func(name string, amount int64) {
		switch name {
		case "CPU":
			w.Request.CPUMillis = amount
		case "memory":
			w.Request.MemoryBytes = amount
		case "storage":
			w.Request.StorageBytes = amount
		case "pids":
			w.Request.Pids = amount
		default:
			w.Devices = []Amount{{name, amount}}
		}
	})
}
