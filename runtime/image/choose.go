package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	goruntime "runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// source is the one image of an archive that is to be imported.
type source struct {
	names    []string // references that the archive gives it
	digest   string
	manifest []byte
	config   []byte
	parsed   v1.ConfigFile
	layers   []layerSource
}

// layerSource is a layer as the archive holds it, and the digest that it must have when uncompressed.
type layerSource struct {
	file   spooled
	diffID string
}

// annotations under which tools write the reference of an image.
var nameAnnotations = []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

// choose finds the image that name asks for; with an empty name the only one.
func (s *spool) choose(name string) (*source, error) {
	if index, ok := s.find("index.json"); ok {
		return s.chooseOCI(index, name)
	}
	if list, ok := s.find("manifest.json"); ok {
		return s.chooseDocker(list, name)
	}
	return nil, corrupt("the archive is neither an OCI layout (no index.json) nor a docker archive (no manifest.json)")
}

// candidate is an image that may be meant.
type candidate struct {
	names      []string
	descriptor v1.Descriptor
}

func (s *spool) chooseOCI(index spooled, name string) (*source, error) {
	var found []candidate
	var others []string
	if err := s.walkIndex(index, nil, s.limits.indexDepth, &found, &others); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, unfit("the archive has no image for %s; it has: %s", here(), listOf(others))
	}
	at, err := pick(name, found, func(c candidate) (string, []string) { return c.descriptor.Digest.String(), c.names })
	if err != nil {
		return nil, err
	}
	return s.openOCI(found[at])
}

// walkIndex collects the images of an index that fit this machine: of an index of platforms the first that does.
// Anything that is neither image nor index (an attestation, a chart) is passed over.
func (s *spool) walkIndex(file spooled, names []string, depth int, found *[]candidate, others *[]string) error {
	if depth == 0 {
		return corrupt("indexes lie within indexes deeper than %d", s.limits.indexDepth)
	}
	var index v1.IndexManifest
	if _, err := s.document(file, &index); err != nil {
		return err
	}
	if len(index.Manifests) > s.limits.archiveEntries {
		return corrupt("an index lists %d manifests", len(index.Manifests))
	}
	nested := depth < s.limits.indexDepth
	for _, descriptor := range index.Manifests {
		own := append(slices.Clone(names), namesIn(descriptor.Annotations)...)
		switch {
		case descriptor.MediaType.IsIndex():
			inner, err := s.blob(descriptor.Digest.String(), descriptor.Size)
			if err != nil {
				return err
			}
			if err := s.walkIndex(inner, own, depth-1, found, others); err != nil {
				return err
			}
		case !descriptor.MediaType.IsImage():
		case descriptor.Platform != nil && !fits(descriptor.Platform.OS, descriptor.Platform.Architecture):
			*others = append(*others, descriptor.Platform.String())
		default:
			*found = append(*found, candidate{own, descriptor})
			if nested {
				return nil
			}
		}
	}
	return nil
}

func (s *spool) openOCI(chosen candidate) (*source, error) {
	file, err := s.blob(chosen.descriptor.Digest.String(), chosen.descriptor.Size)
	if err != nil {
		return nil, err
	}
	var manifest v1.Manifest
	data, err := s.document(file, &manifest)
	if err != nil {
		return nil, err
	}
	config, err := s.blob(manifest.Config.Digest.String(), manifest.Config.Size)
	if err != nil {
		return nil, err
	}
	image := &source{names: chosen.names, digest: file.digest, manifest: data}
	files := make([]spooled, 0, min(len(manifest.Layers), s.limits.layers+1))
	for _, layer := range manifest.Layers {
		if len(files) > s.limits.layers {
			break // readConfig names the limit
		}
		file, err := s.blob(layer.Digest.String(), layer.Size)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return image, s.readConfig(image, config, files)
}

// readConfig completes an image by its config, and checks what both say of each other.
func (s *spool) readConfig(image *source, config spooled, layers []spooled) (err error) {
	if image.config, err = s.document(config, &image.parsed); err != nil {
		return err
	}
	if !fits(image.parsed.OS, image.parsed.Architecture) {
		return unfit("the image is for %s/%s, this machine is %s", image.parsed.OS, image.parsed.Architecture, here())
	}
	if len(layers) > s.limits.layers {
		return corrupt("the image has more than %d layers", s.limits.layers)
	}
	ids := image.parsed.RootFS.DiffIDs
	if len(ids) != len(layers) {
		return corrupt("the config names %d layers, the manifest %d", len(ids), len(layers))
	}
	for i, id := range ids {
		if !digestForm.MatchString(id.String()) {
			return corrupt("diff id %q of layer %d is not of the form sha256:… with 64 hex digits", shorten(id.String()), i)
		}
		image.layers = append(image.layers, layerSource{layers[i], id.String()})
	}
	return nil
}

// dockerEntry is one image in the manifest.json of a docker archive.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (s *spool) chooseDocker(list spooled, name string) (*source, error) {
	var entries []dockerEntry
	if _, err := s.document(list, &entries); err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, corrupt("manifest.json lists no image")
	}
	at, err := pick(name, entries, func(e dockerEntry) (string, []string) { return e.Config, e.RepoTags })
	if err != nil {
		return nil, err
	}
	return s.openDocker(entries[at])
}

// openDocker makes the manifest that a docker archive lacks, so that its image has a digest like any other.
func (s *spool) openDocker(entry dockerEntry) (*source, error) {
	config, ok := s.find(entry.Config)
	if !ok {
		return nil, corrupt("config %q is missing in the archive", shorten(entry.Config))
	}
	if hash := strings.TrimSuffix(path.Base(entry.Config), ".json"); digestForm.MatchString("sha256:"+hash) && config.digest != "sha256:"+hash {
		return nil, corrupt("config %s has digest %s: the archive is damaged", hash, config.digest)
	}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	var err error
	if manifest.Config, err = describe(types.OCIConfigJSON, config); err != nil {
		return nil, err
	}
	if len(entry.Layers) > s.limits.layers {
		return nil, corrupt("the image has more than %d layers", s.limits.layers)
	}
	files := make([]spooled, 0, len(entry.Layers))
	for _, layer := range entry.Layers {
		file, ok := s.find(layer)
		if !ok {
			return nil, corrupt("layer %q is missing in the archive", shorten(layer))
		}
		descriptor, err := describe(types.OCIUncompressedLayer, file)
		if err != nil {
			return nil, err
		}
		files, manifest.Layers = append(files, file), append(manifest.Layers, descriptor)
	}
	image := &source{names: entry.RepoTags}
	if image.manifest, err = json.Marshal(manifest); err != nil {
		return nil, err
	}
	image.digest = digestOf(image.manifest)
	return image, s.readConfig(image, config, files)
}

func describe(kind types.MediaType, file spooled) (v1.Descriptor, error) {
	hash, err := v1.NewHash(file.digest)
	return v1.Descriptor{MediaType: kind, Size: file.size, Digest: hash}, err
}

// pick gives the index of the only image among several, or of the one that bears the name asked for. identity
// tells a candidate's digest and names.
func pick[C any](name string, all []C, identity func(C) (string, []string)) (int, error) {
	distinct := map[string]int{}
	var known []string
	for i, c := range all {
		digest, names := identity(c)
		if _, ok := distinct[digest]; !ok {
			distinct[digest] = i
		}
		for _, text := range names {
			normal, err := Normalise(text)
			if err == nil && normal == name {
				return i, nil
			}
			known = append(known, text)
		}
	}
	if len(distinct) == 1 {
		return 0, nil
	}
	return 0, unfit("the archive holds %d images: give the name of the one that you mean (%s)", len(distinct), listOf(known))
}

func namesIn(annotations map[string]string) []string {
	var names []string
	for _, key := range nameAnnotations {
		// Many tools write the tag alone here, which is no reference.
		if text := annotations[key]; strings.ContainsAny(text, ":/") {
			names = append(names, text)
		}
	}
	return names
}

// fits says whether this machine runs such an image. Old images say nothing.
func fits(system, architecture string) bool {
	return (system == "" || system == "linux") && (architecture == "" || architecture == goruntime.GOARCH)
}

func here() string { return "linux/" + goruntime.GOARCH }

// listOf joins names for a message, bounded.
func listOf(names []string) string {
	if len(names) == 0 {
		return "nothing that is known here"
	}
	if len(names) > 10 {
		names = append(slices.Clone(names[:10]), fmt.Sprintf("and %d more", len(names)-10))
	}
	short := make([]string, len(names))
	for i, name := range names {
		short[i] = shorten(name)
	}
	return strings.Join(short, ", ")
}

func digestOf(data []byte) string {
	hash := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(hash[:])
}
