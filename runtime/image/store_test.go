package image

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"shoal/runtime"
)

func TestMissing(t *testing.T) {
	store := open(t, t.TempDir())
	for text, want := range map[string]runtime.Reason{
		"web:1": runtime.ImageMissing, digestOf(nil): runtime.ImageMissing, "web@" + digestOf(nil): runtime.ImageMissing,
		"Web": runtime.BadSpec, "": runtime.BadSpec,
	} {
		if _, err := store.Resolve(context.Background(), text); reasonOf(t, err) != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Whatever is lost or changed on disk is noticed, told, and mended by importing again.
func TestDamageIsNoticedAndMended(t *testing.T) {
	archive := simple(t, tarOf(t, one, file{name: "b", data: "b"}), tarOf(t, file{name: "c", data: "c"}))
	find := func(store *Store, pattern string) string {
		found, err := filepath.Glob(filepath.Join(store.dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		return found[0]
	}
	edit := func(pattern, old, new string) func(*Store) error {
		return func(store *Store) error {
			path := find(store, pattern)
			data, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(data), old) {
				t.Fatalf("%s holds no %q: %v", path, old, err)
			}
			return os.WriteFile(path, []byte(strings.Replace(string(data), old, new, 1)), 0o600)
		}
	}
	cut := func(pattern string) func(*Store) error {
		return func(store *Store) error { return os.Truncate(find(store, pattern), 20) }
	}
	drop := func(pattern string) func(*Store) error {
		return func(store *Store) error { return os.RemoveAll(find(store, pattern)) }
	}
	for name, harm := range map[string]func(*Store) error{
		"layer lost":          drop("layers/*"),
		"marker lost":         drop("layers/*/whole"),
		"marker cut":          cut("layers/*/whole"),
		"marker of another":   edit("layers/*/whole", "sha256:", "sha256:0"),
		"files lost":          drop("layers/*/fs/*"),
		"all files lost":      drop("layers/*/fs"),
		"image cut":           cut("images/*"),
		"manifest changed":    edit("images/*", `"manifest":"ey`, `"manifest":"eyAg`),
		"config changed":      edit("images/*", `"config":"ey`, `"config":"eyAg`),
		"reference cut":       cut("references/*"),
		"reference redirects": edit("references/*", "web:1", "web:2"),
	} {
		t.Run(name, func(t *testing.T) {
			store := open(t, t.TempDir())
			want := importInto(t, store, archive, "")
			if err := harm(store); err != nil {
				t.Fatal(err)
			}
			_, err := store.Resolve(context.Background(), "web:1")
			if reasonOf(t, err) != runtime.ImageCorrupt {
				t.Errorf("resolved: %v", err)
			}
			if _, err := store.List(context.Background()); err != nil {
				t.Errorf("list: %v", err)
			}
			if got := importInto(t, store, archive, ""); !cmp.Equal(got, want) {
				t.Error(cmp.Diff(want, got))
			}
			if left, err := os.ReadDir(filepath.Join(store.dir, "tmp")); err != nil || len(left) > 0 {
				t.Errorf("left in tmp: %v, %v", left, err)
			}
		})
	}
}

func TestRecordsOfANewerVersionAreLeftAlone(t *testing.T) {
	store := open(t, t.TempDir())
	importInto(t, store, simple(t, tarOf(t, one)), "")
	record := fmt.Sprintf(`{"version":2,"reference":"web:1","digest":%q}`, digestOf(nil))
	if err := os.WriteFile(store.referenceFile("web:1"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Resolve(context.Background(), "web:1")
	if reasonOf(t, err) != runtime.Failed || !strings.Contains(err.Error(), "newer version") {
		t.Error(err)
	}
}

// The forms of version 1, as they were released.
func TestRecordsOfVersion1(t *testing.T) {
	store := open(t, t.TempDir())
	const layer = "sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
	config := `{"architecture":"` + configOf(t).Architecture + `","os":"linux","config":{"Entrypoint":["/web"],"User":"7"},` +
		`"rootfs":{"type":"layers","diff_ids":["` + layer + `"]}}`
	manifest := `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":1,"digest":"` +
		digestOf([]byte(config)) + `"},"layers":[]}`
	digest := digestOf([]byte(manifest))
	write := func(text string, path ...string) {
		t.Helper()
		file := filepath.Join(store.dir, filepath.Join(path...))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	encode := func(text string) string { return `"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"` }
	place := strings.Replace(layer, ":", "-", 1)
	write("x", "layers", place, "fs", "web")
	write(`{"version":1,"layer":"`+layer+`","names":1,"later":1}`, "layers", place, "whole")
	write(`{"version":1,"manifest":`+encode(manifest)+`,"config":`+encode(config)+`}`, "images", strings.Replace(digest, ":", "-", 1)+".json")
	// The file's name is the SHA-256 of "web:1".
	write(`{"version":1,"reference":"web:1","digest":"`+digest+`"}`, "references", strings.TrimPrefix(digestOf([]byte("web:1")), "sha256:")+".json")
	image, err := store.Resolve(context.Background(), "web:1")
	if err != nil || image.Entrypoint[0] != "/web" || image.User != "7" || len(image.Layers) != 1 {
		t.Errorf("%+v, %v", image, err)
	}
}

// An import that fails when it is all but done leaves what was there before.
func TestAFailedImportChangesNothing(t *testing.T) {
	for _, sub := range []string{"layers", "images", "references"} {
		t.Run(sub, func(t *testing.T) {
			store := open(t, t.TempDir())
			before := importInto(t, store, simple(t, tarOf(t, one)), "")
			// Renames onto another mount fail, as when the disk fails there.
			path := filepath.Join(store.dir, sub)
			if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			unmount := sync.OnceValue(func() error { return unix.Unmount(path, 0) })
			defer unmount()
			next := simple(t, tarOf(t, file{name: "a", data: "two"}))
			if _, err := store.Import(context.Background(), bytes.NewReader(next), ""); reasonOf(t, err) != runtime.Failed {
				t.Errorf("imported: %v", err)
			}
			if got, err := store.Resolve(context.Background(), "web:1"); err != nil || !cmp.Equal(got, before) {
				t.Errorf("after: %v, %v", got, err)
			}
			if err := unmount(); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(filepath.Join(store.dir, "tmp")); err != nil || len(left) > 0 {
				t.Errorf("left in tmp: %v, %v", left, err)
			}
			if got := importInto(t, open(t, store.dir), next, ""); got.Digest == before.Digest {
				t.Error("the second try imported the image before")
			}
		})
	}
}

func TestOpenRemovesWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	want := importInto(t, store, simple(t, tarOf(t, one)), "")
	left := filepath.Join(dir, "tmp", "import-1", "layer-0", "fs")
	if err := errors.Join(os.MkdirAll(left, 0o755), os.WriteFile(filepath.Join(left, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	store = open(t, dir)
	if names, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
	if got, err := store.Resolve(context.Background(), "web:1"); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// brokenReader gives a beginning and then breaks.
type brokenReader struct{ begin io.Reader }

func (r brokenReader) Read(into []byte) (int, error) {
	n, err := r.begin.Read(into)
	if err == io.EOF {
		err = errors.New("connection lost")
	}
	return n, err
}

func TestImportEndsWithItsContextOrStream(t *testing.T) {
	archive := simple(t, tarOf(t, one))
	store := open(t, t.TempDir())
	_, err := store.Import(context.Background(), brokenReader{bytes.NewReader(archive[:1024])}, "")
	if reasonOf(t, err) != runtime.ImageCorrupt || !strings.Contains(err.Error(), "connection lost") {
		t.Errorf("a lost stream: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := store.Import(ctx, bytes.NewReader(archive), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	expectNothing(t, store)
}

func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("shoal-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	for name, archive := range map[string][]byte{
		"archive":  tarOf(t, file{name: "index.json", data: strings.Repeat("noise", 1<<19)}),
		"unpacked": simple(t, tarOf(t, file{name: "zeros", data: string(make([]byte, 4<<20))})),
	} {
		store := open(t, dir)
		if _, err := store.Import(context.Background(), bytes.NewReader(archive), ""); reasonOf(t, err) != runtime.NoDisk {
			t.Errorf("%s: %v", name, err)
		}
		expectNothing(t, store)
	}
}

func TestImportsAtOnce(t *testing.T) {
	store := open(t, t.TempDir())
	base := tarOf(t, one)
	var group sync.WaitGroup
	for i := range 6 {
		archive := simple(t, base, tarOf(t, file{name: "n", data: fmt.Sprint(i % 3)}))
		group.Go(func() {
			name := fmt.Sprint("image-", i)
			image, err := store.Import(context.Background(), bytes.NewReader(archive), name)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := store.Resolve(context.Background(), name); err != nil || got.Digest != image.Digest {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		})
	}
	group.Wait()
	list, err := store.List(context.Background())
	if err != nil || len(list) != 6 {
		t.Errorf("%d images, %v, want 6", len(list), err)
	}
}

// A stream that stalls holds up no other import.
func TestAStalledStreamHoldsUpNobody(t *testing.T) {
	store := open(t, t.TempDir())
	stalled, writer := io.Pipe()
	ended := make(chan error)
	go func() {
		_, err := store.Import(context.Background(), stalled, "stalled")
		ended <- err
	}()
	archive := simple(t, tarOf(t, one))
	if _, err := writer.Write(archive[:700]); err != nil { // returns once the import has read it
		t.Fatal(err)
	}
	importInto(t, store, archive, "")
	writer.CloseWithError(errors.New("connection lost"))
	if err := <-ended; reasonOf(t, err) != runtime.ImageCorrupt {
		t.Error(err)
	}
}

func TestDirectoriesLetPassButNotList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	image := importInto(t, open(t, dir), simple(t, tarOf(t, one)), "")
	for _, path := range []string{dir, filepath.Join(dir, "layers"), filepath.Dir(image.Layers[0])} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o711 {
			t.Errorf("%s has mode %v, %v, want 0711", path, info.Mode(), err)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	store := open(b, b.TempDir())
	importInto(b, store, simple(b, tarOf(b, one)), "")
	for b.Loop() {
		if _, err := store.Resolve(context.Background(), "web:1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkImport(b *testing.B) {
	program := sample
	program.Binary = bytes.Repeat([]byte("a program of some 6 MB, more or less\n"), 160_000)
	archive := build(b, program)
	for b.Loop() {
		importInto(b, open(b, b.TempDir()), archive, "")
	}
}
