package manifest

import (
	"cmp"
	"math"
	"slices"

	"shoal/crdt"
	"shoal/placement"
)

// DrainAnnotation, with the value "true", is an annotation of a Node: its peer hands over what it runs.
const DrainAnnotation = "shoal/drain"

// Node is what users say of a peer, beside what it says of itself.
type Node struct {
	Name          string            // the peer's
	Labels        map[string]string // they win over the peer's own
	Taints        []placement.Taint // sorted by key, then effect; For is 0
	Unschedulable bool
	Drain         bool
}

// NodeOf reads a valid object in the form that Tree gives; false for other kinds.
func NodeOf(key crdt.Key, tree map[string]any) (Node, bool) {
	o, ok := objectOf[nodeObject](tree)
	if !ok {
		return Node{}, false
	}
	n := Node{Name: key.Name, Labels: o.Metadata.Labels, Unschedulable: o.Spec.Unschedulable, Drain: o.Metadata.Annotations[DrainAnnotation] == "true"}
	for _, t := range o.Spec.Taints {
		n.Taints = append(n.Taints, placement.Taint{Key: t.Key, Value: t.Value, Effect: placement.Effect(t.Effect)})
	}
	slices.SortFunc(n.Taints, func(a, b placement.Taint) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Effect, b.Effect))
	})
	return n, true
}

// TaintPath is the field of a Node that is written when a taint comes into being: its stamp tells since when the taint stands.
func TaintPath(t placement.Taint) crdt.Path {
	return crdt.Path("spec/taints/" + escape.Replace("key="+t.Key+",effect="+string(t.Effect)) + "/effect")
}

// Budget says how many of the replicas that it selects, in its namespace, must be ready before one of them is taken away by intention.
type Budget struct {
	Key         crdt.Key
	Selector    []placement.Requirement // none: all replicas of the namespace
	AlwaysAllow bool                    // a replica that is not ready may always be taken away

	minAvailable, maxUnavailable *Amount // one of them is given; else all must stay
}

// BudgetOf reads a valid object in the form that Tree gives; false for other kinds.
func BudgetOf(key crdt.Key, tree map[string]any) (Budget, bool) {
	o, ok := objectOf[budgetObject](tree)
	if !ok {
		return Budget{}, false
	}
	return Budget{Key: key, Selector: o.Spec.Selector.requirements(), AlwaysAllow: o.Spec.UnhealthyPodEvictionPolicy == "AlwaysAllow",
		minAvailable: o.Spec.MinAvailable, maxUnavailable: o.Spec.MaxUnavailable}, true
}

// Selects says whether the budget counts replicas with such labels in its namespace.
func (b Budget) Selects(labels map[string]string) bool {
	return !slices.ContainsFunc(b.Selector, func(r placement.Requirement) bool { return !holds(r, labels) })
}

// holds says whether labels meet a requirement of a selector, as in Kubernetes: what is absent is in no list.
func holds(r placement.Requirement, labels map[string]string) bool {
	value, there := labels[r.Key]
	switch r.Operator {
	case placement.In:
		return there && slices.Contains(r.Values, value)
	case placement.NotIn:
		return !there || !slices.Contains(r.Values, value)
	case placement.Exists:
		return there
	}
	return !there
}

// Desired is how many of expected replicas must stay ready. Shares are rounded up, as in Kubernetes.
func (b Budget) Desired(expected int) int {
	switch {
	case b.minAvailable != nil:
		return min(expected, int(b.minAvailable.of(int64(expected))))
	case b.maxUnavailable != nil:
		return max(0, expected-int(b.maxUnavailable.of(int64(expected))))
	}
	return expected
}

// Allowed is how many of expected replicas, of which so many are ready, may be taken away now; never below 0.
func (b Budget) Allowed(expected, ready int) int { return max(0, ready-b.Desired(expected)) }

// Priority is what a PriorityClass says.
type Priority struct {
	Name          string
	Value         int32
	Default       bool // of the workloads that name none
	NeverDisplace bool
}

// PriorityOf reads a valid object in the form that Tree gives; false for other kinds.
func PriorityOf(key crdt.Key, tree map[string]any) (Priority, bool) {
	o, ok := objectOf[priorityClass](tree)
	if !ok {
		return Priority{}, false
	}
	return Priority{Name: key.Name, Value: int32(*orDefault(o.Value, 0)), Default: o.GlobalDefault, NeverDisplace: o.PreemptionPolicy == "Never"}, true
}

// Priorities gives each class by its name, Kubernetes' two built-in ones among them, and under the empty name the class of those that
// name none: of several defaults the lowest, as in Kubernetes.
func Priorities(classes []Priority) map[string]Priority {
	all := map[string]Priority{}
	none := Priority{Value: math.MaxInt32}
	for _, c := range classes {
		all[c.Name] = c
		if c.Default && (c.Value < none.Value || c.Value == none.Value && c.Name < none.Name) {
			none = c
		}
	}
	if none.Name == "" {
		none = Priority{}
	}
	all[""] = none
	for _, c := range builtinPriorities {
		all[c.Name] = c
	}
	return all
}

// builtinPriorities are Kubernetes' own classes, which nobody has to make.
var builtinPriorities = []Priority{
	{Name: "system-cluster-critical", Value: 2_000_000_000},
	{Name: "system-node-critical", Value: 2_000_001_000},
}

// objectOf decodes a tree as one kind of object; false for every other.
func objectOf[T any](tree map[string]any) (T, bool) {
	var none T
	c := &checker{}
	object, _, ok := c.object(nodeOf(tree))
	if !ok {
		return none, false
	}
	o, ok := object.Interface().(T)
	return o, ok
}

func (n *nodeObject) check(p place) {
	at := p.at("metadata").at("annotations")
	for _, key := range sortedKeys(n.Metadata.Annotations) {
		switch value := n.Metadata.Annotations[key]; {
		case key == DrainAnnotation:
			if value != "true" && value != "false" {
				at.at(key).fault(`must be "true" or "false", not %q`, clip(value))
			}
		case key == PeerAnnotation:
		case len(key) > len(ownAnnotations) && key[:len(ownAnnotations)] == ownAnnotations:
			unknownAnnotation(at.at(key), key, []string{DrainAnnotation})
		}
	}
}

// PeerAnnotation shows a peer's ID on its Node. What is written there is without effect.
const PeerAnnotation = "shoal/peer"

func (b *budgetSpec) check(p place) {
	switch {
	case b.MinAvailable != nil && b.MaxUnavailable != nil:
		p.at("maxUnavailable").fault("goes not with minAvailable: give one of them")
	case b.MinAvailable == nil && b.MaxUnavailable == nil:
		p.fault("needs minAvailable or maxUnavailable")
	}
	b.MinAvailable.checkShare(p.at("minAvailable"))
	b.MaxUnavailable.checkShare(p.at("maxUnavailable"))
	if zero := b.MaxUnavailable; zero != nil && zero.Number == 0 {
		p.at("maxUnavailable").warn("0 lets no drain ever take one of these replicas away")
	}
}

func (a *Amount) checkShare(p place) {
	if a != nil && a.Percent && a.Number > 100 {
		p.fault("a share is at most 100%%")
	}
}

func (c *priorityClass) check(p place) {
	for _, own := range builtinPriorities {
		if own.Name == c.Metadata.Name {
			p.at("metadata").at("name").fault("there is a class of this name already, with value %d", own.Value)
		}
	}
}
