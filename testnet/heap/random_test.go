package heap

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/gossip"
	"shoal/testnet/promise"
)

var (
	seed  = flag.Uint64("seed", 1, "the seed that TestSeed replays")
	seeds = flag.Int("seeds", 40, "how many seeds TestSeeds tries")
	first = flag.Uint64("first", 1, "the first of them")
)

// scenario is a random life of a small cluster: faults and commands, with rests in between at which every promise is
// checked. Everything in it comes from the seed.
type scenario struct {
	*World
	t       *testing.T
	applied map[string]bool
	cut     bool
	off     map[string]bool
	without map[string]bool // peers without the image
}

func newScenario(t *testing.T, seed uint64) *scenario {
	draw := newEngine(^seed)
	o := Options{Seed: seed, Peers: 2 + draw.random.IntN(6), Coded: draw.chance(0.3)}
	if draw.chance(0.3) {
		o.Link = Bad
	}
	if draw.chance(0.3) {
		o.Crashes = 0.1
	}
	if draw.chance(0.3) {
		o.Room = gossip.Room{CPUMillis: 100 + 100*draw.random.Int64N(8), MemoryBytes: 1 << 30} // for one to eight replicas
	}
	s := &scenario{World: start(t, o), t: t, applied: map[string]bool{}, off: map[string]bool{}, without: map[string]bool{}}
	for _, p := range s.peers {
		if draw.chance(0.2) {
			p.skew = time.Duration(draw.random.Int64N(int64(20*365*24*time.Hour))) - 10*365*24*time.Hour
		}
	}
	return s
}

// live plays rounds of trouble, each followed by a rest.
func (s *scenario) live(rounds int) {
	s.Run(s.between(0, 6*time.Second))
	for range rounds {
		for range 1 + s.random.IntN(6) {
			s.trouble()
			s.Run(s.between(0, 3*time.Second))
		}
		s.check()
		if s.t.Failed() {
			return
		}
		if !s.cut && s.options.Crashes == 0 && s.chance(0.3) {
			s.cutStopsNothing()
		}
	}
	s.Heal()
	s.powerOn()
	s.check()
	s.nothingMoves()
}

func (s *scenario) trouble() {
	switch s.random.IntN(14) {
	case 0, 1:
		s.apply()
	case 2:
		s.scale()
	case 3:
		s.remove()
	case 4:
		s.KillAnyContainer(s.chance(0.3))
	case 5:
		if alive := s.Alive(); len(alive) > 1 {
			name := s.pick(alive)
			s.LosePower(name)
			s.off[name] = true
		}
	case 6:
		s.powerOn()
	case 7, 8:
		if alive := s.Alive(); len(alive) > 0 {
			s.KillProgram(s.pick(alive), s.between(10*time.Millisecond, 3*time.Second))
		}
	case 9:
		s.split()
	case 10:
		s.Heal()
		s.cut = false
	case 12:
		s.imageGoes()
	case 13:
		s.leave()
	case 11:
		if s.chance(0.5) {
			s.CutOneWay(s.pick(s.names()), s.pick(s.names()))
			s.Run(s.between(0, 6*time.Second))
			s.Heal()
			s.cut = false
		}
	}
}

// imageGoes takes the image from one peer, as long as another has it. It comes back at the next rest.
func (s *scenario) imageGoes() {
	if len(s.without) < len(s.peers)-1 {
		name := s.pick(s.names())
		s.Images(name)
		s.without[name] = true
	}
}

// leave lets a peer hand over its work and say goodbye. It comes back when power does.
func (s *scenario) leave() {
	alive := s.Alive()
	if len(alive) < 2 || s.cut {
		return
	}
	name := s.pick(alive)
	if err := s.Leave(name, 20*time.Second); err != nil {
		s.t.Error(err)
	}
	s.off[name] = true
}

func (s *scenario) names() []string {
	var names []string
	for _, p := range s.peers {
		names = append(names, p.Name)
	}
	return names
}

func (s *scenario) pick(names []string) string { return names[s.random.IntN(len(names))] }

func (s *scenario) powerOn() {
	for _, p := range s.peers {
		if s.off[p.Name] {
			s.Start(p.Name)
			delete(s.off, p.Name)
		}
	}
}

func (s *scenario) split() {
	var group []string
	for _, name := range s.names() {
		if s.chance(0.4) {
			group = append(group, name)
		}
	}
	s.Split(group)
	s.cut = true
}

var workloads = []string{"web", "api", "job"}

// apply gives any peer any manifest. The peer may die of something else meanwhile, nothing more.
func (s *scenario) apply() {
	name, alive := s.pick(workloads), s.Alive()
	if len(alive) == 0 {
		return
	}
	s.accepted(s.Apply(s.pick(alive), appManifest(name, s.random.IntN(8), s.pick([]string{"blue", "green", "red"}))))
}

func (s *scenario) scale() {
	alive := s.Alive()
	if len(alive) == 0 {
		return
	}
	peer, name := s.pick(alive), s.pick(workloads)
	if object, _ := s.Core(peer).Object(Deployment(name)); object.Live {
		s.accepted(s.Scale(peer, name, s.random.IntN(8)))
	}
}

func (s *scenario) remove() {
	alive := s.Alive()
	if len(alive) == 0 {
		return
	}
	peer, name := s.pick(alive), s.pick(workloads)
	if object, _ := s.Core(peer).Object(Deployment(name)); object.Live {
		s.accepted(s.Delete(peer, Deployment(name)))
	}
}

func (s *scenario) accepted(err error) {
	if err != nil {
		s.t.Errorf("a command was not taken: %v", err)
	}
}

// check waits for rest and looks at every promise.
func (s *scenario) check() {
	for _, p := range s.peers {
		if s.without[p.Name] && s.chance(0.7) {
			s.Images(p.Name, s.options.Images...)
			delete(s.without, p.Name)
		}
	}
	s.Run(4 * time.Second)
	if took, broken := s.AwaitRest(3 * time.Minute); len(broken) > 0 {
		for _, v := range broken {
			s.t.Errorf("after %s: %s", took, v)
		}
	}
	if s.cut || s.t.Failed() {
		return
	}
	if s.options.Crashes == 0 {
		s.nothingMoves()
	}
}

// nothingMoves checks that a cluster at rest stays as it is: no plan changes, no container stops (P8).
func (s *scenario) nothingMoves() {
	before := s.Snapshot()
	s.Run(8 * time.Second)
	after := s.Snapshot()
	for _, v := range append(promise.CutAlone(before, after), promise.AtRest(after)...) {
		s.t.Errorf("while nothing happened: %s", v)
	}
}

// cutStopsNothing splits a whole cluster at rest and checks that no container stops for it (P5).
func (s *scenario) cutStopsNothing() {
	before := s.Snapshot()
	s.split()
	s.Run(s.between(time.Second, 20*time.Second))
	for _, v := range promise.CutAlone(before, s.Snapshot()) {
		s.t.Errorf("a cut alone: %s", v)
	}
}

func play(t *testing.T, seed uint64) {
	s := newScenario(t, seed)
	s.live(4)
}

// TestSeed replays one seed.
func TestSeed(t *testing.T) { play(t, *seed) }

// TestSeeds tries many.
func TestSeeds(t *testing.T) {
	for n := range uint64(*seeds) {
		t.Run(fmt.Sprint(*first+n), func(t *testing.T) {
			play(t, *first+n)
			if t.Failed() {
				t.Logf("replay with: go test ./testnet/heap -run 'TestSeed$' -seed %d", *first+n)
			}
		})
	}
}

// TestSeedsThatFailed replays those that failed once.
func TestSeedsThatFailed(t *testing.T) {
	file, err := os.Open("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(text, func(t *testing.T) { play(t, n) })
	}
}

// TestReplay plays seeds twice: everything must happen at the same times.
func TestReplay(t *testing.T) {
	for seed := range uint64(6) {
		prints := map[uint64]bool{}
		for range 2 {
			s := newScenario(t, seed)
			s.live(2)
			prints[s.Fingerprint()] = true
		}
		if len(prints) != 1 {
			t.Errorf("seed %d played differently", seed)
		}
	}
}
