package stream

import (
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

const (
	joinBurst    = 16          // requests to join that one host may make at once: a rack behind one address
	joinEvery    = time.Second // after these, one per this span
	ratesRemain  = joinBurst * joinEvery
	hostsAtMost  = 1024
	wholeNetwork = 48 // bits of an IPv6 address that count as one host: whoever has one has them all
)

// rates bounds how often each host may ask to join: a generic cell rate algorithm (ITU-T I.371) over at most hostsAtMost hosts.
// When these are all fresh, further hosts share one account.
type rates struct {
	mu    sync.Mutex
	hosts map[netip.Prefix]time.Time // when the account is full again
}

func newRates() *rates { return &rates{hosts: map[netip.Prefix]time.Time{}} }

// allow counts one request; false if it is too many.
func (r *rates) allow(from ma.Multiaddr, now time.Time) bool {
	at, err := addrPort(from)
	if err != nil {
		return false
	}
	return r.allowHost(at.Addr(), now)
}

func (r *rates) allowHost(addr netip.Addr, now time.Time) bool {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = wholeNetwork
	}
	host, err := addr.Prefix(bits)
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.hosts[host]; !there && !r.room(now) {
		host = netip.Prefix{}
	}
	full := r.hosts[host]
	if full.Before(now) {
		full = now
	}
	if full.Add(joinEvery).Sub(now) > ratesRemain {
		return false
	}
	r.hosts[host] = full.Add(joinEvery)
	return true
}

// room drops accounts that are full again when there are too many. r.mu is held.
func (r *rates) room(now time.Time) bool {
	if len(r.hosts) < hostsAtMost {
		return true
	}
	for host, full := range r.hosts {
		if full.Before(now) {
			delete(r.hosts, host)
		}
	}
	return len(r.hosts) < hostsAtMost
}
