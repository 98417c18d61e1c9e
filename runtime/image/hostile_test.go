package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"shoal/runtime"
)

// Layers that must be refused whole.
func TestHostileLayersAreRefused(t *testing.T) {
	overlay := map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/"}
	for name, entries := range map[string][]file{
		"dots":                 {{name: "../escaped", data: "x"}},
		"dots within":          {{name: "a/../../escaped", data: "x"}},
		"dots after a slash":   {{name: "/../escaped", data: "x"}},
		"hard link outside":    {{name: "link", kind: tar.TypeLink, link: "../../../../../../etc/passwd"}},
		"hard link to nothing": {{name: "link", kind: tar.TypeLink, link: "nothing"}},
		"device":               {{name: "sda", kind: tar.TypeBlock}},
		"device below etc":     {{name: "etc/null", kind: tar.TypeChar}},
		"raw whiteout":         {{name: "etc/passwd", kind: tar.TypeChar}},
		"device by dots":       {{name: "dev/../sda", kind: tar.TypeBlock}},
		"overlay attribute":    {{name: "d", kind: tar.TypeDir, pax: overlay}},
		"user's overlay":       {{name: "d", data: "x", pax: map[string]string{"SCHILY.xattr.user.overlay.opaque": "y"}}},
		"unknown type":         {{name: "x", kind: 'Z'}},
		"whiteout of nothing":  {{name: "a/.wh."}},
		"whiteout of above":    {{name: "a/.wh..."}},
		"long name":            {{name: strings.Repeat("x/", 3000) + "y", data: "x"}},
		"long part":            {{name: strings.Repeat("x", 300), data: "x"}},
		"endless links":        {{name: "a", kind: tar.TypeSymlink, link: "b"}, {name: "b", kind: tar.TypeSymlink, link: "a"}, {name: "a/x", data: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store := open(t, filepath.Join(dir, "deep", "images"))
			_, err := store.Import(context.Background(), bytes.NewReader(simple(t, tarOf(t, one), tarOf(t, entries...))), "")
			if reasonOf(t, err) != runtime.ImageCorrupt {
				t.Error(err)
			}
			expectNothing(t, store)
			expectInside(t, dir)
		})
	}
}

// Layers that try to leave by links. They may be refused or kept inside; nothing outside may change.
func TestLinksLeadNowhere(t *testing.T) {
	for _, target := range []string{"/", "..", "../..", "../../../../../../../../..", "../../../../../../../../../tmp", "/proc/self/root", "/proc/self/cwd", "."} {
		for _, entries := range [][]file{
			{{name: "s", kind: tar.TypeSymlink, link: target}, {name: "s/escaped", data: "x"}},
			{{name: "s", kind: tar.TypeSymlink, link: target}, {name: "s/escaped", kind: tar.TypeDir}},
			{{name: "s", kind: tar.TypeSymlink, link: target}, {name: "s", kind: tar.TypeDir, mode: 0o700}},
			{{name: "s", kind: tar.TypeSymlink, link: target}, {name: "s/.wh.deep"}},
			{{name: "s", kind: tar.TypeSymlink, link: target}, {name: "s/.wh..wh..opq"}},
			{{name: "s", kind: tar.TypeSymlink, link: target}, {name: "h", kind: tar.TypeLink, link: "s/etc/passwd"}, {name: "h", data: "escaped"}},
			{{name: "d/s", kind: tar.TypeSymlink, link: target}, {name: "t", kind: tar.TypeSymlink, link: "d/s"}, {name: "t/escaped", data: "x"}},
			{{name: "s", kind: tar.TypeSymlink, link: target}, {name: "s/s2", kind: tar.TypeSymlink, link: ".."}, {name: "s/s2/s2/escaped", data: "x"}},
		} {
			dir := t.TempDir()
			store := open(t, filepath.Join(dir, "deep", "images"))
			image, err := store.Import(context.Background(), bytes.NewReader(simple(t, tarOf(t, entries...))), "")
			if err == nil {
				if _, err := os.Stat(image.Layers[0]); err != nil {
					t.Error(err)
				}
			} else {
				if reasonOf(t, err) != runtime.ImageCorrupt {
					t.Error(err)
				}
				expectNothing(t, store)
			}
			expectInside(t, dir)
		}
	}
}

// expectInside fails where anything has appeared in or vanished from the directories around a store, or in places that an
// escape would reach.
func expectInside(t *testing.T, dir string) {
	t.Helper()
	for _, path := range []string{"/escaped", "/tmp/escaped", filepath.Join(dir, "escaped"), filepath.Join(dir, "deep", "escaped"), filepath.Join(dir, "deep", "images", "escaped")} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s exists: %v", path, err)
		}
	}
	for _, sub := range []string{"deep/images/layers", "deep/images/tmp", "deep/images/references"} {
		if info, err := os.Lstat(filepath.Join(dir, sub)); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", sub, err)
		}
	}
	if data, err := os.ReadFile("/etc/passwd"); err != nil || strings.Contains(string(data), "escaped") {
		t.Fatalf("/etc/passwd was changed: %v", err)
	}
}

func TestBoundsHold(t *testing.T) {
	small := limits{archiveBytes: 1 << 20, archiveEntries: 20, documentBytes: 4 << 10, layers: 3, layerBytes: 1 << 16, layerEntries: 10, indexDepth: 3}
	many := make([]file, 11)
	for i := range many {
		many[i] = file{name: fmt.Sprint(i)}
	}
	sparse := tarOf(t, one)
	nest := func() []byte {
		l := newLayout(t)
		d := l.image(configOf(t), nil)
		for range 5 {
			d = l.json(types.OCIImageIndex, v1.IndexManifest{Manifests: []v1.Descriptor{d}})
		}
		l.list(d, "web:1")
		return l.tar()
	}
	devices := make([]file, maxDeviceNodes+1)
	for i := range devices {
		devices[i] = file{name: fmt.Sprint("dev/", i), kind: tar.TypeChar}
	}
	for name, step := range map[string]struct {
		archive []byte
		limits  limits
	}{
		"bomb":              {simple(t, tarOf(t, file{name: "zeros", data: string(make([]byte, 8<<20))})), small},
		"bomb behind end":   {simple(t, append(tarOf(t, one), make([]byte, 8<<20)...)), small},
		"entries":           {simple(t, tarOf(t, many...)), small},
		"layers":            {simple(t, sparse, sparse, sparse, sparse), small},
		"archive entries":   {tarOf(t, append(many, many...)...), small},
		"archive bytes":     {tarOf(t, file{name: "index.json", data: string(make([]byte, 2<<20))}), small},
		"compressed bytes":  {gzipped(t, tarOf(t, file{name: "index.json", data: string(make([]byte, 2<<20))})), small},
		"document":          {tarOf(t, file{name: "index.json", data: string(make([]byte, 5<<10))}), small},
		"depth of indexes":  {nest(), small},
		"huge header":       {simple(t, hugeHeader(t)), defaultLimits},
		"size in a header":  {tarOf(t, file{name: "index.json", size: 1 << 50}), defaultLimits},
		"devices below dev": {simple(t, tarOf(t, devices...)), defaultLimits},
	} {
		t.Run(name, func(t *testing.T) {
			store := open(t, t.TempDir())
			store.limits = step.limits
			_, err := store.Import(context.Background(), bytes.NewReader(step.archive), "")
			if reasonOf(t, err) != runtime.ImageCorrupt {
				t.Error(err)
			}
			expectNothing(t, store)
		})
	}
}

// hugeHeader is a tar stream that begins with an extended header of 2 MiB.
func hugeHeader(t *testing.T) []byte {
	stream := tarOf(t, file{name: "x", data: string(bytes.Repeat([]byte("16 comment=xxxx\n"), 2<<16))}, one)
	header := stream[:512]
	header[156] = 'x'
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return stream
}

// A sparse entry has next to nothing in the stream and any size on disk.
func TestSparseEntriesCountInFull(t *testing.T) {
	m := measure{}
	err := m.inspect(&tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: 1 << 40}, defaultLimits)
	if err == nil {
		t.Error("a file of 1 TiB passed")
	}
}

// However an archive is cut off or changed, it is imported as it was meant or not at all.
func TestDamagedArchives(t *testing.T) {
	archive := simple(t, tarOf(t, one, file{name: "b", data: strings.Repeat("b", 2000)}), tarOf(t, file{name: "c", data: "three"}))
	want := importInto(t, open(t, t.TempDir()), archive, "").Digest
	try := func(what string, data []byte) {
		t.Helper()
		store := open(t, t.TempDir())
		image, err := store.Import(context.Background(), bytes.NewReader(data), "")
		if err == nil {
			if image.Digest != want {
				t.Errorf("%s: imported as %s", what, image.Digest)
			}
			return
		}
		reasonOf(t, err)
		expectNothing(t, store)
	}
	for size := 0; size < len(archive)-1024; size += 256 {
		try(fmt.Sprintf("cut at %d", size), archive[:size])
	}
	for at := 0; at < len(archive); at += 61 {
		damaged := bytes.Clone(archive)
		damaged[at] ^= 0x20
		try(fmt.Sprintf("changed at %d", at), damaged)
	}
	for _, data := range [][]byte{nil, []byte("text"), make([]byte, 4096), {0x1f, 0x8b}, {0x1f, 0x8b, 8, 0}, []byte("\x28\xb5\x2f\xfd"), []byte("\x28\xb5\x2f\xfdxxxxxxxxxx")} {
		store := open(t, t.TempDir())
		if _, err := store.Import(context.Background(), bytes.NewReader(data), "web"); reasonOf(t, err) != runtime.ImageCorrupt {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestDigestsMustMatch(t *testing.T) {
	layer, other := tarOf(t, one), tarOf(t, file{name: "a", data: "two"})
	for name, spoil := range map[string]func(l *layout) v1.Descriptor{
		"diff id of another layer": func(l *layout) v1.Descriptor { return l.image(configOf(t, other), gzipped, layer) },
		"fewer diff ids":           func(l *layout) v1.Descriptor { return l.image(configOf(t), gzipped, layer) },
		"a blob's bytes": func(l *layout) v1.Descriptor {
			d := l.image(configOf(t, layer), gzipped, layer)
			for i := range l.entries {
				if strings.HasPrefix(l.entries[i].name, "blobs/sha256/") && strings.HasPrefix(l.entries[i].data, "\x1f\x8b") {
					l.entries[i].data += "x"
				}
			}
			return d
		},
		"a missing blob": func(l *layout) v1.Descriptor {
			d := l.image(configOf(t, layer), gzipped, layer)
			l.entries = append(l.entries[:2], l.entries[3:]...)
			return d
		},
		"a wrong size": func(l *layout) v1.Descriptor {
			d := l.image(configOf(t, layer), gzipped, layer)
			d.Size++
			return d
		},
		"another hash": func(l *layout) v1.Descriptor {
			d := l.image(configOf(t, layer), gzipped, layer)
			d.Digest = v1.Hash{Algorithm: "sha512", Hex: strings.Repeat("a", 128)}
			return d
		},
		"a path as digest": func(l *layout) v1.Descriptor {
			d := l.image(configOf(t, layer), gzipped, layer)
			d.Digest = v1.Hash{Algorithm: "sha256", Hex: "../../oci-layout"}
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLayout(t)
			l.list(spoil(l), "web:1")
			store := open(t, t.TempDir())
			if _, err := store.Import(context.Background(), bytes.NewReader(l.tar()), ""); reasonOf(t, err) != runtime.ImageCorrupt {
				t.Error(err)
			}
			expectNothing(t, store)
		})
	}
}

func FuzzImport(f *testing.F) {
	f.Add(simple(f, tarOf(f, one)))
	f.Add(dockerArchive(f, []string{"web:1"}, configOf(f, tarOf(f, one)), tarOf(f, one)))
	f.Add([]byte{})
	small := limits{archiveBytes: 1 << 20, archiveEntries: 50, documentBytes: 1 << 16, layers: 5, layerBytes: 1 << 18, layerEntries: 50, indexDepth: 3}
	f.Fuzz(func(t *testing.T, data []byte) {
		store := open(t, t.TempDir())
		store.limits = small
		image, err := store.Import(context.Background(), bytes.NewReader(data), "web:1")
		if err != nil {
			reasonOf(t, err)
			expectNothing(t, store)
			return
		}
		if got, err := store.Resolve(context.Background(), "web:1"); err != nil || got.Digest != image.Digest {
			t.Errorf("resolved %s, %v, imported %s", got.Digest, err, image.Digest)
		}
	})
}
