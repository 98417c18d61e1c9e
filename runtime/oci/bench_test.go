//go:build linux && cgo

package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime"
	"shoal/runtime/oci"
)

// BenchmarkStart compares the time to a container's first instruction, image present: from the call of Start on a prepared
// instance, from the call of Prepare, and from the call of "runc run" on a mounted root. The container
// writes the clock down itself. In each round all of them run, so that they share what else happens on the machine.
//
//	go test -tags seccomp -run '^$' -bench Start -benchtime 20x ./runtime/oci
func BenchmarkStart(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("containers need root")
	}
	dir := b.TempDir()
	image := stampImage(b, dir)
	rt, err := oci.New(oci.Config{Dir: filepath.Join(dir, "oci"), CgroupParent: parent, Images: image}, func(runtime.Status) {})
	if err != nil {
		b.Fatal(err)
	}
	defer rt.Close()
	compared, err := newBundle(b, filepath.Join(dir, "runc"), image.image.Layers[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "runc not installed:", err)
	}
	var start, whole, runc []time.Duration
	for i := 0; b.Loop(); i++ {
		id := runtime.InstanceID(fmt.Sprintf("default.bench-%d.1", i))
		begin := monotonic()
		_, err := rt.Prepare(b.Context(), runtime.Spec{Instance: id, Containers: []runtime.Container{{Name: "web", Image: "stamp"}}})
		if err != nil {
			b.Fatal(err)
		}
		prepared := monotonic()
		if _, err := rt.Start(b.Context(), id, "web", 1); err != nil {
			b.Fatal(err)
		}
		stamp := readStamp(b, func() string { return logText(b, rt, id) })
		start, whole = append(start, stamp-prepared), append(whole, stamp-begin)
		if err := rt.Remove(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		if compared != nil {
			runc = append(runc, compared.run(b, i))
		}
	}
	b.ReportMetric(0, "ns/op")
	for name, spans := range map[string][]time.Duration{"start": start, "prepare+start": whole, "runc-run": runc} {
		if len(spans) > 0 {
			slices.Sort(spans)
			b.ReportMetric(milliseconds(spans[len(spans)/2]), name+"-ms-median")
			b.ReportMetric(milliseconds(spans[len(spans)-1]), name+"-ms-worst")
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano())
}

// stampImage is an image of testdata/stamp.
func stampImage(b *testing.B, dir string) images {
	layer := filepath.Join(dir, "layer")
	for _, name := range []string{"bin", "proc", "sys", "dev", "etc"} {
		if err := os.MkdirAll(filepath.Join(layer, name), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(layer, "bin/stamp"), "./testdata/stamp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, text)
	}
	return images{runtime.Image{Reference: "stamp", Layers: []string{layer}, Entrypoint: []string{"/bin/stamp"}}}
}

// readStamp waits for the container's line.
func readStamp(b *testing.B, look func() string) time.Duration {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Microsecond) {
		if line, _, whole := strings.Cut(look(), "\n"); whole {
			nanos, err := strconv.ParseInt(line, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return time.Duration(nanos)
		}
	}
	b.Fatal("the container wrote nothing")
	return 0
}

func logText(b *testing.B, rt *oci.Runtime, id runtime.InstanceID) string {
	logs, err := rt.Logs(context.Background(), id, "web", runtime.LogOptions{TailLines: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer logs.Close()
	var text bytes.Buffer
	_, _ = text.ReadFrom(logs)
	return text.String()
}

// bundle is what runc runs.
type bundle struct{ dir string }

// newBundle makes a bundle on an overlay, with runc's own default configuration but for the program.
func newBundle(b *testing.B, dir, layer string) (*bundle, error) {
	if _, err := exec.LookPath("runc"); err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "rootfs")
	for _, path := range []string{root, filepath.Join(dir, "upper"), filepath.Join(dir, "work")} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", layer, filepath.Join(dir, "upper"), filepath.Join(dir, "work"))
	if err := unix.Mount("bench", root, "overlay", 0, options); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	if text, err := exec.Command("runc", "spec", "--bundle", dir).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, text)
	}
	path := filepath.Join(dir, "config.json")
	body, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(body, &spec); err != nil {
		b.Fatal(err)
	}
	process := spec["process"].(map[string]any)
	process["terminal"], process["args"] = false, []string{"/bin/stamp"}
	delete(process, "rlimits") // raising them needs a capability
	spec["linux"].(map[string]any)["cgroupsPath"] = "/" + parent + "/runc"
	if body, err = json.Marshal(spec); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		b.Fatal(err)
	}
	return &bundle{dir}, nil
}

// run measures one "runc run", and ends the container.
func (u *bundle) run(b *testing.B, i int) time.Duration {
	name := fmt.Sprintf("%s-%d", parent, i)
	state := filepath.Join(u.dir, "state")
	out := filepath.Join(u.dir, "out")
	file, err := os.Create(out)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("runc", "--root", state, "run", "--detach", "--bundle", u.dir, name)
	cmd.Stdout, cmd.Stderr = file, file
	begin := monotonic()
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out)
		b.Fatalf("runc run: %v: %s", err, text)
	}
	stamp := readStamp(b, func() string { text, _ := os.ReadFile(out); return string(text) })
	if text, err := exec.Command("runc", "--root", state, "delete", "--force", name).CombinedOutput(); err != nil {
		b.Fatalf("runc delete: %v: %s", err, text)
	}
	return stamp - begin
}
