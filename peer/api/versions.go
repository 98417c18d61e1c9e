package api

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"sync"
)

// versions gives every object its resourceVersion: the peer's version at which its present content was first
// seen here. It holds one entry per object that exists, and per resource the version of the last deletion.
type versions struct {
	mu  sync.Mutex
	all map[*resource]*collection
}

type collection struct {
	begun   uint64 // version of the first complete reading; nothing is known of what was before
	newest  uint64 // version of the newest complete reading
	deleted uint64 // newest version at which an object was missing
	objects map[string]*revision
}

type revision struct {
	digest  [16]byte
	version uint64
	born    uint64
}

func newVersions() *versions { return &versions{all: map[*resource]*collection{}} }

func (c *versions) of(r *resource) *collection {
	if c.all[r] == nil {
		c.all[r] = &collection{objects: map[string]*revision{}}
	}
	return c.all[r]
}

// stamp sets the resourceVersion of objects that were read at version. complete says that no others exist.
func (c *versions) stamp(r *resource, version uint64, objects []object, complete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.of(r)
	outdated := version < held.newest
	present := make(map[string]bool, len(objects))
	for _, o := range objects {
		name := nameOf(o)
		present[name] = true
		digest := digestOf(o)
		entry := held.objects[name]
		switch {
		case entry != nil && entry.digest == digest:
			setVersion(o, entry.version)
			continue
		case outdated:
		case entry == nil:
			held.objects[name] = &revision{digest: digest, version: version, born: version}
		default:
			entry.digest, entry.version = digest, version
		}
		setVersion(o, version)
	}
	if !complete || outdated {
		return
	}
	if held.newest == 0 {
		held.begun = version
	}
	held.newest = version
	for name := range held.objects {
		if !present[name] {
			delete(held.objects, name)
			held.deleted = version
		}
	}
}

// since says whether everything that happened after version is known; born tells which objects are newer.
func (c *versions) since(r *resource, version uint64) (born func(o object) bool, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.of(r)
	fresh := map[string]bool{}
	for name, entry := range held.objects {
		fresh[name] = entry.born > version
	}
	return func(o object) bool { return fresh[nameOf(o)] }, held.newest > 0 && version >= held.begun && version >= held.deleted
}

// nameOf is an object's name within its resource.
func nameOf(o object) string {
	meta := o["metadata"].(object)
	namespace, _ := meta["namespace"].(string)
	return namespace + "/" + meta["name"].(string)
}

func digestOf(o object) [16]byte {
	text, err := json.Marshal(o)
	if err != nil {
		panic("api: an object that JSON cannot hold: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return [16]byte(sum[:16])
}

func setVersion(o object, version uint64) {
	o["metadata"].(object)["resourceVersion"] = strconv.FormatUint(version, 10)
}

func versionOf(o object) uint64 {
	text, _ := o["metadata"].(object)["resourceVersion"].(string)
	version, _ := strconv.ParseUint(text, 10, 64)
	return version
}
