package control

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/peer/wire"
)

// TestWhatPassesWaits: in a large cluster what only says that the plan has come about, or that something grew older, is planned for
// later, all of it together; anything else at once.
func TestWhatPassesWaits(t *testing.T) {
	w := large(t)
	m := w.machine
	flush := func() { m.Flush(Clock{Elapsed: w.elapsed, Wall: w.wall}) }
	for range 3 { // this peer itself came, and is steady
		w.elapsed += cameFor
		flush()
	}
	p9 := wire.Observation{CPUMillis: 4000, Memory: 4 << 30, Instances: slices.Clone(w.rows["p9"].Instances)}
	says := func(change func(o *wire.Observation)) {
		change(&p9)
		p9.Instances = slices.Clone(p9.Instances)
		w.sequences["p9"]++
		w.sendRow("p9", 1, wire.EncodeObservation(p9))
		w.elapsed += 10 * time.Second
		flush()
	}
	begins := p9.Instances[0]
	moved := begins
	moved.Replica, moved.ID = w.rows["p10"].Instances[0].Replica, w.rows["p10"].Instances[0].ID
	for _, c := range []struct {
		name  string
		waits bool
		says  func(o *wire.Observation)
	}{
		{"is steady", true, func(o *wire.Observation) { o.Steady = true }},
		{"came", true, func(o *wire.Observation) { o.Came = 7 }},
		{"is young", true, func(o *wire.Observation) { o.Instances[3].Young = true }},
		{"grew older", true, func(o *wire.Observation) { o.Instances[3].Young = false }},
		{"is not ready", false, func(o *wire.Observation) { o.Instances[3].Ready = false }},
		{"is ready where it was planned", true, func(o *wire.Observation) { o.Instances[3].Ready = true }},
		{"has a surplus copy", false, func(o *wire.Observation) { o.Instances = append(o.Instances, moved) }},
		{"has it no more", true, func(o *wire.Observation) { o.Instances = o.Instances[:len(o.Instances)-1] }},
		{"stops what the plan has there", false, func(o *wire.Observation) { o.Instances[4].State = "Stopping" }},
		{"has less room", false, func(o *wire.Observation) { o.CPUMillis = 3900 }},
		{"refuses", false, func(o *wire.Observation) {
			o.Refusals = []wire.Refusal{{Replica: "default/web7-3", Revision: begins.Revision, Reason: "NoRoom", ForMillis: 1000}}
		}},
		{"refuses for longer", true, func(o *wire.Observation) { o.Came, o.Refusals[0].ForMillis = 9, 2000 }},
		{"has labels", false, func(o *wire.Observation) { o.Labels = map[string]string{"zone": "a"} }},
		{"is damped", false, func(o *wire.Observation) { o.Damped = true }},
	} {
		before := m.planner.digest
		says(c.says)
		if planned := m.planner.digest != before; planned == c.waits || c.waits && m.planner.passing == 0 {
			t.Errorf("%s: planned at once %t", c.name, planned)
		}
		w.elapsed += mostPassing
		flush()
		if m.planner.passing != 0 || m.planner.digest != m.viewDigest() || m.planner.digest == before {
			t.Errorf("%s: not planned for after %s", c.name, mostPassing)
		}
	}
}

// TestPlansOnOneBeat: peers that may plan again after about the same pause do so at one moment, whenever each planned last; that of a longer
// pause is one of a shorter one too.
func TestPlansOnOneBeat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pause := time.Duration(rapid.IntRange(10, 3000).Draw(t, "ms")) * time.Millisecond
		beat := time.Millisecond
		for 2*beat <= pause {
			beat *= 2
		}
		wall := time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "wall")).Add(time.Duration(rapid.IntRange(0, 999_999).Draw(t, "ns")))
		m := &Machine{now: Clock{Elapsed: time.Hour, Wall: wall}}
		after := m.onBeat(pause) - time.Hour
		if at := wall.Add(after); at.UnixNano()%int64(beat) != 0 {
			t.Errorf("%s is off the beat of %s", at, beat)
		}
		if after <= pause/2 || after > pause/2+beat {
			t.Errorf("%s after a pause of %s", after, pause)
		}
	})
}
