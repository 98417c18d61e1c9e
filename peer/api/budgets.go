package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
)

var budgets = &resource{
	group: "policy", kind: "PodDisruptionBudget", plural: "poddisruptionbudgets", singular: "poddisruptionbudget", short: []string{"pdb"},
	namespaced: true, writable: true, verbs: writeVerbs, needs: needs{objects: true, replicas: true},
	objects: budgetObjects,
	columns: []column{{"Name", "string", 0}, {"Min Available", "string", 0}, {"Max Unavailable", "string", 0}, {"Allowed Disruptions", "integer", 0}, {"Age", "string", 0}},
	row: func(o object) []any {
		amount := func(field string) any {
			if value := dig(o, "spec", field); value != nil {
				return fmt.Sprint(value)
			}
			return "N/A"
		}
		return []any{dig(o, "metadata", "name"), amount("minAvailable"), amount("maxUnavailable"), dig(o, "status", "disruptionsAllowed"), ageOf(o)}
	},
}

// standing is how a budget stands in a view.
type standing struct {
	manifest.Budget
	expected, ready, desired, allowed int
}

// standings are all budgets of a view, or those of one namespace.
func (v *view) standings(namespace string) []standing {
	labels := v.labelsOfWorkloads()
	var list []standing
	for _, o := range v.objects["PodDisruptionBudget"] {
		if namespace != "" && o.Key.Namespace != namespace {
			continue
		}
		if b, ok := manifest.BudgetOf(o.Key, manifest.Tree(o.Key, o.Fields)); ok && v.invalid[o.Key] == nil {
			list = append(list, v.stand(b, labels))
		}
	}
	return list
}

// labelsOfWorkloads are those that the replicas of each workload have.
func (v *view) labelsOfWorkloads() map[crdt.Key]map[string]string {
	labels := map[crdt.Key]map[string]string{}
	for _, kind := range workloads {
		for _, o := range v.objects[kind] {
			template, _ := dig(manifest.Tree(o.Key, o.Fields), "spec", "template").(object)
			labels[o.Key] = labelsOf(template)
		}
	}
	return labels
}

func (v *view) stand(b manifest.Budget, labels map[crdt.Key]map[string]string) standing {
	s := standing{Budget: b}
	for _, r := range v.replicas {
		if !r.Wanted || r.Workload.Namespace != b.Key.Namespace || !b.Selects(labels[r.Workload]) {
			continue
		}
		s.expected++
		if best := newest(r); best != nil && best.Ready && !v.evicted(r) {
			s.ready++
		}
	}
	s.desired, s.allowed = b.Desired(s.expected), b.Allowed(s.expected, s.ready)
	return s
}

// evicted says whether a replica is being replaced because somebody asked for that: it counts as away until its replacement is ready. What was
// asked for before the instance came, by the clocks of two peers, is done already, whatever a rollout still wants of it.
func (v *view) evicted(r control.ReplicaView) bool {
	best := newest(r)
	if best == nil || best.Revision == r.Newest {
		return false
	}
	path := restartPath(r)
	for _, o := range v.objects[r.Workload.Kind] {
		if o.Key != r.Workload {
			continue
		}
		for _, f := range o.Fields {
			if f.Path == path {
				asked, err := time.Parse(time.RFC3339Nano, strings.Trim(string(f.Value), `"`))
				return err != nil || asked.After(best.Since)
			}
		}
	}
	return false
}

func budgetObjects(v *view) []object {
	stands := map[crdt.Key]standing{}
	for _, s := range v.standings("") {
		stands[s.Key] = s
	}
	var list []object
	for _, o := range v.objects["PodDisruptionBudget"] {
		tree, s := intent(o), stands[o.Key]
		tree["status"] = object{"observedGeneration": dig(tree, "metadata", "generation"), "expectedPods": s.expected, "currentHealthy": s.ready,
			"desiredHealthy": s.desired, "disruptionsAllowed": s.allowed,
			"conditions": append([]any{condition("DisruptionAllowed", s.allowed > 0, "SufficientPods", "InsufficientPods", s.text())}, troubles(o, v.invalid[o.Key])...)}
		list = append(list, tree)
	}
	return list
}

func (s standing) text() string {
	return fmt.Sprintf("%d of %d replicas are ready, and %d must stay so", s.ready, s.expected, s.desired)
}

// mayEvict says why the budgets of a view do not let a replica be taken away now; empty when they do.
func (v *view) mayEvict(r control.ReplicaView) string {
	labels := v.labelsOfWorkloads()[r.Workload]
	best := newest(r)
	for _, s := range v.standings(r.Workload.Namespace) {
		switch {
		case !s.Selects(labels) || best == nil:
		case !best.Ready && (s.AlwaysAllow || s.ready >= s.desired): // it counts for nothing
		case s.allowed == 0:
			return fmt.Sprintf("the disruption budget %s allows none now: %s", s.Key.Name, s.text())
		}
	}
	return ""
}

// serveEviction takes a replica away by intention, as kubectl drain asks for it (policy/v1 Eviction): another instance of it is started, not
// where nothing new may go, and the old one goes when that is ready.
func (s *Server) serveEviction(w http.ResponseWriter, r *http.Request, t target) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var eviction struct {
		Kind          string
		DeleteOptions struct {
			DryRun []string `json:"dryRun"`
		} `json:"deleteOptions"`
	}
	if len(body) > 0 && json.Unmarshal(body, &eviction) != nil || eviction.Kind != "" && eviction.Kind != "Eviction" {
		return badRequest("the body is not an Eviction")
	}
	dryRun := isDryRun(r) || len(eviction.DeleteOptions.DryRun) > 0
	select {
	case s.evicts <- struct{}{}: // one after the other, so that each counts those before it
		defer func() { <-s.evicts }()
	case <-r.Context().Done():
		return unavailable(r.Context().Err())
	}
	v, err := s.evict(w, r, t, dryRun)
	if err != nil {
		return err
	}
	v.sign(w)
	writeJSON(w, http.StatusCreated, success(http.StatusCreated, nil))
	return nil
}

// evict marks a replica to be replaced where the budgets allow it, and returns when the next one will count it.
func (s *Server) evict(w http.ResponseWriter, r *http.Request, t target, dryRun bool) (*view, error) {
	v, err := s.look(r.Context(), budgets.needs)
	if err != nil {
		return nil, err
	}
	replica, ok := workloadOf(v, t.namespace, t.name)
	if !ok {
		return nil, t.missing(t.name)
	}
	if v.evicted(replica) || !replica.Wanted {
		return v, nil
	}
	if text := v.mayEvict(replica); text != "" {
		refused := failure(http.StatusTooManyRequests, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
		refused.Details = &Details{Name: t.name, Kind: t.plural, Causes: []Cause{{Reason: "DisruptionBudget", Message: text}}}
		return nil, refused
	}
	if dryRun {
		return v, nil
	}
	if err := s.markReplica(w, r, replica); err != nil {
		return nil, err
	}
	return v, s.planned(r.Context(), t)
}

// planned waits, for a moment, until it is known here that a replica that was marked is wanted in another revision.
func (s *Server) planned(ctx context.Context, t target) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		v, err := s.look(ctx, budgets.needs)
		if err != nil {
			return err
		}
		replica, ok := workloadOf(v, t.namespace, t.name)
		if best := newest(replica); !ok || best == nil || v.evicted(replica) {
			return nil
		}
		select {
		case <-s.backend.Changed(v.version):
		case <-ctx.Done():
			return nil
		}
	}
}
