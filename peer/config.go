package peer

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"net/netip"

	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/trust"
	"shoal/placement"
)

// Config is what makes a peer this peer.
type Config struct {
	Key          ed25519.PrivateKey // its identity; the PeerID is the public half
	Cluster      trust.PeerID       // the root key of its cluster
	GossipKey    []byte             // handed to those whom it admits
	Certificates [][]byte           // its own chain; kept in the store from then on
	Name         string
	Build        string         // the version of the program
	Stream       netip.AddrPort // where others reach its streams
	Gossip       netip.AddrPort // where others reach its gossip
	Room         gossip.Room
	Storage      int64              // bytes for containers, beside their images and volumes
	Pids         int64              // processes and threads for containers
	Devices      []placement.Amount // extended resources, sorted by name
	Labels       map[string]string
	Subnet       netip.Prefix
	Seeds        []netip.AddrPort // gossip addresses to join besides those of the book
	Tuning       control.Tuning
	Random       func(n int) int // below n
	Session      string          // of what outlives the program; see control.Config

	// Trip is called where something from outside is about to be handled, with the kind of place and the name of what
	// is handled; nil in production. What panics in it stands for a fault of the code there (P13).
	Trip func(site, name string)
}

// ID returns the identity that goes with a key.
func ID(key ed25519.PrivateKey) trust.PeerID {
	return trust.PeerID(hex.EncodeToString(key.Public().(ed25519.PublicKey)))
}

// Validate names everything that is missing.
func (c Config) Validate() error {
	var faults []error
	if len(c.Key) != ed25519.PrivateKeySize {
		faults = append(faults, errors.New("no identity key"))
	}
	if c.Cluster == "" {
		faults = append(faults, errors.New("no cluster"))
	}
	if c.Name == "" {
		faults = append(faults, errors.New("no name"))
	}
	if c.Random == nil {
		faults = append(faults, errors.New("no source of random numbers"))
	}
	return errors.Join(faults...)
}

func (c Config) self(room gossip.Room, health gossip.Health) gossip.Self {
	return gossip.Self{ID: gossip.PeerID(ID(c.Key)), Name: c.Name, Stream: c.Stream, Room: room, Health: health}
}

func (c Config) sign(message []byte) []byte { return ed25519.Sign(c.Key, message) }
