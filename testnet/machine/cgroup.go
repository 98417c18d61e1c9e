package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroup is a control group by its path from the root, "/shoal-testnet-demo", the same in all hierarchies.
type Cgroup string

// Machine is the group in which one machine's containers are.
func (c Cgroup) Machine(name string) Cgroup { return c + Cgroup("/"+name) }

// Claim makes the group in the hierarchy that decides whose it is. It fails when the group exists.
func (c Cgroup) Claim() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	err = os.Mkdir(filepath.Join(roots[0], string(c)), 0o755)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the cgroup %s%s exists already: a testnet of this name runs from another directory (SHOAL_TESTNET_DIR), or one was deleted by hand", roots[0], c)
	}
	return err
}

// thaw lets frozen processes in the group go on: on version 1, a frozen process does not die of SIGKILL.
func (c Cgroup) thaw() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(root, string(c)), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "freezer.state" {
				err = os.WriteFile(path, []byte("THAWED"), 0)
			}
			return ignoreGone(err)
		})
		if err != nil {
			return fmt.Errorf("thaw cgroup %s: %w", c, err)
		}
	}
	return nil
}

// Remove deletes the group with all below, in all hierarchies. The processes in it must be dying:
// it waits for them until ctx ends. A group that does not exist is no error.
func (c Cgroup) Remove(ctx context.Context) error {
	if len(c) < 2 { // never the root
		return fmt.Errorf("no cgroup named %q", string(c))
	}
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	var faults []error
	for _, root := range roots {
		faults = append(faults, removeTree(ctx, filepath.Join(root, string(c))))
	}
	return errors.Join(faults...)
}

func removeTree(ctx context.Context, top string) error {
	var last error
	err := every(ctx, 5*time.Millisecond, func() bool {
		last = removeOnce(top)
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("remove cgroup: %w", last)
	}
	return nil
}

func removeOnce(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeOnce(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// Paths lists where the group exists.
func (c Cgroup) Paths() ([]string, error) {
	roots, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, root := range roots {
		path := filepath.Join(root, string(c))
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// Leaves lists the groups below c that hold processes, by path below c, with their process numbers as the caller sees them. It
// reads one hierarchy: on version 1 that of the pids controller.
func (c Cgroup) Leaves() (map[string][]int, error) {
	roots, err := hierarchies()
	if err != nil {
		return nil, err
	}
	top := filepath.Join(roots[0], string(c))
	leaves := make(map[string][]int)
	err = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return ignoreGone(err)
		}
		data, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return ignoreGone(err)
		}
		below := strings.TrimPrefix(strings.TrimPrefix(path, top), "/")
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				leaves[below] = append(leaves[below], pid)
			}
		}
		return nil
	})
	return leaves, err
}

// ignoreGone drops the errors of a group that was removed while it was read.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// hierarchies lists where cgroups are mounted. The first is the one that has the pids controller, of either version.
func hierarchies() ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var roots []string
	first := -1
	for lines := bufio.NewScanner(file); lines.Scan(); {
		// proc(5): ID parent device root mountpoint options … - type source superoptions
		before, after, _ := strings.Cut(lines.Text(), " - ")
		mount, kind := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || len(kind) < 3 || !strings.HasPrefix(kind[0], "cgroup") || mount[3] != "/" {
			continue
		}
		if kind[0] == "cgroup2" && hasPids(mount[4]) || slices.Contains(strings.Split(kind[2], ","), "pids") {
			first = len(roots)
		}
		roots = append(roots, mount[4])
	}
	if first < 0 {
		return nil, errors.New("no cgroup hierarchy with the pids controller is mounted: mount cgroup2 on /sys/fs/cgroup")
	}
	roots[0], roots[first] = roots[first], roots[0]
	return roots, nil
}

// hasPids says whether a hierarchy of version 2 has the pids controller: beside those of version 1 it may be mounted with
// only the few that version 1 does not use.
func hasPids(mount string) bool {
	data, err := os.ReadFile(filepath.Join(mount, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(data)), "pids")
}
