package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"shoal/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a container in virtual time whose commands answer as a test says, and all that was reported of it.
type world struct {
	begun  time.Time
	answer func(at time.Duration) (int, string, error)
	block  time.Duration // how long a command takes

	mutex   sync.Mutex
	asked   []time.Duration
	results []string
}

func newWorld(answer func(at time.Duration) (int, string, error)) (*world, *Prober) {
	w := &world{begun: time.Now(), answer: answer}
	return w, New(w.exec, w.changed)
}

func (w *world) exec(ctx context.Context, _ runtime.InstanceID, _ string, _ []string) (int, []byte, error) {
	at := time.Since(w.begun)
	w.mutex.Lock()
	w.asked = append(w.asked, at)
	w.mutex.Unlock()
	if !sleep(ctx, w.block) {
		return 0, nil, ctx.Err()
	}
	code, output, err := w.answer(at)
	return code, []byte(output), err
}

func (w *world) changed(r Result) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	kind := "ready"
	if r.Liveness {
		kind = "live"
	}
	w.results = append(w.results, fmt.Sprintf("%s g%d %s %t %s", time.Since(w.begun), r.Generation, kind, r.OK, r.Detail))
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if diff := cmp.Diff(want, w.results); diff != "" {
		t.Error(diff)
	}
}

func good(time.Duration) (int, string, error) { return 0, "", nil }
func bad(time.Duration) (int, string, error)  { return 3, "not  yet\n", nil }

func command(period time.Duration) *runtime.Probe {
	return &runtime.Probe{Exec: []string{"ask"}, Period: period}
}

func TestReadyAsSoonAsItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(func(at time.Duration) (int, string, error) {
			if at < 700*time.Millisecond {
				return bad(at)
			}
			return good(at)
		})
		p.Watch(Target{Instance: "a", Generation: 4, Readiness: command(10 * time.Second)})
		time.Sleep(35 * time.Second)
		p.Close()
		// The waits were 100, 125, 156, … ms, and 10 s once it was ready.
		w.expect(t, "820.703125ms g4 ready true ")
		if len(w.asked) != 6+3 {
			t.Errorf("asked at %v", w.asked)
		}
	})
}

func TestWaitsGrowToThePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(bad)
		p.Watch(Target{Instance: "a", Generation: 1, Readiness: command(time.Second)})
		time.Sleep(20 * time.Second)
		p.Close()
		if len(w.asked) < 25 || len(w.asked) > 30 {
			t.Errorf("asked %d times in 20 s", len(w.asked))
		}
		if last := w.asked[len(w.asked)-1] - w.asked[len(w.asked)-2]; last != time.Second {
			t.Errorf("the last wait was %s, want the period", last)
		}
		if len(w.results) != 1 || !strings.HasPrefix(w.results[0], "1.") || !strings.HasSuffix(w.results[0], "s g1 ready false exit 3: not yet") {
			t.Errorf("results %q", w.results)
		}
	})
}

func TestFailuresAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(func(at time.Duration) (int, string, error) {
			if at >= 5*time.Second && at < 11*time.Second {
				return 1, "broken", nil
			}
			return good(at)
		})
		p.Watch(Target{Instance: "a", Generation: 1, Readiness: command(time.Second), Liveness: command(2 * time.Second)})
		time.Sleep(14*time.Second + 500*time.Millisecond)
		p.Close()
		w.expect(t,
			"0s g1 ready true ",
			"2s g1 live true ",
			"7s g1 ready false exit 1: broken",
			"10s g1 live false exit 1: broken",
			"11s g1 ready true ",
			"12s g1 live true ",
		)
	})
}

func TestInitialDelayAndAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, step := range []struct{ delay, age, ready, live time.Duration }{
			{0, 0, 0, 10 * time.Second},
			{0, 4 * time.Second, 0, 6 * time.Second},
			{5 * time.Second, 0, 5 * time.Second, 5 * time.Second},
			{5 * time.Second, 3 * time.Second, 2 * time.Second, 2 * time.Second},
			{5 * time.Second, time.Hour, 0, 0},
		} {
			w, p := newWorld(good)
			probe := runtime.Probe{Exec: []string{"ask"}, InitialDelay: step.delay}
			p.Resume(Target{Instance: "r", Readiness: &probe}, step.age)
			time.Sleep(30 * time.Second)
			p.Close()
			if w.asked[0] != step.ready {
				t.Errorf("%+v: first asked for readiness at %s", step, w.asked[0])
			}
			w, p = newWorld(good)
			p.Resume(Target{Instance: "l", Liveness: &probe}, step.age)
			time.Sleep(30 * time.Second)
			p.Close()
			if w.asked[0] != step.live {
				t.Errorf("%+v: first asked for liveness at %s", step, w.asked[0])
			}
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(good)
		w.block = time.Hour
		p.Watch(Target{Instance: "a", Generation: 1, Liveness: &runtime.Probe{Exec: []string{"ask"}, Period: 5 * time.Second, Timeout: 2 * time.Second, FailureThreshold: 2}})
		time.Sleep(20 * time.Second)
		p.Close()
		w.expect(t, "14s g1 live false no answer within 2s") // at 5 s and, 2 s and a period later, at 12 s
	})
}

func TestARuntimeThatFailsDoesNotKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(func(time.Duration) (int, string, error) { return 0, "", errors.New("no such container") })
		p.Watch(Target{Instance: "a", Generation: 1, Liveness: command(time.Second), Readiness: command(time.Second)})
		time.Sleep(time.Minute)
		p.Close()
		if len(w.results) != 1 || !strings.HasSuffix(w.results[0], "g1 ready false no such container") {
			t.Errorf("results %q", w.results)
		}
	})
}

func TestForgetReplaceClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(good)
		p.Watch(Target{Instance: "a", Container: "x", Generation: 1, Readiness: command(time.Second)})
		time.Sleep(500 * time.Millisecond)
		p.Watch(Target{Instance: "a", Container: "x", Generation: 2, Readiness: command(time.Second)})
		time.Sleep(500 * time.Millisecond)
		p.Forget("a", "y")
		p.Forget("a", "x")
		p.Forget("a", "x")
		asked := len(w.asked)
		time.Sleep(time.Minute)
		if len(w.asked) != asked {
			t.Errorf("asked %d times after Forget", len(w.asked)-asked)
		}
		p.Watch(Target{Instance: "a", Container: "x", Generation: 3})
		p.Watch(Target{Instance: "b", Container: "x", Generation: 4, Readiness: command(time.Second)})
		time.Sleep(time.Millisecond)
		p.Close()
		p.Close()
		p.Watch(Target{Instance: "c", Container: "x", Generation: 5, Readiness: command(time.Second)})
		time.Sleep(time.Minute)
		w.expect(t, "0s g1 ready true ", "500ms g2 ready true ", "1m1s g4 ready true ")
	})
}

func TestForgetEndsAProbeUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(good)
		w.block = time.Hour
		p.Watch(Target{Instance: "a", Readiness: &runtime.Probe{Exec: []string{"ask"}, Timeout: 2 * time.Hour}})
		time.Sleep(time.Second)
		p.Forget("a", "")
		synctest.Wait()
		before := time.Now()
		p.Close()
		if waited := time.Since(before); waited != 0 {
			t.Errorf("Close waited %s", waited)
		}
		w.expect(t)
	})
}

func TestAtMostSoManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		exec := func(ctx context.Context, _ runtime.InstanceID, _ string, _ []string) (int, []byte, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			sleep(ctx, 500*time.Millisecond)
			return 0, nil, ctx.Err()
		}
		var ready atomic.Int64
		p := New(exec, func(r Result) {
			if r.OK {
				ready.Add(1)
			}
		})
		for i := range 100 {
			p.Watch(Target{Instance: runtime.InstanceID(fmt.Sprint(i)), Readiness: command(time.Hour)})
		}
		time.Sleep(2*time.Second + time.Millisecond)
		if ready.Load() != 100 || most.Load() != maxAtOnce {
			t.Errorf("%d ready, at most %d at once, want 100 and %d", ready.Load(), most.Load(), maxAtOnce)
		}
		p.Close()
	})
}
