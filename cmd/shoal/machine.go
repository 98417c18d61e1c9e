package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"shoal/gossip"
	"shoal/peer/trust"
)

// room is what this machine gives to containers: what is configured, else what it has less the reserve.
func (c agentConfig) room() (gossip.Room, error) {
	room := gossip.Room{CPUMillis: c.CPU, MemoryBytes: c.Memory}
	if room.CPUMillis == 0 {
		room.CPUMillis = max(0, int64(goruntime.NumCPU())*1000-c.ReserveCPU)
	}
	if room.MemoryBytes == 0 {
		total, err := machineMemory()
		if err != nil {
			return room, fmt.Errorf("cannot measure the machine's memory: set it with --memory: %w", err)
		}
		room.MemoryBytes = max(0, total-c.ReserveMemory)
	}
	return room, nil
}

// storage is what containers may write to disk: what is configured, else nine tenths of the file system below the data directory.
func (c agentConfig) storage() int64 {
	if c.Storage > 0 {
		return c.Storage
	}
	var fs unix.Statfs_t
	if unix.Statfs(c.Data, &fs) != nil || fs.Bsize <= 0 {
		return 0
	}
	return int64(fs.Blocks) / 10 * 9 * fs.Bsize
}

// pids is how many processes and threads containers may have together: what is configured, else nine tenths of what the kernel allows.
func (c agentConfig) pids() int64 {
	if c.Pids > 0 {
		return c.Pids
	}
	most := int64(math.MaxInt64)
	for _, file := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		text, err := os.ReadFile(file)
		if n, wrong := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && wrong == nil {
			most = min(most, n)
		}
	}
	if most == math.MaxInt64 {
		return 0
	}
	return most / 10 * 9
}

func machineMemory() (int64, error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kibibytes, err := strconv.ParseInt(fields[1], 10, 64)
			return kibibytes << 10, err
		}
	}
	return 0, fmt.Errorf("no MemTotal in /proc/meminfo")
}

// advertised is the address under which others reach this peer.
func (c agentConfig) advertised() netip.Addr {
	if addr, err := netip.ParseAddr(c.Advertise); err == nil {
		return addr
	}
	if addr, err := netip.ParseAddr(c.Bind); err == nil && !addr.IsUnspecified() {
		return addr
	}
	// Connecting a datagram socket sends nothing; it only asks the kernel which address it would use.
	conn, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return netip.MustParseAddr("127.0.0.1")
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// subnet is the /24 of 10.128.0.0/9 that a peer's key leads to, unless one is configured.
func (c agentConfig) subnet(id trust.PeerID) netip.Prefix {
	if prefix, err := netip.ParsePrefix(c.Subnet); err == nil {
		return prefix.Masked()
	}
	sum := sha256.Sum256([]byte(id))
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 128 | sum[0], sum[1], 0}), 24)
}

// bridgeName is at most 15 bytes and differs between peers that share one machine.
func bridgeName(id trust.PeerID) string {
	sum := sha256.Sum256([]byte(id))
	return fmt.Sprintf("shoal-%x", sum[:4])
}
