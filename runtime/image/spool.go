package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// limits bound what an import may cost, whatever the archive says of itself.
type limits struct {
	archiveBytes   int64 // of all files in the archive, uncompressed
	archiveEntries int
	documentBytes  int64 // of an index, a manifest or a config
	layers         int   // of one image
	layerBytes     int64 // of one layer, uncompressed, and of the files in it
	layerEntries   int
	indexDepth     int // of indexes within indexes
}

var defaultLimits = limits{
	archiveBytes:   64 << 30,
	archiveEntries: 10_000,
	documentBytes:  4 << 20,
	layers:         127,
	layerBytes:     32 << 30,
	layerEntries:   1_000_000,
	indexDepth:     4,
}

// spooled is a file of the archive, on disk.
type spooled struct {
	path   string // on this machine
	size   int64
	digest string
}

// spool is an archive read to its end. On disk its files bear numbers, so that no name of the archive's reaches
// the file system.
type spool struct {
	limits limits
	files  map[string]spooled // by cleaned name
	links  map[string]string  // docker save links layers that are the same
}

// readSpool reads a tar stream, also a compressed one, into dir.
func readSpool(ctx context.Context, archive io.Reader, dir string, bounds limits) (*spool, error) {
	plain, err := decompress(archive)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	s := &spool{limits: bounds, files: map[string]spooled{}, links: map[string]string{}}
	entries := tar.NewReader(plain)
	left := bounds.archiveBytes
	for count := 0; ; count++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		header, err := entries.Next()
		if err == io.EOF && count > 0 {
			return s, nil
		}
		if err != nil {
			return nil, corrupt("read the archive: %w", notEOF(err))
		}
		if count >= bounds.archiveEntries {
			return nil, corrupt("the archive has more than %d entries", bounds.archiveEntries)
		}
		name := path.Clean("/" + header.Name)[1:]
		switch header.Typeflag {
		case tar.TypeReg:
			if left -= header.Size; left < 0 {
				return nil, corrupt("the archive holds more than %d bytes", bounds.archiveBytes)
			}
			file, err := spoolFile(entries, filepath.Join(dir, strconv.Itoa(count)))
			if err != nil {
				return nil, fmt.Errorf("read %s of the archive: %w", shorten(name), err)
			}
			s.files[name] = file
		case tar.TypeSymlink:
			s.links[name] = path.Join("/", path.Dir(name), header.Linkname)[1:]
		case tar.TypeLink:
			s.links[name] = path.Clean("/" + header.Linkname)[1:]
		}
	}
}

// spoolFile writes what comes to a new file and measures it.
func spoolFile(from io.Reader, to string) (spooled, error) {
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return spooled{}, err
	}
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, hash), sourceReader{from})
	if err := errors.Join(err, file.Close()); err != nil {
		return spooled{}, err
	}
	return spooled{path: to, size: size, digest: "sha256:" + hex.EncodeToString(hash.Sum(nil))}, nil
}

// sourceReader marks errors of the archive, to tell them from those of the disk.
type sourceReader struct{ io.Reader }

func (r sourceReader) Read(into []byte) (int, error) {
	n, err := r.Reader.Read(into)
	if err != nil && err != io.EOF {
		err = corrupt("%w", notEOF(err))
	}
	return n, err
}

func notEOF(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too early")
	}
	return err
}

// find gives the file of a name, through links.
func (s *spool) find(name string) (spooled, bool) {
	name = path.Clean("/" + name)[1:]
	for range 8 {
		if file, ok := s.files[name]; ok {
			return file, true
		}
		target, ok := s.links[name]
		if !ok {
			break
		}
		name = target
	}
	return spooled{}, false
}

// blob gives the file of a digest, having compared both digest and size. A size below zero is not compared.
func (s *spool) blob(digest string, size int64) (spooled, error) {
	if !digestForm.MatchString(digest) {
		return spooled{}, corrupt("digest %q is not of the form sha256:… with 64 hex digits", shorten(digest))
	}
	file, ok := s.find("blobs/sha256/" + strings.TrimPrefix(digest, "sha256:"))
	if !ok {
		return spooled{}, corrupt("blob %s is missing in the archive", digest)
	}
	if file.digest != digest {
		return spooled{}, corrupt("blob %s has digest %s: the archive is damaged", digest, file.digest)
	}
	if size >= 0 && file.size != size {
		return spooled{}, corrupt("blob %s has %d bytes, its descriptor says %d", digest, file.size, size)
	}
	return file, nil
}

// document reads a file that is JSON, and decodes it.
func (s *spool) document(file spooled, into any) ([]byte, error) {
	if file.size > s.limits.documentBytes {
		return nil, corrupt("%s has %d bytes, more than the %d that a document may have", file.digest, file.size, s.limits.documentBytes)
	}
	data, err := os.ReadFile(file.path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return nil, corrupt("decode %s: %w", file.digest, err)
	}
	return data, nil
}

// decompress tells gzip, zstd and uncompressed streams apart by their first bytes.
func decompress(from io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(from, 1<<16)
	magic, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, corrupt("read: %w", err)
	}
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		reader, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, corrupt("decompress: %w", notEOF(err))
		}
		return reader, nil
	case string(magic) == "\x28\xb5\x2f\xfd":
		reader, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, corrupt("decompress: %w", err)
		}
		return reader.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}
