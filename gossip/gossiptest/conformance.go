package gossiptest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/gossip"
)

// World is where Conformance starts clusters and lets things happen to them.
type World interface {
	// Start starts a peer; the test closes it.
	Start(self gossip.Self, changed func(gossip.Member)) (gossip.Cluster, error)
	// Addr is where a started peer gossips.
	Addr(id gossip.PeerID) netip.AddrPort
	// Crash cuts a peer's power. The test closes its Cluster later.
	Crash(id gossip.PeerID)
	// Split cuts groups off from all others, Heal ends that.
	Split(groups ...[]gossip.PeerID)
	Heal()
	// Settle waits until news has reached all whom it can reach, failures included.
	Settle()
}

// Conformance runs the tests of the contract. run calls its argument with a fresh World each time,
// in a bubble of testing/synctest where the World needs one.
func Conformance(t *testing.T, run func(t *testing.T, test func(t *testing.T, w World))) {
	for name, test := range map[string]func(t *testing.T, w World){
		"joining peers know each other":          joining,
		"a description spreads":                  updating,
		"who says goodbye has left":              leaving,
		"who loses power has failed":             crashing,
		"a split fails, a heal and a join mend":  splitting,
		"a peer may come back":                   returning,
		"nobody answers":                         nobody,
		"what cannot be told is refused":         refusing,
		"after Close nothing more is handed out": closing,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { run(t, test) })
	}
}

// crew is n started peers and what each was told.
type crew struct {
	t        *testing.T
	w        World
	ids      []gossip.PeerID
	clusters []gossip.Cluster
	mu       sync.Mutex
	told     []map[gossip.PeerID]gossip.Member
}

func selfOf(i int) gossip.Self {
	return gossip.Self{ID: gossip.PeerID(strings.Repeat(fmt.Sprintf("%02x", i+1), 32)), Name: fmt.Sprint("p", i+1),
		Stream: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)}), 7400),
		Room:   gossip.Room{CPUMillis: int64(1000 * (i + 1)), MemoryBytes: 4 << 30}, Health: gossip.Health(i % 3)}
}

// gather starts n peers and joins each to the first.
func gather(t *testing.T, w World, n int) *crew {
	t.Helper()
	c := &crew{t: t, w: w}
	t.Cleanup(w.Settle) // after all clusters are closed: a bubble must not end before their last goroutine
	for range n {
		c.told = append(c.told, map[gossip.PeerID]gossip.Member{})
	}
	for i := range n {
		c.start(i)
	}
	for i := 1; i < n; i++ {
		c.join(i, 0)
	}
	w.Settle()
	return c
}

func (c *crew) start(i int) {
	c.t.Helper()
	cluster, err := c.w.Start(selfOf(i), func(m gossip.Member) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.told[i][m.ID] = m
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { cluster.Close() })
	if i < len(c.clusters) {
		c.clusters[i] = cluster
		return
	}
	c.ids = append(c.ids, selfOf(i).ID)
	c.clusters = append(c.clusters, cluster)
}

func (c *crew) join(who, whom int) {
	c.t.Helper()
	if n, err := c.clusters[who].Join(c.t.Context(), []netip.AddrPort{c.w.Addr(c.ids[whom])}); n != 1 || err != nil {
		c.t.Fatalf("join answered %d, %v", n, err)
	}
}

// holds checks what peer i holds of peer j, in Members and in what it was told.
func (c *crew) holds(i, j int, want gossip.State) {
	c.t.Helper()
	members := c.clusters[i].Members()
	at := slices.IndexFunc(members, func(m gossip.Member) bool { return m.ID == c.ids[j] })
	if at < 0 || members[at].State != want {
		c.t.Errorf("p%d should hold p%d in state %d, has %+v", i+1, j+1, want, members)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if told := c.told[i][c.ids[j]]; told != members[at] {
		c.t.Errorf("p%d was told last %+v, and Members has %+v", i+1, told, members[at])
	}
}

func joining(t *testing.T, w World) {
	c := gather(t, w, 5)
	for i, cluster := range c.clusters {
		members := cluster.Members()
		if len(members) != 5 || !slices.IsSortedFunc(members, func(a, b gossip.Member) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
			t.Fatalf("p%d: members %+v", i+1, members)
		}
		for j, m := range members {
			if m.Self != selfOf(j) || m.State != gossip.Alive || m.Addr != w.Addr(m.ID) {
				t.Errorf("p%d holds %+v, want %+v at %v", i+1, m, selfOf(j), w.Addr(m.ID))
			}
			c.holds(i, j, gossip.Alive)
		}
	}
}

func updating(t *testing.T, w World) {
	c := gather(t, w, 3)
	self := selfOf(1)
	for n := range 20 {
		self.Room.CPUMillis, self.Health = int64(n), gossip.Poor
		if err := c.clusters[1].Update(self); err != nil {
			t.Fatal(err)
		}
	}
	w.Settle()
	for i := range c.clusters {
		if got := c.clusters[i].Members()[1].Self; got != self {
			t.Errorf("p%d holds %+v, want %+v", i+1, got, self)
		}
		c.holds(i, 1, gossip.Alive)
	}
}

func leaving(t *testing.T, w World) {
	c := gather(t, w, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.clusters[3].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	c.clusters[3].Close()
	w.Settle()
	for i := range 3 {
		c.holds(i, 3, gossip.Left)
		c.holds(i, 0, gossip.Alive)
	}
}

func crashing(t *testing.T, w World) {
	c := gather(t, w, 5)
	w.Crash(c.ids[2])
	w.Settle()
	for _, i := range []int{0, 1, 3, 4} {
		c.holds(i, 2, gossip.Failed)
		c.holds(i, (i+1)%5/3*3, gossip.Alive)
	}
}

func splitting(t *testing.T, w World) {
	c := gather(t, w, 5)
	w.Split(c.ids[:2], c.ids[2:])
	w.Settle()
	for i := range 5 {
		for j := range 5 {
			want := gossip.Alive
			if (i < 2) != (j < 2) {
				want = gossip.Failed
			}
			c.holds(i, j, want)
		}
	}
	w.Heal()
	c.join(4, 0)
	w.Settle()
	for i := range 5 {
		for j := range 5 {
			c.holds(i, j, gossip.Alive)
		}
	}
}

func returning(t *testing.T, w World) {
	c := gather(t, w, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.clusters[1].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	c.clusters[1].Close()
	c.clusters[2].Close()
	w.Settle()
	c.holds(0, 1, gossip.Left)
	c.holds(0, 2, gossip.Failed)
	for i := 1; i < 3; i++ {
		c.start(i)
		c.join(i, 0)
	}
	w.Settle()
	for i := range 3 {
		for j := range 3 {
			c.holds(i, j, gossip.Alive)
		}
	}
}

func nobody(t *testing.T, w World) {
	c := gather(t, w, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	seed := netip.AddrPortFrom(w.Addr(c.ids[0]).Addr(), 9)
	if n, err := c.clusters[0].Join(ctx, []netip.AddrPort{seed}); n != 0 || err == nil || !strings.Contains(err.Error(), seed.String()) {
		t.Errorf("join of %v answered %d, %v", seed, n, err)
	}
	if n, err := c.clusters[0].Join(ctx, nil); n != 0 || err == nil {
		t.Errorf("join of nobody answered %d, %v", n, err)
	}
}

func refusing(t *testing.T, w World) {
	c := gather(t, w, 1)
	long, other := selfOf(0), selfOf(1)
	long.Name = strings.Repeat("x", 64)
	for _, self := range []gossip.Self{long, other, {ID: c.ids[0]}} {
		if err := c.clusters[0].Update(self); err == nil {
			t.Errorf("update to %+v was taken", self)
		}
	}
	if got := c.clusters[0].Members(); len(got) != 1 || got[0].Self != selfOf(0) {
		t.Errorf("after refused updates: %+v", got)
	}
}

func closing(t *testing.T, w World) {
	c := gather(t, w, 3)
	for range 2 {
		if err := c.clusters[0].Close(); err != nil {
			t.Error(err)
		}
	}
	c.mu.Lock()
	clear(c.told[0])
	c.mu.Unlock()
	self := selfOf(1)
	self.Health = gossip.Poor
	if err := c.clusters[1].Update(self); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.told[0]) != 0 {
		t.Errorf("told after Close: %+v", c.told[0])
	}
	if err := c.clusters[0].Update(selfOf(0)); err == nil {
		t.Error("a closed cluster took an update")
	}
	if n, err := c.clusters[0].Join(t.Context(), []netip.AddrPort{w.Addr(c.ids[1])}); n != 0 || err == nil {
		t.Errorf("a closed cluster joined: %d, %v", n, err)
	}
	if err := c.clusters[0].Leave(t.Context()); err == nil {
		t.Error("a closed cluster said goodbye")
	}
}
