package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"shoal/runtime"
)

// formatVersion is that of all the records below. A higher one is left alone; fields that are unknown are skipped.
const formatVersion = 1

// imageRecord is images/sha256-<digest>.json.
type imageRecord struct {
	Version  int    `json:"version"`
	Manifest []byte `json:"manifest"` // its digest names the file
	Config   []byte `json:"config"`   // its digest stands in the manifest
}

// referenceRecord is references/<hash>.json, the hash being that of the reference.
type referenceRecord struct {
	Version   int    `json:"version"`
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
}

// layerRecord is layers/sha256-<diff id>/whole.
type layerRecord struct {
	Version int    `json:"version"`
	Layer   string `json:"layer"`
	Names   int    `json:"names"` // entries right below fs, to notice when they were deleted
}

func fileOfDigest(digest string) string { return strings.Replace(digest, ":", "-", 1) }

func (s *Store) imageFile(digest string) string {
	return filepath.Join(s.dir, "images", fileOfDigest(digest)+".json")
}

func (s *Store) referenceFile(reference string) string {
	return filepath.Join(s.dir, "references", strings.TrimPrefix(digestOf([]byte(reference)), "sha256:")+".json")
}

func (s *Store) layerDir(diffID string) string {
	return filepath.Join(s.dir, "layers", fileOfDigest(diffID))
}

// readRecord decodes a record; fs.ErrNotExist where there is none.
func readRecord(file string, into any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head := struct{ Version int }{}
	if err := json.Unmarshal(data, &head); err != nil {
		return corrupt("decode %s: %w", file, err)
	}
	if head.Version > formatVersion {
		return fmt.Errorf("%s was written by a newer version of this program (format %d, known is %d)", file, head.Version, formatVersion)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return corrupt("decode %s: %w", file, err)
	}
	return nil
}

// writeRecord writes a record that is there whole or not at all.
func (s *Store) writeRecord(file string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "record-")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// load reads an image by its digest and checks all that is stored of it.
func (s *Store) load(digest string) (runtime.Image, error) {
	var record imageRecord
	if err := readRecord(s.imageFile(digest), &record); err != nil {
		return runtime.Image{}, err
	}
	if got := digestOf(record.Manifest); got != digest {
		return runtime.Image{}, corrupt("the stored manifest of %s has digest %s: import the image again", digest, got)
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(record.Manifest, &manifest); err != nil {
		return runtime.Image{}, corrupt("decode the manifest of %s: %w", digest, err)
	}
	if got := digestOf(record.Config); got != manifest.Config.Digest.String() {
		return runtime.Image{}, corrupt("the stored config of %s has digest %s: import the image again", digest, got)
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(record.Config))
	if err != nil {
		return runtime.Image{}, corrupt("decode the config of %s: %w", digest, err)
	}
	image := imageOf(digest, config)
	for _, id := range config.RootFS.DiffIDs {
		if err := s.checkLayer(id.String()); err != nil {
			return runtime.Image{}, err
		}
		image.Layers = append(image.Layers, filepath.Join(s.layerDir(id.String()), "fs"))
	}
	return image, nil
}

// imageOf reads what a config says about how to run an image.
func imageOf(digest string, config *v1.ConfigFile) runtime.Image {
	image := runtime.Image{
		Digest:     digest,
		Entrypoint: config.Config.Entrypoint,
		Command:    config.Config.Cmd,
		WorkingDir: config.Config.WorkingDir,
		User:       config.Config.User,
		StopSignal: config.Config.StopSignal,
	}
	if image.StopSignal == "" {
		image.StopSignal = "SIGTERM"
	}
	for _, pair := range config.Config.Env {
		name, value, _ := strings.Cut(pair, "=")
		image.Env = append(image.Env, runtime.Env{Name: name, Value: value})
	}
	return image
}

// checkLayer says whether a layer was unpacked whole and is still there.
func (s *Store) checkLayer(diffID string) error {
	if !digestForm.MatchString(diffID) {
		return corrupt("diff id %q is not of the form sha256:… with 64 hex digits", shorten(diffID))
	}
	dir := s.layerDir(diffID)
	var record layerRecord
	err := readRecord(filepath.Join(dir, "whole"), &record)
	if errors.Is(err, fs.ErrNotExist) || err == nil && record.Layer != diffID {
		return corrupt("layer %s is not whole: import the image again", diffID)
	}
	if err != nil {
		return err
	}
	names, err := countNames(filepath.Join(dir, "fs"))
	if err != nil || names != record.Names {
		return corrupt("layer %s has lost or gained files (%d of %d names in %s): import the image again", diffID, names, record.Names, dir)
	}
	return nil
}

func countNames(dir string) (int, error) {
	file, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	names, err := file.Readdirnames(-1)
	return len(names), err
}
