package main

import (
	"context"
	"fmt"
	goruntime "runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// version is set by the linker in releases.
var version = ""

// defaultSocket is where a peer with the default data directory listens.
const defaultSocket = "/var/lib/shoal/shoal.sock"

// versionText is the version of this program; the commit it was built from where no release was named.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "v0.0.0-" + s.Value[:12]
		}
	}
	return "v0.0.0"
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program, and of the peer if one answers",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(a.stdout, "shoal %s %s %s/%s\n",
				versionText(), goruntime.Version(), goruntime.GOOS, goruntime.GOARCH)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 2*time.Second)
			defer cancel()
			var peer struct{ Shoal string }
			if _, failed := a.client().do(ctx, call{method: "GET", path: "/version", into: &peer}); failed == nil {
				_, err = fmt.Fprintf(a.stdout, "peer  %s\n", peer.Shoal)
			}
			return err
		},
	}
}
