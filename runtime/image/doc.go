// Package image keeps container images on one peer. Store implements runtime.Images; Build makes an image
// out of one program. It is the only importer of go-containerregistry.
//
// # On disk
//
//	DIR/layers/sha256-<diff id>/fs/     the layer, unpacked, ready to be a lower directory of overlayfs
//	DIR/layers/sha256-<diff id>/whole   written last: without it the layer does not count
//	DIR/images/sha256-<digest>.json     manifest and config of an image, byte by byte
//	DIR/references/<hash>.json          which digest a reference stands for
//	DIR/tmp/                            imports under way; emptied by Open
//
// Layers bear the digest of their uncompressed tar stream, so that two images share a layer
// whatever it was compressed with. The directories above fs let others pass (o+x) but not list: a container's
// root may be an ordinary user here.
//
// # Invariants
//
//   - Nothing is unpacked before all of the archive was read and every digest in it was checked: of manifest, config and
//     layers as transferred, and of layers as uncompressed.
//   - An import is made of whole steps, each a rename of what is on disk already: layers, then the image,
//     then its reference. After a crash at any point the reference stands for what it stood for before, or for the new image.
//   - Archives are hostile. Sizes, counts and depths are bounded (see limits). No entry of a layer reaches
//     outside of its directory. Device nodes are left out below dev/, where the runtime makes its own, and refused
//     elsewhere; so are the attributes by which overlayfs steers itself.
//   - Resolve gives an image only when its stored bytes match their digests and all its layers are whole.
//
// What is not noticed is a change inside of an unpacked layer, made by someone with root's rights on
// this machine.
//
// # References
//
// A reference is [HOST/]PATH[:TAG][@DIGEST], or a DIGEST alone, where DIGEST is sha256: and 64 hex digits. Normalising it
//
//   - adds :latest where neither tag nor digest is given,
//   - leaves out docker.io/ and index.docker.io/ at its beginning, and then library/, so that docker.io/library/web:1
//     and web:1 are the same,
//   - and changes nothing else: no host is ever added, and shoal.example/web:1 and web:1 are different images.
//
// Two references are the same when they are equal after that. One with a digest stands for the image of that
// digest; its name and tag are then only for people. Importing under a reference that exists replaces what
// it stands for; the image before stays to be had by its digest.
package image
