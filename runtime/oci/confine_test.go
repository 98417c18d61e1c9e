//go:build linux && cgo

package oci_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime"
	"shoal/runtime/oci"
)

func containsLine(text string, prefixes ...string) bool {
	for line := range strings.Lines(text) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(line, prefix) {
				return true
			}
		}
	}
	return false
}

func TestCheck(t *testing.T) {
	if err := oci.Check(); err != nil {
		t.Error(err)
	}
}

func TestSurroundings(t *testing.T) {
	c := sh(`echo $$; id; pwd; hostname; cat /old; echo; cat /etc/hostname /etc/resolv.conf; echo $FROM $OVER $MINE $PATH $HOME
		echo x > /etc/written; ls / | head -20; ls /dev; cat /proc/self/cgroup | head -1; cat /data/kept 2>/dev/null; echo y > /data/kept`)
	c.Env = []runtime.Env{{Name: "OVER", Value: "spec"}, {Name: "MINE", Value: "m"}}
	c.Mounts = []runtime.Mount{{Volume: "data", Path: "/data"}}
	w := newWorld(t)
	status, text := w.run(c)
	if status.ExitCode != 0 {
		t.Errorf("exit %+v", status)
	}
	lines := strings.Split(text, "\n")
	want := []string{"1", "uid=0(root) gid=0(root)", "/srv", "web-0", "upper", "web-0", "nameserver 192.0.2.1",
		"image spec m /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /root"}
	for i := range want {
		if i >= len(lines) || lines[i] != want[i] {
			t.Fatalf("line %d of\n%s\nis not %q", i, text, want[i])
		}
	}
	for _, name := range []string{"null", "shm", "pts", "urandom", "tty", "ptmx", "fd", "mqueue"} {
		if !containsLine(text, name) {
			t.Errorf("/dev has no %s:\n%s", name, text)
		}
	}
	if _, err := os.Stat("/tmp/outside"); err == nil {
		t.Error("a symbolic link in the image led a write out of its root")
	}
	if err := os.Remove("/tmp/outside"); err == nil {
		t.Log("removed it")
	}
	w.start(2)
	if again := w.exit(); again.Generation != 2 {
		t.Fatal(again)
	}
	if text := w.output(runtime.LogOptions{TailLines: -1}); !strings.HasSuffix(text, "y\n") {
		t.Errorf("the volume did not outlive the restart:\n%s", text)
	}
}

func TestFreshWritableLayer(t *testing.T) {
	w := newWorld(t)
	_, first := w.run(sh("cat /mark 2>/dev/null; echo old > /mark; echo done"))
	w.start(2)
	w.exit()
	if second := w.output(runtime.LogOptions{TailLines: -1}); first != "done\n" || second != "done\n" {
		t.Errorf("generations wrote %q and %q", first, second)
	}
}

func TestUsers(t *testing.T) {
	for user, want := range map[string]string{
		"web": "uid=33(web) gid=44(web) groups=55(more)", "33": "uid=33(web) gid=44(web) groups=55(more)",
		"33:55": "uid=33(web) gid=55(more)", "web:more": "uid=33(web) gid=55(more)",
		"1234": "uid=1234 gid=0(root)",
	} {
		t.Run(user, func(t *testing.T) {
			c := sh("id")
			c.User = user
			if _, text := newWorld(t).run(c); strings.TrimSpace(text) != want {
				t.Errorf("got %q, want %q", text, want)
			}
		})
	}
}

// status reads the container's own /proc/self/status.
func TestCapabilitiesAndPrivileges(t *testing.T) {
	const usual = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID | 1<<unix.CAP_KILL |
		1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_SETUID
	for _, c := range []struct {
		name      string
		add, drop []string
		user      string
		effective uint64
		bounding  uint64
	}{
		{"usual", nil, nil, "", usual, usual},
		{"none", nil, []string{"ALL"}, "", 0, 0},
		{"one", []string{"NET_RAW"}, []string{"ALL"}, "", 1 << unix.CAP_NET_RAW, 1 << unix.CAP_NET_RAW},
		{"user", nil, nil, "33", 0, usual},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := sh("cat /proc/self/status")
			spec.AddCapabilities, spec.DropCapabilities, spec.User = c.add, c.drop, c.user
			_, text := newWorld(t).run(spec)
			for field, want := range map[string]uint64{"CapEff:": c.effective, "CapBnd:": c.bounding, "CapInh:": 0, "CapAmb:": 0} {
				if got := hex(t, text, field); got != want {
					t.Errorf("%s %x, want %x", field, got, want)
				}
			}
			if !containsLine(text, "NoNewPrivs:\t1") || !containsLine(text, "Seccomp:\t2") {
				t.Errorf("new privileges or no filter:\n%s", text)
			}
		})
	}
}

func hex(t *testing.T, text, field string) uint64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %q", field, text)
	return 0
}

func TestConfinement(t *testing.T) {
	w := newWorld(t)
	w.prepare(sh("echo up; while :; do sleep 1000; done"))
	status := w.start(1)
	w.waitLine("up")
	for _, c := range []struct {
		script string
		code   int // of the whole script
	}{
		{"true", 0},
		{"unshare -n true", 1},
		{"unshare -U true", 1},
		{"mount -t tmpfs x /tmp", 1},
		{"mount -o remount,rw /sys", 1},
		{"mknod /tmp/null c 1 3", 1},
		{"chroot / true", 1},
		{"echo 1 > /proc/sys/kernel/panic", 1},
		{"echo b > /proc/sysrq-trigger", 1},
		{"cat /proc/kcore | head -c 1 | grep .", 1},
		{"touch /sys/x", 1},
		{"echo x > /dev/null && cat /dev/null && head -c 1 /dev/zero", 0},
		{"head -c 1 /dev/sda", 1},
		{"mount | grep ' /dev ' | grep -q nosuid", 0},
		{"touch /written", 0},
		{"mkdir -p /dev/shm/x && touch /dev/shm/x/y", 0},
		{"ls /proc/1/root/", 0},
		{"sleep 0.01 & wait", 0},
	} {
		result, err := w.rt.Exec(t.Context(), id, "web", []string{"sh", "-c", c.script})
		if err != nil {
			t.Fatalf("%s: %v", c.script, err)
		}
		if (result.ExitCode == 0) != (c.code == 0) {
			t.Errorf("%s: exit %d, %s", c.script, result.ExitCode, result.Output)
		}
	}
	// What a container's program may do to its own stdin must not reach a file of the machine.
	var ours, theirs unix.Stat_t
	if err := unix.Stat("/dev/null", &ours); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat("/proc/"+strconv.Itoa(status.PID)+"/fd/0", &theirs); err != nil {
		t.Fatal(err)
	}
	if ours.Dev == theirs.Dev && ours.Ino == theirs.Ino {
		t.Error("stdin is the machine's own /dev/null")
	}
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"} {
		if _, err := os.Stat(path); err != nil {
			continue // not in this kernel
		}
		result, err := w.rt.Exec(t.Context(), id, "web", []string{"cat", path})
		if err != nil || len(result.Output) != 0 {
			t.Errorf("%s shows %q, %v", path, result.Output, err)
		}
	}
}

// probe of system calls that no shell makes: this test binary runs in the container.
func TestDeniedCalls(t *testing.T) {
	w := newWorld(t)
	image := w.config.Images.(images)
	built := buildCalls(t)
	body, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(image.image.Layers[0], "bin", "calls"), body, 0o755); err != nil {
		t.Fatal(err)
	}
	_, text := w.run(runtime.Container{Name: "web", Image: "busybox", Command: []string{"/bin/calls"}})
	want := "keyctl operation not permitted\nadd_key operation not permitted\nbpf operation not permitted\n" +
		"unshare operation not permitted\nsetns operation not permitted\nmount operation not permitted\n" +
		"init_module operation not permitted\nio_uring_setup operation not permitted\nuserfaultfd operation not permitted\n" +
		"perf_event_open operation not permitted\nopen_by_handle_at operation not permitted\nclone3 function not implemented\n" +
		"clone(NEWUSER) operation not permitted\nAF_ALG operation not permitted\nAF_VSOCK operation not permitted\n" +
		"AF_INET done\nfutex done\nunknown function not implemented\n"
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestReadOnlyRoot(t *testing.T) {
	c := sh("touch /x && echo root; touch /data/x && echo data; touch /look/x && echo look; cat /etc/hostname; true")
	c.ReadOnlyRoot = true
	c.Mounts = []runtime.Mount{{Volume: "data", Path: "/data"}, {Volume: "data", Path: "/look", ReadOnly: true}}
	status, text := newWorld(t).run(c)
	if status.ExitCode != 0 || strings.Contains(text, "root\n") || !strings.Contains(text, "data\n") || strings.Contains(text, "look\n") || !strings.Contains(text, "web-0") {
		t.Errorf("%+v wrote %s", status, text)
	}
}

func TestMemoryLimit(t *testing.T) {
	c := sh("tail /dev/zero")
	c.Limits.MemoryBytes = 48 << 20
	status, _ := newWorld(t).run(c)
	if status.Reason != "OOMKilled" || status.ExitCode != 137 {
		t.Errorf("a container beyond its memory ended as %+v", status)
	}
}

func TestPidsLimit(t *testing.T) {
	c := sh("i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo all")
	c.Limits.Pids = 20
	status, text := newWorld(t).run(c)
	if status.ExitCode == 0 || strings.Contains(text, "all\n") {
		t.Errorf("60 processes within a limit of 20: %+v %s", status, text)
	}
}

func TestCPULimitIsSet(t *testing.T) {
	w := newWorld(t)
	c := sh("echo up; while :; do :; done")
	c.Limits.CPUMillis = 100
	w.prepare(c)
	status := w.start(1)
	w.waitLine("up")
	begin, err := w.rt.Stats(t.Context(), id, "web")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for time.Since(began) < time.Second { // this is the machine world: the quota is measured in real time
		time.Sleep(100 * time.Millisecond)
	}
	end, err := w.rt.Stats(t.Context(), id, "web")
	if err != nil {
		t.Fatal(err)
	}
	if used := end.CPU - begin.CPU; used <= 0 || used > time.Since(began)/3 {
		t.Errorf("with a tenth of a core it used %v in %v (process %d)", used, time.Since(began), status.PID)
	}
}

// A container is below our cgroup where limits are, and not in hierarchies that only cost time to join.
func TestHierarchiesJoined(t *testing.T) {
	_, text := newWorld(t).run(sh("cat /proc/self/cgroup"))
	joined := map[string]bool{}
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, name := range strings.Split(fields[1], ",") {
			joined[name] = strings.Contains(fields[2], "web") || fields[2] == "/" && fields[0] == "0" && len(joined) == 0
		}
	}
	if _, v1 := joined["memory"]; !v1 {
		if !joined[""] {
			t.Errorf("on cgroup v2 it is in\n%s", text)
		}
		return
	}
	for name, want := range map[string]bool{"memory": true, "cpu": true, "cpuacct": true, "pids": true, "devices": true, "freezer": true, "cpuset": false, "blkio": false} {
		if got, there := joined[name]; there && got != want {
			t.Errorf("%s joined: %v\n%s", name, got, text)
		}
	}
}

// Among instances the sum of the containers' requests counts, so it stands at the instance's cgroup.
func TestSharesOfAnInstance(t *testing.T) {
	w := newWorld(t)
	a, b := sh("while :; do sleep 1000; done"), sh("true")
	b.Name = "side"
	a.Limits.CPURequestMillis, b.Limits.CPURequestMillis = 500, 1500
	w.prepare(a, b)
	w.start(1)
	file, want := "cpu.shares", "2048"
	dir := ""
	for _, mounted := range cgroupMounts() {
		if _, err := os.Stat(filepath.Join(mounted, parent, string(id), "cpu.weight")); err == nil {
			dir, file, want = mounted, "cpu.weight", "79"
		} else if _, err := os.Stat(filepath.Join(mounted, parent, string(id), "cpu.shares")); err == nil {
			dir = mounted
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, parent, string(id), file))
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("%s is %q, want %s (%v)", file, got, want, err)
	}
}

func TestMistakes(t *testing.T) {
	for name, change := range map[string]func(*runtime.Container){
		"no such program": func(c *runtime.Container) { c.Command = []string{"/no/such"} },
		"not a program":   func(c *runtime.Container) { c.Command = []string{"/srv/file/x"} },
		"not a directory": func(c *runtime.Container) { c.WorkingDir = "/old/x" },
		"no such user":    func(c *runtime.Container) { c.User = "nobody-knows" },
		"no such power":   func(c *runtime.Container) { c.AddCapabilities = []string{"FLY"} },
		"relative mount":  func(c *runtime.Container) { c.Mounts = []runtime.Mount{{Volume: "v", Path: "x"}} },
		"escaping volume": func(c *runtime.Container) { c.Mounts = []runtime.Mount{{Volume: "..", Path: "/x"}} },
		"bad variable":    func(c *runtime.Container) { c.Env = []runtime.Env{{Name: "A=B"}} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := sh("true")
			change(&c)
			_, err := w.rt.Prepare(t.Context(), runtime.Spec{Instance: id, Containers: []runtime.Container{c}})
			if err == nil {
				_, err = w.rt.Start(t.Context(), id, "web", 1)
			}
			var typed *runtime.Error
			if !errors.As(err, &typed) || typed.Reason != runtime.BadSpec {
				t.Fatalf("got %v", err)
			}
		})
	}
	w := newWorld(t)
	_, err := w.rt.Prepare(t.Context(), runtime.Spec{Instance: id, Containers: []runtime.Container{{Name: "web", Image: "none"}}})
	var typed *runtime.Error
	if !errors.As(err, &typed) || typed.Reason != runtime.ImageMissing {
		t.Fatalf("a missing image: %v", err)
	}
}

// After a start that failed, a later generation works.
func TestStartAfterFailure(t *testing.T) {
	w := newWorld(t)
	w.prepare(runtime.Container{Name: "web", Image: "busybox", Command: []string{"/echo", "fine"}})
	if _, err := w.rt.Start(t.Context(), id, "web", 1); err == nil {
		t.Fatal("a program started that is not there")
	}
	if _, err := w.rt.Start(t.Context(), id, "web", 1); err == nil {
		t.Fatal("a used-up generation started")
	}
	made := filepath.Join(w.config.Images.(images).image.Layers[0], "echo")
	if err := os.Symlink("bin/busybox", made); err != nil {
		t.Fatal(err)
	}
	w.start(2)
	if status := w.exit(); status.ExitCode != 0 || status.Generation != 2 {
		t.Errorf("%+v", status)
	}
}

func TestSharedNamespaces(t *testing.T) {
	w := newWorld(t)
	a, b := sh("echo up; while :; do sleep 1000; done"), sh("while :; do sleep 1000; done")
	b.Name = "side"
	a.Mounts = []runtime.Mount{{Volume: "both", Path: "/both"}}
	b.Mounts = []runtime.Mount{{Volume: "both", Path: "/other"}}
	w.prepare(a, b)
	var pids []int
	for _, name := range []string{"web", "side"} {
		status, err := w.rt.Start(t.Context(), id, name, 1)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, status.PID)
	}
	for kind, same := range map[string]bool{"net": true, "ipc": true, "uts": true, "pid": false, "mnt": false} {
		var links []string
		for _, pid := range append(pids, os.Getpid()) {
			link, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/" + kind)
			if err != nil {
				t.Fatal(err)
			}
			links = append(links, link)
		}
		if (links[0] == links[1]) != same || links[0] == links[2] || links[1] == links[2] {
			t.Errorf("%s namespaces of the containers and of this test: %v", kind, links)
		}
	}
	exec := func(name, script string) string {
		result, err := w.rt.Exec(t.Context(), id, name, []string{"sh", "-c", script})
		if err != nil || result.ExitCode != 0 {
			t.Fatalf("%s: %+v, %v", script, result, err)
		}
		return strings.TrimSpace(string(result.Output))
	}
	exec("web", "echo a > /both/x; echo b > /dev/shm/y")
	if got := exec("side", "cat /other/x /dev/shm/y; hostname"); got != "a\nb\nweb-0" {
		t.Errorf("the second container sees %q", got)
	}
}

func TestExecLimits(t *testing.T) {
	w := newWorld(t)
	w.prepare(sh("echo up; while :; do sleep 1000; done"))
	w.start(1)
	w.waitLine("up")
	result, err := w.rt.Exec(t.Context(), id, "web", []string{"sh", "-c", "dd if=/dev/zero bs=1000 count=200 2>/dev/null; exit 9"})
	if err != nil || result.ExitCode != 9 || len(result.Output) != 64<<10 {
		t.Errorf("%d bytes, exit %d, %v", len(result.Output), result.ExitCode, err)
	}
	ctx, cancel := contextWithTimeout(t, 200*time.Millisecond)
	defer cancel()
	if _, err := w.rt.Exec(ctx, id, "web", []string{"sleep", "1000"}); err == nil {
		t.Error("exec outlived its context")
	}
	result, err = w.rt.Exec(t.Context(), id, "web", []string{"sh", "-c", "sleep 1000 & echo back"})
	if err != nil || string(result.Output) != "back\n" {
		t.Errorf("a command that leaves something behind: %+v, %v", result, err)
	}
}
