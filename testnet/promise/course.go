package promise

import (
	"slices"
	"time"
)

// Course checks promises copy by copy, at the cost of what each fact touches: a world of any size can tell it of every copy that is
// begun, runs, serves, stops or is lost, and of every cut. Facts return what they broke:
//
//	P5   a copy stopped by choice for one that cannot be reached
//	P7   the last ready copy stopped by choice, though it is wanted
//	P8   a copy begun elsewhere without need, or more of them at once than their workload allows
//	P9   two copies of an exclusive replica that run at once
//
// Moments are times since the world began. The zero value is not ready: see NewCourse.
type Course struct {
	// Apart says that the peers' views differ for longer than a move waits for others' words: then two of them may each use up what
	// may be on its way.
	Apart bool

	grace    time.Duration
	replicas map[string]*followed
	sizes    map[string]int     // by workload: replicas of which there is a copy
	moving   map[string][]*Copy // by workload: copies that are on their way while another is ready
	most     map[string]int     // by workload: the most there were at once since Mark, as far as one peer could know
	trouble  time.Duration      // of the newest cut, or end of one
	troubled bool

	marked, passed time.Duration
	up             int           // replicas of which a copy is ready
	served         time.Duration // up, summed over time since Mark
}

// followed is what is known of one replica.
type followed struct {
	copies  []*Copy
	lost    time.Duration // of the newest ready copy that a fault took
	faulted bool          // there was one
	moves   int           // copies begun since Mark, after the first that there ever was
	begun   bool
}

// Copy is one instance of a replica, as a world sees it.
type Copy struct {
	Peer      string // name
	Instance  string
	Replica   string
	Revision  string
	Workload  string
	Exclusive bool // never two that run at once

	// Of one that is begun, by the truth of the world:
	Unaware    bool   // its peer took those that are ready for gone, or had not met them
	Needed     bool   // those others must go: their peer hands over, or a taint drives them out
	Balance    bool   // the plan moves it for the balance
	From       string // the peer from which the plan moves it; empty where it names none
	MostMoving int    // how many of its workload may be on their way for that; 0 for a tenth of them, at least one

	Knows func(peer string) bool // whether its peer knows what is on its way to another, which it takes for alive; nil: all

	running, ready bool
	since          time.Duration // of ready
	moves          *Copy         // the one whose place it is about to take
}

// NewCourse returns a Course that knows nothing yet. For so long a fault excuses what others decided before they could know of it.
func NewCourse(grace time.Duration) *Course {
	return &Course{grace: grace, replicas: map[string]*followed{}, sizes: map[string]int{}, moving: map[string][]*Copy{}, most: map[string]int{}}
}

// Cut tells that a network was cut, joined, or became bad.
func (c *Course) Cut(at time.Duration) { c.trouble, c.troubled = at, true }

// Begin tells that a peer begins a copy.
func (c *Course) Begin(at time.Duration, x Copy) []Violation {
	r := c.replicas[x.Replica]
	if r == nil {
		r = &followed{}
		c.replicas[x.Replica] = r
	}
	if r.find(x.Peer, x.Instance) != nil {
		return nil
	}
	if r.begun {
		r.moves++
	}
	r.begun = true
	if len(r.copies) == 0 {
		c.sizes[x.Workload]++
	}
	r.copies = append(r.copies, &x)
	return c.moved(at, r, &x)
}

// moved is P8 for a copy that is begun while another is ready in its revision.
func (c *Course) moved(at time.Duration, r *followed, x *Copy) []Violation {
	f := findings{promise: "P8"}
	if x.Unaware || x.Needed || x.Exclusive {
		return nil
	}
	other := r.anyReady(func(o *Copy) bool {
		return o.Peer != x.Peer && o.Revision == x.Revision && (x.From == "" || x.From == o.Peer)
	})
	if other == nil {
		return nil
	}
	x.moves = other
	c.moving[x.Workload] = append(c.moving[x.Workload], x)
	moving := c.movingBeside(x)
	c.most[x.Workload] = max(c.most[x.Workload], moving)
	most := c.mostOf(x)
	if c.Apart {
		most *= 2
	}
	switch {
	case !x.Balance && !c.excused(at, r):
		f.add("%s is begun on %s without need: it is ready on %s", x.Replica, x.Peer, other.Peer)
	case x.Balance && moving > most:
		f.add("%d replicas of %s are on their way at once, at most %d may be", moving, x.Workload, most)
	}
	return f.list
}

// movingBeside counts a copy and the others of its workload that are on their way, as far as its peer can know: not those beyond a
// cut, nor those on a machine that is gone.
func (c *Course) movingBeside(x *Copy) (count int) {
	for _, o := range c.moving[x.Workload] {
		if o == x || x.Knows == nil || x.Knows(o.Peer) {
			count++
		}
	}
	return count
}

// mostOf is how many of a copy's workload may be on their way at once.
func (c *Course) mostOf(x *Copy) int {
	if x.MostMoving > 0 {
		return x.MostMoving
	}
	return (c.sizes[x.Workload] + 9) / 10
}

// Runs tells that a container of a copy runs from now on.
func (c *Course) Runs(peer, replica, instance string) []Violation {
	r, x := c.find(peer, replica, instance)
	if x == nil {
		return nil
	}
	x.running = true
	f := findings{promise: "P9"}
	for _, o := range r.copies {
		if o != x && o.running && x.Exclusive {
			f.add("%s runs on %s and is started on %s", replica, o.Peer, peer)
		}
	}
	return f.list
}

// Serves tells that a copy is ready from now on.
func (c *Course) Serves(at time.Duration, peer, replica, instance string) {
	if r, x := c.find(peer, replica, instance); x != nil && !x.ready {
		c.pass(at)
		if r.anyReady(all) == nil {
			c.up++
		}
		x.ready, x.since = true, at
	}
}

// Fails tells that a fault took a copy from those that are ready, or let it run no more.
func (c *Course) Fails(at time.Duration, peer, replica, instance string, runs bool) {
	r, x := c.find(peer, replica, instance)
	if x == nil {
		return
	}
	if x.ready {
		r.lost, r.faulted = at, true
	}
	c.idle(at, r, x)
	x.running = runs
}

// Stop is a copy that its peer chose to stop, and why that may be.
type Stop struct {
	Peer, Replica, Instance string

	Gives     bool                   // it must go before another can come: it was displaced, is exclusive, or a taint drives it out
	Late      bool                   // it became ready only after that was decided
	Wanted    func() bool            // whether every peer wants the replica; asked only where that matters
	Reachable func(peer string) bool // whether its peer and another can talk to each other
}

// Stops tells that a peer chose to stop a copy: it serves nobody from now on.
func (c *Course) Stops(at time.Duration, s Stop) []Violation {
	r, x := c.find(s.Peer, s.Replica, s.Instance)
	if x == nil {
		return nil
	}
	was := x.ready
	c.idle(at, r, x)
	if !was || s.Gives || s.Late || c.excused(at, r) {
		return nil
	}
	if r.anyReady(func(o *Copy) bool { return o.Peer == s.Peer || s.Reachable(o.Peer) }) != nil || !s.Wanted() {
		return nil
	}
	if r.anyReady(all) != nil {
		return []Violation{{"P5", s.Replica + " is stopped on " + s.Peer + ", and is ready only where that cannot reach"}}
	}
	return []Violation{{"P7", s.Replica + " was ready on " + s.Peer + " alone, and is stopped there"}}
}

// Gone tells that a copy does not exist any more.
func (c *Course) Gone(at time.Duration, peer, replica, instance string) {
	if r, x := c.find(peer, replica, instance); x != nil {
		c.idle(at, r, x)
		r.copies = slices.DeleteFunc(r.copies, func(o *Copy) bool { return o == x })
		if len(r.copies) == 0 {
			c.sizes[x.Workload]--
		}
		c.arrived(x)
	}
}

// idle lets a copy be not ready.
func (c *Course) idle(at time.Duration, r *followed, x *Copy) {
	if !x.ready {
		return
	}
	c.pass(at)
	x.ready = false
	if r.anyReady(all) == nil {
		c.up--
	}
	for _, o := range r.copies {
		if o.moves == x {
			c.arrived(o)
		}
	}
}

// arrived ends the way of a copy.
func (c *Course) arrived(x *Copy) {
	if x.moves != nil {
		x.moves = nil
		c.moving[x.Workload] = slices.DeleteFunc(c.moving[x.Workload], func(o *Copy) bool { return o == x })
	}
}

// excused says whether something happened of which not everybody could know yet.
func (c *Course) excused(at time.Duration, r *followed) bool {
	return c.troubled && at-c.trouble < c.grace || r.faulted && at-r.lost < c.grace
}

func (c *Course) find(peer, replica, instance string) (*followed, *Copy) {
	r := c.replicas[replica]
	if r == nil {
		return nil, nil
	}
	return r, r.find(peer, instance)
}

func (r *followed) find(peer, instance string) *Copy {
	for _, x := range r.copies {
		if x.Peer == peer && x.Instance == instance {
			return x
		}
	}
	return nil
}

// Known lists the other peers on which a replica has been ready in the revision of a copy for so long.
func (c *Course) Known(at time.Duration, x *Copy, since time.Duration) []string {
	r := c.replicas[x.Replica]
	if r == nil {
		return nil
	}
	var names []string
	for _, o := range r.copies {
		if o.ready && o.Peer != x.Peer && o.Revision == x.Revision && at-o.since >= since {
			names = append(names, o.Peer)
		}
	}
	return names
}

// anyReady returns a ready copy of which something holds; nil if there is none.
func (r *followed) anyReady(and func(*Copy) bool) *Copy {
	for _, x := range r.copies {
		if x.ready && and(x) {
			return x
		}
	}
	return nil
}

func all(*Copy) bool { return true }

// Mark begins to count anew.
func (c *Course) Mark(at time.Duration) {
	c.pass(at)
	c.marked, c.served = at, 0
	for _, r := range c.replicas { // in any order: each by itself
		r.moves = 0
	}
	clear(c.most)
}

func (c *Course) pass(at time.Duration) {
	c.served += (at - c.passed) * time.Duration(c.up)
	c.passed = at
}

// Tally is what happened since Mark.
type Tally struct {
	Begun      int     // copies, after the first of each replica
	MostMoves  int     // of them, of one replica
	Moved      string  // that replica, the first by name
	Up         float64 // part of all replicas that were up, on average
	MostMoving int     // copies of one workload that were on their way at once, while another was ready
}

// Tally tells what happened since Mark, where so many replicas are wanted.
func (c *Course) Tally(at time.Duration, wanted int) Tally {
	c.pass(at)
	t := Tally{Up: float64(c.served) / float64(at-c.marked) / float64(wanted)}
	for name, r := range c.replicas { // in any order: sums and maxima
		t.Begun += r.moves
		if r.moves > t.MostMoves || r.moves == t.MostMoves && r.moves > 0 && name < t.Moved {
			t.MostMoves, t.Moved = r.moves, name
		}
	}
	for _, n := range c.most {
		t.MostMoving = max(t.MostMoving, n)
	}
	return t
}

// ReadyOn is how many copies are ready on a peer.
func (c *Course) ReadyOn(peer string) (count int) {
	for _, r := range c.replicas { // in any order: a count
		if r.anyReady(func(x *Copy) bool { return x.Peer == peer }) != nil {
			count++
		}
	}
	return count
}

// Up is of how many replicas a copy is ready.
func (c *Course) Up() int { return c.up }
