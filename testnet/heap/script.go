package heap

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/gossip"
	"shoal/placement"
	"shoal/testnet/promise"
)

// Script is the life of a small cluster, as data: what is wrong with its world from the start, and what is done to it,
// one after the other. It says everything: played twice it gives the same world to the last event, and without
// one of its steps it is still a script, which is what Shrink relies on.
type Script struct {
	Seed    uint64
	Peers   int
	Bad     bool    // the network loses, doubles and reorders
	Coded   bool    // messages pass through the wire's form
	Late    bool    // containers take seconds until they are ready
	Slow    bool    // disks take up to half a second for a batch
	Crashes float64 // part of all starts after which the container soon ends
	CPU     int64   // of each peer, in thousandths; 0 for plenty
	Devices int64   // of each peer: of example.com/gpu
	Steps   []Step
}

// Step is one line of a script: a verb and its words. What a step cannot do in the world as it is by then, it leaves.
type Step struct {
	Verb  string
	Words []string
}

// String is a script as people read it, and as ParseScript does.
func (s Script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "world seed=%d peers=%d", s.Seed, s.Peers)
	if s.Bad {
		b.WriteString(" bad")
	}
	if s.Coded {
		b.WriteString(" coded")
	}
	if s.Slow {
		b.WriteString(" slow")
	}
	if s.Late {
		b.WriteString(" late")
	}
	if s.Crashes > 0 {
		fmt.Fprintf(&b, " crashes=%g", s.Crashes)
	}
	if s.CPU > 0 {
		fmt.Fprintf(&b, " cpu=%d", s.CPU)
	}
	if s.Devices > 0 {
		fmt.Fprintf(&b, " devices=%d", s.Devices)
	}
	b.WriteByte('\n')
	for _, step := range s.Steps {
		fmt.Fprintln(&b, step)
	}
	return b.String()
}

// String is the step's line.
func (s Step) String() string { return strings.Join(append([]string{s.Verb}, s.Words...), " ") }

// ParseScript reads what Script.String gave. Empty lines and those that begin with # are skipped.
func ParseScript(text string) (Script, error) {
	var s Script
	for n, text := range strings.Split(text, "\n") {
		words := strings.Fields(text)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if words[0] == "world" {
			if err := s.parseWorld(words[1:]); err != nil {
				return s, fmt.Errorf("line %d: %w", n+1, err)
			}
			continue
		}
		if do, known := verbs[words[0]]; !known || len(words)-1 < do.words {
			return s, fmt.Errorf("line %d: no such step: %s", n+1, text)
		}
		s.Steps = append(s.Steps, Step{words[0], words[1:]})
	}
	if s.Peers < 1 {
		return s, fmt.Errorf("no line says: world seed=N peers=N")
	}
	return s, nil
}

func (s *Script) parseWorld(words []string) error {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "seed":
			s.Seed, err = strconv.ParseUint(value, 10, 64)
		case "peers":
			s.Peers, err = strconv.Atoi(value)
		case "bad":
			s.Bad = true
		case "coded":
			s.Coded = true
		case "late":
			s.Late = true
		case "slow":
			s.Slow = true
		case "crashes":
			s.Crashes, err = strconv.ParseFloat(value, 64)
		case "devices":
			s.Devices, err = strconv.ParseInt(value, 10, 64)
		case "cpu":
			s.CPU, err = strconv.ParseInt(value, 10, 64)
		default:
			err = fmt.Errorf("a world has no %s", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// options of the world that a script is played in.
func (s Script) options(trace func(string)) Options {
	o := Options{Seed: s.Seed, Peers: s.Peers, Coded: s.Coded, Crashes: s.Crashes, Trace: trace}
	if s.Bad {
		o.Link = Bad
	}
	if s.Late {
		o.Pace = Usual
		o.Pace.LeastReady, o.Pace.MostReady = 3*time.Second, 6*time.Second
	}
	if s.Slow {
		o.LeastCommit, o.MostCommit = 20*time.Millisecond, 500*time.Millisecond
	}
	if s.Devices > 0 {
		o.Beside.Devices = []placement.Amount{{Name: "example.com/gpu", Count: s.Devices}}
	}
	if s.CPU > 0 {
		o.Room = gossip.Room{CPUMillis: s.CPU, MemoryBytes: 1 << 30}
	}
	return o
}

// play is a script being played.
type play struct {
	*World
	script  Script
	cut     bool
	without map[string]bool // peers without the image
	broken  []promise.Violation
}

// Play plays a script until its end or the first broken promise, and returns the world as it is then and what was broken.
func Play(s Script, trace func(string)) (*World, []promise.Violation) {
	return playWith(s, plants{}, trace)
}

func playWith(s Script, planted plants, trace func(string)) (world *World, broken []promise.Violation) {
	p := &play{World: newWorld(s.options(trace), planted), script: s, without: map[string]bool{}}
	defer func() {
		if r := recover(); r != nil {
			world, broken = p.World, append(p.violations, violationAt(p.now, "panic", "%v", r))
		}
	}()
	for _, step := range s.Steps {
		p.tracef("STEP %s", step)
		verbs[step.Verb].do(p, step.Words)
		if broken := append(p.violations, p.broken...); len(broken) > 0 {
			return p.World, broken
		}
	}
	return p.World, nil
}

func (p *play) add(violations []promise.Violation) { p.broken = append(p.broken, violations...) }

// accepted checks that a command was taken: the peer may die of something else meanwhile, nothing more.
func (p *play) accepted(err error) {
	if err != nil && err != ErrDied {
		p.broken = append(p.broken, violationAt(p.now, "P1", "a command was not taken: %v", err))
	}
}

// alive returns a peer by name, if there is one and its program runs.
func (p *play) alive(name string) *Peer {
	if i := slices.IndexFunc(p.peers, func(q *Peer) bool { return q.Name == name }); i >= 0 && p.peers[i].alive {
		return p.peers[i]
	}
	return nil
}

func (p *play) known(name string) bool {
	return slices.ContainsFunc(p.peers, func(q *Peer) bool { return q.Name == name })
}

// powerOn starts whatever is off.
func (p *play) powerOn() {
	for _, q := range p.peers {
		if !q.alive {
			p.Start(q.Name)
		}
	}
}

// rest waits until every promise that holds at rest holds.
func (p *play) rest(within time.Duration) {
	for _, name := range slices.Sorted(maps.Keys(p.without)) {
		p.Images(name, p.options.Images...)
	}
	clear(p.without)
	p.Run(4 * time.Second)
	took, broken := p.AwaitRest(within)
	for _, v := range broken {
		p.broken = append(p.broken, promise.Violation{Promise: v.Promise, Text: fmt.Sprintf("after %s: %s", took, v.Text)})
	}
	if !p.cut && len(broken) == 0 {
		p.watchSettled()
	}
	if len(broken) == 0 {
		p.explainAll()
	}
	for _, q := range p.peers {
		if q.alive {
			p.watchRows(q)
			p.watchBounds(q)
		}
	}
}

// still checks that a cluster at rest stays as it is: no plan changes, no container stops (P8).
func (p *play) still() {
	if p.options.Crashes > 0 || len(p.broken) > 0 {
		return
	}
	before := p.Snapshot()
	p.Run(8 * time.Second)
	after := p.Snapshot()
	p.add(promise.CutAlone(before, after))
	broken := promise.AtRest(after)
	if len(broken) > 0 && slices.ContainsFunc(before.Peers, func(q promise.Peer) bool { return q.Filling }) {
		_, broken = p.AwaitRest(time.Minute) // one that came was steady by now, and is being given its share
	}
	p.add(broken)
}
