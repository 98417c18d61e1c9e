//go:build linux && cgo

package oci

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"shoal/runtime"
)

var (
	instanceName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)
	containerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
)

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
	if err := r.resolve(ctx, in); err != nil {
		return netip.Addr{}, wrap("prepare", subject, err)
	}
	if err := r.furnish(ctx, in); err != nil {
		return netip.Addr{}, wrap("prepare", subject, err)
	}
	if err := r.resolveUsers(in); err != nil {
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
	if !instanceName.MatchString(string(spec.Instance)) {
		return because(runtime.BadSpec, "the instance's name must be letters, digits, '.', '_' and '-', at most 200")
	}
	if len(spec.Containers) == 0 {
		return because(runtime.BadSpec, "an instance needs a container")
	}
	seen := map[string]bool{}
	for _, c := range spec.Containers {
		if !containerName.MatchString(c.Name) || reserved[c.Name] || seen[c.Name] {
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
		if !containerName.MatchString(m.Volume) || !strings.HasPrefix(m.Path, "/") || filepath.Clean(m.Path) == "/" {
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

// resolveUsers looks users up in the images, whose roots are mounted.
func (r *Runtime) resolveUsers(in *instance) error {
	if in.Prepared {
		return nil
	}
	users := make([]account, len(in.Spec.Containers))
	for i, c := range in.Spec.Containers {
		wanted := c.User
		if wanted == "" {
			wanted = in.Images[i].User
		}
		user, err := lookUp(r.rootDir(in.Spec.Instance, c.Name), wanted)
		if err != nil {
			return because(runtime.BadSpec, "container %s: user %q: %w", c.Name, wanted, err)
		}
		users[i] = user
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in.Users = users
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
