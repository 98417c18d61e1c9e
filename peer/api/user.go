package api

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"sync"
	"time"

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
	return WithUser(ctx, names.of(credentials.Uid))
}

var names = newUserNames(userName, time.Now)

// mostUserNames bounds the names remembered.
const mostUserNames = 256

// userNames remembers users' names for a minute: to look one up can cost more than the rest of a request.
type userNames struct {
	look func(uid uint32) string
	now  func() time.Time

	mu    sync.Mutex
	known map[uint32]knownUser
}

type knownUser struct {
	name  string
	until time.Time
}

func newUserNames(look func(uint32) string, now func() time.Time) *userNames {
	return &userNames{look: look, now: now, known: map[uint32]knownUser{}}
}

func (n *userNames) of(uid uint32) string {
	n.mu.Lock()
	known, ok := n.known[uid]
	n.mu.Unlock()
	now := n.now()
	if ok && now.Before(known.until) {
		return known.name
	}
	known = knownUser{name: n.look(uid), until: now.Add(time.Minute)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= mostUserNames {
		clear(n.known)
	}
	n.known[uid] = known
	return known.name
}

// userName is a user's name on this machine, or its number where it has none.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if known, err := user.LookupId(id); err == nil {
		return known.Username
	}
	return fmt.Sprintf("uid %s", id)
}
