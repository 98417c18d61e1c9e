//go:build linux && cgo

package oci_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/runtime"
)

// endsOver runs one container, and expects it to be ended for what it wrote, with these words.
func endsOver(t *testing.T, c runtime.Container, words string) {
	t.Helper()
	w := newWorld(t)
	w.prepare(c)
	w.start(1)
	for w.output(runtime.LogOptions{TailLines: 1}) != "up\n" { // all of it may be much
		time.Sleep(5 * time.Millisecond)
	}
	w.rt.Measure()
	status := w.exit()
	if status.Reason != "StorageExceeded" || status.ExitCode != 137 || !strings.Contains(status.Detail, words) {
		t.Errorf("it ended as %+v", status)
	}
}

const goOn = "; echo up; while :; do sleep 1000; done"

func TestStorageLimits(t *testing.T) {
	for name, c := range map[string]struct{ script, words string }{
		"layer":   {"head -c 2097152 /dev/zero >/tmp/big", "container web wrote more than its limit of ephemeral-storage, 1Mi"},
		"output":  {"head -c 2097152 /dev/zero; echo", "container web wrote more"},
		"volume":  {"head -c 2097152 /dev/zero >/data/big", "volume data holds more than its sizeLimit, 512Ki"},
		"many":    {"i=0; while [ $i -lt 2400 ]; do >/tmp/$i; i=$((i+1)); done", "container web wrote more"},
		"hidden":  {"i=0; while [ $i -lt 250 ]; do mkdir d; cd d; i=$((i+1)); done", "container web wrote more"},
		"another": {"mkdir /tmp/a; head -c 2097152 /dev/zero >/tmp/a/big; ln -s /tmp/a /tmp/b", "container web wrote more"},
	} {
		t.Run(name, func(t *testing.T) {
			web := sh(c.script + goOn)
			web.Limits.StorageBytes = 1 << 20
			web.Mounts = []runtime.Mount{{Volume: "data", Path: "/data", VolumeBytes: 512 << 10}}
			endsOver(t, web, c.words)
		})
	}
}

// What is below its limits, holds nothing on disk, is counted once, or belongs to somebody else, ends nobody.
func TestStorageWithinLimits(t *testing.T) {
	w := newWorld(t)
	web := sh("head -c 600000 /dev/zero >/tmp/a; ln /tmp/a /tmp/b; ln -s / /tmp/c; ln -s /bin/busybox /tmp/e; dd if=/dev/zero of=/tmp/d bs=1 count=1 seek=9999999 2>/dev/null; head -c 300000 /dev/zero >/data/a" + goOn)
	web.Args[0] = strings.Replace(web.Args[0], "ln /tmp", "busybox ln /tmp", 1)
	web.Args[0] = strings.ReplaceAll(web.Args[0], "ln -s", "busybox ln -s")
	web.Limits.StorageBytes = 1 << 20
	web.Mounts = []runtime.Mount{{Volume: "data", Path: "/data", VolumeBytes: 512 << 10}, {Volume: "data", Path: "/again", VolumeBytes: 512 << 10}}
	w.prepare(web)
	w.start(1)
	w.waitLine("up")
	for range 3 {
		w.rt.Measure()
	}
	if _, err := w.rt.Exec(t.Context(), id, "web", []string{"true"}); err != nil {
		t.Error(err)
	}
	select {
	case status := <-w.exits:
		t.Errorf("it ended as %+v", status)
	default:
	}
}

// All of an instance counts against the sum of its limits, all of it ends before anybody hears of that, and its volumes are empty then. An
// instance that an earlier life started is measured too.
func TestStorageOfAnInstance(t *testing.T) {
	w := newWorld(t)
	web, side := sh("[ -e /data/big ] && echo full; head -c 900000 /dev/zero >/data/big"+goOn), sh("head -c 900000 /dev/zero >/tmp/big"+goOn)
	side.Name = "side"
	web.Limits.StorageBytes = 1 << 20
	web.Mounts = []runtime.Mount{{Volume: "data", Path: "/data"}}
	w.prepare(web, side)
	w.start(1)
	w.waitLine("up")
	w.reopen()
	w.rt.Measure()
	if _, err := w.rt.Start(t.Context(), id, "side", 1); err != nil {
		t.Fatal(err)
	}
	upper := filepath.Join(w.config.Dir, "instances", string(id), "side", "layer", "upper", "tmp", "big")
	for info, err := os.Stat(upper); err != nil || info.Size() < 900000; info, err = os.Stat(upper) {
		time.Sleep(5 * time.Millisecond)
	}
	w.rt.Measure()
	for range 2 {
		status := w.exit()
		if status.Reason != "StorageExceeded" || !strings.Contains(status.Detail, "together hold more than the limits of ephemeral-storage allow, 1Mi") {
			t.Errorf("it ended as %+v", status)
		}
		all, err := w.rt.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all[0].Containers {
			if c.Phase == runtime.Running {
				t.Errorf("%s still runs when the end of %s is told", c.Container, status.Container)
			}
		}
	}
	w.start(2)
	w.waitLine("up")
	if text := w.output(runtime.LogOptions{TailLines: -1}); text != "up\n" {
		t.Errorf("after its end it finds %q", text)
	}
}
