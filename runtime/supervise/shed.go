//go:build linux

package supervise

import (
	"bufio"
	"fmt"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// small keeps this process so. A collection reads all over the program and so maps what shed gave back, so there is one only where the
// limit makes it necessary, and not every two minutes.
func small() {
	goruntime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(8 << 20)
}

// shed gives back the pages of the program's files that only its beginning needed: every package that is linked has set itself up here,
// few of them do anything in this process, and where the kernel keeps a file in huge pages (ext4 and XFS, Linux 6.x) one touch
// maps 2 MiB. What is used again comes back from the page cache, 64 KiB or 2 MiB at a time. Where the kernel refuses, all stays as it was.
func shed() {
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer file.Close()
	var at mapping
	var all []mapping
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) > 0 && !strings.HasSuffix(fields[0], ":"):
			at = parseMapping(fields)
		case at.readOnly && fields[0] == "Anonymous:" && fields[1] == "0":
			all = append(all, at)
		}
	}
	debug.FreeOSMemory() // collects: what that reads goes too
	for _, m := range all {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.begin, m.end-m.begin, unix.MADV_DONTNEED)
	}
}

// mapping is one of a process's mappings, as proc(5) describes smaps.
type mapping struct {
	begin, end uintptr
	readOnly   bool // and of a file. What was changed before, as relocations are, counts as anonymous
}

func parseMapping(fields []string) mapping {
	var m mapping
	if _, err := fmt.Sscanf(fields[0], "%x-%x", &m.begin, &m.end); err != nil || len(fields) < 6 {
		return mapping{}
	}
	m.readOnly = fields[1][1] == '-' && strings.HasPrefix(fields[5], "/")
	return m
}
