//go:build linux && cgo

package oci

import (
	"debug/elf"
	"io"
	"os"
	"path"
	goruntime "runtime"
	"strings"

	"github.com/moby/sys/user"
)

// account is who a container's program runs as.
type account struct {
	UID, GID int
	Groups   []int
}

// lookUp finds "uid", "uid:gid", "name" or "name:group" in an image's passwd and group files. Empty is root.
func lookUp(root *os.Root, wanted string) (account, error) {
	open := func(name string) io.Reader {
		// An image need not have the file: then only numbers can be resolved.
		file, err := root.Open(name)
		if err != nil {
			return nil
		}
		return file
	}
	passwd, group := open("etc/passwd"), open("etc/group")
	for _, reader := range []io.Reader{passwd, group} {
		if file, ok := reader.(*os.File); ok {
			defer file.Close()
		}
	}
	found, err := user.GetExecUser(wanted, &user.ExecUser{}, passwd, group)
	if err != nil {
		return account{}, err
	}
	return account{UID: found.Uid, GID: found.Gid, Groups: found.Sgids}, nil
}

// isNarrow says whether a program is for 32 bits while this machine has 64. Of a script its interpreter is meant. What
// cannot be found is not narrow: Start says what is wrong with it.
func isNarrow(root *os.Root, program string, env []string) bool {
	if goruntime.GOARCH == "386" || goruntime.GOARCH == "arm" {
		return false
	}
	for range 4 { // the kernel follows that many interpreters
		file := findProgram(root, program, env)
		if file == nil {
			return false
		}
		defer file.Close()
		head := make([]byte, 256)
		n, _ := io.ReadFull(file, head)
		line, script := strings.CutPrefix(string(head[:n]), "#!")
		if !script {
			return n > elf.EI_CLASS && string(head[:4]) == elf.ELFMAG && elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS32
		}
		line, _, _ = strings.Cut(line, "\n")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			return false
		}
		program = fields[0]
	}
	return false
}

// findProgram opens a program in a root, looked for along PATH when its name has no '/'. nil if there is none.
func findProgram(root *os.Root, program string, env []string) *os.File {
	dirs := []string{""}
	if !strings.Contains(program, "/") {
		for _, e := range env {
			if list, ok := strings.CutPrefix(e, "PATH="); ok {
				dirs = strings.Split(list, ":")
			}
		}
	}
	for _, dir := range dirs {
		name := strings.TrimPrefix(path.Clean("/"+path.Join(dir, program)), "/")
		// A link with an absolute target means the image's root, as it will for the kernel.
		for range 8 {
			target, err := root.Readlink(name)
			if err != nil || !path.IsAbs(target) {
				break
			}
			name = strings.TrimPrefix(path.Clean(target), "/")
		}
		if file, err := root.Open(name); err == nil {
			return file
		}
	}
	return nil
}
