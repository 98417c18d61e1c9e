package api

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

type userKey struct{}

// WithUser returns a context whose requests act for a user.
func WithUser(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, userKey{}, name)
}

// User is the user for whom a request acts; empty when nobody is known.
func User(ctx context.Context) string {
	name, _ := ctx.Value(userKey{}).(string)
	return name
}

// ConnContext is for http.Server: requests over a unix socket act for the user of the process at
// its other end, as the kernel knows it.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	over, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := over.SyscallConn()
	if err != nil {
		return ctx
	}
	var credentials *unix.Ucred
	err = raw.Control(func(fd uintptr) {
		credentials, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || credentials == nil {
		return ctx
	}
	return WithUser(ctx, userName(credentials.Uid))
}

// userName is a user's name on this machine, or its number where it has none.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if known, err := user.LookupId(id); err == nil {
		return known.Username
	}
	return fmt.Sprintf("uid %s", id)
}
