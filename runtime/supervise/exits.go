//go:build linux

package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is kept in a directory of exits.
const (
	exitsMost = 10_000
	exitsAge  = 24 * time.Hour
)

// StartTime reads when a process started, in clock ticks since boot. A zombie still has it.
func StartTime(pid int) (uint64, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The second field is the name, in parentheses, and may hold anything. Counted from behind it, the 22nd is the 20th.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: unknown form", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func exitPath(dir string, pid int, started uint64) string {
	return filepath.Join(dir, strconv.Itoa(pid)+"-"+strconv.FormatUint(started, 10))
}

// writeExit leaves an exit code, whole or not at all.
func writeExit(dir string, pid int, started uint64, code int) error {
	path := exitPath(dir, pid, started)
	if err := os.WriteFile(path+".new", []byte(strconv.Itoa(code)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ReadExit returns the exit code that a supervisor left about a process; false if there is none.
func ReadExit(dir string, pid int, started uint64) (code int, known bool) {
	body, err := os.ReadFile(exitPath(dir, pid, started))
	if err != nil {
		return 0, false
	}
	code, err = strconv.Atoi(strings.TrimSpace(string(body)))
	return code, err == nil
}

// ForgetExit deletes what ReadExit returned; nothing there is no error.
func ForgetExit(dir string, pid int, started uint64) error {
	if err := os.Remove(exitPath(dir, pid, started)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// prune deletes the files that are older than age before now, and the oldest beyond most.
func prune(dir string, now time.Time, age time.Duration, most int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	type file struct {
		name    string
		written time.Time
	}
	var files []file
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, file{entry.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return a.written.Compare(b.written) })
	for i, f := range files {
		if len(files)-i <= most && now.Sub(f.written) <= age {
			return nil
		}
		if err := os.Remove(filepath.Join(dir, f.name)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
