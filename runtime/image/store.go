package image

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"shoal/runtime"
)

// Store keeps images below one directory, which one program at a time may use. Safe for concurrent use;
// imports unpack one after the other.
type Store struct {
	dir       string
	limits    limits
	importing sync.Mutex
}

var _ runtime.Images = (*Store)(nil)

// Open makes the store below dir, or opens the one that is there, and removes what unfinished imports left.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, asError("open images", dir, err)
	}
	for _, sub := range []string{"", "layers", "images", "references"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o711); err != nil {
			return nil, asError("open images", dir, err)
		}
	}
	temporary := filepath.Join(dir, "tmp")
	if err := errors.Join(os.RemoveAll(temporary), os.Mkdir(temporary, 0o700)); err != nil {
		return nil, asError("open images", dir, err)
	}
	return &Store{dir: dir, limits: defaultLimits}, nil
}

// Resolve implements runtime.Images.
func (s *Store) Resolve(_ context.Context, reference string) (runtime.Image, error) {
	image, err := s.resolve(reference)
	return image, asError("resolve image", reference, err)
}

func (s *Store) resolve(text string) (runtime.Image, error) {
	parsed, err := parseReference(text)
	if err != nil {
		return runtime.Image{}, &fault{runtime.BadSpec, err}
	}
	digest := parsed.digest
	if digest == "" {
		var record referenceRecord
		err := readRecord(s.referenceFile(parsed.String()), &record)
		if errors.Is(err, fs.ErrNotExist) {
			return runtime.Image{}, missing(parsed.String())
		}
		if err != nil {
			return runtime.Image{}, err
		}
		if record.Reference != parsed.String() || !digestForm.MatchString(record.Digest) {
			return runtime.Image{}, corrupt("the record of %s is damaged: import the image again", parsed)
		}
		digest = record.Digest
	}
	image, err := s.load(digest)
	if errors.Is(err, fs.ErrNotExist) {
		return runtime.Image{}, missing(parsed.String())
	}
	image.Reference = parsed.String()
	return image, err
}

func missing(reference string) error {
	return &fault{runtime.ImageMissing, errors.New("this peer has no image " + reference + ": import it with `shoal image import FILE`")}
}

// List implements runtime.Images. An image that no reference stands for any more is listed under its digest. An
// image that is damaged is listed with its reference and digest alone: Resolve says what it lacks.
func (s *Store) List(context.Context) ([]runtime.Image, error) {
	images, err := s.list()
	return images, asError("list images", s.dir, err)
}

func (s *Store) list() ([]runtime.Image, error) {
	var images []runtime.Image
	named := map[string]bool{}
	references, err := os.ReadDir(filepath.Join(s.dir, "references"))
	if err != nil {
		return nil, err
	}
	for _, entry := range references {
		var record referenceRecord
		if err := readRecord(filepath.Join(s.dir, "references", entry.Name()), &record); err != nil {
			continue // of which image cannot be told
		}
		named[record.Digest] = true
		images = append(images, s.listed(record.Reference, record.Digest))
	}
	stored, err := os.ReadDir(filepath.Join(s.dir, "images"))
	if err != nil {
		return nil, err
	}
	for _, entry := range stored {
		digest := strings.Replace(strings.TrimSuffix(entry.Name(), ".json"), "-", ":", 1)
		if digestForm.MatchString(digest) && !named[digest] {
			images = append(images, s.listed(digest, digest))
		}
	}
	slices.SortFunc(images, func(a, b runtime.Image) int { return strings.Compare(a.Reference, b.Reference) })
	return images, nil
}

func (s *Store) listed(reference, digest string) runtime.Image {
	image, err := s.load(digest)
	if err != nil {
		image = runtime.Image{Digest: digest}
	}
	image.Reference = reference
	return image
}

// Import implements runtime.Images. The stream may be compressed with gzip or zstd. Of an archive with several images
// name chooses the one; of an index of platforms this machine's is taken. Reasons: ImageCorrupt for an
// archive that is damaged or hostile, BadSpec for one that has no fitting image or no reference, DiskFull.
func (s *Store) Import(ctx context.Context, archive io.Reader, name string) (runtime.Image, error) {
	image, err := s.importArchive(ctx, archive, name)
	subject := image.Reference
	if subject == "" {
		subject = name
	}
	if subject == "" {
		subject = "archive"
	}
	return image, asError("import image", subject, err)
}

func (s *Store) importArchive(ctx context.Context, archive io.Reader, name string) (runtime.Image, error) {
	if name != "" {
		normal, err := taggable(name)
		if err != nil {
			return runtime.Image{}, err
		}
		name = normal
	}
	work, err := os.MkdirTemp(filepath.Join(s.dir, "tmp"), "import-")
	if err != nil {
		return runtime.Image{}, err
	}
	defer os.RemoveAll(work)
	spool, err := readSpool(ctx, archive, work, s.limits)
	if err != nil {
		return runtime.Image{}, err
	}
	s.importing.Lock() // not before: a stream that stalls holds up nobody else
	defer s.importing.Unlock()
	source, err := spool.choose(name)
	if err != nil {
		return runtime.Image{}, err
	}
	if name == "" {
		if name, err = nameOf(source); err != nil {
			return runtime.Image{}, err
		}
	}
	if err := s.addLayers(ctx, work, source.layers); err != nil {
		return runtime.Image{Reference: name}, err
	}
	return s.publish(name, source)
}

// publish makes an image visible whose layers are there.
func (s *Store) publish(name string, source *source) (runtime.Image, error) {
	image := imageRecord{Version: formatVersion, Manifest: source.manifest, Config: source.config}
	if err := s.writeRecord(s.imageFile(source.digest), image); err != nil {
		return runtime.Image{Reference: name}, err
	}
	stands := referenceRecord{Version: formatVersion, Reference: name, Digest: source.digest}
	if err := s.writeRecord(s.referenceFile(name), stands); err != nil {
		return runtime.Image{Reference: name}, err
	}
	return s.resolve(name)
}

// nameOf gives an archive's own reference of its image.
func nameOf(source *source) (string, error) {
	for _, text := range source.names {
		if normal, err := taggable(text); err == nil {
			return normal, nil
		}
	}
	return "", unfit("the archive does not say what the image is called: give it a name, as in `shoal image import --name web:1 FILE`")
}

// taggable normalises a reference that an image may be stored under.
func taggable(text string) (string, error) {
	parsed, err := parseReference(text)
	if err != nil {
		return "", &fault{runtime.BadSpec, err}
	}
	if parsed.digest != "" {
		return "", unfit("%s names a digest: an image is imported under NAME:TAG, its digest follows from it", shorten(text))
	}
	return parsed.String(), nil
}
