package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/api"
	"shoal/peer/api/apitest"
	"shoal/peer/control"
	"shoal/peer/wire"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"shoal": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)) },
	})
}

// TestScripts plays the scripts in testdata against the API of one imagined peer, p1, over a unix
// socket. Besides testscript's own commands they have:
//
//	peer NAME alive|failed     another peer becomes a member
//	rival NAME DEPLOYMENT FIELD VALUE
//	                           another peer writes a field without having seen what was written after "before"
//	before DEPLOYMENT          marks that moment
//	blame NAME REASON TEXT     puts an entry about what a peer sent into the audit
//	full yes|no                the disk of the peer is full
//	trip SITE NAME             the peer's code fails when it comes to that
//	clock NAME SPAN            another peer's clock is that far ahead
//	pass SPAN                  time passes
//	happens NAME REPLICA REASON TEXT CAUSE
//	                           another peer says what happened there
//	code N PROGRAM ARGUMENT…   runs a program that must end with exit code N
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: startPeer,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"peer": addPeer, "before": markBefore, "rival": rival,
			"blame": blame, "full": full, "trip": tripAt, "clock": clock, "pass": pass, "code": code, "happens": happens},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

type backendKey struct{}

type seenKey struct{}

func startPeer(env *testscript.Env) error {
	backend := apitest.New("p1")
	socket := filepath.Join(env.WorkDir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: api.New(backend, api.Info{Version: "test", Self: apitest.ID("p1")}),
		ConnContext: api.ConnContext, ReadHeaderTimeout: time.Second}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	env.Defer(func() {
		server.Close()
		if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	})
	env.Setenv("SHOAL_SOCKET", socket)
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		return err
	}
	env.Setenv("EXAMPLES", examples)
	env.Values[backendKey{}] = backend
	env.Values[seenKey{}] = &crdt.Seen{}
	return nil
}

func backendOf(ts *testscript.TestScript) *apitest.Backend {
	return ts.Value(backendKey{}).(*apitest.Backend)
}

func addPeer(ts *testscript.TestScript, _ bool, args []string) {
	states := map[string]gossip.State{"alive": gossip.Alive, "failed": gossip.Failed}
	backendOf(ts).AddPeer(args[0], states[args[1]], nil)
}

func keyOf(name string) crdt.Key {
	return crdt.Key{Kind: "Deployment", Namespace: "default", Name: name}
}

func markBefore(ts *testscript.TestScript, _ bool, args []string) {
	*ts.Value(seenKey{}).(*crdt.Seen) = backendOf(ts).Seen(keyOf(args[0]))
}

func rival(ts *testscript.TestScript, _ bool, args []string) {
	seen := *ts.Value(seenKey{}).(*crdt.Seen)
	backendOf(ts).Rival(args[0], keyOf(args[1]), seen, crdt.Change{Path: crdt.Path(args[2]), Value: []byte(args[3])})
}

func blame(ts *testscript.TestScript, _ bool, args []string) {
	backendOf(ts).Blame(control.AuditEntry{At: time.Now(), From: apitest.ID(args[0]), Reason: args[1], Key: keyOf("web"), Text: args[2]})
}

func full(ts *testscript.TestScript, _ bool, args []string) { backendOf(ts).Full(args[0] == "yes") }

func tripAt(ts *testscript.TestScript, _ bool, args []string) {
	name := args[1]
	if args[0] == "decode" {
		name = string(apitest.ID(name))
	}
	backendOf(ts).Trip(args[0], name)
}

func pass(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	backendOf(ts).Advance(d)
}

// clock lets a peer make the rows that are the measure of its clock.
func clock(ts *testscript.TestScript, _ bool, args []string) {
	ahead, err := time.ParseDuration(args[1])
	ts.Check(err)
	for range 5 {
		backendOf(ts).Observe(args[0], wire.Observation{CPUMillis: 4000, Memory: 4 << 30, At: time.Now().Add(ahead).UnixMilli()})
	}
}

func happens(ts *testscript.TestScript, _ bool, args []string) {
	backendOf(ts).Observe(args[0], wire.Observation{CPUMillis: 4000, Memory: 4 << 30, Events: []wire.Event{
		{Number: 1 << 24, At: time.Now().UnixMilli(), Reason: args[2], Replica: args[1], Text: args[3], Cause: args[4]}}})
}

func code(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want, err := strconv.Atoi(args[0]); err != nil || got != want {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}
