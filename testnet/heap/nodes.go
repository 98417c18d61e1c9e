package heap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"shoal/crdt"
	"shoal/testnet/promise"
)

// node is what users say of a peer, in its Node object.
type node struct {
	labels   map[string]string
	taints   []string // KEY=VALUE:EFFECT
	cordoned bool
	draining bool
}

// manifest is the object as a user would write it.
func (n *node) manifest(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Node\nmetadata:\n  name: %s\n", name)
	if n.draining {
		b.WriteString("  annotations: {shoal/drain: \"true\"}\n")
	}
	if len(n.labels) > 0 {
		b.WriteString("  labels:\n")
		for _, key := range slices.Sorted(maps.Keys(n.labels)) {
			fmt.Fprintf(&b, "    %s: %q\n", key, n.labels[key])
		}
	}
	fmt.Fprintf(&b, "spec:\n  unschedulable: %t\n", n.cordoned)
	if len(n.taints) > 0 {
		b.WriteString("  taints:\n")
		for _, taint := range n.taints {
			what, effect, _ := strings.Cut(taint, ":")
			key, value, _ := strings.Cut(what, "=")
			fmt.Fprintf(&b, "    - {key: %q, value: %q, effect: %s}\n", key, value, effect)
		}
	}
	return b.String()
}

// drives says whether what runs there has to leave.
func (n *node) drives() bool {
	return n.draining || slices.ContainsFunc(n.taints, func(taint string) bool { return strings.HasSuffix(taint, ":NoExecute") })
}

// SayOf changes what users say of a peer, on the first peer that lives, as `shoal drain`, `uncordon` and the like do: whoever said it before.
func (w *World) SayOf(name string, change func(n *node)) error {
	p, alive := w.Peer(name), w.Alive()
	if len(alive) == 0 {
		return ErrDied
	}
	change(&p.node)
	if p.drives && !p.node.drives() {
		p.drove = w.now
	}
	p.drives = p.node.drives()
	return w.Replace(alive[0], p.node.manifest(name))
}

// policyOf is what the object of a replica said last of splits; nil where it says nothing.
func (w *World) policyOf(replica string) *promise.Policy {
	return w.policies[replica[:strings.LastIndexByte(replica, '-')+1]]
}

// noteApplied reads what a manifest says of splits and of priority, by its words alone.
func (w *World) noteApplied(key crdt.Key, tree map[string]any) {
	prefix := key.Namespace + "/" + key.Name + "-"
	if key.Kind == "PriorityClass" {
		w.classes[key.Name] = fmt.Sprint(tree["value"])
	}
	template, _ := at(tree, "spec", "template", "spec").(map[string]any)
	class, _ := template["priorityClassName"].(string)
	w.ranks[prefix] = class
	most, _ := at(tree, "metadata", "annotations", "shoal/max-moving").(string)
	w.mostMoving[prefix] = count(most)
	annotations, _ := at(tree, "metadata", "annotations").(map[string]any)
	said := func(key string) string { text, _ := annotations[key].(string); return text }
	policy := &promise.Policy{Prefix: prefix, Exclusive: said("shoal/exclusive") == "true", Frozen: said("shoal/split") == "freeze"}
	for _, witness := range strings.FieldsFunc(said("shoal/witnesses")+","+said("shoal/home"), func(r rune) bool { return r == ',' || r == ' ' }) {
		policy.Witnesses = append(policy.Witnesses, string(peerID(witness)))
	}
	if !policy.Exclusive && !policy.Frozen && len(policy.Witnesses) == 0 {
		policy = nil
	}
	w.policies[prefix] = policy
}

// at goes down into a tree; nil where it does not go on.
func at(tree any, path ...string) any {
	for _, name := range path {
		m, _ := tree.(map[string]any)
		tree = m[name]
	}
	return tree
}

// rankOf is the priority of a replica, by what was applied; 0 where nothing is said.
func (w *World) rankOf(replica string) int {
	return count(w.classes[w.ranks[replica[:strings.LastIndexByte(replica, '-')+1]]])
}

// heldBack says whether the object of a replica keeps it from running on a side.
func (w *World) heldBack(replica string, side int) bool {
	policy := w.policyOf(replica)
	if policy == nil || len(policy.Witnesses) == 0 {
		return false
	}
	here := 0
	for _, p := range w.peers {
		if p.alive && w.network.side[p.index] == side && slices.Contains(policy.Witnesses, p.id()) {
			here++
		}
	}
	return 2*here <= len(policy.Witnesses)
}
