package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"shoal/peer/control"
	"shoal/placement"
)

var budgets = &resource{
	group: "policy", kind: "PodDisruptionBudget", plural: "poddisruptionbudgets", singular: "poddisruptionbudget", short: []string{"pdb"},
	namespaced: true, writable: true, verbs: writeVerbs, needs: needs{objects: true, budgets: true},
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

func budgetObjects(v *view) []object {
	var list []object
	for _, o := range v.objects["PodDisruptionBudget"] {
		tree, s := intent(o), v.budgets[o.Key]
		tree["status"] = object{"observedGeneration": dig(tree, "metadata", "generation"), "expectedPods": s.Expected, "currentHealthy": s.Healthy,
			"desiredHealthy": s.Desired, "disruptionsAllowed": s.Allowed,
			"conditions": append([]any{condition("DisruptionAllowed", s.Allowed > 0, "SufficientPods", "InsufficientPods", s.String())}, troubles(o, v.invalid[o.Key])...)}
		list = append(list, tree)
	}
	return list
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
	v, err := s.look(r.Context(), pods.needs)
	if err != nil {
		return nil, err
	}
	replica, ok := workloadOf(v, t.namespace, t.name)
	if !ok {
		return nil, t.missing(t.name)
	}
	var eviction control.EvictionView
	if err := s.backend.Read(r.Context(), func(m *control.Machine) { eviction = m.Eviction(replica.ID) }); err != nil {
		return nil, unavailable(err)
	}
	switch {
	case eviction.Under || !replica.Wanted:
		return v, nil
	case eviction.Held != "":
		refused := failure(http.StatusTooManyRequests, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
		refused.Details = &Details{Name: t.name, Kind: t.plural, Causes: []Cause{{Reason: "DisruptionBudget", Message: eviction.Held}}}
		return nil, refused
	case dryRun:
		return v, nil
	}
	if err := s.markReplica(w, r, replica); err != nil {
		return nil, err
	}
	return v, s.planned(r.Context(), t, replica.Newest)
}

// planned waits, for a moment, until it is known here that a replica that was marked is wanted in another revision.
func (s *Server) planned(ctx context.Context, t target, before placement.Revision) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		v, err := s.look(ctx, pods.needs)
		if err != nil {
			return err
		}
		if replica, ok := workloadOf(v, t.namespace, t.name); !ok || replica.Newest != before {
			return nil
		}
		select {
		case <-s.backend.Changed(v.version):
		case <-ctx.Done():
			return nil
		}
	}
}
