// Package kit builds what a test cluster runs from this repository: the shoal program, and the example web
// server as a program and as an image. It needs no network once the modules are there. The scenario scripts, the demo and the
// benchmarks share it; it knows nothing of clusters.
//
// What is built belongs to the caller, who gives the directory and removes it. Nothing is written
// anywhere else, apart from Go's own build cache.
package kit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Image is the reference of the example web server's image.
const Image = "shoal.example/web:1"

// Kit is what was built; all paths are absolute.
type Kit struct {
	Root    string // of the repository
	Program string // shoal
	Web     string // the web server's program, static
	Archive string // the web server's image, as a tar
}

// Build builds a kit into dir.
func Build(ctx context.Context, dir string) (Kit, error) {
	root, err := repository(ctx)
	if err != nil {
		return Kit{}, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Kit{}, err
	}
	k := Kit{Root: root, Program: filepath.Join(dir, "shoal"), Web: filepath.Join(dir, "web"), Archive: filepath.Join(dir, "web.tar")}
	builder := filepath.Join(dir, "mkimage")
	var builds sync.WaitGroup
	faults := make(chan error, 3)
	for _, b := range []struct {
		output, source string
		static         bool
	}{{k.Program, "./cmd/shoal", false}, {k.Web, "./examples/web", true}, {builder, "./examples/mkimage", false}} {
		builds.Go(func() { faults <- goBuild(ctx, root, b.output, b.source, b.static) })
	}
	builds.Wait()
	close(faults)
	for err := range faults {
		if err != nil {
			return Kit{}, err
		}
	}
	if _, err := run(ctx, root, nil, builder, "-o", k.Archive, Image, k.Web); err != nil {
		return Kit{}, fmt.Errorf("make the image: %w", err)
	}
	return k, nil
}

// Variant builds shoal with one more build tag, as a program beside the kit's own, and returns its path.
func (k Kit) Variant(ctx context.Context, tag string) (string, error) {
	program := k.Program + "-" + tag
	if _, err := run(ctx, k.Root, nil, "go", "build", "-tags", "seccomp,"+tag, "-o", program, "./cmd/shoal"); err != nil {
		return "", fmt.Errorf("build shoal with -tags %s: %w", tag, err)
	}
	return program, nil
}

// repository is the root of the module that the working directory is in.
func repository(ctx context.Context) (string, error) {
	file, err := run(ctx, "", nil, "go", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	if file == "" || file == os.DevNull {
		return "", fmt.Errorf("run this inside of the repository: it builds shoal from source")
	}
	return filepath.Dir(file), nil
}

func goBuild(ctx context.Context, root, output, source string, static bool) error {
	arguments := []string{"build", "-tags", "seccomp", "-o", output}
	env := os.Environ()
	if static {
		arguments = []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", output}
		env = append(env, "CGO_ENABLED=0")
	}
	if _, err := run(ctx, root, env, "go", append(arguments, source)...); err != nil {
		return fmt.Errorf("build %s: %w", source, err)
	}
	return nil
}

func run(ctx context.Context, dir string, env []string, program string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir, command.Env = dir, env
	out, err := command.Output()
	if exit, ok := err.(*exec.ExitError); ok && len(exit.Stderr) > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}
