package api

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/placement"
	"shoal/runtime"
)

// Why explains one replica: where it belongs and why, what led to it, and what would help it to a place.
type Why struct {
	WhyNot
	Wanted    bool       `json:"wanted"`
	Waits     string     `json:"waits,omitempty"` // why it has not begun where it is placed
	Instances []Instance `json:"instances"`
	Events    []Event    `json:"events"` // about it, on any peer, the oldest first
}

// WhyNot is what a view says of one replica: equal, to the byte, on all peers with equal views.
type WhyNot struct {
	Replica  string    `json:"replica"`
	Workload string    `json:"workload,omitempty"`
	Peer     string    `json:"peer,omitempty"` // assigned; empty while pending
	Rule     string    `json:"rule,omitempty"`
	Detail   string    `json:"detail,omitempty"` // the numbers behind the rule
	From     string    `json:"from,omitempty"`   // of one that moves: the peer that holds it until it is ready
	Makes    []string  `json:"makes,omitempty"`  // of one that displaces: those that make room for it
	By       string    `json:"by,omitempty"`     // of one that was displaced: for whom
	Revision string    `json:"revision,omitempty"`
	Pending  string    `json:"pending,omitempty"`
	Held     string    `json:"held,omitempty"`   // what keeps it on a peer that hands over its work
	Remedy   string    `json:"remedy,omitempty"` // of one that is pending: the smallest change with which it would have a place
	Verdicts []Verdict `json:"verdicts"`         // of every peer, or of the one asked about, in the replica's hash order
	View     string    `json:"view,omitempty"`   // digest of all that this was told from
	Plan     string    `json:"plan,omitempty"`   // digest of the plan
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
	why := Why{WhyNot: v.whyNot(string(replica.ID)), Wanted: replica.Wanted, Waits: replica.Waits, Instances: []Instance{}, Events: []Event{}}
	if why.Pending == "" {
		why.Pending = replica.Pending
	}
	for _, i := range replica.Instances {
		why.Instances = append(why.Instances, v.instance(i))
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

// whyNot is what the view says of the replica that was asked about.
func (v *view) whyNot(replica string) WhyNot {
	e := &v.explained
	why := WhyNot{Replica: replica, Verdicts: []Verdict{}}
	if e.Assignment.Replica == "" {
		return why
	}
	a := e.Assignment
	why.Workload, why.Peer, why.Rule, why.From = string(a.Workload), v.name(crdt.PeerID(a.Peer)), string(a.Rule), v.name(crdt.PeerID(a.From))
	why.Revision, why.By, why.Pending, why.Held, why.Remedy = string(a.Revision), string(a.By), e.Pending, e.Held, e.Remedy
	why.View, why.Plan = e.View.String(), hex.EncodeToString(e.Plan[:])
	for _, other := range a.Makes {
		why.Makes = append(why.Makes, string(other))
	}
	for _, verdict := range e.Verdicts {
		why.Verdicts = append(why.Verdicts, Verdict{Peer: v.name(crdt.PeerID(verdict.Peer)), Rule: string(verdict.Rule), Detail: verdict.Detail})
		if verdict.Peer == a.Peer {
			why.Detail = verdict.Detail
		}
	}
	return why
}

// serveWhyNot tells of every peer, or of the one that ?node= names, why a replica is not there.
func (s *Server) serveWhyNot(w http.ResponseWriter, r *http.Request) error {
	replica := r.PathValue("namespace") + "/" + r.PathValue("replica")
	v, err := s.look(r.Context(), needs{why: replica})
	if err != nil {
		return err
	}
	if v.explained.Assignment.Replica == "" {
		return notFound(fmt.Sprintf("no replica %s is wanted in namespace %s", r.PathValue("replica"), r.PathValue("namespace")))
	}
	why := v.whyNot(replica)
	if node := r.URL.Query().Get("node"); node != "" {
		why.Verdicts = slices.DeleteFunc(why.Verdicts, func(verdict Verdict) bool { return verdict.Peer != node })
		if len(why.Verdicts) == 0 {
			return notFound(fmt.Sprintf("there is no peer %s: 'shoal members' lists them", node))
		}
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, why)
	return nil
}

// Ring is the hash order of a workload: to which peers its replicas would go if nothing but room and health counted.
type Ring struct {
	Workload string        `json:"workload"`
	View     string        `json:"view"`
	Replicas []RingReplica `json:"replicas"`
}

// RingReplica is the hash order of one replica.
type RingReplica struct {
	Replica string   `json:"replica"`
	Peer    string   `json:"peer,omitempty"` // where it belongs; empty while pending
	Order   []string `json:"order"`
}

// maxRing bounds of how many replicas the order is worked out.
const maxRing = 1000

func (s *Server) serveRing(w http.ResponseWriter, r *http.Request) error {
	_, key, err := objectNamed(r.PathValue("object"))
	if err != nil {
		return err
	}
	v, err := s.look(r.Context(), needs{key: &key, replicas: true, summary: true})
	if err != nil {
		return err
	}
	ring := Ring{Workload: key.String(), View: v.digest.String(), Replicas: []RingReplica{}}
	var wanted []placement.ReplicaID
	for _, replica := range v.replicas {
		if replica.Wanted && len(wanted) < maxRing {
			wanted = append(wanted, replica.ID)
			ring.Replicas = append(ring.Replicas, RingReplica{Replica: string(replica.ID), Peer: v.name(crdt.PeerID(replica.Assignment.Peer)), Order: []string{}})
		}
	}
	if len(wanted) == 0 {
		return notFound(fmt.Sprintf("%s does not exist, or wants no replicas", key))
	}
	var orders [][]placement.PeerID
	if err := s.backend.Read(r.Context(), func(m *control.Machine) { orders = m.Orders(wanted) }); err != nil {
		return unavailable(err)
	}
	for i := range orders {
		for _, id := range orders[i] {
			ring.Replicas[i].Order = append(ring.Replicas[i].Order, v.name(crdt.PeerID(id)))
		}
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, ring)
	return nil
}

// Event is something worth telling a person: that this peer noted, or that another said happened there.
type Event struct {
	At      time.Time `json:"at"`
	Warning bool      `json:"warning,omitempty"`
	Reason  string    `json:"reason"`
	Object  string    `json:"object"`
	Replica string    `json:"replica,omitempty"`
	Peer    string    `json:"peer,omitempty"`
	Text    string    `json:"text"`
	Cause   string    `json:"cause,omitempty"` // what led to it
	Count   int       `json:"count"`
}

func (v *view) ownEvent(n control.Note) Event {
	e := Event{At: n.At, Warning: n.Warning, Reason: n.Reason, Replica: n.Replica, Peer: v.name(n.Peer), Text: n.Text, Cause: n.Cause, Count: n.Count}
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
	Waits      string              `json:"waits,omitempty"` // what it lacks to start: a lease
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
		Ready: i.Ready, Since: i.Since.UTC(), Waits: i.Waits, Containers: []InstanceContainer{}}
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
