package heap

import (
	"fmt"
	"slices"
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

// taint adds a taint, unless the peer has it.
func (n *node) taint(text string) {
	if !slices.Contains(n.taints, text) {
		n.taints = append(n.taints, text)
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

// placed checks that every replica has a place.
func (p *play) placed([]string) {
	for _, name := range p.Alive() {
		for _, r := range p.Core(name).Replicas() {
			if r.Wanted && r.Assignment.Peer == "" {
				p.broken = append(p.broken, violationAt(p.now, "converged", "%s is pending in the view of %s: %s", r.ID, name, r.Pending))
			}
		}
	}
}

// empty checks that nothing runs on a peer any more.
func (p *play) empty(a []string) {
	p.ifKnown(a[0], func() {
		for _, id := range p.Peer(a[0]).machine.ids() {
			p.broken = append(p.broken, violationAt(p.now, "converged", "%s still runs on %s", id, a[0]))
		}
	})
}

// begun checks that no replica was begun more often than that since the mark.
func (p *play) begun(a []string) {
	if t := p.course.Tally(p.now, 1); t.MostMoves > count(a[0]) {
		p.broken = append(p.broken, violationAt(p.now, "P8", "%s was begun %d times since the mark, at most %s may be", t.Moved, t.MostMoves, a[0]))
	}
}

// gives lets a workload ask for one device for each replica.
func (p *play) gives(a []string) {
	p.ifAlive(a[0], func() {
		p.accepted(p.Apply(a[0], Shaped(a[1], count(a[2]), nil,
			`containers: [{name: web, image: "shoal.example/web:1", resources: {limits: {example.com/gpu: 1}, requests: {cpu: 50m, memory: 32Mi}}}]`)))
	})
}

// ported lets a workload ask for a port of the peer.
func (p *play) ported(a []string) {
	p.ifAlive(a[0], func() {
		p.accepted(p.Apply(a[0], Shaped(a[1], count(a[2]), nil,
			`containers: [{name: web, image: "shoal.example/web:1", ports: [{containerPort: 80, hostPort: 8080}], resources: {requests: {cpu: 50m, memory: 32Mi}}}]`)))
	})
}

// tolerant lets a workload tolerate any taint for so many seconds.
func (p *play) tolerant(a []string) {
	p.ifAlive(a[0], func() {
		p.accepted(p.Apply(a[0], Shaped(a[1], count(a[2]), nil,
			fmt.Sprintf(`tolerations: [{operator: Exists, effect: NoExecute, tolerationSeconds: %s}]`, a[3]), plainContainer)))
	})
}

// said gives a workload annotations, KEY=VALUE each.
func (p *play) said(a []string) {
	p.ifAlive(a[0], func() { p.accepted(p.Apply(a[0], Shaped(a[1], count(a[2]), a[3:], plainContainer))) })
}
