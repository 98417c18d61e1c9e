//go:build linux && cgo

package oci

import (
	"os"
	goruntime "runtime"

	_ "github.com/opencontainers/cgroups/devices" // device rules fail without it
	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // enters namespaces before the Go runtime starts

	"shoal/runtime/supervise"
)

// To start a container, libcontainer moves a thread of this program into the container's mount namespace and leaves it there to
// end. The process's first thread cannot end; were it taken, /proc/self would show the inside of a dead
// container for ever after. So it belongs to main's goroutine alone.
func init() { goruntime.LockOSThread() }

// Init becomes the first process of a container, or the guard of what may run only until a deadline, and never returns, if this program
// was started for that. main calls it before all else.
func Init() {
	supervise.Guarding()
	if len(os.Args) == 2 && os.Args[1] == "init" && os.Getenv("_LIBCONTAINER_INITPIPE") != "" {
		libcontainer.Init()
	}
}
