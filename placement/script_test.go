package placement

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestScripts runs the scripts in testdata. A script is a list of steps: some lines in the
// operator's words, a line "----", and what they print up to the next empty line.
//
//	peers p1 p2 room 2000m 4Gi [labels k=v,…] [devices gpu=2,…] [fair|poor]   peers that are live; kubernetes.io/hostname is their name
//	lost|back|drain|cordon|uncordon|damp|poor|good PEERS
//	label PEER k=v k-…
//	taint PEER k=v:Effect [for 5m] | untaint PEER k
//	workload NAME xN needs 250m 64Mi [revision R] [on k=v,…]   replicas that are wanted from now on, with the label app=NAME
//	each NAME needs 250m 64Mi                                  one of it on each live peer that it is allowed on
//	WORKLOAD RULE…                                             see script_rules_test.go
//	delete NAME
//	runs PEER REPLICA… [revision R] [starting] [stopping] [needs 250m 64Mi]
//	gone PEER [REPLICA…]                                       instances that are no more
//	refuses PEER REPLICA for 30s "reason"
//	fails PEER REPLICA for 30s "reason"      again and again
//	wait 30s
//	carry-out [PEERS]                                          what the plan assigns to them runs, and is ready
//	plan | why REPLICA | fix REPLICA | load                    print
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{view: View{Now: time.Unix(0, 0).UTC()}, asks: map[string]*Wanted{}}
	var out bytes.Buffer
	skipping := false
	for n, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		switch {
		case skipping && line != "":
			continue
		case line == "----":
			skipping = true
			fmt.Fprintf(&out, "----\n%s", s.printed.String())
			s.printed.Reset()
			continue
		}
		skipping = false
		fmt.Fprintln(&out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := s.do(strings.Fields(line)); err != nil {
			t.Fatalf("%s:%d: %s: %v", file, n+1, line, err)
		}
	}
	if s.printed.Len() > 0 {
		t.Fatalf("%s: output without a line ----", file)
	}
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got := out.String(); got != string(text) {
		t.Errorf("%s: got\n%s", file, got)
	}
}

// script is the state of a running script.
type script struct {
	view    View
	asks    map[string]*Wanted // by workload: what its replicas have in common
	printed bytes.Buffer
}

func (s *script) do(words []string) error {
	verbs := map[string]func([]string) error{
		"peers": s.peers, "workload": s.workload, "runs": s.runs, "refuses": s.refuses, "fails": s.fails, "plan": s.plan, "why": s.why, "load": s.load,
		"label": s.label, "taint": s.taint, "untaint": s.untaint, "each": s.oneOnEach, "fix": s.fix,
		"lost":     s.change(func(p *Peer) { p.Live = false }),
		"back":     s.change(func(p *Peer) { p.Live = true }),
		"drain":    s.change(func(p *Peer) { p.Draining = true }),
		"cordon":   s.change(func(p *Peer) { p.Cordoned = true }),
		"uncordon": s.change(func(p *Peer) { p.Cordoned, p.Draining = false, false }),
		"damp":     s.change(func(p *Peer) { p.Damped = true }),
		"poor":     s.change(func(p *Peer) { p.Health = 2 }),
		"good":     s.change(func(p *Peer) { p.Health = 0 }),
		"wait": func(args []string) error {
			span, err := time.ParseDuration(args[0])
			s.view.Now = s.view.Now.Add(span)
			return err
		},
		"delete": func(args []string) error {
			s.view.Wanted = slices.DeleteFunc(s.view.Wanted, func(w Wanted) bool { return w.Workload == WorkloadID(args[0]) })
			return nil
		},
		"gone": func(args []string) error {
			s.view.Incumbents = slices.DeleteFunc(s.view.Incumbents, func(i Incumbent) bool {
				return string(i.Peer) == args[0] && (len(args) == 1 || slices.Contains(args[1:], string(i.Replica)))
			})
			return nil
		},
		"carry-out": func(args []string) error {
			s.view = carryOut(s.view, s.view.Plan(), func(a Assignment) bool {
				return len(args) == 0 || slices.Contains(args, string(a.Peer))
			})
			return nil
		},
	}
	if verb, known := verbs[words[0]]; known {
		return verb(words[1:])
	}
	if w, known := s.asks[words[0]]; known {
		return s.rule(w, words[1:])
	}
	return fmt.Errorf("unknown verb")
}

// options splits arguments into names and the words after each keyword.
func options(args []string, keywords map[string]int) (names []string, values map[string][]string, err error) {
	values = map[string][]string{}
	for i := 0; i < len(args); i++ {
		n, keyword := keywords[args[i]]
		switch {
		case !keyword:
			names = append(names, args[i])
		case i+n >= len(args):
			return nil, nil, fmt.Errorf("%s needs %d words", args[i], n)
		default:
			values[args[i]] = args[i+1 : i+1+n]
			i += n
		}
	}
	return names, values, nil
}

func pairs(text []string) map[string]string {
	if len(text) == 0 {
		return nil
	}
	m := map[string]string{}
	for _, part := range strings.Split(text[0], ",") {
		key, value, _ := strings.Cut(part, "=")
		m[key] = value
	}
	return m
}

func amounts(words []string) (Resources, error) {
	if len(words) == 0 {
		return Resources{}, nil
	}
	cpu, err := strconv.ParseInt(strings.TrimSuffix(words[0], "m"), 10, 64)
	if err != nil {
		return Resources{}, err
	}
	unit := map[string]int64{"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[words[1][len(words[1])-2:]]
	memory, err := strconv.ParseInt(words[1][:len(words[1])-2], 10, 64)
	return Resources{CPUMillis: cpu, MemoryBytes: memory * unit}, err
}

func (s *script) peers(args []string) error {
	names, values, err := options(args, map[string]int{"room": 2, "labels": 1, "devices": 1, "fair": 0, "poor": 0})
	if err != nil {
		return err
	}
	room, err := amounts(values["room"])
	for _, name := range names {
		p := Peer{ID: PeerID(name), Name: name, Room: room, Labels: map[string]string{"kubernetes.io/hostname": name}, Live: true, Devices: devices(values["devices"])}
		maps.Copy(p.Labels, pairs(values["labels"]))
		if _, fair := values["fair"]; fair {
			p.Health = 1
		}
		if _, poor := values["poor"]; poor {
			p.Health = 2
		}
		s.view.Peers = append(s.view.Peers, p)
	}
	return err
}

func (s *script) change(change func(*Peer)) func([]string) error {
	return func(names []string) error {
		for _, name := range names {
			i := slices.IndexFunc(s.view.Peers, func(p Peer) bool { return p.Name == name })
			if i < 0 {
				return fmt.Errorf("no peer %s", name)
			}
			change(&s.view.Peers[i])
		}
		return nil
	}
}

func (s *script) workload(args []string) error {
	names, values, err := options(args, map[string]int{"needs": 2, "revision": 1, "on": 1})
	if err != nil {
		return err
	}
	request, err := amounts(values["needs"])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(strings.TrimPrefix(names[1], "x"))
	if err != nil {
		return err
	}
	w := s.asked(names[0])
	w.Revision, w.Request, w.NodeSelector = revisionOf(values), request, pairs(values["on"])
	s.view.Wanted = slices.DeleteFunc(s.view.Wanted, func(other Wanted) bool { return other.Workload == w.Workload })
	for i := range count {
		w := *w
		w.Replica = ReplicaID(fmt.Sprintf("%s-%d", names[0], i))
		s.view.Wanted = append(s.view.Wanted, w)
	}
	return nil
}

// asked is what the replicas of a workload have in common.
func (s *script) asked(name string) *Wanted {
	if s.asks[name] == nil {
		s.asks[name] = &Wanted{Workload: WorkloadID(name), Rules: &Rules{Namespace: "default", Labels: map[string]string{"app": name}}}
	}
	return s.asks[name]
}

func revisionOf(values map[string][]string) Revision {
	if r := values["revision"]; r != nil {
		return Revision(r[0])
	}
	return "a"
}

func (s *script) runs(args []string) error {
	names, values, err := options(args, map[string]int{"revision": 1, "starting": 0, "stopping": 0, "needs": 2})
	if err != nil {
		return err
	}
	request, err := amounts(values["needs"])
	for _, replica := range names[1:] {
		_, starting := values["starting"]
		_, stopping := values["stopping"]
		held := Incumbent{Replica: ReplicaID(replica), Revision: revisionOf(values), Peer: PeerID(names[0]), Request: request, Ready: !starting, Stopping: stopping}
		for _, w := range s.view.Wanted {
			if values["needs"] == nil && w.Replica == held.Replica {
				held.Request, held.Ports, held.Devices = w.Request, w.Ports, w.Devices
			}
		}
		s.view.Incumbents = append(s.view.Incumbents, held)
	}
	return err
}

func (s *script) refuses(args []string) error {
	span, err := time.ParseDuration(args[3])
	revision := Revision("a")
	for _, w := range s.view.Wanted {
		if w.Replica == ReplicaID(args[1]) {
			revision = w.Revision
		}
	}
	s.view.Refusals = append(s.view.Refusals, Refusal{Replica: ReplicaID(args[1]), Revision: revision, Peer: PeerID(args[0]),
		Reason: strings.Trim(strings.Join(args[4:], " "), `"`), Until: s.view.Now.Add(span)})
	return err
}

func (s *script) fails(args []string) error {
	err := s.refuses(args)
	s.view.Refusals[len(s.view.Refusals)-1].Soft = true
	return err
}

func (s *script) plan([]string) error {
	for a := range s.view.Plan().Assignments.All() {
		if a.Peer == "" {
			fmt.Fprintf(&s.printed, "%s %s pending\n", a.Replica, a.Revision)
		} else {
			fmt.Fprintf(&s.printed, "%s %s %s (%s)\n", a.Replica, a.Revision, a.Peer, a.Rule)
		}
	}
	return nil
}

func (s *script) why(args []string) error {
	verdicts := s.view.Explain(s.view.Plan(), ReplicaID(args[0]))
	for _, v := range verdicts {
		fmt.Fprintln(&s.printed, strings.TrimSpace(fmt.Sprintf("%s %s %s", v.Peer, v.Rule, v.Detail)))
	}
	return nil
}

// load prints how many replicas the plan gives each peer.
func (s *script) load([]string) error {
	count := map[PeerID]int{}
	for a := range s.view.Plan().Assignments.All() {
		count[a.Peer]++
	}
	for _, p := range s.view.Peers {
		fmt.Fprintf(&s.printed, "%s %d\n", p.ID, count[p.ID])
	}
	if count[""] > 0 {
		fmt.Fprintf(&s.printed, "pending %d\n", count[""])
	}
	return nil
}
