package runtime

import (
	"context"
	"io"
	"net/netip"
)

// Image is an image unpacked on this peer.
type Image struct {
	Reference  string   // "shoal.example/web:1", normalised
	Digest     string   // of its manifest: "sha256:…"
	Layers     []string // directories, lowest first, ready to be overlayfs lower directories
	Entrypoint []string
	Command    []string
	Env        []Env
	WorkingDir string
	User       string
	StopSignal string // "SIGTERM" when the image says nothing
}

// Images keeps images on one peer.
type Images interface {
	// Resolve finds an image by reference or digest. Reasons: ImageMissing, ImageCorrupt.
	Resolve(ctx context.Context, reference string) (Image, error)
	// Import reads an OCI layout or a docker archive, as a tar stream, checks every digest and unpacks it. Half an
	// import is never visible. name overrides the archive's own reference; it is needed where that has none.
	Import(ctx context.Context, archive io.Reader, name string) (Image, error)
	// List gives all images, sorted by reference.
	List(ctx context.Context) ([]Image, error)
}

// Attachment is an instance's place in the network.
type Attachment struct {
	Namespace string // path of its network namespace
	Address   netip.Addr
}

// Network connects instances of one peer.
type Network interface {
	// Attach makes a network namespace with an address for an instance; repeated, it returns the same.
	Attach(ctx context.Context, id InstanceID) (Attachment, error)
	// Detach undoes Attach; an unknown instance is no error.
	Detach(ctx context.Context, id InstanceID) error
}
