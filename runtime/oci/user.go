//go:build linux && cgo

package oci

import (
	"io"
	"os"

	"github.com/moby/sys/user"
)

// account is who a container's program runs as.
type account struct {
	UID, GID int
	Groups   []int
}

// lookUp finds "uid", "uid:gid", "name" or "name:group" in an image's passwd and group files. Empty is root.
func lookUp(rootDir, wanted string) (account, error) {
	root, err := os.OpenRoot(rootDir)
	if err != nil {
		return account{}, err
	}
	defer root.Close()
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
