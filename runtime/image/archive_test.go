package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// file is an entry of a tar stream that a test makes.
type file struct {
	name string
	data string
	kind byte   // a regular file when zero
	link string // of links
	mode int64
	pax  map[string]string
	size int64 // when it differs from the data's
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var stream bytes.Buffer
	entries := tar.NewWriter(&stream)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Typeflag: f.kind, Linkname: f.link, Mode: f.mode, PAXRecords: f.pax, Size: int64(len(f.data))}
		if f.kind == 0 {
			header.Typeflag = tar.TypeReg
		}
		if f.mode == 0 {
			header.Mode = 0o755
		}
		if f.size != 0 {
			header.Size = f.size
		}
		if err := entries.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := entries.Write([]byte(f.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := entries.Flush(); err != nil && !strings.Contains(err.Error(), "missed writing") {
		t.Fatal(err)
	}
	entries.Close()
	return stream.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var stream bytes.Buffer
	writer := gzip.NewWriter(&stream)
	if _, err := writer.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

func zstdOf(t testing.TB, data []byte) []byte {
	t.Helper()
	writer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	return writer.EncodeAll(data, nil)
}

// layout is an OCI layout under construction, and what a test spoils in it.
type layout struct {
	t       testing.TB
	entries []file
	index   v1.IndexManifest
}

func newLayout(t testing.TB) *layout {
	l := &layout{t: t, index: v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}}
	l.entries = []file{{name: "blobs", kind: tar.TypeDir}, {name: "oci-layout", data: `{"imageLayoutVersion":"1.0.0"}`}}
	return l
}

// blob adds a blob and describes it.
func (l *layout) blob(kind types.MediaType, data []byte) v1.Descriptor {
	l.t.Helper()
	hash, err := v1.NewHash(digestOf(data))
	if err != nil {
		l.t.Fatal(err)
	}
	l.entries = append(l.entries, file{name: blobName(hash.String()), data: string(data)})
	return v1.Descriptor{MediaType: kind, Digest: hash, Size: int64(len(data))}
}

func (l *layout) json(kind types.MediaType, value any) v1.Descriptor {
	l.t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.blob(kind, data)
}

// config describes an image of layers for this machine.
func configOf(t testing.TB, layers ...[]byte) *v1.ConfigFile {
	config := &v1.ConfigFile{OS: "linux", Architecture: goruntime.GOARCH, Config: v1.Config{Cmd: []string{"/run"}}}
	for _, layer := range layers {
		hash, err := v1.NewHash(digestOf(layer))
		if err != nil {
			t.Fatal(err)
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, hash)
	}
	return config
}

// image adds an image of uncompressed layers, each compressed by pack, and returns its descriptor.
func (l *layout) image(config *v1.ConfigFile, pack func(testing.TB, []byte) []byte, layers ...[]byte) v1.Descriptor {
	l.t.Helper()
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: l.json(types.OCIConfigJSON, config)}
	for _, layer := range layers {
		if pack != nil {
			layer = pack(l.t, layer)
		}
		manifest.Layers = append(manifest.Layers, l.blob(types.OCILayer, layer))
	}
	return l.json(types.OCIManifestSchema1, manifest)
}

// list puts an image into the index under a name.
func (l *layout) list(descriptor v1.Descriptor, name string) {
	if name != "" {
		descriptor.Annotations = map[string]string{"org.opencontainers.image.ref.name": name}
	}
	l.index.Manifests = append(l.index.Manifests, descriptor)
}

func (l *layout) tar() []byte {
	l.t.Helper()
	index, err := json.Marshal(l.index)
	if err != nil {
		l.t.Fatal(err)
	}
	return tarOf(l.t, append(l.entries, file{name: "index.json", data: string(index)})...)
}

// simple is the archive of an image "web:1" of the layers given.
func simple(t testing.TB, layers ...[]byte) []byte {
	l := newLayout(t)
	l.list(l.image(configOf(t, layers...), gzipped, layers...), "web:1")
	return l.tar()
}

// dockerArchive is what docker save makes of one image.
func dockerArchive(t testing.TB, tags []string, config *v1.ConfigFile, layers ...[]byte) []byte {
	t.Helper()
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	entry := dockerEntry{Config: strings.TrimPrefix(digestOf(data), "sha256:") + ".json", RepoTags: tags}
	files := []file{{name: entry.Config, data: string(data)}}
	for i, layer := range layers {
		name := fmt.Sprintf("%d/layer.tar", i)
		entry.Layers = append(entry.Layers, name)
		files = append(files, file{name: fmt.Sprint(i), kind: tar.TypeDir}, file{name: name, data: string(layer)})
	}
	list, err := json.Marshal([]dockerEntry{entry})
	if err != nil {
		t.Fatal(err)
	}
	return tarOf(t, append(files, file{name: "manifest.json", data: string(list)})...)
}
