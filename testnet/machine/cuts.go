package machine

import (
	"errors"
	"fmt"
	"net/netip"
)

// recut replaces the cuts in force. A machine that is off gets its own when it boots.
func (k *keeper) recut(cuts []Cut) error {
	for _, c := range cuts {
		for _, name := range []string{c.From, c.To} {
			if _, ok := k.state.Peer(name); !ok {
				return fmt.Errorf("no peer %s in this testnet", name)
			}
		}
		if c.From == c.To {
			return fmt.Errorf("%s cannot be cut from itself", c.From)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cuts = cuts
	var faults []error
	for _, peer := range k.state.Peers {
		faults = append(faults, k.cut(peer.Name))
	}
	return errors.Join(faults...)
}

// cut brings one machine in line with the cuts. The caller holds mu.
func (k *keeper) cut(name string) error {
	b := k.machines[name]
	if b == nil || !b.on() {
		return nil
	}
	var to []netip.Addr
	for _, c := range k.cuts {
		if peer, ok := k.state.Peer(c.To); ok && c.From == name {
			to = append(to, peer.Address.Addr())
		}
	}
	return k.fabric.Cut(b.pid(), to)
}
