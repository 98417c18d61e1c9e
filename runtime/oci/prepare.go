//go:build linux && cgo

package oci

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"shoal/runtime"
)

// isName says whether a name is a plain file name of at most size letters, digits and, not at its beginning, others.
func isName(name string, size int, others string) bool {
	if name == "" || len(name) > size || strings.ContainsAny(name[:1], others) {
		return false
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return true
}

func isInstance(id runtime.InstanceID) bool { return isName(string(id), 200, "._-") }

func isContainer(name string) bool { return isName(name, 63, "_-") && !reserved[name] }

// reserved are the names that an instance's directory uses itself.
var reserved = map[string]bool{"ns": true, "volumes": true}

// Prepare implements runtime.Runtime. It resolves the images, attaches the network, makes the namespaces that containers share
// and mounts each container's root. Preparing an instance anew with another spec is allowed while none of it runs.
func (r *Runtime) Prepare(ctx context.Context, spec runtime.Spec) (netip.Addr, error) {
	subject := string(spec.Instance)
	if err := checkSpec(spec); err != nil {
		return netip.Addr{}, wrap("prepare", subject, err)
	}
	in, err := r.enter(spec)
	if err != nil {
		return netip.Addr{}, wrap("prepare", subject, err)
	}
	done, err := r.work(in)
	if err != nil {
		return netip.Addr{}, wrap("prepare", subject, err)
	}
	defer done()
	if err := r.resolve(ctx, in); err != nil {
		return netip.Addr{}, wrap("prepare", subject, err)
	}
	if err := r.furnish(ctx, in); err != nil {
		return netip.Addr{}, wrap("prepare", subject, err)
	}
	if err := r.inspect(in); err != nil {
		return netip.Addr{}, wrap("prepare", subject, err)
	}
	r.mu.Lock()
	in.Prepared = true
	for _, c := range in.containers {
		c.Status.Phase = max(c.Status.Phase, runtime.Prepared)
	}
	r.mu.Unlock()
	if err := r.saveRecord(in); err != nil {
		return netip.Addr{}, wrap("prepare", subject, err)
	}
	return in.Address, nil
}

func checkSpec(spec runtime.Spec) error {
	if !isInstance(spec.Instance) {
		return because(runtime.BadSpec, "the instance's name must be letters, digits, '.', '_' and '-', at most 200")
	}
	if len(spec.Containers) == 0 {
		return because(runtime.BadSpec, "an instance needs a container")
	}
	seen := map[string]bool{}
	for _, c := range spec.Containers {
		if !isContainer(c.Name) || seen[c.Name] {
			return because(runtime.BadSpec, "container name %q is not allowed or there twice", c.Name)
		}
		seen[c.Name] = true
		if err := checkContainer(c); err != nil {
			return err
		}
	}
	return nil
}

func checkContainer(c runtime.Container) error {
	for _, m := range c.Mounts {
		if !isName(m.Volume, 63, "_-.") || !strings.HasPrefix(m.Path, "/") || filepath.Clean(m.Path) == "/" {
			return because(runtime.BadSpec, "container %s: mount of volume %q at %q needs a plain name and an absolute path below /", c.Name, m.Volume, m.Path)
		}
	}
	for _, e := range c.Env {
		if e.Name == "" || strings.ContainsAny(e.Name, "=\x00") || strings.Contains(e.Value, "\x00") {
			return because(runtime.BadSpec, "container %s: environment variable %q has a name or value that no process can have", c.Name, e.Name)
		}
	}
	_, err := capabilities(c.AddCapabilities, c.DropCapabilities)
	return err
}

// enter makes an instance known, in memory and on disk, or returns the one that is.
func (r *Runtime) enter(spec runtime.Spec) (*instance, error) {
	r.mu.Lock()
	in := r.instances[spec.Instance]
	fresh := in == nil
	if fresh {
		in = &instance{removed: make(chan struct{}), containers: map[string]*container{}}
		r.instances[spec.Instance] = in
	}
	if !fresh && !reflect.DeepEqual(in.Spec, spec) {
		for _, c := range in.containers {
			if c.Status.Phase == runtime.Running {
				r.mu.Unlock()
				return nil, because(runtime.BadSpec, "a container of another spec runs under this name")
			}
		}
		in.furnished, in.Prepared = false, false
	}
	in.Spec = spec
	for _, c := range spec.Containers {
		if in.containers[c.Name] == nil {
			in.containers[c.Name] = &container{state: state{
				Status: runtime.Status{Instance: spec.Instance, Container: c.Name},
			}}
		}
	}
	r.mu.Unlock()
	for _, c := range spec.Containers {
		if err := os.MkdirAll(r.containerDir(spec.Instance, c.Name), 0o711); err != nil {
			return nil, err
		}
	}
	return in, r.saveRecord(in)
}

// resolve finds the images of an instance that has none yet.
func (r *Runtime) resolve(ctx context.Context, in *instance) error {
	if in.Prepared {
		return nil
	}
	images := make([]runtime.Image, len(in.Spec.Containers))
	for i, c := range in.Spec.Containers {
		image, err := r.config.Images.Resolve(ctx, c.Image)
		if err != nil {
			return err
		}
		if len(image.Layers) == 0 {
			return because(runtime.BadSpec, "image %s has no layers", c.Image)
		}
		if len(arguments(c, image)) == 0 {
			return because(runtime.BadSpec, "container %s: neither the manifest nor image %s says what to run", c.Name, c.Image)
		}
		images[i] = image
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in.Images = images
	return nil
}

// inspect looks up in the images, whose roots are mounted, who the programs run as and of which kind they are.
func (r *Runtime) inspect(in *instance) error {
	if in.Prepared {
		return nil
	}
	users, narrow := make([]account, len(in.Spec.Containers)), make([]bool, len(in.Spec.Containers))
	for i, c := range in.Spec.Containers {
		root, err := os.OpenRoot(r.rootDir(in.Spec.Instance, c.Name))
		if err != nil {
			return err
		}
		defer root.Close()
		wanted := c.User
		if wanted == "" {
			wanted = in.Images[i].User
		}
		if users[i], err = lookUp(root, wanted); err != nil {
			return because(runtime.BadSpec, "container %s: user %q: %w", c.Name, wanted, err)
		}
		process := r.process(in.Spec, c, in.Images[i], users[i])
		narrow[i] = isNarrow(root, process.Args[0], process.Env)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in.Users, in.Narrow = users, narrow
	return nil
}

// furnish makes all that an instance's containers need around them, or checks that it is there. It is done once per life,
// because after a loss of power only the directories are left.
func (r *Runtime) furnish(ctx context.Context, in *instance) error {
	if in.furnished {
		return nil
	}
	id := in.Spec.Instance
	if err := r.attach(ctx, in); err != nil {
		return err
	}
	if err := r.shareNamespaces(in); err != nil {
		return err
	}
	for i, spec := range in.Spec.Containers {
		c := in.containers[spec.Name]
		for _, m := range spec.Mounts {
			if err := makeVolume(filepath.Join(r.instanceDir(id), "volumes", m.Volume)); err != nil {
				return err
			}
		}
		if r.isRunning(c) {
			continue
		}
		if err := r.freshRoot(in, i); err != nil {
			return err
		}
		c.fresh = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in.furnished = true
	return nil
}

func (r *Runtime) isRunning(c *container) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.Status.Phase == runtime.Running
}

// attach gives an instance its place in the network.
func (r *Runtime) attach(ctx context.Context, in *instance) error {
	at := runtime.Attachment{}
	var err error
	if r.config.Network != nil {
		at, err = r.config.Network.Attach(ctx, in.Spec.Instance)
	} else {
		at.Namespace, err = r.keepNamespace(in.Spec.Instance, "net", nil)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	changed := in.Prepared && (in.Address != at.Address || in.Netns != at.Namespace)
	in.Address, in.Netns = at.Address, at.Namespace
	r.mu.Unlock()
	if changed {
		return r.saveRecord(in)
	}
	return nil
}

// makeVolume makes an empty directory that any user of a container may write to.
func makeVolume(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o777); err != nil {
		if os.IsExist(err) {
			return nil
		}
		return err
	}
	return os.Chmod(path, 0o777)
}
