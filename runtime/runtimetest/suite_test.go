package runtimetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"shoal/runtime"
	"shoal/runtime/runtimetest"
)

var first = netip.MustParseAddr("10.7.0.2")

func TestConformance(t *testing.T) {
	runtimetest.Run(t, func(t *testing.T) runtimetest.Harness {
		machine := runtimetest.NewMachine(first)
		machine.Behave(func(_ runtime.InstanceID, c runtime.Container) runtimetest.Behaviour {
			var p runtimetest.Program
			if err := json.Unmarshal([]byte(c.Args[0]), &p); err != nil {
				t.Error(err)
			}
			return runtimetest.Behaviour{
				Exits: p.Exits, ExitCode: p.ExitCode, ExitAfter: 5 * time.Millisecond,
				IgnoreTerm: p.IgnoreTerm, Print: p.Print, Writes: p.Writes,
			}
		})
		return runtimetest.Harness{
			Open: func(exited func(runtime.Status)) runtime.Runtime { return machine.Open(exited) },
			Now:  machine.Now,
			Container: func(p runtimetest.Program) runtime.Container {
				args, _ := json.Marshal(p)
				return runtime.Container{Image: "test", Args: []string{string(args)}}
			},
			Measure: machine.Measure,
			Kill:    func(status runtime.Status) { machine.Exit(status.Instance, status.Container, 137) },
		}
	})
}

func spec() runtime.Spec {
	return runtime.Spec{Instance: "default.web-0.1", Containers: []runtime.Container{{Name: "web", Image: "web:1"}}}
}

func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := runtimetest.NewMachine(first)
		machine.Delay(runtimetest.Start, 20*time.Millisecond)
		machine.Behave(func(runtime.InstanceID, runtime.Container) runtimetest.Behaviour {
			return runtimetest.Behaviour{Exits: true, ExitAfter: time.Hour, ExitCode: 3}
		})
		var exits []runtime.Status
		fake := machine.Open(func(s runtime.Status) { exits = append(exits, s) })
		ctx := context.Background()
		if _, err := fake.Prepare(ctx, spec()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := fake.Start(ctx, "default.web-0.1", "web", 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 20*time.Millisecond {
			t.Errorf("start took %v", took)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if len(exits) != 1 || exits[0].ExitCode != 3 || exits[0].ExitedAt.Sub(exits[0].StartedAt) != time.Hour {
			t.Errorf("exits: %+v", exits)
		}
	})
}

func TestFailures(t *testing.T) {
	machine := runtimetest.NewMachine(first)
	fake := machine.Open(func(runtime.Status) {})
	machine.Fail(runtimetest.Prepare, runtimetest.Failure{Reason: runtime.NoDisk})
	machine.Fail(runtimetest.Start, runtimetest.Failure{Reason: runtime.Failed, Late: true, Instance: "default.web-0.1"})
	ctx := t.Context()
	_, err := fake.Prepare(ctx, spec())
	var typed *runtime.Error
	if !errors.As(err, &typed) || typed.Reason != runtime.NoDisk {
		t.Fatalf("injected failure came as %v", err)
	}
	if _, err := fake.Prepare(ctx, spec()); err != nil {
		t.Fatal(err)
	}
	if _, err := fake.Start(ctx, "default.web-0.1", "web", 1); err == nil {
		t.Fatal("the late failure did not come")
	}
	if all, _ := fake.List(ctx); all[0].Containers[0].Phase != runtime.Running {
		t.Fatalf("a late failure undid the start: %+v", all)
	}
	if machine.Calls(runtimetest.Prepare) != 2 {
		t.Errorf("prepare was called %d times", machine.Calls(runtimetest.Prepare))
	}
}

func TestLives(t *testing.T) {
	machine := runtimetest.NewMachine(first)
	told := 0
	fake := machine.Open(func(runtime.Status) { told++ })
	ctx := t.Context()
	if _, err := fake.Prepare(ctx, spec()); err != nil {
		t.Fatal(err)
	}
	if _, err := fake.Start(ctx, "default.web-0.1", "web", 1); err != nil {
		t.Fatal(err)
	}
	machine.Crash()
	if !machine.Exit("default.web-0.1", "web", 9) {
		t.Fatal("the container did not outlive the program")
	}
	if _, err := fake.List(ctx); err == nil {
		t.Error("a dead life still answers")
	}
	var seen []runtime.Status
	fake = machine.Open(func(s runtime.Status) { seen = append(seen, s) })
	if told != 0 || len(seen) != 1 || seen[0].ExitCode != 9 {
		t.Fatalf("the exit while nobody was there: old life heard %d, new one %+v", told, seen)
	}
	if _, err := fake.Start(ctx, "default.web-0.1", "web", 2); err != nil {
		t.Fatal(err)
	}
	machine.PowerOff()
	fake = machine.Open(func(s runtime.Status) { seen = append(seen, s) })
	if len(seen) != 2 || seen[1].Reason != "Lost" || seen[1].ExitCode != -1 {
		t.Fatalf("after power loss: %+v", seen)
	}
	machine.Images("other:1")
	_, err := fake.Prepare(ctx, spec())
	var typed *runtime.Error
	if !errors.As(err, &typed) || typed.Reason != runtime.ImageMissing {
		t.Fatalf("missing image came as %v", err)
	}
}
