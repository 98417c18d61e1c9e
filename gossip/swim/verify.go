package swim

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"shoal/gossip"
)

// verify runs the rounds of the inquest while there is somebody in doubt. Rounds overlap: each waits for its answers.
func (c *Cluster) verify() {
	defer c.work.Done()
	for {
		select {
		case <-c.stopped:
			return
		case <-c.doubted:
		}
		for asked := c.inDoubt(); len(asked) > 0; asked = c.inDoubt() {
			c.work.Go(func() { c.ask(asked) })
			select {
			case <-c.stopped:
				return
			case <-time.After(c.figures.roundEach):
			}
		}
	}
}

func (c *Cluster) inDoubt() []gossip.Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inquest.next()
}

// doubt begins an inquiry on a member that memberlist holds dead. It waits for nothing: serf waits for it.
func (c *Cluster) doubt(m gossip.Member) {
	m.State = gossip.Suspect
	c.mu.Lock()
	c.inquest.open(m, time.Now())
	c.news.put(m)
	c.mu.Unlock()
	go c.convince(m)
	select {
	case c.doubted <- struct{}{}:
	default:
	}
}

// settle ends an inquiry on a member of which memberlist says something else now.
func (c *Cluster) settle(m gossip.Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inquest.close(m.ID)
	c.news.put(m)
}

// ask holds one round.
func (c *Cluster) ask(suspects []gossip.Member) {
	witnesses, alone := c.witnesses()
	r := round{answered: map[gossip.PeerID]bool{}, heard: map[gossip.PeerID]time.Time{}, alone: alone}
	began := time.Now()
	var mu sync.Mutex
	var pings sync.WaitGroup
	for _, m := range append(suspects, witnesses...) {
		r.asked = append(r.asked, m.ID)
		pings.Go(func() {
			_, err := c.serf.Memberlist().Ping(string(m.ID), net.UDPAddrFromAddrPort(m.Addr))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				r.answered[m.ID] = true
			}
		})
	}
	pings.Wait()
	for _, m := range suspects {
		r.heard[m.ID] = c.transport.lastHeard(m.Addr)
	}
	r.late = time.Since(began) > c.figures.probeTimeout+c.figures.roundEach
	c.conclude(r)
}

// witnesses picks members that are not in doubt, and says whether there is nobody at all besides this peer and one other.
func (c *Cluster) witnesses() (picked []gossip.Member, alone bool) {
	here := 0
	for _, m := range c.Members() {
		switch {
		case m.ID == c.id:
		case m.State == gossip.Alive:
			here++
			picked = append(picked, m)
		case m.State == gossip.Suspect:
			here++
		}
	}
	rand.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
	return picked[:min(len(picked), controls)], here <= 1
}

// conclude reports what a round found.
func (c *Cluster) conclude(r round) {
	c.mu.Lock()
	failed, living := c.inquest.take(r, time.Now())
	for _, m := range failed {
		m.State = gossip.Failed
		c.news.put(m)
	}
	c.mu.Unlock()
	for _, m := range living {
		go c.convince(m)
	}
}

const (
	convinceEach = 2 * time.Second // how often a member is asked to object
	convincers   = 8               // by about how many of the others
)

// convince exchanges states over a stream with a member that is held dead: if it lives it learns so and objects, also where packets
// do not get through. In a large cluster only some do: it costs as much as the cluster is large, and one objection is enough.
func (c *Cluster) convince(m gossip.Member) {
	if rand.IntN(c.serf.Memberlist().NumMembers()+1) >= convincers || !c.mayConvince(m.ID) {
		return
	}
	if err := c.meet(context.Background(), m.Addr); err == nil {
		c.conclude(round{asked: []gossip.PeerID{m.ID}, answered: map[gossip.PeerID]bool{m.ID: true}})
	}
}

func (c *Cluster) mayConvince(id gossip.PeerID) bool {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	inquiry := c.inquest.cases[id]
	if inquiry == nil || now.Sub(inquiry.met) < convinceEach {
		return false
	}
	inquiry.met = now
	return true
}
