package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"shoal/runtime"
)

// poolVersion is that of the file below. A higher one is refused; unknown fields are skipped.
const poolVersion = 1

// poolRecord is DIR/addresses.json, replaced whole at each change.
type poolRecord struct {
	Version int                               `json:"version"`
	Last    netip.Addr                        `json:"last"` // given out last, from which the search goes on
	Held    map[runtime.InstanceID]netip.Addr `json:"held"`
}

// pool gives out the addresses of a subnet, in turn: an address that was given back comes up again after all others
// that are free. Not safe for concurrent use.
type pool struct {
	file   string
	subnet netip.Prefix
	record poolRecord
	holder map[netip.Addr]runtime.InstanceID
}

// openPool reads what is held, also in a subnet that the peer had before.
func openPool(file string, subnet netip.Prefix) (*pool, error) {
	p := &pool{file: file, subnet: subnet, holder: map[netip.Addr]runtime.InstanceID{}}
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		err := json.Unmarshal(data, &p.record)
		if err == nil && p.record.Version > poolVersion {
			err = fmt.Errorf("written by a newer version of this program (format %d, known is %d)", p.record.Version, poolVersion)
		}
		if err != nil {
			return nil, fmt.Errorf("the record of addresses %s cannot be read (%w): delete it when no container runs here", file, err)
		}
	}
	if p.record.Held == nil {
		p.record.Held = map[runtime.InstanceID]netip.Addr{}
	}
	for id, address := range p.record.Held {
		if other, ok := p.holder[address]; ok {
			return nil, fmt.Errorf("the record of addresses %s gives %s to both %s and %s: delete it when no container runs here", file, address, id, other)
		}
		p.holder[address] = id
	}
	if !p.usable(p.record.Last) {
		p.record.Last = p.gateway()
	}
	return p, nil
}

// gateway is the subnet's first address, which the bridge has.
func (p *pool) gateway() netip.Addr { return p.subnet.Addr().Next() }

// usable says whether an instance may have an address: not the subnet's own, the bridge's or the broadcast address.
func (p *pool) usable(address netip.Addr) bool {
	return p.subnet.Contains(address) && address != p.subnet.Addr() && address != p.gateway() && p.subnet.Contains(address.Next())
}

// take gives an instance its address, on disk before it returns. An instance that holds one in the subnet keeps it.
func (p *pool) take(id runtime.InstanceID) (netip.Addr, error) {
	if held, ok := p.record.Held[id]; ok && p.usable(held) {
		return held, nil
	}
	size := 1 << (32 - p.subnet.Bits())
	address := p.record.Last
	for range size {
		if address = address.Next(); !p.subnet.Contains(address) {
			address = p.subnet.Addr()
		}
		if _, held := p.holder[address]; held || !p.usable(address) {
			continue
		}
		return address, p.change(func() {
			delete(p.holder, p.record.Held[id])
			p.record.Held[id], p.record.Last, p.holder[address] = address, address, id
		})
	}
	return netip.Addr{}, fmt.Errorf("all %d addresses of %s are held", size-3, p.subnet)
}

// give takes an instance's address back; one that holds none is no error.
func (p *pool) give(id runtime.InstanceID) error {
	address, ok := p.record.Held[id]
	if !ok {
		return nil
	}
	return p.change(func() {
		delete(p.record.Held, id)
		delete(p.holder, address)
	})
}

// change makes a change and puts it on disk. Where that fails the change stands in memory: an address too many
// held is safer than one held twice, and the next change writes both.
func (p *pool) change(make func()) error {
	make()
	p.record.Version = poolVersion
	data, err := json.Marshal(p.record)
	if err != nil {
		return err
	}
	temporary, err := os.Create(p.file + ".new") // what a crash left there is written over
	if err != nil {
		return err
	}
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), p.file)
}
