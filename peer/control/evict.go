package control

import (
	"fmt"
	"math"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/manifest"
	"shoal/placement"
)

// An eviction is a mark on one replica (manifest.RestartAnnotation): it is replaced by another instance, and counts as away until that is
// ready. Marks hold when they were written, so that one from before an instance came, which is done, is told from one that asks for
// its end: a rollout has both. Two clocks are compared there; where they are apart a budget counts one replica too few or too many while
// a rollout goes on, and none stops before its successor is ready all the same.

// markedAt is when a mark was written. One in a form of somebody's own always asks.
func markedAt(mark string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, mark)
	if err != nil {
		return time.Unix(math.MaxInt32, 0)
	}
	return at
}

// askedOf adds when each replica of a span was last asked to be replaced, of those that ever were.
func (l *wantedList) askedOf(s span) {
	w := s.object.workload
	for ordinal, mark := range w.Restarts {
		if s.from+ordinal < s.to && !w.EachPeer {
			l.asked[int32(s.from+ordinal)] = markedAt(mark)
		}
	}
	for i := range s.object.each {
		if mark := w.RestartsOn[s.object.each[i].name]; mark != "" {
			l.asked[int32(s.from+i)] = markedAt(mark)
		}
	}
}

// BudgetView is how a disruption budget stands.
type BudgetView struct {
	Budget   manifest.Budget
	Expected int // replicas that it selects
	Healthy  int // of these, ready and not on their way to another instance
	Desired  int // that must stay so
	Allowed  int // that may go now
}

// String says it for people.
func (v BudgetView) String() string {
	return fmt.Sprintf("%d of %d replicas are ready, and %d must stay so", v.Healthy, v.Expected, v.Desired)
}

func (b *budget) stands(t *tally) BudgetView {
	return BudgetView{Budget: b.Budget, Expected: t.expected, Healthy: t.healthy - t.going, Desired: b.Desired(t.expected), Allowed: b.allows(t)}
}

// Budgets says how each disruption budget stands.
func (m *Machine) Budgets() map[crdt.Key]BudgetView {
	all := map[crdt.Key]BudgetView{}
	if len(m.budgets) == 0 {
		return all
	}
	view := m.PlacementView()
	going := handings(m.planner.wantedList, &view)
	for key, b := range m.budgets {
		all[key] = b.stands(b.tally(m.planner.wantedList, going))
	}
	return all
}

// EvictionView is whether a replica may be replaced now.
type EvictionView struct {
	Under bool   // it is being replaced already, because somebody asked for that
	Held  string // why it may not be, for people; empty where it may
}

// Eviction says whether a replica may be replaced now: one that nobody wants may. Every budget that selects it must let it go. One that is
// not ready counts for nothing, so that its going makes nothing worse, and may go where enough others are ready (Kubernetes'
// IfHealthyBudget) or its budget says so (AlwaysAllow).
func (m *Machine) Eviction(replica placement.ReplicaID) EvictionView {
	list := m.planner.wantedList
	slot, wanted := list.index[replica]
	if !wanted {
		return EvictionView{}
	}
	view := m.PlacementView()
	all := handings(list, &view)
	e := EvictionView{Under: all[slot].evicted}
	var held []string
	for _, b := range m.budgetsInForce() {
		if !b.selects(list.base[slot]) {
			continue
		}
		s := b.stands(b.tally(list, all))
		spare := !all[slot].ready && (b.AlwaysAllow || s.Healthy >= s.Desired)
		if s.Allowed == 0 && !spare {
			held = append(held, fmt.Sprintf("the disruption budget %s allows none now: %s", b.Key.Name, s))
		}
	}
	e.Held = strings.Join(held, "; ")
	return e
}
