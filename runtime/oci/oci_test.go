//go:build linux && cgo

package oci_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime"
	"shoal/runtime/oci"
	"shoal/runtime/runtimetest"
	"shoal/runtime/supervise"
)

func TestMain(m *testing.M) {
	oci.Init()
	if dir := os.Getenv("SHOAL_TEST_LIFE"); dir != "" {
		life(dir)
		return
	}
	parent = fmt.Sprintf("shoal-test-%d", os.Getpid())
	code := m.Run()
	for _, mounted := range cgroupMounts() {
		if err := os.Remove(filepath.Join(mounted, parent)); err != nil && !os.IsNotExist(err) {
			fmt.Fprintln(os.Stderr, "left behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// parent is the cgroup that all containers of these tests are in.
var parent string

func cgroupMounts() []string {
	body, _ := os.ReadFile("/proc/thread-self/mountinfo")
	var all []string
	for line := range strings.Lines(string(body)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.Contains(line, " - cgroup") {
			all = append(all, fields[4])
		}
	}
	return all
}

// images has one image: a busybox.
type images struct{ image runtime.Image }

func (i images) Resolve(_ context.Context, reference string) (runtime.Image, error) {
	if reference != i.image.Reference {
		return runtime.Image{}, &runtime.Error{Op: "resolve", Subject: reference, Reason: runtime.ImageMissing, Err: os.ErrNotExist}
	}
	return i.image, nil
}
func (i images) Import(context.Context, io.Reader, string) (runtime.Image, error) {
	return runtime.Image{}, os.ErrInvalid
}
func (i images) List(context.Context) ([]runtime.Image, error) {
	return []runtime.Image{i.image}, nil
}

// busybox makes an image of two layers below dir: the program, and files that name users.
func busybox(dir string) (images, error) {
	base, top := filepath.Join(dir, "base"), filepath.Join(dir, "top,with:odd name")
	body, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return images{}, fmt.Errorf("install busybox-static: %w", err)
	}
	files := map[string]string{
		base + "/bin/busybox": string(body),
		base + "/etc/passwd":  "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:web:/home/web:/bin/sh\n",
		base + "/etc/group":   "root:x:0:\nweb:x:44:\nmore:x:55:web\n",
		base + "/old":         "lower",
		top + "/old":          "upper",
		top + "/srv/file":     "served",
	}
	for path, text := range files {
		if _, err := os.Stat(path); err == nil {
			continue // a container of an earlier life may be running it
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return images{}, err
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			return images{}, err
		}
	}
	for _, applet := range []string{"sh", "echo", "cat", "id", "ls", "sleep", "mount", "unshare", "true", "hostname", "env", "tail", "dd", "touch", "mknod", "chroot", "ping", "head", "kill", "mkdir", "grep"} {
		if err := os.Symlink("busybox", filepath.Join(base, "bin", applet)); err != nil && !os.IsExist(err) {
			return images{}, err
		}
	}
	for _, name := range []string{"tmp", "proc", "sys", "dev"} {
		if err := os.MkdirAll(filepath.Join(base, name), 0o755); err != nil {
			return images{}, err
		}
	}
	// A link that leads out of the root must not be followed when /etc is written.
	if err := os.Symlink("/tmp/outside", filepath.Join(top, "resolv")); err != nil && !os.IsExist(err) {
		return images{}, err
	}
	if err := os.MkdirAll(filepath.Join(top, "etc"), 0o755); err != nil {
		return images{}, err
	}
	if err := os.Symlink("/tmp/outside", filepath.Join(top, "etc/resolv.conf")); err != nil && !os.IsExist(err) {
		return images{}, err
	}
	return images{runtime.Image{
		Reference: "busybox", Layers: []string{base, top}, Entrypoint: []string{"/bin/busybox", "sh", "-c"},
		Command: []string{"echo image"}, Env: []runtime.Env{{Name: "FROM", Value: "image"}, {Name: "OVER", Value: "image"}},
		WorkingDir: "/srv", StopSignal: "SIGTERM",
	}}, nil
}

func sh(script string) runtime.Container {
	return runtime.Container{Name: "web", Image: "busybox", Args: []string{script}}
}

// script does what the suite wants of a container.
func script(p runtimetest.Program) runtime.Container {
	var lines []string
	switch {
	case p.IgnoreTerm:
		lines = append(lines, "trap '' TERM")
	default:
		lines = append(lines, "trap 'exit 143' TERM")
	}
	if p.Writes > 0 {
		lines = append(lines, fmt.Sprintf("head -c %d /dev/zero >/big", p.Writes))
	}
	for _, line := range p.Print {
		lines = append(lines, "echo "+line)
	}
	if p.Exits {
		lines = append(lines, fmt.Sprintf("exit %d", p.ExitCode))
	} else {
		lines = append(lines, "while :; do sleep 0.05; done") // a trap waits for the command at hand
	}
	c := sh(strings.Join(lines, "\n"))
	c.Name = ""
	return c
}

// world is one directory with one life after the other.
type world struct {
	*testing.T
	config oci.Config
	rt     *oci.Runtime
	exits  chan runtime.Status
}

func newWorld(t *testing.T) *world {
	if os.Geteuid() != 0 {
		t.Skip("containers need root")
	}
	image, err := busybox(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, config: oci.Config{
		Dir: t.TempDir(), CgroupParent: parent, ExitsDir: t.TempDir(), Images: image, Nameservers: []string{"192.0.2.1"},
	}}
	w.reopen()
	t.Cleanup(w.end)
	return w
}

// reopen begins the next life.
func (w *world) reopen() {
	w.Helper()
	if w.rt != nil {
		w.rt.Close()
	}
	exits := make(chan runtime.Status, 100)
	rt, err := oci.New(w.config, func(status runtime.Status) { exits <- status })
	if err != nil {
		w.Fatal(err)
	}
	w.rt, w.exits = rt, exits
}

// end removes everything, and looks for what stayed.
func (w *world) end() {
	all, err := w.rt.List(context.Background())
	if err != nil {
		w.Error(err)
	}
	for _, in := range all {
		if err := w.rt.Remove(context.Background(), in.Spec.Instance); err != nil {
			w.Error(err)
		}
	}
	w.rt.Close()
	w.checkClean()
}

func (w *world) checkClean() {
	w.Helper()
	mounts, _ := os.ReadFile("/proc/thread-self/mountinfo")
	if bytes.Contains(mounts, []byte(w.config.Dir)) {
		w.Errorf("a mount is left below %s", w.config.Dir)
	}
	for _, name := range []string{"instances", "run", "logs", "trash"} {
		entries, err := os.ReadDir(filepath.Join(w.config.Dir, name))
		if err != nil || len(entries) > 0 {
			w.Errorf("%s still holds %v (%v)", name, entries, err)
		}
	}
}

const id = runtime.InstanceID("default.web-0.5f3c9a1e")

func (w *world) prepare(containers ...runtime.Container) {
	w.Helper()
	if _, err := w.rt.Prepare(w.Context(), runtime.Spec{Instance: id, Hostname: "web-0", Containers: containers}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) start(generation uint64) runtime.Status {
	w.Helper()
	status, err := w.rt.Start(w.Context(), id, "web", generation)
	if err != nil {
		w.Fatal(err)
	}
	return status
}

func (w *world) exit() runtime.Status {
	w.Helper()
	select {
	case status := <-w.exits:
		return status
	case <-time.After(30 * time.Second):
		w.Fatal("no exit was reported")
		return runtime.Status{}
	}
}

// run runs one container to its end and returns its output.
func (w *world) run(c runtime.Container) (runtime.Status, string) {
	w.Helper()
	w.prepare(c)
	w.start(1)
	status := w.exit()
	return status, w.output(runtime.LogOptions{TailLines: -1})
}

func (w *world) output(options runtime.LogOptions) string {
	w.Helper()
	logs, err := w.rt.Logs(w.Context(), id, "web", options)
	if err != nil {
		w.Fatal(err)
	}
	defer logs.Close()
	text, err := io.ReadAll(logs)
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// waitLine follows the output until a line comes by.
func (w *world) waitLine(want string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	logs, err := w.rt.Logs(ctx, id, "web", runtime.LogOptions{Follow: true, TailLines: -1})
	if err != nil {
		w.Fatal(err)
	}
	defer logs.Close()
	for {
		var line string
		if _, err := fmt.Fscanln(logs, &line); err != nil {
			w.Fatalf("waiting for %q: %v", want, err)
		}
		if line == want {
			return
		}
	}
}

func TestConformance(t *testing.T) {
	runtimetest.Run(t, func(t *testing.T) runtimetest.Harness {
		w := newWorld(t)
		return runtimetest.Harness{
			Open: func(exited func(runtime.Status)) runtime.Runtime {
				w.rt.Close()
				rt, err := oci.New(w.config, exited)
				if err != nil {
					t.Fatal(err)
				}
				w.rt = rt
				return rt
			},
			Now:       supervise.Uptime,
			Measure:   func() { w.rt.Measure() },
			Container: script,
			Kill: func(status runtime.Status) {
				if err := unix.Kill(status.PID, unix.SIGKILL); err != nil {
					t.Error(err)
				}
			},
		}
	})
}
