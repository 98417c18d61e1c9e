package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/testnet/machine"
)

// TestMain lets the test's own program be the keeper and the machines.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 4 && os.Args[1] == "hidden" && os.Args[2] == "keeper":
		fmt.Fprintln(os.Stderr, Keeper(os.Args[3]))
		os.Exit(1)
	case len(os.Args) == 5 && os.Args[1] == "hidden" && os.Args[2] == "machine":
		fmt.Fprintln(os.Stderr, Machine(os.Args[3], os.Args[4]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// up makes a testnet whose agents are sleeping shells, with a child that sleeps too.
func up(t *testing.T, peers int) *Net {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root: a testnet makes namespaces, network devices and cgroups")
	}
	dir, err := os.MkdirTemp("", "shoal-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("SHOAL_TESTNET_DIR", filepath.Join(dir, "net"))
	net, err := Up(t.Context(), standIn(peers))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.Down(context.Background()); err != nil && !errors.Is(err, ErrNone) {
			t.Error(err)
		}
		assertNothing(t, net)
	})
	return net
}

func standIn(peers int) Options {
	return Options{
		Name: fmt.Sprintf("t%d", os.Getpid()), Peers: peers, Leashed: true, Hidden: []string{"hidden"},
		Agent: []string{"/bin/sh", "-c", `echo agent of $SHOAL_NAME; sleep 1000 & sleep 1000`},
	}
}

func assertNothing(t *testing.T, net *Net) {
	t.Helper()
	if err := net.Left(); err != nil {
		t.Error(err)
	}
}

// output runs a command on peers and returns what it wrote and its exit code.
func output(t *testing.T, net *Net, peers string, command ...string) (string, int) {
	t.Helper()
	chosen, err := net.Select(peers)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	code, err := net.Run(t.Context(), chosen, command, Stdio{Out: file, Err: file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), code
}

func TestRunIsOnTheMachine(t *testing.T) {
	net := up(t, 3)
	if got, _ := output(t, net, "p2", "hostname"); got != "p2\n" {
		t.Errorf("hostname of p2 is %q", got)
	}
	got, _ := output(t, net, "all", "sh", "-c", "echo $SHOAL_SOCKET; command -v shoal >/dev/null && echo shoal")
	for _, peer := range net.Peers() {
		for _, want := range []string{net.Socket(peer), "shoal"} {
			if !strings.Contains(got, peer+" | "+want+"\n") {
				t.Errorf("no line %q of %s in %q", want, peer, got)
			}
		}
	}
	if _, code := output(t, net, "p1", "sh", "-c", "exit 7"); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if _, code := output(t, net, "p1,p3", "sh", "-c", "[ $SHOAL_NAME = p1 ] || kill -9 $$"); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
	if got, _ := output(t, net, "p1", "sh", "-c", "ls /proc | grep -c '^[0-9]'"); strings.TrimSpace(got) > "9" || len(got) > 2 {
		t.Errorf("p1 sees %s processes", got)
	}
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := output(t, net, "p1", "readlink", "/proc/self/ns/net"); strings.TrimSpace(got) == before {
		t.Error("p1 is in the network namespace of the real machine")
	}
}

func TestRunEndsWithItsCaller(t *testing.T) {
	net := up(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := net.Run(ctx, []string{"p1"}, []string{"sleep", "12345"}, Stdio{}); err == nil {
		t.Fatal("a command outlived its caller")
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		got, _ := output(t, net, "p1", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
		if !strings.Contains(got, "sleep 12345 ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still running: %s", got)
		}
		time.Sleep(pollEach)
	}
}

func reaches(t *testing.T, net *Net, from, to string) bool {
	t.Helper()
	peer, _ := net.state.Peer(to)
	_, code := output(t, net, from, "busybox", "ping", "-c", "1", "-W", "1", peer.Address.Addr().String())
	return code == 0
}

func TestSplitAndHeal(t *testing.T) {
	net := up(t, 4)
	if !reaches(t, net, "p1", "p4") {
		t.Fatal("p1 does not reach p4")
	}
	sides, err := net.Sides("p1,p2/p3")
	if err != nil {
		t.Fatal(err)
	}
	if err := net.Split(t.Context(), sides); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		want     bool
	}{{"p1", "p2", true}, {"p1", "p3", false}, {"p3", "p4", false}, {"p4", "p1", false}} {
		if got := reaches(t, net, c.from, c.to); got != c.want {
			t.Errorf("split: %s reaches %s: %v", c.from, c.to, got)
		}
	}
	// Who loses power while the network is split is on the same side after.
	if err := net.Reboot(t.Context(), "p2"); err != nil {
		t.Fatal(err)
	}
	if !reaches(t, net, "p1", "p2") || reaches(t, net, "p3", "p2") {
		t.Error("p2 changed sides by a reboot")
	}
	if err := net.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !reaches(t, net, "p1", "p3") || !reaches(t, net, "p4", "p2") {
		t.Error("the network did not heal")
	}
	if err := net.Split(t.Context(), [][]string{{"p9"}}); err == nil {
		t.Error("a peer that does not exist has a side")
	}
}

func TestPowerLoss(t *testing.T) {
	net := up(t, 2)
	if got, _ := output(t, net, "p2", "sh", "-c", "echo kept > "+net.Data("p2")+"/file; touch /run/lost; mount -t tmpfs lostmount /mnt"); got != "" {
		t.Fatal(got)
	}
	if err := net.Kill(t.Context(), "p2"); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Run(t.Context(), []string{"p2"}, []string{"true"}, Stdio{}); err == nil || !strings.Contains(err.Error(), "is off") {
		t.Errorf("run on a machine without power: %v", err)
	}
	if err := net.Kill(t.Context(), "p2"); err == nil {
		t.Error("power was cut twice")
	}
	if err := net.Start(t.Context(), "p2"); err != nil {
		t.Fatal(err)
	}
	if err := net.Start(t.Context(), "p2"); err == nil {
		t.Error("a running agent was started again")
	}
	if got, _ := output(t, net, "p2", "sh", "-c", "cat "+net.Data("p2")+"/file; ls /run/lost; mount | grep -c lostmount"); !strings.HasPrefix(got, "kept\n") || strings.Contains(got, "\n/run/lost") || !strings.HasSuffix(got, "0\n") {
		t.Errorf("after the boot: %q", got)
	}
	if !reaches(t, net, "p1", "p2") {
		t.Error("p1 does not reach p2 after its boot")
	}
}

func TestUpOverOneThatExists(t *testing.T) {
	net := up(t, 1)
	if _, err := Up(t.Context(), standIn(1)); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "is running") {
		t.Errorf("up twice: %v", err)
	}
	if err := net.state.Keeper.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Up(t.Context(), standIn(1)); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "left over") {
		t.Errorf("up over what is left: %v", err)
	}
	if err := net.Heal(t.Context()); err == nil || !strings.Contains(err.Error(), "keeper of testnet") {
		t.Errorf("heal without a keeper: %v", err)
	}
	if err := net.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, net)
	if err := net.Down(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("down twice: %v", err)
	}
}

func TestFrozenProcessesGoToo(t *testing.T) {
	net := up(t, 1)
	mount := "/sys/fs/cgroup/freezer"
	frozen, set := "freezer.state", "FROZEN"
	if _, err := os.Stat(mount); err != nil {
		mount, frozen, set = "/sys/fs/cgroup", "cgroup.freeze", "1"
	}
	group := mount + string(net.Cgroup("p1")) + "/inner"
	script := fmt.Sprintf("mkdir -p %s; (echo 0 > %s/cgroup.procs; exec sleep 1000) & sleep 0.2; echo %s > %s/%s", group, group, set, group, frozen)
	if _, code := output(t, net, "p1", "sh", "-c", script+" >/dev/null 2>&1 </dev/null"); code != 0 {
		t.Fatalf("could not freeze: %d", code)
	}
	if err := net.Kill(t.Context(), "p1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(group); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cgroup of a machine without power is left: %v", err)
	}
}

func TestFailedUpLeavesNothing(t *testing.T) {
	net := up(t, 1)
	if err := net.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	options := standIn(1)
	options.Agent = []string{"/no/such/agent"}
	if _, err := Up(t.Context(), options); err == nil {
		t.Fatal("an agent that does not exist was started")
	}
	assertNothing(t, net)
	options.Program = "/bin/false"
	if _, err := Up(t.Context(), options); err == nil {
		t.Fatal("a keeper that does not exist was started")
	}
	assertNothing(t, net)
}

func TestTimeIsBounded(t *testing.T) {
	net := up(t, 1)
	if err := net.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	options := standIn(2)
	options.TTL, options.Leashed = 2*time.Second, false
	net, err := Up(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for net.state.Keeper.Alive() && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	assertNothing(t, net)
}

func TestLeashEndsTheTestnet(t *testing.T) {
	net := up(t, 2)
	net.lease.Drop()
	deadline := time.Now().Add(10 * time.Second)
	for net.state.Keeper.Alive() && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	assertNothing(t, net)
}

func TestWrongUse(t *testing.T) {
	for _, options := range []Options{{Name: "Über"}, {Peers: -1}, {Peers: 251}, {CPUMillis: -1}, {TTL: -1}} {
		var wrong *UsageError
		if _, err := Up(t.Context(), options); !errors.As(err, &wrong) {
			t.Errorf("%+v: %v", options, err)
		}
	}
	net := &Net{state: machine.State{Peers: []machine.Peer{{Name: "p1"}, {Name: "p2"}}}}
	for _, text := range []string{"p1/p1", "p3", "", "p1,p2/"} {
		if _, err := net.Sides(text); err == nil {
			t.Errorf("sides %q are accepted", text)
		}
	}
	if got, err := net.Select("p2,p1,p2"); err != nil || strings.Join(got, " ") != "p2 p1" {
		t.Errorf("select: %v %v", got, err)
	}
}

// pingsTaken is how many echo requests a machine's kernel has received (RFC 2011: icmpInEchos).
func pingsTaken(t *testing.T, net *Net, peer string) int {
	t.Helper()
	got, _ := output(t, net, peer, "awk", `/^Icmp:/ { if (!at) { for (i = 1; i <= NF; i++) if ($i == "InEchos") at = i } else print $at }`, "/proc/net/snmp")
	count, err := strconv.Atoi(strings.TrimSpace(got))
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestCutIsOneWay(t *testing.T) {
	net := up(t, 3)
	hears := func(from, to string) bool { // also where the answer is lost
		t.Helper()
		before := pingsTaken(t, net, to)
		reaches(t, net, from, to)
		return pingsTaken(t, net, to) > before
	}
	if !hears("p1", "p3") || !hears("p3", "p1") {
		t.Fatal("p1 and p3 do not hear each other")
	}
	if err := net.Cut(t.Context(), []string{"p1"}, []string{"p3"}, false); err != nil {
		t.Fatal(err)
	}
	if hears("p1", "p3") || !hears("p3", "p1") || !hears("p1", "p2") || !hears("p2", "p3") {
		t.Error("not only the way from p1 to p3 is cut")
	}
	if err := net.Reboot(t.Context(), "p1"); err != nil {
		t.Fatal(err)
	}
	if hears("p1", "p3") {
		t.Error("a reboot of p1 ended the cut")
	}
	if err := net.Cut(t.Context(), []string{"p1"}, []string{"p2"}, true); err != nil {
		t.Fatal(err)
	}
	if reaches(t, net, "p1", "p2") || !reaches(t, net, "p1", "p3") {
		t.Error("a cut both ways did not replace the one before")
	}
	if err := net.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !reaches(t, net, "p1", "p2") {
		t.Error("the cut did not heal")
	}
	if net.Cut(t.Context(), []string{"p1"}, []string{"p9"}, false) == nil || net.Cut(t.Context(), []string{"p1"}, []string{"p1"}, false) == nil {
		t.Error("a cut that cannot be was made")
	}
}

func TestInstallChangesOnePeersProgram(t *testing.T) {
	net := up(t, 2)
	if err := net.Install("p2", "/bin/echo"); err != nil {
		t.Fatal(err)
	}
	if got, _ := output(t, net, "p2", "shoal", "another program"); got != "another program\n" {
		t.Errorf("p2 runs %q", got)
	}
	if got, _ := output(t, net, "p1", "sh", "-c", "readlink $(command -v shoal)"); got != net.state.Shoal+"\n" {
		t.Errorf("p1 runs %q", got)
	}
	if err := net.Install("p2", "/no/such/program"); err == nil {
		t.Error("a program that does not exist was installed")
	}
}
