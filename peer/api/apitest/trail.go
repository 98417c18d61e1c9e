package apitest

import (
	"context"
	"time"

	"shoal/crdt"
	"shoal/peer"
	"shoal/peer/control"
)

// History implements peer.Backend: this peer remembers nothing.
func (b *Backend) History(context.Context, crdt.Key) ([]control.HistoryEntry, error) { return nil, nil }

// Audit implements peer.Backend: nothing ever went wrong.
func (b *Backend) Audit(context.Context) (peer.AuditReport, error) {
	return peer.AuditReport{Since: time.Unix(0, 0)}, nil
}

// AwaitAcks implements peer.Backend: nobody else is there to hold anything.
func (b *Backend) AwaitAcks(ctx context.Context, _ crdt.OpID, n int) ([]crdt.PeerID, error) {
	if n <= 0 {
		return nil, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}
