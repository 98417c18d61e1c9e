//go:build linux && cgo

package oci

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"shoal/runtime"
)

func TestArguments(t *testing.T) {
	image := runtime.Image{Entrypoint: []string{"entry"}, Command: []string{"command"}}
	for _, c := range []struct {
		command, args, want string
	}{
		{"", "", "entry command"}, {"", "a b", "entry a b"}, {"own", "", "own"}, {"own", "a", "own a"},
	} {
		got := arguments(runtime.Container{Command: strings.Fields(c.command), Args: strings.Fields(c.args)}, image)
		if strings.Join(got, " ") != c.want {
			t.Errorf("command %q, args %q: %q, want %q", c.command, c.args, got, c.want)
		}
	}
	if got := image.Entrypoint; len(got) != 1 || got[0] != "entry" {
		t.Errorf("the image was changed: %q", got)
	}
}

func TestSignalOf(t *testing.T) {
	for name, want := range map[string]unix.Signal{
		"": unix.SIGTERM, "SIGQUIT": unix.SIGQUIT, "quit": unix.SIGQUIT, "3": unix.SIGQUIT, "nonsense": unix.SIGTERM, "0": unix.SIGTERM, "99": unix.SIGTERM,
	} {
		if got := signalOf(name); got != want {
			t.Errorf("%q is %v, want %v", name, got, want)
		}
	}
}

func TestCapabilityNames(t *testing.T) {
	for _, name := range append(slices.Clone(usual), known...) {
		if !slices.Contains(known, name) {
			t.Errorf("%s is not known", name)
		}
	}
	all, err := capabilities([]string{"ALL"}, []string{"KILL"})
	if err != nil || len(all) != len(known) {
		t.Errorf("ALL gives %d of %d, %v", len(all), len(known), err)
	}
	for capability := range byCapability {
		if !slices.Contains(known, strings.TrimPrefix(capability, "CAP_")) {
			t.Errorf("calls for %s, which cannot be had", capability)
		}
	}
}

// A call that is allowed without conditions would make its conditions moot.
func TestProfileHasNoContradictions(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		profile := seccompProfile(arch, true, nil)
		plain := map[string]int{}
		for _, call := range profile.Syscalls {
			if len(call.Args) == 0 {
				plain[call.Name]++
			}
		}
		for name, n := range plain {
			if n > 1 {
				t.Errorf("%s stands there %d times", name, n)
			}
		}
		for _, name := range []string{"clone", "socket", "personality", "unshare", "setns", "mount", "bpf", "keyctl", "io_uring_setup", "reboot", "chroot"} {
			if plain[name] > 0 {
				t.Errorf("%s is allowed to everybody", name)
			}
		}
	}
	if !slices.ContainsFunc(allowedFor("CAP_SYS_CHROOT"), func(name string) bool { return name == "chroot" }) {
		t.Error("SYS_CHROOT cannot chroot")
	}
}

func allowedFor(capability string) []string {
	var names []string
	for _, call := range seccompProfile("amd64", false, []string{capability}).Syscalls {
		names = append(names, call.Name)
	}
	return names
}

func TestResolvConf(t *testing.T) {
	if got := string(resolvConf([]string{"192.0.2.1", "192.0.2.2"})); got != "nameserver 192.0.2.1\nnameserver 192.0.2.2\n" {
		t.Errorf("got %q", got)
	}
	for line := range strings.Lines(string(resolvConf(nil))) {
		if strings.HasPrefix(line, "nameserver 127.") || strings.HasPrefix(line, "nameserver ::1") {
			t.Errorf("a container cannot reach %q", line)
		}
	}
}

func TestTornRecordIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for _, body := range []string{"", "{", "null x"} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := readJSON(path, &state{}); err == nil {
			t.Errorf("%q was read", body)
		}
	}
}

// logFile has numbered lines, all of one length.
func logFile(t *testing.T, lines int) string {
	path := filepath.Join(t.TempDir(), "1.log")
	var text bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&text, "line %058d\n", i)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestShorten(t *testing.T) {
	const lines = 20_000 // of 64 bytes
	path := logFile(t, lines)
	if err := shorten(path, 2<<20, 1<<18); err != nil {
		t.Fatal(err)
	}
	if used := occupied(t, path); used < lines*64 {
		t.Fatalf("a file below the bound was shortened to %d", used)
	}
	if err := shorten(path, 1<<20, 1<<18); err != nil {
		t.Fatal(err)
	}
	if used := occupied(t, path); used > 1<<19 {
		t.Fatalf("it still occupies %d bytes", used)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := skipHole(file); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(file)
	if err != nil || !bytes.HasPrefix(rest, []byte("line 0")) || len(rest)%64 != 0 || len(rest) < 1<<18-64 {
		t.Fatalf("what is left begins %q, %d bytes, %v", rest[:min(70, len(rest))], len(rest), err)
	}
	if !bytes.HasSuffix(rest, []byte(fmt.Sprintf("%d\n", lines-1))) {
		t.Errorf("the end is lost: %q", rest[len(rest)-64:])
	}
	for tail, want := range map[int]int{0: 0, 1: 1, 1000: 1000, lines: len(rest) / 64} {
		info, _ := file.Stat()
		if err := seekTail(file, info.Size(), tail); err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(file); len(text) != want*64 {
			t.Errorf("tail %d gave %d lines, want %d", tail, len(text)/64, want)
		}
	}
}

func occupied(t *testing.T, path string) int64 {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

func TestSeekTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		text, want string
		lines      int
	}{
		{"", "", 3}, {"a", "a", 1}, {"a\nb", "b", 1}, {"a\nb\n", "b\n", 1}, {"\n\n\n", "\n\n", 2},
		{"a\n" + long + "\nb\n", long + "\nb\n", 2}, {"a\n" + long, long, 1}, {long + "\n", "", 0},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := seekTail(file, int64(len(c.text)), c.lines); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(file); string(got) != c.want {
			t.Errorf("the last %d lines of %.20q are %.20q", c.lines, c.text, got)
		}
		file.Close()
	}
}

func TestOverlayOfManyOddLayers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	var layers []string
	for i := range 60 {
		layer := filepath.Join(dir, fmt.Sprintf("%s,:\\ %d", strings.Repeat("long", 20), i))
		if err := os.Mkdir(layer, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(layer, "which"), []byte(fmt.Sprint(i)), 0o644); err != nil {
			t.Fatal(err)
		}
		layers = append(layers, layer)
	}
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	if err := mountOverlay(root, layers, filepath.Join(dir, "upper"), filepath.Join(dir, "work")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unmount(root); err != nil {
			t.Error(err)
		}
	}()
	if got, err := os.ReadFile(filepath.Join(root, "which")); err != nil || string(got) != "59" {
		t.Errorf("the topmost layer's file is %q, %v", got, err)
	}
}

func TestIsName(t *testing.T) {
	for name, want := range map[string]bool{
		"web": true, "web-0": true, "a.b-c_d": true, "": false, ".": false, "..": false, "-x": false, "a/b": false, "a b": false,
		"ä": false, strings.Repeat("x", 200): true, strings.Repeat("x", 201): false,
	} {
		if got := isInstance(runtime.InstanceID(name)); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if isContainer("ns") || isContainer("volumes") || isContainer("a.b") || !isContainer("side-car") {
		t.Error("names of containers")
	}
}

func TestNarrowPrograms(t *testing.T) {
	dir := t.TempDir()
	for name, body := range map[string]string{
		"bin/wide": "\x7fELF\x02\x01", "bin/narrow": "\x7fELF\x01\x01", "bin/script": "#!/bin/narrow -x\n", "bin/loop": "#!/bin/loop\n", "bin/text": "hello",
	} {
		if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/bin/narrow", filepath.Join(dir, "bin/link")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for program, want := range map[string]bool{
		"wide": false, "narrow": true, "/bin/narrow": true, "script": true, "loop": false, "text": false, "link": true, "none": false,
	} {
		if got := isNarrow(root, program, []string{"PATH=/usr/bin:/bin"}); got != want {
			t.Errorf("%s: %v, want %v", program, got, want)
		}
	}
}
