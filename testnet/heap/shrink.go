package heap

import (
	"slices"
	"time"
)

// Shrink looks for a smaller script that still fails, for at most a while of real time: it leaves out steps, first many
// at once and then one by one (Zeller, "Simplifying and Isolating Failure-Inducing Input", 2002), then what is wrong with
// the world from the start, then peers. fails must say of a script whether it fails in the way that is looked for.
func Shrink(s Script, fails func(Script) bool, within time.Duration) Script {
	begin := time.Now()
	k := shrinker{best: s, fails: func(s Script) bool { return time.Since(begin) < within && fails(s) }}
	for smaller := true; smaller; {
		before := len(k.best.Steps)
		k.steps()
		k.traits()
		smaller = len(k.best.Steps) < before
	}
	return k.best
}

type shrinker struct {
	best  Script
	fails func(Script) bool
}

// take keeps a script that still fails.
func (k *shrinker) take(s Script) bool {
	if !k.fails(s) {
		return false
	}
	k.best = s
	return true
}

func (k *shrinker) steps() {
	for size := len(k.best.Steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(k.best.Steps); {
			s := k.best
			s.Steps = slices.Concat(s.Steps[:at], s.Steps[at+size:])
			if !k.take(s) {
				at += size
			}
		}
	}
}

// traits makes the world simpler.
func (k *shrinker) traits() {
	for _, simpler := range []func(*Script){
		func(s *Script) { s.Coded = false },
		func(s *Script) { s.Bad = false },
		func(s *Script) { s.Slow = false },
		func(s *Script) { s.Crashes = 0 },
		func(s *Script) { s.CPU = 0 },
	} {
		s := k.best
		if simpler(&s); !equalWorlds(s, k.best) {
			k.take(s)
		}
	}
	for k.best.Peers > 1 {
		s := k.best
		if s.Peers--; !k.take(s) {
			return
		}
	}
}

func equalWorlds(a, b Script) bool {
	return a.Coded == b.Coded && a.Bad == b.Bad && a.Slow == b.Slow && a.Crashes == b.Crashes && a.CPU == b.CPU
}
