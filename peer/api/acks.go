package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
)

// HeaderAcks says how many other peers are known to hold a write on disk, of how many were asked for: "2/3".
const HeaderAcks = "X-Shoal-Acks"

// HeaderAckedBy names them: "p2,p5".
const HeaderAckedBy = "X-Shoal-Acked-By"

const (
	maxAcks    = 10_000
	acksWithin = 10 * time.Second // when no timeout is given
	maxWithin  = time.Hour
)

// acksAsked is how many other peers a request wants to hold its write, and how long it waits for them.
type acksAsked struct {
	peers  int
	within time.Duration
}

// parseAcks reads ?acks=N&timeout=10s. Without acks there is nothing to wait for, and a timeout means nothing.
func parseAcks(r *http.Request) (acksAsked, error) {
	query := r.URL.Query()
	text := query.Get("acks")
	if text == "" {
		return acksAsked{}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxAcks {
		return acksAsked{}, badRequest("acks must be a number from 0 to %d, not %q", maxAcks, text)
	}
	asked := acksAsked{peers: n, within: acksWithin}
	if text := query.Get("timeout"); text != "" {
		asked.within, err = time.ParseDuration(text)
		if err != nil || asked.within <= 0 || asked.within > maxWithin {
			return acksAsked{}, badRequest("timeout %q is not a span: write it like \"10s\", at most an hour", text)
		}
	}
	return asked, nil
}

// await waits until as many other peers as asked for hold all of ops on disk, and says in the headers how many
// do. The write stands whatever comes of it.
func (s *Server) await(ctx context.Context, w http.ResponseWriter, v *view, asked acksAsked, ops []crdt.OpID) error {
	if asked.peers == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, asked.within)
	defer cancel()
	held, err := s.holders(ctx, asked.peers, ops)
	if err != nil {
		return err
	}
	names := make([]string, len(held))
	for i, id := range held {
		names[i] = v.name(id)
	}
	slices.Sort(names)
	w.Header().Set(HeaderAcks, fmt.Sprintf("%d/%d", len(held), asked.peers))
	w.Header().Set(HeaderAckedBy, strings.Join(names, ","))
	return nil
}

// holders returns which other peers are known to hold all of ops, once they are n or ctx ends. Waiting in vain is no error.
func (s *Server) holders(ctx context.Context, n int, ops []crdt.OpID) (held []crdt.PeerID, err error) {
	for i, op := range ops {
		by, err := s.backend.AwaitAcks(ctx, op, n)
		if err != nil && ctx.Err() == nil {
			return nil, unavailable(err)
		}
		if i == 0 {
			held = slices.Clone(by)
			continue
		}
		held = slices.DeleteFunc(held, func(id crdt.PeerID) bool { return !slices.Contains(by, id) })
	}
	return held, nil
}
