package peer

import (
	"context"
	"log/slog"
	"time"

	"shoal/peer/control"
	"shoal/runtime"
)

// bound tells the runtime until when instances may run. Where that fails they do not start, and what runs ends at the deadline before.
func (p *Peer) bound(ctx context.Context, bounds []control.Bound) {
	if len(bounds) == 0 {
		return
	}
	list := make([]runtime.Bound, len(bounds))
	for i, b := range bounds {
		list[i] = runtime.Bound{Instance: b.Instance, Until: b.Until}
		if b.Until != control.Unbounded {
			list[i].Until += p.ports.Began
		}
	}
	p.guarded("deadlines", string(bounds[0].Instance), func() {
		if err := p.runtime.Bound(ctx, list); err != nil {
			slog.Warn("could not move the deadlines of what runs under leases", "instances", len(list), "error", err)
		}
	})
}

// elapsedOf is a deadline of the runtime by the clock of control: what has passed already is above 0 too, for 0 is no deadline.
func (p *Peer) elapsedOf(until time.Duration) time.Duration {
	if until == 0 {
		return 0
	}
	return max(until-p.ports.Began, 1)
}
