package placement

import (
	"iter"
	"slices"
	"sort"
)

// Assignments are where the replicas of a plan should run, sorted by Replica. They are never changed. The zero value has none.
//
// They lie in pages, in no order, beside the order in which they are read. A plan shares with the one that it was made from all
// pages in which nothing changed, and the order if it did not change: so a change costs, in time and memory, what changed.
//
//	order  2 ─ 0 ─ 17 ─ 1 ─ …        shared while the replicas are the same
//	pages  [0 … 15] [16 … 31] …      shared one by one
type Assignments struct {
	pages []*page
	order []int32 // places in the pages
}

const (
	pageBits = 4
	pageSize = 1 << pageBits // small, as what changes with the loss of a peer lies scattered
)

type page [pageSize]Assignment

// NewAssignments returns those, which must be sorted by Replica.
func NewAssignments(all []Assignment) Assignments {
	var e edit
	e.resize(len(all))
	order := make([]int32, len(all))
	for n := range all {
		e.set(int32(n), &all[n])
		order[n] = int32(n)
	}
	return Assignments{e.pages, order}
}

// Len is the number of replicas.
func (a Assignments) Len() int { return len(a.order) }

// At is the n-th. It must not be changed.
func (a Assignments) At(n int) *Assignment { return pageOf(a.pages, a.order[n]) }

// All yields all in their order. They must not be changed.
func (a Assignments) All() iter.Seq[*Assignment] {
	return func(yield func(*Assignment) bool) {
		for n := range a.order {
			if !yield(a.At(n)) {
				return
			}
		}
	}
}

// Of is the assignment of a replica; nil if the plan says nothing of it. It must not be changed.
func (a Assignments) Of(replica ReplicaID) *Assignment {
	n := sort.Search(a.Len(), func(n int) bool { return a.At(n).Replica >= replica })
	if n == a.Len() || a.At(n).Replica != replica {
		return nil
	}
	return a.At(n)
}

func pageOf(pages []*page, at int32) *Assignment { return &pages[at>>pageBits][at%pageSize] }

func (a *Assignment) equal(o *Assignment) bool {
	return a.Replica == o.Replica && a.Workload == o.Workload && a.Revision == o.Revision && a.Peer == o.Peer && a.Rule == o.Rule &&
		a.From == o.From && a.By == o.By && slices.Equal(a.Makes, o.Makes)
}

// edit makes new pages of old ones, of which it copies what it changes.
type edit struct {
	pages []*page
	own   []bool // of pages: made here; nil: not even the list of them is
}

// resize makes place for n assignments.
func (e *edit) resize(n int) {
	if most := (n + pageSize - 1) >> pageBits; most != len(e.pages) {
		e.begin()
		for len(e.pages) < most {
			e.pages, e.own = append(e.pages, new(page)), append(e.own, true)
		}
		e.pages = e.pages[:most]
	}
}

func (e *edit) begin() {
	if e.own == nil {
		e.pages, e.own = slices.Clone(e.pages), make([]bool, len(e.pages))
	}
}

// set changes one, unless it is that already.
func (e *edit) set(at int32, a *Assignment) {
	if pageOf(e.pages, at).equal(a) {
		return
	}
	e.begin()
	if n := at >> pageBits; !e.own[n] {
		copied := *e.pages[n]
		e.pages[n], e.own[n] = &copied, true
	}
	*pageOf(e.pages, at) = *a
}
