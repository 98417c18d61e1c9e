package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	goruntime "runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Program is what Build makes an image of.
type Program struct {
	Reference  string   // "shoal.example/web:1"
	Path       string   // absolute, in the image; also its entrypoint
	Binary     []byte   // a static program for this machine
	Args       []string // the image's command
	Env        []string // "NAME=value"
	User       string   // "uid:gid"; root when empty
	StopSignal string   // "SIGTERM" when empty
	Ports      []string // "8080/tcp"
}

// built is the time that everything in a built image bears, so that equal programs make equal bytes.
var built = time.Unix(0, 0).UTC()

// Build writes an OCI image layout with one program in it, as a tar stream. The same Program gives the same
// bytes, with the same version of Go. Import reads it, and so do other tools.
func Build(to io.Writer, program Program) error {
	reference, err := taggable(program.Reference)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(program.Path, "/") || len(program.Binary) == 0 {
		return errors.New("build image: want an absolute path and a program")
	}
	layer, err := programLayer(program)
	if err != nil {
		return fmt.Errorf("build image %s: %w", reference, err)
	}
	image, err := programImage(program, layer)
	if err == nil {
		err = writeLayout(to, reference, image)
	}
	if err != nil {
		return fmt.Errorf("build image %s: %w", reference, err)
	}
	return nil
}

// programLayer holds the program, the directories above it, and a tmp that all may write to.
func programLayer(program Program) (v1.Layer, error) {
	var stream bytes.Buffer
	entries := tar.NewWriter(&stream)
	add := func(header tar.Header, data []byte) error {
		header.ModTime, header.Size, header.Format = built, int64(len(data)), tar.FormatUSTAR
		if err := entries.WriteHeader(&header); err != nil {
			return err
		}
		_, err := entries.Write(data)
		return err
	}
	faults := []error{add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)}
	name := strings.TrimPrefix(program.Path, "/")
	for i, char := range name {
		if char == '/' && name[:i] != "tmp" {
			faults = append(faults, add(tar.Header{Typeflag: tar.TypeDir, Name: name[:i+1], Mode: 0o755}, nil))
		}
	}
	faults = append(faults, add(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755}, program.Binary), entries.Close())
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(stream.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

func programImage(program Program, layer v1.Layer) (v1.Image, error) {
	ports := map[string]struct{}{}
	for _, port := range program.Ports {
		ports[port] = struct{}{}
	}
	config := &v1.ConfigFile{
		Architecture: goruntime.GOARCH,
		OS:           "linux",
		Created:      v1.Time{Time: built},
		RootFS:       v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint:   []string{program.Path},
			Cmd:          program.Args,
			Env:          program.Env,
			User:         program.User,
			StopSignal:   program.StopSignal,
			ExposedPorts: ports,
		},
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(base, config)
	if err != nil {
		return nil, err
	}
	return mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: built}, CreatedBy: "shoal"}})
}

// layoutFile is a file of an OCI image layout.
type layoutFile struct {
	name string
	data []byte
}

func layoutFiles(reference string, image v1.Image) ([]layoutFile, error) {
	index, err := indexOf(reference, image)
	if err != nil {
		return nil, err
	}
	files := []layoutFile{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", index}}
	add := func(data []byte, err error) error {
		files = append(files, layoutFile{blobName(digestOf(data)), data})
		return err
	}
	if err := errors.Join(add(image.RawConfigFile()), add(image.RawManifest())); err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		if err := add(compressed(layer)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// writeLayout writes an OCI image layout: oci-layout, index.json and the blobs.
func writeLayout(to io.Writer, reference string, image v1.Image) error {
	files, err := layoutFiles(reference, image)
	if err != nil {
		return err
	}
	entries := tar.NewWriter(to)
	for _, file := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: file.name, Mode: 0o644, Size: int64(len(file.data)), ModTime: built, Format: tar.FormatPAX}
		if err := entries.WriteHeader(header); err != nil {
			return err
		}
		if _, err := entries.Write(file.data); err != nil {
			return err
		}
	}
	return entries.Close()
}

func indexOf(reference string, image v1.Image) ([]byte, error) {
	digest, err := image.Digest()
	if err != nil {
		return nil, err
	}
	size, err := image.Size()
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, key := range nameAnnotations {
		names[key] = reference
	}
	return json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1, Size: size, Digest: digest, Annotations: names,
			Platform: &v1.Platform{OS: "linux", Architecture: goruntime.GOARCH},
		}},
	})
}

func compressed(layer v1.Layer) ([]byte, error) {
	stream, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	return io.ReadAll(stream)
}

func blobName(digest string) string { return "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:") }
