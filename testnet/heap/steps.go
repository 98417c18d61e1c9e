package heap

import (
	"strings"
	"time"

	"shoal/gossip"
)

// say changes what users say of a peer.
func (p *play) say(name string, change func(n *node)) {
	if p.known(name) && len(p.Alive()) > 0 {
		p.accepted(p.SayOf(name, change))
	}
}

func (n *node) label(text string) {
	if n.labels == nil {
		n.labels = map[string]string{}
	}
	key, value, _ := strings.Cut(text, "=")
	n.labels[key] = value
}

func healthOf(text string) gossip.Health {
	return map[string]gossip.Health{"fair": gossip.Fair, "poor": gossip.Poor}[text]
}

func (p *play) resize(a []string) {
	p.ifKnown(a[0], func() {
		p.Resize(a[0], gossip.Room{CPUMillis: int64(count(a[1])), MemoryBytes: int64(count(a[2])) << 20}, p.Peer(a[0]).has)
	})
}

// flap lets a machine come and go.
func (p *play) flap(a []string) {
	for range count(a[1]) {
		p.ifAlive(a[0], func() { p.LosePower(a[0]) })
		p.Run(span(a[3]))
		if p.known(a[0]) {
			p.Start(a[0])
		}
		p.Run(max(span(a[2]), time.Millisecond))
	}
}
