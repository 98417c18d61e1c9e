package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"shoal/peer"
	"shoal/peer/trust"
)

const (
	identityFile = "identity.json"
	rootKeyFile  = "root.key"
)

// identity is who a peer is. It is made once, before anything else is written, and never changes.
type identity struct {
	Version      int                `json:"version"`
	Name         string             `json:"name"`
	Key          ed25519.PrivateKey `json:"key"`
	Cluster      trust.PeerID       `json:"cluster"`
	GossipKey    []byte             `json:"gossipKey"`
	Certificates [][]byte           `json:"certificates"`
	Seeds        []netip.AddrPort   `json:"seeds,omitempty"`
}

// loadIdentity reads the identity of a data directory; found is false where there is none yet.
func loadIdentity(dir string) (id identity, found bool, err error) {
	path := filepath.Join(dir, identityFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return id, false, nil
	}
	if err != nil {
		return id, false, err
	}
	if err := json.Unmarshal(data, &id); err != nil || len(id.Key) != ed25519.PrivateKeySize {
		return id, false, fail(exitDamaged, "%s is damaged: put it back from a copy, or move the data directory away and join again", path)
	}
	return id, true, nil
}

// save writes the identity so that it is on disk, whole, or not there at all.
func (id identity) save(dir string) error {
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(dir, identityFile), data)
}

func writeDurably(path string, data []byte) error {
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// foundCluster makes a new cluster: its root key, its gossip key, and this peer as its first. The root key is left
// in the data directory for the operator to take away; the peer does not need it.
func foundCluster(dir, name string, now time.Time) (identity, error) {
	_, root, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return identity{}, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return identity{}, err
	}
	id := identity{Version: 1, Name: name, Key: key, Cluster: peer.ID(root), GossipKey: make([]byte, 32)}
	if _, err := rand.Read(id.GossipKey); err != nil {
		return identity{}, err
	}
	certificate := trust.NewCertificate(peer.ID(key), name, []trust.Capability{trust.MayWrite, trust.MayAdmit},
		id.Cluster, now, func(message []byte) []byte { return ed25519.Sign(root, message) })
	id.Certificates = [][]byte{trust.EncodeCertificate(certificate)}
	text := fmt.Appendf(nil, "%x\n", root.Seed())
	if err := writeDurably(filepath.Join(dir, rootKeyFile), text); err != nil {
		return identity{}, err
	}
	return id, id.save(dir)
}
