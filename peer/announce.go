package peer

import (
	"context"
	"log/slog"
	"time"

	"shoal/gossip"
	"shoal/peer/control"
)

const (
	healthEach = 10 * time.Second
	// recovered is how many measurements in a row must be better before the health class is.
	recovered = 6
)

// keepAnnouncing tells the control core how this machine is, for as long as the peer runs.
func (p *Peer) keepAnnouncing(ctx context.Context) {
	ticker := time.NewTicker(healthEach)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.announce(ctx)
		}
	}
}

// announce tells the control core this peer's room and health, and which images are here.
func (p *Peer) announce(ctx context.Context) {
	images, err := p.ports.Images.List(ctx)
	if err != nil {
		slog.Warn("the images of this peer cannot be listed", "error", err)
		return
	}
	p.healthMu.Lock()
	defer p.healthMu.Unlock()
	changed := control.SelfChanged{Room: p.config.Room}
	if p.ports.Health != nil {
		changed.Health = p.health.take(p.ports.Health())
	}
	for _, image := range images {
		changed.Images = append(changed.Images, image.Reference)
	}
	p.box.add(changed)
}

// hysteresis lets a health class fall at once and rise only when it has been better for a while, so that plans
// do not follow every breath of a machine.
type hysteresis struct {
	class  gossip.Health
	better int
}

func (h *hysteresis) take(measured gossip.Health) gossip.Health {
	if measured < h.class {
		h.better++
	} else {
		h.better = 0
	}
	if measured > h.class || h.better >= recovered {
		h.class, h.better = measured, 0
	}
	return h.class
}
