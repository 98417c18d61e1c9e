package lease

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	scheduleSeed = flag.Uint64("schedule", 0, "the seed of the one schedule that TestSchedules plays, with a log")
	firstSeed    = flag.Uint64("first", 1, "the first seed")
)

// TestSchedules plays some schedules of splits, stalls, suspends, losses of power and drifting clocks. BenchmarkSchedules plays 100,000.
func TestSchedules(t *testing.T) {
	if *scheduleSeed != 0 {
		w := newWorld(*scheduleSeed, plants{})
		w.log = t.Logf
		if found := w.play(); found != "" {
			t.Error(found)
		}
		return
	}
	starts, ran := 0, time.Duration(0)
	for seed := range uint64(1500) {
		w := newWorld(*firstSeed+seed, plants{})
		if found := w.play(); found != "" {
			t.Errorf("seed %d: %s; replay: go test ./peer/lease -run 'TestSchedules$' -schedule %d -v", *firstSeed+seed, found, *firstSeed+seed)
		}
		starts, ran = starts+w.starts, ran+w.ran
	}
	if starts < 1500 {
		t.Errorf("only %d starts: the schedules show nothing", starts)
	}
	t.Logf("%d starts, it ran for %.0f %% of the time", starts, 100*ran.Seconds()/(1500*worldLength.Seconds()))
}

// TestPlantedFaultsAreFound plants faults one at a time. Each is found within some schedules, none of which finds anything
// without it.
func TestPlantedFaultsAreFound(t *testing.T) {
	for _, fault := range []struct {
		name    string
		from    uint64 // the first seed that is tried, to spare time
		planted plants
	}{
		{"clocks drift by 6 %", 2800, plants{drift: 0.06}},
		{"a witness that lost its power grants at once", 0, plants{forgets: true}},
		{"a holder counts from the answer", 1050, plants{countsAnswer: true}},
		{"a majority of those heard is enough", 0, plants{heard: true}},
		{"a release counts though it was overtaken", 0, plants{staleFrees: true}},
		{"an answer counts though its grant was given back", 400, plants{lateAnswers: true}},
		{"witnesses do not compare the conditions", 100, plants{anyTerms: true}},
		{"a new list of witnesses counts at once", 400, plants{newListAtOnce: true}},
		{"a new list of witnesses counts as soon as it is known", 5300, plants{noHandOverTerm: true}},
		{"nobody but the program ends a container", 0, plants{noGuard: true}},
		{"clocks stand still during suspends", 100, plants{stopsInSuspend: true}},
		{"what was decided in time is started late", 15950, plants{startsLate: true}},
		{"grants leave before they are on disk", 750, plants{unsaved: true}},
		{"the second start of a session knows everything", 0, plants{trustsYouth: true}},
		{"the lease is given back before the container has ended", 0, plants{startsFirst: true}},
		{"all lives of a program bear one number", 4850, plants{sameLife: true}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			for seed := range uint64(20_000) {
				found := newWorld(fault.from+seed, fault.planted).play()
				if found == "" {
					continue
				}
				t.Logf("seed %d: %s", fault.from+seed, found)
				if without := newWorld(fault.from+seed, plants{}).play(); without != "" {
					t.Errorf("and without it: %s", without)
				}
				return
			}
			t.Error("not found")
		})
	}
}

// BenchmarkSchedules plays 100,000 schedules and counts those in which it ran twice at once.
func BenchmarkSchedules(b *testing.B) {
	const schedules = 100_000
	for range b.N {
		overlaps, starts := 0, 0
		for seed := range uint64(schedules) {
			w := newWorld(*firstSeed+seed, plants{})
			if found := w.play(); found != "" {
				overlaps++
				fmt.Println("seed", *firstSeed+seed, found)
			}
			starts += w.starts
		}
		b.ReportMetric(float64(overlaps), "overlaps")
		b.ReportMetric(float64(starts), "starts")
		b.ReportMetric(schedules, "schedules")
	}
}
