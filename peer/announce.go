package peer

import (
	"context"
	"log/slog"
	"time"

	"shoal/gossip"
	"shoal/peer/control"
)

// healthEach is how often this peer's health is measured: see gossip.Judge for what comes of it.
const healthEach = 10 * time.Second

// keepAnnouncing tells the control core how this machine is, for as long as the peer runs.
func (p *Peer) keepAnnouncing(ctx context.Context) {
	ticker := time.NewTicker(healthEach)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.measure(ctx)
			p.announce(ctx)
		}
	}
}

// measure judges this peer's health: the machine's, that of its membership, and that of what runs here.
func (p *Peer) measure(ctx context.Context) {
	var signs gossip.Signs
	if p.ports.Signs != nil {
		signs = p.ports.Signs()
	}
	signs.Awareness = p.cluster.Awareness()
	members := p.cluster.Members()
	if err := p.Read(ctx, func(m *control.Machine) { signs.Workloads, signs.Failing = m.Trouble() }); err != nil {
		return
	}
	p.healthMu.Lock()
	defer p.healthMu.Unlock()
	before := p.health.Class()
	if now := p.health.take(signs, gossip.PeerID(p.id), members); now != before {
		slog.Warn("the health of this peer has changed", "from", before, "to", now, "signs", signs)
		p.healthWhy = signs.Words()
	}
}

// judge judges this peer's health. It is pure.
type judge struct {
	gossip.Judge
	failed int // members, at the last measurement
}

// take takes a measurement. Awareness counts only where it tells of this peer and not of what others went through: it rises while members
// are lost, and stands still while nobody is here to be probed.
func (j *judge) take(signs gossip.Signs, self gossip.PeerID, members []gossip.Member) gossip.Health {
	failed, others := 0, 0
	for _, m := range members {
		switch {
		case m.State == gossip.Failed:
			failed++
		case m.State != gossip.Left && m.ID != self:
			others++
		}
	}
	if others == 0 || failed != j.failed {
		signs.Awareness = 0
	}
	j.failed = failed
	return j.Take(signs)
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
	changed := control.SelfChanged{Room: p.config.Room, StorageBytes: p.config.Storage, Pids: p.config.Pids, Devices: p.config.Devices, Health: p.health.Class(), Why: p.healthWhy}
	for _, image := range images {
		changed.Images = append(changed.Images, image.Reference)
	}
	p.box.add(changed)
}
