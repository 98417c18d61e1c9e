package promise

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Op is one signed change to an object, as a world knows it. IDs are unique over all that was ever made.
type Op struct {
	ID     string
	Object string // Kind/namespace/name
	Writer string // ID of the peer
	Time   uint64 // of its stamp
	Saw    map[string]uint64
	Create bool
	Delete bool
	Fields map[string]string // path to value; an empty value deletes the field
}

// saw says whether o's writer had seen d.
func (o *Op) saw(d *Op) bool { return d.Time <= o.Saw[d.Writer] }

// ends says whether o overwrites everything that it had seen.
func (o *Op) ends() bool { return o.Create || o.Delete }

// writes says whether o writes a path or one above it.
func (o *Op) writes(path string) bool {
	for ok := true; ok; {
		if _, written := o.Fields[path]; written {
			return true
		}
		at := strings.LastIndexByte(path, '/')
		if ok = at >= 0; ok {
			path = path[:at]
		}
	}
	return false
}

// Watch checks promises event by event: each fact that a world tells it is checked against all facts before, at the cost
// of what the fact touches. Every method returns what that fact broke. What a peer takes or drops is told when it
// is on that peer's disk, for only then may anybody hear of it. The zero value is not ready: see NewWatch.
type Watch struct {
	made    map[string]*Op             // by ID: what was made by peers that may write
	stamps  map[string]map[uint64]*Op  // by writer
	peers   map[string]*watched        // by ID
	views   map[string]string          // what an object shows, by the IDs of what is held of it
	rows    map[rowName]string         // what a peer said of itself under one version
	newest  map[string]RowVersion      // of each peer's own rows
	trips   map[tripName]int           // how often a bad value was tried
	reached map[string]map[string]bool // by operation: the peers that ever had it on disk
	unheard map[string][]string        // by operation: see Unheard

	explained map[string]explained // by view and replica
}

type watched struct {
	held    map[string]map[string]*Op // by object, by ID
	ever    map[string][]*Op          // by object: all that was ever taken
	excused bool                      // a new, restored or forgotten peer: it catches up before it counts
	gone    bool                      // nobody waits for it: it left, or was forgotten
	rows    map[string]RowVersion     // of others, as held when last looked at
}

// RowVersion orders what a peer says of itself.
type RowVersion struct{ Boot, Sequence uint64 }

func (v RowVersion) compare(other RowVersion) int {
	return cmp.Or(cmp.Compare(v.Boot, other.Boot), cmp.Compare(v.Sequence, other.Sequence))
}

type rowName struct {
	peer    string
	version RowVersion
}

type tripName struct{ peer, site, name string }

// NewWatch returns a Watch that knows nothing yet.
func NewWatch() *Watch {
	return &Watch{
		made: map[string]*Op{}, stamps: map[string]map[uint64]*Op{}, peers: map[string]*watched{}, views: map[string]string{},
		rows: map[rowName]string{}, newest: map[string]RowVersion{}, trips: map[tripName]int{}, reached: map[string]map[string]bool{},
		unheard: map[string][]string{}, explained: map[string]explained{},
	}
}

// Join tells of a peer that others must reckon with from now on.
func (w *Watch) Join(peer string) { w.peer(peer).gone = false }

func (w *Watch) peer(id string) *watched {
	p := w.peers[id]
	if p == nil {
		p = &watched{held: map[string]map[string]*Op{}, ever: map[string][]*Op{}, rows: map[string]RowVersion{}}
		w.peers[id] = p
	}
	return p
}

// Excuse tells that a peer came without what it once had, or was forgotten: until it has caught up, what
// it drops needs no reason but that.
func (w *Watch) Excuse(peer string, excused bool) { w.peer(peer).excused = excused }

// Gone tells that nobody waits for a peer any more: it left, or was away for so long that it counts as forgotten. What it
// then brings or drops needs no reason until it has caught up.
func (w *Watch) Gone(peer string) {
	w.peer(peer).gone = true
	w.peer(peer).excused = true
}

// Wipe tells that a peer's disk is empty: it counts its starts from one again.
func (w *Watch) Wipe(peer string) {
	gone := w.peer(peer).gone
	delete(w.peers, peer)
	for _, on := range w.reached {
		delete(on, peer)
	}
	maps.DeleteFunc(w.rows, func(name rowName, _ string) bool { return name.peer == peer })
	w.peer(peer).gone = gone
	w.peer(peer).excused = true
}

// Make tells of an operation that a peer made at a user's command, and that it may make.
func (w *Watch) Make(op Op) []Violation {
	f := findings{promise: "P2"}
	byTime := w.stamps[op.Writer]
	if byTime == nil {
		byTime = map[uint64]*Op{}
		w.stamps[op.Writer] = byTime
	}
	if other := byTime[op.Time]; other != nil && other.ID != op.ID {
		f.add("%s used the stamp %d for two writes, to %s and %s", op.Writer, op.Time, other.Object, op.Object)
	}
	byTime[op.Time], w.made[op.ID] = &op, &op
	return f.list
}

// Misuse tells of an operation that was signed on a stolen machine which may write: it takes effect like any other.
func (w *Watch) Misuse(op Op) { w.made[op.ID] = &op }

// Start tells what a peer's program found on its disk when it started: P2, that this is all that it had on it.
func (w *Watch) Start(peer string, ids []string) []Violation {
	f := findings{promise: "P2"}
	there := make(map[string]bool, len(ids))
	for _, id := range ids {
		there[id] = true
	}
	for _, held := range w.peer(peer).held {
		for id, o := range held {
			if !there[id] {
				f.add("%s had %s on %s on disk, and started without it", peer, id, o.Object)
			}
		}
	}
	return f.sorted()
}

// Take tells that a peer has an operation on disk: P11, that somebody who may write made it; and P4, that no
// deletion which this peer ever had on disk had seen it.
func (w *Watch) Take(peer string, op Op) []Violation {
	p := w.peer(peer)
	o, known := w.made[op.ID]
	if !known {
		f := findings{promise: "P11"}
		f.add("%s took %s of %s on %s, which nobody made who may", peer, op.ID, op.Writer, op.Object)
		return f.list
	}
	f := findings{promise: "P4"}
	for _, d := range p.ever[o.Object] {
		if d.Delete && d.saw(o) && !p.excused {
			f.add("%s took %s on %s, which a deletion that it had heard of had seen", peer, o.ID, o.Object)
		}
	}
	if p.held[o.Object] == nil {
		p.held[o.Object] = map[string]*Op{}
	}
	p.held[o.Object][o.ID] = o
	on := w.reached[o.ID]
	if on == nil {
		on = map[string]bool{}
		w.reached[o.ID] = on
	}
	if !on[peer] {
		on[peer] = true
		p.ever[o.Object] = append(p.ever[o.Object], o)
	}
	return f.list
}

// Drop tells that an operation left a peer's disk: P2, that every effect of it was overwritten by someone who had seen
// it; or, for a deletion, P4, that every peer which anybody waits for has had it on disk.
func (w *Watch) Drop(peer, id string) []Violation {
	p := w.peer(peer)
	d := w.made[id]
	if d == nil || p.held[d.Object][id] == nil {
		return nil
	}
	delete(p.held[d.Object], id)
	sets, takes := p.left(d)
	if takes && !sets {
		w.noteUnheard(d)
	}
	if p.excused || !sets && !takes {
		return nil
	}
	if sets {
		f := findings{promise: "P2"}
		f.add("%s dropped %s on %s, which nobody who had seen it had overwritten", peer, id, d.Object)
		return f.list
	}
	f := findings{promise: "P4"}
	for _, other := range slices.Sorted(maps.Keys(w.peers)) {
		if q := w.peers[other]; !q.gone && !q.excused && !w.reached[id][other] && !q.overwritten(d) {
			f.add("%s forgot the deletion %s on %s before %s had heard of it", peer, id, d.Object, other)
		}
	}
	return f.list
}

// noteUnheard notes who has not heard of an operation whose deletions are forgotten, and is not waited for.
func (w *Watch) noteUnheard(d *Op) {
	for _, other := range slices.Sorted(maps.Keys(w.peers)) {
		if q := w.peers[other]; q.gone && !w.reached[d.ID][other] && !q.overwritten(d) && !slices.Contains(w.unheard[d.ID], other) {
			w.unheard[d.ID] = append(w.unheard[d.ID], other)
		}
	}
}

// Unheard lists the peers that had not heard of an operation when its deletions were forgotten, as nobody waited for them.
func (w *Watch) Unheard(id string) []string { return w.unheard[id] }

// overwritten says whether nothing of what d does is left.
func (p *watched) overwritten(d *Op) bool {
	sets, takes := p.left(d)
	return !sets && !takes
}

// left says what is left of what d does, after all that the peer ever had that had seen it: whether it still makes
// something exist, and whether it still takes something away. A writer's other operation of the same stamp leaves nothing of it.
func (p *watched) left(d *Op) (sets, takes bool) {
	rest := maps.Clone(d.Fields)
	if d.Delete {
		rest = nil
	}
	for _, o := range p.ever[d.Object] {
		switch {
		case o == d:
		case o.Writer == d.Writer && o.Time == d.Time:
			return false, false
		case !o.saw(d):
		case o.ends():
			return false, false
		default:
			maps.DeleteFunc(rest, func(path, _ string) bool { return o.writes(path) })
		}
	}
	sets, takes = d.Create, d.Delete
	for _, value := range rest { // in any order: only whether there is one counts
		sets, takes = sets || value != "", takes || value == ""
	}
	return sets, takes
}

// Acknowledge tells that a peer told a user that it has taken a write, or another peer that it holds one: P2, that it
// is on its disk.
func (w *Watch) Acknowledge(peer, id string) []Violation {
	f := findings{promise: "P2"}
	if o := w.made[id]; o == nil || !w.reached[id][peer] && !w.peer(peer).overwritten(o) {
		f.add("%s acknowledged %s, which is not on its disk", peer, id)
	}
	return f.list
}

// Show tells what a peer shows of an object right after its disk and its mind are one: P3, that it shows what everybody
// shows who holds the same operations, and what those operations say.
func (w *Watch) Show(peer string, o Object) []Violation {
	held := w.peer(peer).held[o.Key]
	ids := strings.Join(slices.Sorted(maps.Keys(held)), " ")
	view := viewOf(o)
	f := findings{promise: "P3"}
	if before, known := w.views[ids]; known {
		if before != view {
			f.add("%s shows %s otherwise than others with the same writes: %s, not %s", peer, o.Key, view, before)
		}
		return f.list
	}
	if len(w.views) >= mostViews {
		clear(w.views)
	}
	w.views[ids] = view
	return append(f.list, w.says(peer, held, o)...)
}

// mostViews bounds how many views are remembered.
const mostViews = 1 << 16

func viewOf(o Object) string {
	fields := slices.Clone(o.Fields)
	slices.SortFunc(fields, func(x, y Field) int { return cmp.Compare(x.Path, y.Path) })
	var b strings.Builder
	fmt.Fprintf(&b, "%t", o.Live)
	for _, field := range fields {
		fmt.Fprintf(&b, " %s=%s", field.Path, field.Value)
		rivals := slices.Clone(field.Conflicts)
		slices.SortFunc(rivals, func(x, y Rival) int { return cmp.Or(cmp.Compare(x.Path, y.Path), cmp.Compare(x.Write, y.Write)) })
		for _, r := range rivals {
			fmt.Fprintf(&b, " (%s=%s)", r.Path, r.Value)
		}
	}
	return b.String()
}

// says checks a view against the slow and obvious reading of the operations held: an object lives by a creation
// that no deletion had seen; a field has the value of the highest stamp that nobody who had seen it overwrote. Fields above or
// below which others lie are left to the laws of crdt.
func (w *Watch) says(peer string, held map[string]*Op, o Object) []Violation {
	ops := slices.SortedFunc(maps.Values(held), func(x, y *Op) int {
		return cmp.Or(cmp.Compare(y.Time, x.Time), cmp.Compare(y.Writer, x.Writer), cmp.Compare(y.ID, x.ID))
	})
	over := func(d *Op, path string) bool {
		return slices.ContainsFunc(ops, func(o *Op) bool { return o != d && o.saw(d) && (o.ends() || path != "" && o.writes(path)) })
	}
	live := slices.ContainsFunc(ops, func(o *Op) bool { return o.Create && !over(o, "") })
	f := findings{promise: "P3"}
	if live != o.Live {
		f.add("%s shows that %s lives: %t; its writes say %t", peer, o.Key, o.Live, live)
	}
	shown := map[string]string{}
	for _, field := range o.Fields {
		shown[field.Path] = field.Value
	}
	decided := map[string]bool{}
	for _, d := range ops {
		for path, value := range d.Fields {
			if d.Delete || decided[path] || over(d, path) || overlaps(ops, path) {
				continue
			}
			decided[path] = true
			if shown[path] != value && !w.overwroteOnce(peer, d, path) {
				f.add("%s shows %s %s=%q; by its writes it is %q of %s", peer, o.Key, path, shown[path], value, d.ID)
			}
		}
	}
	return f.sorted()
}

// overwroteOnce says whether a peer that was forgotten, and has not come back, once held an operation that had seen d and changed the
// path, and that is itself over by now: by one that names less as seen, since its writer had forgotten what lay between (law 7 of crdt).
func (w *Watch) overwroteOnce(peer string, d *Op, path string) bool {
	if p := w.peer(peer); !p.gone && !p.excused {
		return false
	}
	for id, o := range w.made { // in any order: only whether there is one counts
		if o.Object == d.Object && !o.ends() && o.saw(d) && o.writes(path) && w.reached[id][peer] {
			return true
		}
	}
	return false
}

// overlaps says whether any operation writes a path that lies above or below this one.
func overlaps(ops []*Op, path string) bool {
	for _, o := range ops {
		for other := range o.Fields {
			if strings.HasPrefix(path, other+"/") || strings.HasPrefix(other, path+"/") {
				return true
			}
		}
	}
	return false
}
