package swim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/hashicorp/serf/serf"

	"shoal/gossip"
)

// A peer's description of itself as serf tags. Keys and values are short because all tags of a
// member share 512 bytes. Unknown tags are skipped; a missing one is zero; only "n" must be there.
//
//	n  name, UTF-8
//	a  where streams listen: address (4 or 16 bytes) and port (2, little-endian), as netip.AddrPort's binary form
//	r  room: CPU in thousandths and memory in bytes, each a uvarint
//	h  health: one byte
//
// The ID is serf's name of the member.
const (
	nameTag   = "n"
	streamTag = "a"
	roomTag   = "r"
	healthTag = "h"
)

// maxNameBytes is a DNS label's.
const maxNameBytes = 63

// encodeTags describes self, or says why it cannot be told.
func encodeTags(self gossip.Self) (map[string]string, error) {
	switch {
	case self.ID == "":
		return nil, errors.New("gossip: a peer needs an ID")
	case len(self.ID) > 128:
		return nil, fmt.Errorf("gossip: peer ID of %d bytes is longer than 128", len(self.ID))
	case self.Name == "" || len(self.Name) > maxNameBytes:
		return nil, fmt.Errorf("gossip: name %q must have 1 to %d bytes", self.Name, maxNameBytes)
	case self.Room.CPUMillis < 0 || self.Room.MemoryBytes < 0:
		return nil, fmt.Errorf("gossip: room %+v is negative", self.Room)
	}
	stream, err := self.Stream.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("gossip: stream address %v: %w", self.Stream, err)
	}
	room := binary.AppendUvarint(nil, uint64(self.Room.CPUMillis))
	room = binary.AppendUvarint(room, uint64(self.Room.MemoryBytes))
	return map[string]string{nameTag: self.Name, streamTag: string(stream), roomTag: string(room), healthTag: string([]byte{byte(self.Health)})}, nil
}

// decodeTags reads what encodeTags wrote, also in a newer version.
func decodeTags(id string, tags map[string]string) (gossip.Self, error) {
	self := gossip.Self{ID: gossip.PeerID(id), Name: tags[nameTag]}
	if self.Name == "" || len(self.Name) > maxNameBytes {
		return gossip.Self{}, fmt.Errorf("tags of %s: name %q must have 1 to %d bytes", id, self.Name, maxNameBytes)
	}
	if stream, there := tags[streamTag]; there {
		if err := self.Stream.UnmarshalBinary([]byte(stream)); err != nil {
			return gossip.Self{}, fmt.Errorf("tags of %s: stream address: %w", id, err)
		}
	}
	if room := []byte(tags[roomTag]); len(room) > 0 {
		cpu, n := binary.Uvarint(room)
		memory, m := binary.Uvarint(room[max(n, 0):])
		if n <= 0 || m <= 0 || cpu > 1<<62 || memory > 1<<62 {
			return gossip.Self{}, fmt.Errorf("tags of %s: room is not two numbers", id)
		}
		self.Room = gossip.Room{CPUMillis: int64(cpu), MemoryBytes: int64(memory)}
	}
	if health := tags[healthTag]; health != "" {
		self.Health = min(gossip.Health(health[0]), gossip.Poor) // what is worse than Poor is Poor to us
	}
	return self, nil
}

// toMember converts what serf holds of a member.
func toMember(m serf.Member) (gossip.Member, error) {
	self, err := decodeTags(m.Name, m.Tags)
	if err != nil {
		return gossip.Member{}, err
	}
	return gossip.Member{Self: self, Addr: addrPort(m.Addr, m.Port), State: toState(m.Status)}, nil
}

func toState(status serf.MemberStatus) gossip.State {
	switch status {
	case serf.StatusAlive, serf.StatusLeaving:
		return gossip.Alive
	case serf.StatusLeft:
		return gossip.Left
	}
	return gossip.Failed
}

func addrPort(ip net.IP, port uint16) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), port)
}
