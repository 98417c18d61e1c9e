package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"shoal/runtime"
)

var one = file{name: "a", data: "one"}

func importInto(t testing.TB, store *Store, archive []byte, name string) runtime.Image {
	t.Helper()
	image, err := store.Import(context.Background(), bytes.NewReader(archive), name)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// expectNothing fails where a store shows anything, or keeps anything of an import that failed.
func expectNothing(t testing.TB, store *Store) {
	t.Helper()
	for _, sub := range []string{"layers", "images", "references", "tmp"} {
		left, err := os.ReadDir(filepath.Join(store.dir, sub))
		if err != nil || len(left) > 0 {
			t.Errorf("%s holds %v, %v", sub, left, err)
		}
	}
}

// merged mounts an image's layers as the runtime does, and gives the root.
func merged(t *testing.T, image runtime.Image) string {
	t.Helper()
	root, top := t.TempDir(), t.TempDir()
	lower := make([]string, 0, len(image.Layers))
	for _, layer := range image.Layers {
		lower = append([]string{layer}, lower...)
	}
	for _, dir := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", strings.Join(lower, ":"), top, top)
	if err := unix.Mount("shoal-test", root, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	return root
}

func TestLayersMergeUnderOverlay(t *testing.T) {
	for name, pack := range map[string]func(testing.TB, []byte) []byte{"gzip": gzipped, "zstd": zstdOf, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			low := tarOf(t,
				file{name: "./", kind: tar.TypeDir}, file{name: "./etc/", kind: tar.TypeDir}, file{name: "./etc/keep", data: "low"},
				file{name: "etc/gone", data: "low"}, file{name: "etc/changed", data: "low"},
				file{name: "whole/x/y", data: "low"}, file{name: "opaque/old", data: "low"},
				file{name: "lib", kind: tar.TypeSymlink, link: "/usr/lib"}, file{name: "usr/lib/a", data: "low"},
				file{name: "hard", kind: tar.TypeLink, link: "etc/keep"}, file{name: "suid", data: "x", mode: 0o4755},
				file{name: "dev/null", kind: tar.TypeChar}, file{name: "fifo", kind: tar.TypeFifo},
			)
			high := tarOf(t,
				file{name: "etc/.wh.gone"}, file{name: "etc/changed", data: "high"}, file{name: ".wh.whole"},
				file{name: "opaque/.wh..wh..opq"}, file{name: "opaque/new", data: "high"}, file{name: "usr/lib/b", data: "high"},
			)
			l := newLayout(t)
			l.list(l.image(configOf(t, low, high), pack, low, high), "web:1")
			root := merged(t, importInto(t, open(t, t.TempDir()), l.tar(), ""))
			for path, want := range map[string]string{
				"etc/keep": "low", "etc/gone": "", "etc/changed": "high", "whole": "", "opaque/old": "", "opaque/new": "high",
				"usr/lib/a": "low", "usr/lib/b": "high", "hard": "low", "suid": "x", "dev/null": "",
			} {
				data, err := os.ReadFile(filepath.Join(root, path))
				if want == "" && !errors.Is(err, os.ErrNotExist) || want != "" && string(data) != want {
					t.Errorf("%s is %q, %v, want %q", path, data, err, want)
				}
			}
			if info, err := os.Stat(filepath.Join(root, "suid")); err != nil || info.Mode()&os.ModeSetuid == 0 {
				t.Errorf("suid: %v, %v", info.Mode(), err)
			}
			if target, err := os.Readlink(filepath.Join(root, "lib")); err != nil || target != "/usr/lib" {
				t.Errorf("lib points to %q, %v", target, err)
			}
		})
	}
}

func TestLayersAreShared(t *testing.T) {
	store := open(t, t.TempDir())
	base, top := tarOf(t, one), tarOf(t, file{name: "b", data: "two"})
	first := importInto(t, store, simple(t, base), "")
	second := importInto(t, store, dockerArchive(t, nil, configOf(t, base, top), base, top), "other")
	if first.Layers[0] != second.Layers[0] || len(second.Layers) != 2 {
		t.Errorf("layers %v and %v", first.Layers, second.Layers)
	}
	left, err := os.ReadDir(filepath.Join(store.dir, "layers"))
	if err != nil || len(left) != 2 {
		t.Errorf("%d layers are stored, %v, want 2", len(left), err)
	}
	third := importInto(t, store, simple(t, base, base), "twice") // the same layer twice
	if len(third.Layers) != 2 || third.Layers[0] != third.Layers[1] {
		t.Errorf("layers %v", third.Layers)
	}
}

func TestImportReplacesItsReference(t *testing.T) {
	store := open(t, t.TempDir())
	before := importInto(t, store, simple(t, tarOf(t, one)), "")
	after := importInto(t, store, simple(t, tarOf(t, file{name: "a", data: "two"})), "")
	if got, err := store.Resolve(context.Background(), "web:1"); err != nil || got.Digest != after.Digest {
		t.Errorf("web:1 is %s, %v, want %s", got.Digest, err, after.Digest)
	}
	if got, err := store.Resolve(context.Background(), "web@"+before.Digest); err != nil || got.Digest != before.Digest {
		t.Errorf("the image before is gone: %v", err)
	}
	list, err := store.List(context.Background())
	if err != nil || len(list) != 2 || list[0].Reference != before.Digest || list[1].Reference != "web:1" {
		t.Errorf("list %v, %v", list, err)
	}
}

func TestThePlatformOfThisMachineIsChosen(t *testing.T) {
	l := newLayout(t)
	layer := tarOf(t, one)
	mine := l.image(configOf(t, layer), gzipped, layer)
	other := l.image(&v1.ConfigFile{OS: "linux", Architecture: "s390x"}, nil)
	on := func(d v1.Descriptor, system, architecture string) v1.Descriptor {
		d.Platform = &v1.Platform{OS: system, Architecture: architecture}
		return d
	}
	all := []v1.Descriptor{on(other, "linux", "s390x"), on(other, "unknown", "unknown"), on(mine, "linux", configOf(t).Architecture)}
	l.list(l.json(types.OCIImageIndex, v1.IndexManifest{SchemaVersion: 2, Manifests: all}), "shop/web:3")
	if got := importInto(t, open(t, t.TempDir()), l.tar(), ""); got.Digest != mine.Digest.String() || got.Reference != "shop/web:3" {
		t.Errorf("got %s %s, want %s", got.Reference, got.Digest, mine.Digest)
	}

	l.index.Manifests = all // without an index in between
	if got := importInto(t, open(t, t.TempDir()), l.tar(), "x"); got.Digest != mine.Digest.String() {
		t.Errorf("got %s, want %s", got.Digest, mine.Digest)
	}

	l.index.Manifests = all[:2]
	store := open(t, t.TempDir())
	_, err := store.Import(context.Background(), bytes.NewReader(l.tar()), "x")
	if reasonOf(t, err) != runtime.BadSpec || !strings.Contains(err.Error(), "linux/s390x") {
		t.Errorf("no platform: %v", err)
	}
	l.index.Manifests = []v1.Descriptor{other} // the index does not say, the config does
	_, err = store.Import(context.Background(), bytes.NewReader(l.tar()), "x")
	if reasonOf(t, err) != runtime.BadSpec || !strings.Contains(err.Error(), "s390x") {
		t.Errorf("another platform: %v", err)
	}
	expectNothing(t, store)
}

func TestAnArchiveOfSeveralImages(t *testing.T) {
	l := newLayout(t)
	for _, name := range []string{"shop/a:1", "docker.io/library/b:1"} {
		layer := tarOf(t, file{name: "name", data: name})
		l.list(l.image(configOf(t, layer), gzipped, layer), name)
	}
	store := open(t, t.TempDir())
	for _, name := range []string{"", "c:1"} {
		_, err := store.Import(context.Background(), bytes.NewReader(l.tar()), name)
		if reasonOf(t, err) != runtime.BadSpec || !strings.Contains(err.Error(), "shop/a:1") {
			t.Errorf("%q: %v", name, err)
		}
	}
	image := importInto(t, store, l.tar(), "b:1")
	data, err := os.ReadFile(filepath.Join(image.Layers[0], "name"))
	if err != nil || string(data) != "docker.io/library/b:1" || image.Reference != "b:1" {
		t.Errorf("%s is %q, %v", image.Reference, data, err)
	}
}

func TestNames(t *testing.T) {
	layer := tarOf(t, one)
	of := func(annotations map[string]string) []byte {
		l := newLayout(t)
		descriptor := l.image(configOf(t, layer), gzipped, layer)
		descriptor.Annotations = annotations
		l.index.Manifests = []v1.Descriptor{descriptor}
		return l.tar()
	}
	for _, step := range []struct {
		archive    []byte
		name, want string
	}{
		{of(map[string]string{"org.opencontainers.image.ref.name": "shop/web:2"}), "", "shop/web:2"},
		{of(map[string]string{"org.opencontainers.image.ref.name": "2", "io.containerd.image.name": "docker.io/library/web:2"}), "", "web:2"},
		{of(map[string]string{"org.opencontainers.image.ref.name": "latest"}), "", ""},
		{of(nil), "", ""},
		{of(nil), "web", "web:latest"},
		{of(nil), "Web", ""},
		{of(nil), "web@" + digestOf(nil), ""},
		{of(map[string]string{"org.opencontainers.image.ref.name": "shop/web:2"}), "other:3", "other:3"},
		{dockerArchive(t, []string{"web:5", "web:6"}, configOf(t, layer), layer), "", "web:5"},
		{dockerArchive(t, nil, configOf(t, layer), layer), "", ""},
	} {
		image, err := open(t, t.TempDir()).Import(context.Background(), bytes.NewReader(step.archive), step.name)
		if step.want == "" {
			if reasonOf(t, err) != runtime.BadSpec {
				t.Errorf("%+v: %v", step.name, err)
			}
		} else if err != nil || image.Reference != step.want {
			t.Errorf("got %s, %v, want %s", image.Reference, err, step.want)
		}
	}
}

func TestDockerArchive(t *testing.T) {
	layer := tarOf(t, one)
	config := configOf(t, layer, layer)
	config.Config = v1.Config{Entrypoint: []string{"/a"}, Env: []string{"A=b=c"}, WorkingDir: "/w", StopSignal: "SIGINT"}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(digestOf(data), "sha256:") + ".json"
	archive := func(config string, list string) []byte {
		return tarOf(t, file{name: "x/layer.tar", data: string(layer)}, file{name: "y/layer.tar", kind: tar.TypeSymlink, link: "../x/layer.tar"},
			file{name: name, data: config}, file{name: "manifest.json", data: list})
	}
	good := fmt.Sprintf(`[{"Config":%q,"RepoTags":["web:1"],"Layers":["x/layer.tar","y/layer.tar"]}]`, name)
	image := importInto(t, open(t, t.TempDir()), gzipped(t, archive(string(data), good)), "")
	if image.WorkingDir != "/w" || image.StopSignal != "SIGINT" || image.Env[0].Value != "b=c" || len(image.Layers) != 2 {
		t.Errorf("image %+v", image)
	}
	again := importInto(t, open(t, t.TempDir()), archive(string(data), good), "")
	if again.Digest != image.Digest {
		t.Errorf("one archive has the digests %s and %s", image.Digest, again.Digest)
	}
	for what, archive := range map[string][]byte{
		"changed config": archive(strings.Replace(string(data), "/w", "/v", 1), good),
		"no layer":       archive(string(data), strings.Replace(good, "y/layer", "z/layer", 1)),
		"fewer layers":   archive(string(data), strings.Replace(good, `,"y/layer.tar"`, "", 1)),
		"no config":      archive(string(data), strings.Replace(good, ".json", ".jsn", 1)),
		"no images":      archive(string(data), "[]"),
		"no JSON":        archive(string(data), "["),
		"escape":         archive(string(data), strings.Replace(good, "y/layer.tar", "../../../../etc/passwd", 1)),
	} {
		store := open(t, t.TempDir())
		if _, err := store.Import(context.Background(), bytes.NewReader(archive), ""); reasonOf(t, err) != runtime.ImageCorrupt {
			t.Errorf("%s: %v", what, err)
		}
		expectNothing(t, store)
	}
}
