package machine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"shoal/testnet"
	"shoal/testnet/kit"
	"shoal/testnet/machine"
)

// waitMost bounds every wait of a script.
const waitMost = 30 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	// Scripts start whole clusters: one at a time.
	if err := flag.Set("test.parallel", "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestMachine runs the scenarios of testnet/testdata with real agents and real containers. The scripts use the verbs of
// `shoal testnet`, and these:
//
//	ready PEER WORKLOAD COUNT [COLOR]   wait until PEER sees exactly COUNT replicas, all ready, all with that COLOR
//	eventually COMMAND…                 repeat COMMAND until it succeeds
//	exits CODE COMMAND…                 run COMMAND, which must end with CODE
//	holder VARIABLE PEER                set VARIABLE to PEER if it runs containers, else to one that does
//	remember PEERS, untouched PEERS     the containers of PEERS (or all) run on as the same processes
//	kill-container PEER                 SIGKILL to one container of PEER
//	kill-keeper                         SIGKILL to the testnet's keeper
//	set VARIABLE FILE                   set VARIABLE to what FILE holds, without white space around
//	build VARIABLE TAG                  set VARIABLE to shoal, built with one more build TAG
//	install PEERS PROGRAM               PEERS run PROGRAM from their next start on
//	signed PEER FILE                    write to FILE what the store of PEER, which does not run, holds
//	kill-writes PEER KILLS FILE         write to PEER while its program is killed KILLS times; FILE names what was acknowledged
//	holds PEERS FILE                    wait until PEERS hold all that FILE names
//	forge VARIABLE PART TICKET          set VARIABLE to TICKET with another PART: secret, id, expires or cluster
//	watch-alone WORKLOAD, was-alone     from one to the other never two containers of WORKLOAD ran at once, on all peers together;
//	                                    was-alone SPAN: for no longer than that
//	program PEER stop|continue          SIGSTOP, SIGCONT to the agent's main process of PEER
//	suspend PEER, wake PEER             the same to every process of PEER, of containers too; these wake first
//	kill-guard PEER [for-good]          SIGKILL to the process of PEER that keeps deadlines; wait until there is another one;
//	                                    for-good: do not wait, for nobody can start one
//	away PEER WORKLOAD                  wait until WORKLOAD is ready on another peer than PEER
//	nothing-left                        nothing of the testnet remains
func TestMachine(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: the machine world makes namespaces, network devices and cgroups; run the tests as root")
	}
	built, err := kit.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	others := &variants{kit: built, built: make(map[string]string)}
	testscript.Run(t, testscript.Params{
		Dir:   "../testdata",
		Setup: func(env *testscript.Env) error { return setup(env, built) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": ready, "eventually": eventually, "exits": exits, "holder": holder, "remember": remember,
			"untouched": untouched, "kill-container": killContainer, "kill-keeper": killKeeper, "set": set, "nothing-left": nothingLeft,
			"build": others.build(t), "install": install, "signed": signed,
			"watch-alone": watchAlone, "was-alone": wasAlone, "away": away, "program": program,
			"suspend": suspend, "wake": wake, "kill-guard": killGuard,
			"kill-writes": killWrites, "holds": holds, "forge": forge,
		},
	})
}

// setup gives each script a testnet name and directory of its own, which is gone after it.
func setup(env *testscript.Env, built kit.Kit) error {
	dir, err := os.MkdirTemp("", "shoal-test-")
	if err != nil {
		return err
	}
	net, name := filepath.Join(dir, "net"), fmt.Sprintf("test-%d", os.Getpid())
	env.Defer(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitMost)
		defer cancel()
		err := testnet.Destroy(ctx, net)
		if errors.Is(err, testnet.ErrNone) {
			err = nil
		}
		if err := errors.Join(err, testnet.Left(net, name), os.RemoveAll(dir)); err != nil {
			panic(err) // the testnet, or something of it, is left: nothing after this can be trusted
		}
	})
	env.Setenv("SHOAL_TESTNET_DIR", net)
	env.Setenv("SHOAL_TESTNET_NAME", name)
	env.Setenv("PATH", filepath.Dir(built.Program)+":"+os.Getenv("PATH"))
	env.Setenv("PROGRAM", built.Program)
	env.Setenv("IMAGE", built.Archive)
	env.Setenv("WEB", built.Web)
	env.Setenv("EXAMPLES", filepath.Join(built.Root, "examples"))
	env.Values[memory{}] = make(map[string]map[string]machine.Process)
	return nil
}

// memory is the key of what remember noted.
type memory struct{}

// open is the testnet of a script.
func open(ts *testscript.TestScript) *testnet.Net {
	net, err := testnet.OpenAt(ts.Getenv("SHOAL_TESTNET_DIR"))
	ts.Check(err)
	return net
}

func usage(ts *testscript.TestScript, neg, right bool, text string) {
	if neg || !right {
		ts.Fatalf("usage: %s", text)
	}
}

// within gives ctx for one wait.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), waitMost)
}

func ready(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3 || len(args) == 4, "ready PEER WORKLOAD COUNT [COLOR]")
	count, err := strconv.Atoi(args[2])
	ts.Check(err)
	client := open(ts).Client(args[0])
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	took, err := testnet.Await(ctx, func() error {
		if err := client.AllReady(ctx, args[1], count); err != nil || len(args) == 3 {
			return err
		}
		pods, err := client.Pods(ctx, args[1])
		for _, pod := range pods {
			if pod.Env("COLOR") != args[3] {
				err = fmt.Errorf("%s has the color %s, not %s", pod.Metadata.Name, pod.Env("COLOR"), args[3])
			}
		}
		return err
	})
	ts.Check(err)
	ts.Logf("%d ready after %s", count, took.Round(time.Millisecond))
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "eventually COMMAND…")
	ctx, cancel := within()
	defer cancel()
	_, err := testnet.Await(ctx, func() error {
		err := ts.Exec(args[0], args[1:]...)
		if err != nil {
			time.Sleep(100 * time.Millisecond) // a process each time: no finer
		}
		return err
	})
	ts.Check(err)
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "exits CODE COMMAND…")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func holder(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "holder VARIABLE PEER")
	net := open(ts)
	for _, peer := range append([]string{args[1]}, net.Peers()...) {
		containers, err := net.Containers(peer)
		ts.Check(err)
		if len(containers) > 0 {
			ts.Setenv(args[0], peer)
			ts.Logf("%s=%s", args[0], peer)
			return
		}
	}
	ts.Fatalf("no peer runs a container")
}

func remember(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "remember PEERS")
	net := open(ts)
	peers, err := net.Select(args[0])
	ts.Check(err)
	noted := ts.Value(memory{}).(map[string]map[string]machine.Process)
	for _, peer := range peers {
		noted[peer], err = net.Containers(peer)
		ts.Check(err)
		ts.Logf("%s runs %d containers", peer, len(noted[peer]))
	}
}

func untouched(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "untouched PEERS")
	net := open(ts)
	peers, err := net.Select(args[0])
	ts.Check(err)
	noted := ts.Value(memory{}).(map[string]map[string]machine.Process)
	for _, peer := range peers {
		if noted[peer] == nil {
			ts.Fatalf("the containers of %s were not remembered", peer)
		}
		ts.Check(net.SameContainers(peer, noted[peer]))
	}
}

func killContainer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "kill-container PEER")
	net := open(ts)
	containers, err := net.Containers(args[0])
	ts.Check(err)
	if len(containers) == 0 {
		ts.Fatalf("no container runs on %s", args[0])
	}
	names := make([]string, 0, len(containers))
	for name := range containers {
		names = append(names, name)
	}
	ctx, cancel := within()
	defer cancel()
	ts.Check(net.KillContainer(ctx, args[0], slices.Min(names)))
}

func killKeeper(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "kill-keeper")
	state, err := machine.Dir(ts.Getenv("SHOAL_TESTNET_DIR")).Load()
	ts.Check(err)
	ctx, cancel := within()
	defer cancel()
	ts.Check(state.Keeper.Kill(ctx))
}

func set(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "set VARIABLE FILE")
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

func nothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "nothing-left")
	ts.Check(testnet.Left(ts.Getenv("SHOAL_TESTNET_DIR"), ts.Getenv("SHOAL_TESTNET_NAME")))
}
