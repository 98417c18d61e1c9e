package api

import (
	"fmt"
	"net/http"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/runtime"
)

// Why explains one replica.
type Why struct {
	Replica   string     `json:"replica"`
	Wanted    bool       `json:"wanted"`
	Peer      string     `json:"peer,omitempty"` // assigned; empty while pending
	Rule      string     `json:"rule,omitempty"`
	Revision  string     `json:"revision,omitempty"`
	Pending   string     `json:"pending,omitempty"`
	Instances []Instance `json:"instances"`
	Verdicts  []Verdict  `json:"verdicts"`
	Events    []Event    `json:"events"`
}

// Verdict is one peer's yes or no.
type Verdict struct {
	Peer   string `json:"peer"`
	Rule   string `json:"rule"`
	Detail string `json:"detail,omitempty"`
}

func (s *Server) serveWhy(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{replicas: true, notes: true, why: r.PathValue("namespace") + "/" + r.PathValue("replica")})
	if err != nil {
		return err
	}
	replica, ok := workloadOf(v, r.PathValue("namespace"), r.PathValue("replica"))
	if !ok {
		return notFound(fmt.Sprintf("there is no replica %s in namespace %s", r.PathValue("replica"), r.PathValue("namespace")))
	}
	why := Why{Replica: string(replica.ID), Wanted: replica.Wanted, Peer: v.name(crdt.PeerID(replica.Assignment.Peer)), Rule: string(replica.Assignment.Rule),
		Revision: string(replica.Assignment.Revision), Pending: replica.Pending, Instances: []Instance{}, Verdicts: []Verdict{}, Events: []Event{}}
	for _, i := range replica.Instances {
		why.Instances = append(why.Instances, v.instance(i))
	}
	for _, verdict := range v.verdicts {
		why.Verdicts = append(why.Verdicts, Verdict{Peer: v.name(crdt.PeerID(verdict.Peer)), Rule: string(verdict.Rule), Detail: verdict.Detail})
	}
	for _, n := range v.notes {
		if n.Replica == string(replica.ID) {
			why.Events = append(why.Events, v.ownEvent(n))
		}
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, why)
	return nil
}

// Event is something worth telling a person, as this peer noted it.
type Event struct {
	At      time.Time `json:"at"`
	Warning bool      `json:"warning,omitempty"`
	Reason  string    `json:"reason"`
	Object  string    `json:"object"`
	Replica string    `json:"replica,omitempty"`
	Peer    string    `json:"peer,omitempty"`
	Text    string    `json:"text"`
	Count   int       `json:"count"`
}

func (v *view) ownEvent(n control.Note) Event {
	e := Event{At: n.At, Warning: n.Warning, Reason: n.Reason, Replica: n.Replica, Peer: v.name(n.Peer), Text: n.Text, Count: n.Count}
	if n.Object != (crdt.Key{}) {
		e.Object = n.Object.String()
	}
	return e
}

func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{notes: true})
	if err != nil {
		return err
	}
	var list []Event
	for _, n := range v.notes {
		list = append(list, v.ownEvent(n))
	}
	return answer(w, v, list)
}

// Replica is one replica with every instance of it that any peer holds.
type Replica struct {
	ID        string     `json:"id"`
	Workload  string     `json:"workload"`
	Ordinal   int        `json:"ordinal"`
	Wanted    bool       `json:"wanted"`
	Peer      string     `json:"peer,omitempty"` // assigned: a peer's name; empty while pending
	Rule      string     `json:"rule,omitempty"`
	Revision  string     `json:"revision,omitempty"` // the one wanted
	Pending   string     `json:"pending,omitempty"`
	Instances []Instance `json:"instances"`
}

// Instance is one instance as its holder observed it.
type Instance struct {
	ID         string              `json:"id"`
	Peer       string              `json:"peer"`
	Revision   string              `json:"revision"`
	Current    bool                `json:"current"`
	State      string              `json:"state"`
	Ready      bool                `json:"ready"`
	Address    string              `json:"address,omitempty"`
	Since      time.Time           `json:"since"`
	Containers []InstanceContainer `json:"containers"`
}

// InstanceContainer is one container of an Instance.
type InstanceContainer struct {
	Name       string    `json:"name"`
	Image      string    `json:"image"`
	Generation uint64    `json:"generation"`
	Running    bool      `json:"running"`
	Ready      bool      `json:"ready"`
	Restarts   int       `json:"restarts"`
	StartedAt  time.Time `json:"startedAt"`
	ExitCode   int       `json:"exitCode"`
	Reason     string    `json:"reason,omitempty"`
	Detail     string    `json:"detail,omitempty"`
}

func (v *view) instance(i control.InstanceView) Instance {
	out := Instance{ID: string(i.Instance), Peer: v.name(i.Peer), Revision: string(i.Revision), Current: i.Current, State: string(i.State),
		Ready: i.Ready, Since: i.Since.UTC(), Containers: []InstanceContainer{}}
	if i.Address.IsValid() {
		out.Address = i.Address.String()
	}
	for _, c := range i.Containers {
		out.Containers = append(out.Containers, InstanceContainer{Name: c.Name, Image: c.Image, Generation: c.Generation,
			Running: c.Phase == runtime.Running, Ready: c.Ready, Restarts: c.Restarts, StartedAt: c.StartedAt.UTC(), ExitCode: c.ExitCode,
			Reason: c.Reason, Detail: c.Detail})
	}
	return out
}

func (s *Server) serveReplicas(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{replicas: true})
	if err != nil {
		return err
	}
	return answer(w, v, v.allReplicas())
}

func (v *view) allReplicas() []Replica {
	list := []Replica{}
	for _, replica := range v.replicas {
		item := Replica{ID: string(replica.ID), Workload: replica.Workload.String(), Ordinal: replica.Ordinal, Wanted: replica.Wanted,
			Peer: v.name(crdt.PeerID(replica.Assignment.Peer)), Rule: string(replica.Assignment.Rule),
			Revision: string(replica.Assignment.Revision), Pending: replica.Pending, Instances: []Instance{}}
		for _, i := range replica.Instances {
			item.Instances = append(item.Instances, v.instance(i))
		}
		list = append(list, item)
	}
	return list
}
