//go:build linux && cgo

package oci

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"shoal/runtime"
)

// recordVersion is that of instance.json and state.json. A higher one was written by a newer program and is refused.
const recordVersion = 1

// record is instance.json. It is on disk, synced, before any container of the instance may start.
type record struct {
	Version  int
	Spec     runtime.Spec
	Prepared bool
	Address  netip.Addr
	Netns    string
	Images   []runtime.Image // one per container
	Users    []account       // the same
	Narrow   []bool          // the same: its program is of 32 bits on a machine of 64
}

// state is state.json. It is not synced: a loss of power ends the process that it tells about.
type state struct {
	Version   int
	Boot      string // of the machine, while Running or Begun
	Begun     bool   // Status.Generation was begun; whether its process came to be is unknown
	StartTime uint64 // of the process Status.PID, in clock ticks since the machine's boot
	Status    runtime.Status
}

func (r *Runtime) recordPath(id runtime.InstanceID) string {
	return filepath.Join(r.instanceDir(id), "instance.json")
}

func (r *Runtime) statePath(id runtime.InstanceID, name string) string {
	return filepath.Join(r.containerDir(id, name), "state.json")
}

func (r *Runtime) saveRecord(in *instance) error {
	in.Version = recordVersion
	return writeJSON(r.recordPath(in.Spec.Instance), in.record, true)
}

func (r *Runtime) saveState(c *container) error {
	c.Version = recordVersion
	return writeJSON(r.statePath(c.Status.Instance, c.Status.Container), c.state, false)
}

// writeJSON replaces a file at once; synced, it is there also after a loss of power.
func writeJSON(path string, value any, synced bool) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	if err == nil && synced {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil && synced {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func readJSON(path string, value any) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var head struct{ Version int }
	if err := json.Unmarshal(body, &head); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if head.Version > recordVersion {
		return &newerError{path, head.Version}
	}
	return json.Unmarshal(body, value)
}

// newerError is a file of a newer program's.
type newerError struct {
	path    string
	version int
}

func (e *newerError) Error() string {
	return fmt.Sprintf("%s has version %d; this program knows up to %d: use the program that wrote it", e.path, e.version, recordVersion)
}
