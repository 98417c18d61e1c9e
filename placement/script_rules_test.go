package placement

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rule adds to what a workload asks. What replicas and peers are selected by is written k=v, k!=v, k, !k, k=(a,b), k>4, k<4:
//
//	WORKLOAD asks k=v …                    peers with all of these; a second line is another way to be allowed
//	WORKLOAD prefers k=v … weight 50       peers with all of these
//	WORKLOAD near|apart k=v … by KEY       replicas with all of these
//	WORKLOAD prefers-near|prefers-apart k=v … by KEY weight 50
//	WORKLOAD spreads [softly] by KEY [skew 1] [domains 2] [all-peers] [honor-taints]    over the replicas of its own
//	WORKLOAD tolerates k=v:Effect [for 5m]
//	WORKLOAD port 80/TCP | device gpu 2 | priority 10 | storage 1Gi | pids 100
func (s *script) rule(w *Wanted, words []string) error {
	rules := *w.Rules
	w.Rules = &rules
	selected, values, err := options(words[1:], map[string]int{"by": 1, "weight": 1, "for": 1, "skew": 1, "domains": 1, "softly": 0, "all-peers": 0, "honor-taints": 0})
	if err != nil {
		return err
	}
	weight := int32(numberOf(values, "weight", 100))
	term := ReplicaTerm{Labels: requirements(selected), Weight: weight}
	if by := values["by"]; by != nil {
		term.TopologyKey = by[0]
	}
	switch words[0] {
	case "asks":
		rules.Peers = append(rules.Peers, PeerTerm{Labels: requirements(selected)})
	case "prefers":
		rules.PreferPeers = append(rules.PreferPeers, PeerTerm{Labels: requirements(selected), Weight: weight})
	case "near":
		rules.Near = append(rules.Near, term)
	case "apart":
		rules.Apart = append(rules.Apart, term)
	case "prefers-near":
		rules.PreferNear = append(rules.PreferNear, term)
	case "prefers-apart":
		rules.PreferApart = append(rules.PreferApart, term)
	case "spreads":
		rules.Spread = append(rules.Spread, Spread{TopologyKey: term.TopologyKey, Labels: requirements([]string{"app=" + rules.Labels["app"]}),
			MaxSkew: int32(numberOf(values, "skew", 1)), MinDomains: int32(numberOf(values, "domains", 0)), Required: values["softly"] == nil,
			IgnoreAffinity: values["all-peers"] != nil, HonorTaints: values["honor-taints"] != nil})
	case "tolerates":
		err = s.tolerate(&rules, selected[0], values["for"])
	default:
		err = s.amount(w, words)
	}
	for i := range s.view.Wanted {
		if other := &s.view.Wanted[i]; other.Workload == w.Workload {
			other.Rules, other.Ports, other.Devices, other.Priority, other.Request = w.Rules, w.Ports, w.Devices, w.Priority, w.Request
		}
	}
	return err
}

func (s *script) amount(w *Wanted, words []string) error {
	number, err := strconv.ParseInt(words[len(words)-1], 10, 64)
	switch words[0] {
	case "port":
		number, protocol, _ := strings.Cut(words[1], "/")
		ip := ""
		if at := strings.LastIndex(number, ":"); at >= 0 {
			ip, number = number[:at], number[at+1:]
		}
		n, err := strconv.ParseUint(number, 10, 16)
		w.Ports = append(slices.Clone(w.Ports), Port{ip, uint16(n), protocol})
		return err
	case "device":
		w.Devices = append(slices.Clone(w.Devices), Amount{words[1], number})
	case "priority":
		w.Priority = int32(number)
	case "pids":
		w.Request.Pids = number
	default:
		return fmt.Errorf("unknown rule %s", words[0])
	}
	return err
}

func (s *script) tolerate(rules *Rules, text string, span []string) error {
	taint := taintOf(text)
	t := Toleration{Key: taint.Key, Value: taint.Value, Exists: !strings.Contains(text, "="), Effect: taint.Effect, For: Forever}
	var err error
	if span != nil {
		t.For, err = time.ParseDuration(span[0])
	}
	rules.Tolerations = append(slices.Clone(rules.Tolerations), t)
	return err
}

func numberOf(values map[string][]string, key string, otherwise int) int {
	if values[key] == nil {
		return otherwise
	}
	number, _ := strconv.Atoi(values[key][0])
	return number
}

func requirements(words []string) []Requirement {
	var all []Requirement
	for _, word := range words {
		all = append(all, requirementOf(word))
	}
	return all
}

func requirementOf(word string) Requirement {
	list := func(text string) []string { return strings.Split(strings.Trim(text, "()"), ",") }
	if key, value, is := strings.Cut(word, "!="); is {
		return Requirement{key, NotIn, list(value)}
	}
	if key, value, is := strings.Cut(word, "="); is {
		return Requirement{key, In, list(value)}
	}
	if key, value, is := strings.Cut(word, ">"); is {
		return Requirement{key, Gt, []string{value}}
	}
	if key, value, is := strings.Cut(word, "<"); is {
		return Requirement{key, Lt, []string{value}}
	}
	if key, is := strings.CutPrefix(word, "!"); is {
		return Requirement{key, DoesNotExist, nil}
	}
	return Requirement{word, Exists, nil}
}

func taintOf(text string) Taint {
	label, effect, _ := strings.Cut(text, ":")
	key, value, _ := strings.Cut(label, "=")
	return Taint{Key: key, Value: value, Effect: Effect(effect)}
}

func devices(text []string) []Amount {
	var all []Amount
	for name, count := range pairs(text) {
		number, _ := strconv.ParseInt(count, 10, 64)
		all = append(all, Amount{name, number})
	}
	slices.SortFunc(all, func(x, y Amount) int { return strings.Compare(x.Name, y.Name) })
	return all
}

func (s *script) label(args []string) error {
	return s.change(func(p *Peer) {
		for _, word := range args[1:] {
			if key, gone := strings.CutSuffix(word, "-"); gone {
				delete(p.Labels, key)
			} else {
				key, value, _ := strings.Cut(word, "=")
				p.Labels[key] = value
			}
		}
	})(args[:1])
}

func (s *script) taint(args []string) error {
	names, values, err := options(args, map[string]int{"for": 1})
	if err != nil {
		return err
	}
	taint := taintOf(names[1])
	if span := values["for"]; span != nil {
		if taint.For, err = time.ParseDuration(span[0]); err != nil {
			return err
		}
	}
	return s.change(func(p *Peer) {
		p.Taints = slices.DeleteFunc(p.Taints, func(t Taint) bool { return t.Key == taint.Key && t.Effect == taint.Effect })
		p.Taints = append(p.Taints, taint)
	})(names[:1])
}

func (s *script) untaint(args []string) error {
	return s.change(func(p *Peer) {
		p.Taints = slices.DeleteFunc(p.Taints, func(t Taint) bool { return t.Key == args[1] })
	})(args[:1])
}

// oneOnEach does what control does for a DaemonSet.
func (s *script) oneOnEach(args []string) error {
	names, values, err := options(args, map[string]int{"needs": 2, "revision": 1, "on": 1})
	if err != nil {
		return err
	}
	w := s.asked(names[0])
	w.Revision, w.NodeSelector = revisionOf(values), pairs(values["on"])
	if w.Request, err = amounts(values["needs"]); err != nil {
		return err
	}
	s.view.Wanted = slices.DeleteFunc(s.view.Wanted, func(other Wanted) bool { return other.Workload == w.Workload })
	for i := range s.view.Peers {
		if p := &s.view.Peers[i]; p.Live && w.Allows(p) {
			w := *w
			w.Replica, w.Only = ReplicaID(names[0]+"-"+p.Name), p.ID
			s.view.Wanted = append(s.view.Wanted, w)
		}
	}
	return nil
}

// fix prints the one change after which a pending replica would fit.
func (s *script) fix(args []string) error {
	text := s.view.Remedy(s.view.Plan(), ReplicaID(args[0]))
	if text == "" {
		text = "nothing alone"
	}
	fmt.Fprintln(&s.printed, text)
	return nil
}
