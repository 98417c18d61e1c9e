package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/go-archive"
	"golang.org/x/sys/unix"
)

// measure is what reading a layer to its end has shown.
type measure struct {
	diffID string
	bytes  int64    // of the files in it
	skip   []string // device nodes below dev/
}

// maxDeviceNodes bounds the nodes below dev/ that are left out: each is compared with every entry.
const maxDeviceNodes = 256

// measureLayer reads a layer without unpacking it: its digest, and whether it may be unpacked at all.
func measureLayer(ctx context.Context, file spooled, bounds limits) (measure, error) {
	stream, err := openLayer(file)
	if err != nil {
		return measure{}, err
	}
	defer stream.Close()
	hash := sha256.New()
	bounded := &boundedReader{from: sourceReader{stream}, left: bounds.layerBytes}
	source := io.TeeReader(bounded, hash)
	var m measure
	entries := tar.NewReader(source)
	for count := 0; ; count++ {
		if err := ctx.Err(); err != nil {
			return measure{}, err
		}
		header, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return measure{}, corrupt("%w", notEOF(err))
		}
		if count >= bounds.layerEntries {
			return measure{}, corrupt("it has more than %d entries", bounds.layerEntries)
		}
		if err := m.inspect(header, bounds); err != nil {
			return measure{}, err
		}
	}
	if _, err := io.Copy(io.Discard, source); err != nil {
		return measure{}, err
	}
	m.diffID = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	return m, nil
}

// inspect refuses an entry that no honest layer has. What it lets pass is unpacked inside of a root that nothing leaves.
func (m *measure) inspect(header *tar.Header, bounds limits) error {
	name := path.Clean(strings.TrimLeft(header.Name, "/"))
	if !filepath.IsLocal(name) || len(name) > unix.PathMax {
		return corrupt("entry %q reaches outside of the layer", shorten(header.Name))
	}
	for key := range header.PAXRecords {
		attribute, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if ok && (strings.HasPrefix(attribute, "trusted.") || strings.HasPrefix(attribute, "user.overlay.")) {
			return corrupt("entry %q carries the attribute %s, which is the kernel's own", shorten(name), shorten(attribute))
		}
	}
	switch header.Typeflag {
	case tar.TypeReg:
		// A sparse entry costs its full size when unpacked, whatever it costs in the stream.
		if m.bytes += header.Size; header.Size < 0 || m.bytes > bounds.layerBytes {
			return corrupt("its files hold more than %d bytes", bounds.layerBytes)
		}
	case tar.TypeChar, tar.TypeBlock:
		if !strings.HasPrefix(name, "dev/") {
			return corrupt("entry %q is a device node: they are allowed below dev/ only", shorten(name))
		}
		if m.skip = append(m.skip, name); len(m.skip) > maxDeviceNodes {
			return corrupt("it has more than %d device nodes", maxDeviceNodes)
		}
	case tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo, tar.TypeXGlobalHeader:
	default:
		return corrupt("entry %q has the unknown type %q", shorten(name), header.Typeflag)
	}
	return nil
}

// unpackLayer unpacks a layer that measureLayer let pass into dir, which must be empty.
func unpackLayer(ctx context.Context, file spooled, dir string, skip []string) error {
	stream, err := openLayer(file)
	if err != nil {
		return err
	}
	defer stream.Close()
	err = archive.Unpack(&contextReader{ctx, stream}, dir, &archive.TarOptions{
		ExcludePatterns:  skip,
		WhiteoutFormat:   archive.OverlayWhiteoutFormat,
		BestEffortXattrs: true,
	})
	if err == nil || ctx.Err() != nil || isOfDisk(err) {
		return err
	}
	return corrupt("%w", err)
}

// isOfDisk says whether a failure is the disk's, and not what the archive asked for.
func isOfDisk(err error) bool {
	for _, cause := range []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS, unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// layerStream is a layer, uncompressed.
type layerStream struct {
	io.Reader
	close []io.Closer
}

func openLayer(file spooled) (*layerStream, error) {
	compressed, err := os.Open(file.path)
	if err != nil {
		return nil, err
	}
	plain, err := decompress(compressed)
	if err != nil {
		compressed.Close()
		return nil, err
	}
	return &layerStream{plain, []io.Closer{plain, compressed}}, nil
}

func (s *layerStream) Close() error {
	for _, closer := range s.close {
		closer.Close()
	}
	return nil
}

// boundedReader fails where more comes than may, rather than to end quietly.
type boundedReader struct {
	from io.Reader
	left int64
}

func (r *boundedReader) Read(into []byte) (int, error) {
	n, err := r.from.Read(into)
	if r.left -= int64(n); r.left < 0 {
		return 0, corrupt("it is larger than it may be when uncompressed")
	}
	return n, err
}

// contextReader ends a stream when its context does.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

func (r *contextReader) Read(into []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, fmt.Errorf("unpack: %w", err)
	}
	return r.from.Read(into)
}
