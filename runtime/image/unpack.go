package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// addLayers checks all layers, then unpacks those that are not there yet, then makes them visible.
func (s *Store) addLayers(ctx context.Context, work string, layers []layerSource) error {
	measured := make([]measure, len(layers))
	var need int64
	for i, layer := range layers {
		m, err := measureLayer(ctx, layer.file, s.limits)
		if err != nil {
			return fmt.Errorf("layer %d of %d (%s): %w", i+1, len(layers), layer.file.digest, err)
		}
		if m.diffID != layer.diffID {
			return corrupt("layer %d of %d (%s) is %s when uncompressed, the config says %s", i+1, len(layers), layer.file.digest, m.diffID, layer.diffID)
		}
		measured[i] = m
		need += m.bytes
	}
	if err := checkRoom(work, need); err != nil {
		return err
	}
	var fresh []string
	for i, layer := range layers {
		if s.checkLayer(layer.diffID) == nil {
			continue
		}
		dir := filepath.Join(work, "layer-"+strconv.Itoa(i))
		if err := stageLayer(ctx, layer, measured[i], dir); err != nil {
			return fmt.Errorf("unpack layer %d of %d (%s): %w", i+1, len(layers), layer.file.digest, err)
		}
		fresh = append(fresh, dir)
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := syncFilesystem(work); err != nil {
		return err
	}
	return s.placeLayers(work, fresh)
}

// stageLayer unpacks a layer below dir and marks it whole there.
func stageLayer(ctx context.Context, layer layerSource, m measure, dir string) error {
	root := filepath.Join(dir, "fs")
	if err := os.Mkdir(dir, 0o711); err != nil {
		return err
	}
	// Not by umask: whoever the container runs as must be able to enter.
	if err := errors.Join(os.Mkdir(root, 0o755), os.Chmod(root, 0o755), os.Chmod(dir, 0o711)); err != nil {
		return err
	}
	if err := unpackLayer(ctx, layer.file, root, m.skip); err != nil {
		return err
	}
	names, err := countNames(root)
	if err != nil {
		return err
	}
	data, err := json.Marshal(layerRecord{Version: formatVersion, Layer: layer.diffID, Names: names})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "whole"), data, 0o600)
}

// placeLayers moves layers that are on disk to their places. What is left there of a damaged layer goes first.
func (s *Store) placeLayers(work string, fresh []string) error {
	for i, dir := range fresh {
		var record layerRecord
		if err := readRecord(filepath.Join(dir, "whole"), &record); err != nil {
			return err
		}
		place := s.layerDir(record.Layer)
		err := os.Rename(dir, place)
		if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTEMPTY) {
			if s.checkLayer(record.Layer) == nil {
				continue // the image has the same layer twice
			}
			err = os.Rename(place, filepath.Join(work, "damaged-"+strconv.Itoa(i)))
			if err == nil {
				err = os.Rename(dir, place)
			}
		}
		if err != nil {
			return err
		}
	}
	return syncDir(filepath.Join(s.dir, "layers"))
}

// checkRoom refuses early what would fill the disk.
func checkRoom(dir string, need int64) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if free := int64(stat.Bavail) * stat.Bsize; need > free {
		return fmt.Errorf("the image needs %d bytes, %s has %d left: %w", need, dir, free, unix.ENOSPC)
	}
	return nil
}

// syncFilesystem puts all that was written to a directory's file system on disk: one call for what may be
// a hundred thousand files.
func syncFilesystem(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Syncfs(int(file.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return nil
}
