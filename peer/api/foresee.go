package api

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/placement"
)

// PlanRequest asks what applying manifests would do. Nothing is written.
type PlanRequest struct {
	Documents []json.RawMessage `json:"documents"`
}

// WhatIfRequest asks what would become of everything if peers were lost, handed over their work, or joined. Peers are named.
type WhatIfRequest struct {
	Lose  []string     `json:"lose,omitempty"`
	Drain []string     `json:"drain,omitempty"`
	Add   []WhatIfPeer `json:"add,omitempty"`
}

// WhatIfPeer is a peer that might join.
type WhatIfPeer struct {
	Name        string            `json:"name"`
	CPUMillis   int64             `json:"cpuMillis"`
	MemoryBytes int64             `json:"memoryBytes"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// Forecast is what becomes of everything in the end. It is equal on all peers with equal views.
type Forecast struct {
	View      string         `json:"view"`      // the digest of what it was foreseen from
	PlanAfter string         `json:"planAfter"` // the digest of the plan at the end
	Rounds    int            `json:"rounds"`    // plans that are carried out one after the other
	Still     bool           `json:"still"`     // nothing changes any more at the end
	Changes   []Foreseen     `json:"changes"`
	Later     []Foreseen     `json:"later"`    // what moves then, for the balance alone: as many as this, though which ones may differ
	Counts    map[string]int `json:"counts"`   // of changes, by what becomes of them
	Unplaced  int            `json:"unplaced"` // of changes, with those that stay on a peer that is to hand over

	Placements []Placement  `json:"placements"` // of every replica, before what moves later
	Objects    []PlanObject `json:"objects,omitempty"`
}

// Placement is where a replica is in the end.
type Placement struct {
	Replica string `json:"replica"`
	Peer    string `json:"peer"` // empty where it has none
}

// PlanObject is what applying would do to one object.
type PlanObject struct {
	Object string `json:"object"`
	Result string `json:"result"` // "created", "configured" or "unchanged"
}

// Foreseen is what becomes of one replica.
type Foreseen struct {
	Replica  string `json:"replica"`
	Workload string `json:"workload"`
	Deed     string `json:"deed"` // "start", "move", "recover", "replace", "stop", "wait", "stay", "keep", "pending", "no-place" or "displaced"
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Rule     string `json:"rule,omitempty"`
	By       string `json:"by,omitempty"`      // of one that is displaced: for whom
	After    string `json:"after,omitempty"`   // how long its lost peer is waited for first
	Already  bool   `json:"already,omitempty"` // it has no place now, either, or its peer hands over already
	Why      string `json:"why,omitempty"`     // of one without a place
	Remedy   string `json:"remedy,omitempty"`  // with which it would have one
}

// maxDocuments bounds what one plan is asked about.
const maxDocuments = 1024

func (s *Server) servePlan(w http.ResponseWriter, r *http.Request) error {
	var asked PlanRequest
	if err := decodeBody(r, &asked); err != nil {
		return err
	}
	if len(asked.Documents) == 0 || len(asked.Documents) > maxDocuments {
		return badRequest("name between 1 and %d documents", maxDocuments)
	}
	var targets []target
	spaces := map[string]bool{}
	for _, body := range asked.Documents {
		t, err := targetOf(body)
		if err != nil {
			return err
		}
		targets, spaces[t.name] = append(targets, t), spaces[t.name] || t.kind == "Namespace"
	}
	var objects []PlanObject
	var changes []control.PreviewChange
	for i, t := range targets {
		change, object, err := s.foreseeApply(r, t, asked.Documents[i], spaces)
		if err != nil {
			return err
		}
		objects = append(objects, object)
		changes = append(changes, change)
	}
	return s.foresee(w, r, func(*view) (control.Supposition, error) { return control.Supposition{Objects: changes}, nil }, objects)
}

// targetOf finds what a document is about.
func targetOf(body []byte) (target, error) {
	d, err := manifest.DecodePart(body)
	var faults manifest.Faults
	if errors.As(err, &faults) {
		return target{}, badRequest("a document is not understood: %v", faults)
	}
	i := slices.IndexFunc(writables(), func(r *resource) bool { return r.kind == d.Key.Kind })
	if err != nil || i < 0 {
		return target{}, badRequest("a document is of kind %q, which is not written here", d.Key.Kind)
	}
	return target{resource: writables()[i], namespace: d.Key.Namespace, name: d.Key.Name}, nil
}

// foreseeApply is an object as it would be after an apply.
func (s *Server) foreseeApply(r *http.Request, t target, body []byte, spaces map[string]bool) (after control.PreviewChange, object PlanObject, err error) {
	c := change{manager: fieldManager(r), dryRun: true}
	c.key = t.key()
	if err := c.apply(t, r, body); err != nil {
		return after, object, err
	}
	reading, err := s.readOne(r.Context(), t.resource, c.key)
	if err != nil {
		return after, object, err
	}
	changes, err := c.compute(reading)
	if err != nil {
		return after, object, err
	}
	then := c.after(reading.current, changes)
	faults := manifest.Validate(c.key, manifest.Tree(c.key, then.Fields))
	if name := c.key.Namespace; name != "" && !reading.view.home && !spaces[name] {
		faults = append(faults, manifest.Fault{Text: fmt.Sprintf("namespace %q does not exist: create it first, with a manifest of kind Namespace", name)})
	}
	if faults != nil {
		return after, object, t.invalid(c.key.Name, faults)
	}
	object = PlanObject{Object: c.key.String(), Result: "configured"}
	switch {
	case !reading.current.Live:
		object.Result = "created"
	case len(changes) == 0:
		object.Result = "unchanged"
	}
	return control.PreviewChange{Key: c.key, Fields: then.Fields}, object, nil
}

func (s *Server) serveWhatIf(w http.ResponseWriter, r *http.Request) error {
	var asked WhatIfRequest
	if err := decodeBody(r, &asked); err != nil {
		return err
	}
	if len(asked.Lose)+len(asked.Drain)+len(asked.Add) == 0 {
		return badRequest("name what to lose, drain or add")
	}
	return s.foresee(w, r, asked.supposition, nil)
}

func (asked WhatIfRequest) supposition(v *view) (s control.Supposition, err error) {
	if s.Lose, err = v.peersNamed(asked.Lose); err != nil {
		return s, err
	}
	if s.Drain, err = v.peersNamed(asked.Drain); err != nil {
		return s, err
	}
	for _, p := range asked.Add {
		if _, err := v.peersNamed([]string{p.Name}); err == nil {
			return s, badRequest("there is a peer %s already", p.Name)
		}
		if p.Name == "" || p.CPUMillis <= 0 || p.MemoryBytes <= 0 {
			return s, badRequest("a peer to add needs a name, CPU and memory")
		}
		labels := map[string]string{"kubernetes.io/hostname": p.Name}
		for key, value := range p.Labels {
			labels[key] = value
		}
		s.Add = append(s.Add, placement.Peer{ID: placement.PeerID("added/" + p.Name), Name: p.Name, Live: true, Steady: true, Labels: labels,
			Room: placement.Resources{CPUMillis: p.CPUMillis, MemoryBytes: p.MemoryBytes, StorageBytes: plenty, Pids: plenty}})
	}
	return s, nil
}

// plenty is what a peer to add has of what was not asked about.
const plenty = 1 << 40

// peersNamed finds peers by name, or by the beginning of their ID.
func (v *view) peersNamed(names []string) (ids []placement.PeerID, err error) {
	for _, name := range names {
		i := slices.IndexFunc(v.members, func(m control.MemberView) bool { return v.name(crdt.PeerID(m.ID)) == name || string(m.ID) == name })
		if i < 0 {
			return nil, notFound(fmt.Sprintf("there is no peer %s: 'shoal members' lists them", name))
		}
		ids = append(ids, placement.PeerID(v.members[i].ID))
	}
	return ids, nil
}

// foresee answers a question about what would become of everything. The peer goes on meanwhile: it only puts the question.
func (s *Server) foresee(w http.ResponseWriter, r *http.Request, suppose func(*view) (control.Supposition, error), objects []PlanObject) error {
	v, err := s.look(r.Context(), needs{})
	if err != nil {
		return err
	}
	supposition, err := suppose(v)
	if err != nil {
		return err
	}
	var question control.Question
	var faults []string
	if err := s.backend.Read(r.Context(), func(m *control.Machine) { question, faults = m.Suppose(supposition) }); err != nil {
		return unavailable(err)
	}
	if len(faults) > 0 {
		return badRequest("%s", faults[0])
	}
	answer := question.Foresee()
	foresight := answer.Foresight
	f := Forecast{View: question.View.String(), PlanAfter: hex.EncodeToString(foresight.Plan.Digest[:]), Rounds: foresight.Rounds, Still: foresight.Still,
		Changes: []Foreseen{}, Later: []Foreseen{}, Placements: []Placement{}, Counts: map[string]int{}, Objects: objects}
	name := v.namesWith(supposition.Add)
	for a := range foresight.Plan.Assignments.All() {
		f.Placements = append(f.Placements, Placement{Replica: string(a.Replica), Peer: name(a.Peer)})
	}
	why := reasons{foresight: foresight, name: name, of: map[placement.WorkloadID][2]string{}}
	for _, c := range answer.Changes {
		item := foreseen(&c, name)
		f.Counts[item.Deed]++
		if c.To == "" && c.Deed != placement.Stops && c.Deed != placement.WaitsFor {
			f.Unplaced++
			item.Why, item.Remedy = why.why(c.Workload, c.Replica)
		}
		f.Changes = append(f.Changes, item)
	}
	for _, c := range answer.Stuck {
		item := Foreseen{Replica: string(c.Replica), Workload: string(c.Workload), Deed: "stay", From: name(c.Peer), Already: c.Already, Why: c.Budget}
		if item.Why == "" {
			item.Why, item.Remedy = why.why(c.Workload, c.Replica)
		}
		f.Counts[item.Deed]++
		f.Unplaced++
		f.Changes = append(f.Changes, item)
	}
	for _, c := range answer.Later {
		f.Later = append(f.Later, foreseen(&c, name))
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, f)
	return nil
}

func foreseen(c *placement.Change, name func(placement.PeerID) string) Foreseen {
	item := Foreseen{Replica: string(c.Replica), Workload: string(c.Workload), Deed: string(c.Deed), From: name(c.From), To: name(c.To),
		Rule: string(c.Rule), By: string(c.By), Already: c.Already}
	if c.After > 0 {
		item.After = c.After.String()
	}
	return item
}

// namesWith names peers, also those that are only supposed.
func (v *view) namesWith(added []placement.Peer) func(placement.PeerID) string {
	names := map[placement.PeerID]string{}
	for _, p := range added {
		names[p.ID] = p.Name
	}
	return func(id placement.PeerID) string {
		if name, ok := names[id]; ok {
			return name
		}
		return v.name(crdt.PeerID(id))
	}
}

// reasons says why replicas find no place, once for each workload.
type reasons struct {
	foresight placement.Foresight
	name      func(placement.PeerID) string
	of        map[placement.WorkloadID][2]string
}

func (r *reasons) why(workload placement.WorkloadID, replica placement.ReplicaID) (why, remedy string) {
	if known, ok := r.of[workload]; ok {
		return known[0], known[1]
	}
	f := &r.foresight
	why = control.PendingText(f.View.Explain(f.Plan, replica), r.name)
	remedy = f.View.Remedy(f.Plan, replica)
	r.of[workload] = [2]string{why, remedy}
	return why, remedy
}
