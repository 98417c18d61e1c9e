package gossiptest

import (
	"net/netip"
	"testing"

	"shoal/gossip"
)

// scripted is the World of a Hub.
type scripted struct {
	*Hub
	addrs map[gossip.PeerID]netip.AddrPort
}

func (s scripted) Start(self gossip.Self, changed func(gossip.Member)) (gossip.Cluster, error) {
	s.addrs[self.ID] = netip.AddrPortFrom(self.Stream.Addr(), 7401)
	return s.New(self, s.addrs[self.ID], changed)
}

func (s scripted) Addr(id gossip.PeerID) netip.AddrPort { return s.addrs[id] }
func (s scripted) Settle()                              {}

func TestHubConforms(t *testing.T) {
	Conformance(t, func(t *testing.T, test func(t *testing.T, w World)) {
		test(t, scripted{NewHub(), map[gossip.PeerID]netip.AddrPort{}})
	})
}
