package api

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/placement"
)

const ownPath = "/apis/shoal/v1/"

// What a caller may ask for at most.
const (
	maxWait = 24 * time.Hour * 365 // of a ticket or a leaving peer
	maxUses = 10_000               // of a ticket
)

// own registers the group that is not Kubernetes'.
func (s *Server) own(routes *http.ServeMux) {
	for path, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET members":                       s.serveMembers,
		"GET why/{namespace}/{replica}":     s.serveWhy,
		"GET why-not/{namespace}/{replica}": s.serveWhyNot,
		"GET ring/{object...}":              s.serveRing,
		"GET heals":                         s.serveHeals,
		"POST plan":                         s.servePlan,
		"POST what-if":                      s.serveWhatIf,
		"GET drain/{node}":                  s.serveDrain,
		"GET view":                          s.serveView,
		"GET events":                        s.serveEvents,
		"GET conflicts":                     s.serveConflicts,
		"POST conflicts/resolve":            s.serveResolve,
		"GET history/{object...}":           s.serveHistory,
		"POST rollback/{object...}":         s.serveRollback,
		"GET audit":                         s.serveAudit,
		"GET floor":                         s.serveFloor,
		"GET replicas":                      s.serveReplicas,
		"GET images":                        s.serveImages,
		"POST images":                       s.serveImport,
		"POST tickets":                      s.serveTicket,
		"POST leave":                        s.serveLeave,
		"POST namespaces/{namespace}/pods/{name}/exec": s.serveExec,
	} {
		method, rest, _ := strings.Cut(path, " ")
		routes.HandleFunc(method+" "+ownPath+rest, func(w http.ResponseWriter, r *http.Request) {
			if err := serve(w, r); err != nil {
				writeError(w, err)
			}
		})
	}
}

// List is every list of the own group.
type List[T any] struct {
	Items []T `json:"items"`
}

// answer writes a list, with whose view it is.
func answer[T any](w http.ResponseWriter, v *view, items []T) error {
	v.sign(w)
	if items == nil {
		items = []T{}
	}
	writeJSON(w, http.StatusOK, List[T]{Items: items})
	return nil
}

// Member is a peer as the asked one sees it.
type Member struct {
	Name          string            `json:"name"`
	ID            crdt.PeerID       `json:"id"`
	Self          bool              `json:"self,omitempty"`
	State         string            `json:"state"` // "alive", "suspect", "failed" or "left"
	Health        string            `json:"health"`
	Address       string            `json:"address"` // where it gossips
	Stream        string            `json:"stream"`
	Room          Amounts           `json:"room"`
	Admitted      Amounts           `json:"admitted"`
	Labels        map[string]string `json:"labels,omitempty"`
	Subnet        string            `json:"subnet,omitempty"`
	Leaving       bool              `json:"leaving,omitempty"`  // it hands over its work before it leaves
	Draining      bool              `json:"draining,omitempty"` // it hands over its work, for that or because somebody wants it to
	Cordoned      bool              `json:"cordoned,omitempty"` // it takes nothing new, because somebody wants that
	Damped        bool              `json:"damped,omitempty"`   // it takes nothing new for a while, because it came and went
	Images        []string          `json:"images,omitempty"`
	Heard         bool              `json:"heard"`        // whether a row of it has arrived
	RowAgeMillis  int64             `json:"rowAgeMillis"` // how old that is
	Boot          uint64            `json:"boot"`
	Sequence      uint64            `json:"sequence"`
	InstanceCount int               `json:"instances"`
	AheadMillis   *int64            `json:"aheadMillis,omitempty"` // how far its clock is ahead of this peer's; of this peer itself: ahead of the median of the others
}

// Amounts are placement.Resources.
type Amounts struct {
	CPUMillis    int64 `json:"cpuMillis"`
	MemoryBytes  int64 `json:"memoryBytes"`
	StorageBytes int64 `json:"storageBytes,omitempty"`
	Pids         int64 `json:"pids,omitempty"`
}

func amounts(r placement.Resources) Amounts { return Amounts(r) }

func (s *Server) serveMembers(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{replicas: true, skews: true})
	if err != nil {
		return err
	}
	held, ahead := map[crdt.PeerID]int{}, v.ahead()
	for _, replica := range v.replicas {
		for _, i := range replica.Instances {
			held[i.Peer]++
		}
	}
	var list []Member
	for _, m := range v.members {
		id := crdt.PeerID(m.ID)
		item := Member{Name: v.name(id), ID: id, Self: id == v.self, State: StateName(m.State), Health: m.Health.String(),
			Address: m.Addr.String(), Stream: m.Stream.String(), Room: Amounts{CPUMillis: m.Room.CPUMillis, MemoryBytes: m.Room.MemoryBytes},
			Admitted: amounts(m.Admitted), Labels: m.Labels, Leaving: m.Leaving, Draining: m.Draining, Cordoned: m.Cordoned, Damped: m.Damped,
			Images: m.Images, Heard: m.Boot != 0,
			RowAgeMillis: m.RowAge.Milliseconds(), Boot: m.Boot, Sequence: m.Row.Sequence, InstanceCount: held[id], AheadMillis: ahead[id]}
		if m.Subnet.IsValid() {
			item.Subnet = m.Subnet.String()
		}
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return answer(w, v, list)
}

// ahead is how far each clock is ahead, in milliseconds, where that is known.
func (v *view) ahead() map[crdt.PeerID]*int64 {
	all := map[crdt.PeerID]*int64{}
	for _, skew := range v.skews.Members {
		millis := skew.Ahead.Milliseconds()
		all[skew.Peer] = &millis
	}
	if v.skews.Known {
		millis := v.skews.Own.Milliseconds()
		all[v.self] = &millis
	}
	return all
}

// View is what a peer knows, at one moment; the promise checkers compare it between peers.
type View struct {
	Peer         string    `json:"peer"`
	ID           string    `json:"id"`
	Version      uint64    `json:"version"`
	IntentDigest string    `json:"intentDigest"`
	PlanDigest   string    `json:"planDigest"`
	ViewDigest   string    `json:"viewDigest"` // of all that the plan was made from: peers with equal ones have equal plans
	Draining     bool      `json:"draining"`
	Admitted     Amounts   `json:"admitted"`
	Room         Amounts   `json:"room"`
	Alive        []string  `json:"alive"` // names of the peers that answer
	Heard        []string  `json:"heard"` // names of those of them of which a row has arrived
	Replicas     []Replica `json:"replicas"`
}

func (s *Server) serveView(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{replicas: true, summary: true})
	if err != nil {
		return err
	}
	out := View{Peer: v.name(v.self), ID: string(v.self), Version: v.version, IntentDigest: hex.EncodeToString(v.intent[:]),
		PlanDigest: hex.EncodeToString(v.plan[:]), ViewDigest: v.digest.String(), Admitted: amounts(v.admitted), Room: amounts(v.room), Alive: []string{}, Heard: []string{},
		Replicas: v.allReplicas()}
	for _, m := range v.members {
		id := crdt.PeerID(m.ID)
		out.Draining = out.Draining || id == v.self && m.Draining
		if m.State != gossip.Alive {
			continue
		}
		out.Alive = append(out.Alive, v.name(id))
		if m.Boot != 0 {
			out.Heard = append(out.Heard, v.name(id))
		}
	}
	slices.Sort(out.Alive)
	slices.Sort(out.Heard)
	v.sign(w)
	writeJSON(w, http.StatusOK, out)
	return nil
}

// Image is an image held by this peer.
type Image struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	Layers    int    `json:"layers"`
}

func (s *Server) serveImages(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{})
	if err != nil {
		return err
	}
	images, err := s.backend.ListImages(r.Context())
	if err != nil {
		return runtimeStatus(err)
	}
	var list []Image
	for _, i := range images {
		list = append(list, Image{Reference: i.Reference, Digest: i.Digest, Layers: len(i.Layers)})
	}
	return answer(w, v, list)
}

func (s *Server) serveImport(w http.ResponseWriter, r *http.Request) error {
	image, err := s.backend.ImportImage(r.Context(), r.Body, r.URL.Query().Get("name"))
	if err != nil {
		return runtimeStatus(err)
	}
	v, err := s.look(r.Context(), needs{})
	if err != nil {
		return err
	}
	v.sign(w)
	writeJSON(w, http.StatusCreated, Image{Reference: image.Reference, Digest: image.Digest, Layers: len(image.Layers)})
	return nil
}

// Ticket is a ticket that was made, in the form that people paste.
type Ticket struct {
	Ticket  string    `json:"ticket"`
	Uses    int       `json:"uses"`
	Expires time.Time `json:"expires"`
}

// TicketRequest asks for a ticket.
type TicketRequest struct {
	Uses    int    `json:"uses"`    // 1 when zero
	Expires string `json:"expires"` // "1h" when empty
}

// LeaveRequest asks a peer to hand its work over and stop.
type LeaveRequest struct {
	Within string `json:"within"` // "5m" when empty
}

// decodeBody reads a small JSON body; an empty one is the zero request.
func decodeBody(r *http.Request, into any) error {
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	body, err := readBody(r)
	if err != nil || len(body) == 0 {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return badRequest("the body is not understood: %v", err)
	}
	return nil
}

// span reads a time like "10m".
func span(name, text string, fallback time.Duration) (time.Duration, error) {
	if text == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxWait {
		return 0, badRequest("%s %q is not a span: write it like \"10m\" or \"24h\", at most a year", name, text)
	}
	return d, nil
}

func (s *Server) serveTicket(w http.ResponseWriter, r *http.Request) error {
	asked := TicketRequest{Uses: 1}
	if err := decodeBody(r, &asked); err != nil {
		return err
	}
	if asked.Uses < 1 || asked.Uses > maxUses {
		return badRequest("uses must be from 1 to %d, not %d", maxUses, asked.Uses)
	}
	expires, err := span("expires", asked.Expires, time.Hour)
	if err != nil {
		return err
	}
	v, err := s.look(r.Context(), needs{})
	if err != nil {
		return err
	}
	ticket, err := s.backend.CreateTicket(r.Context(), asked.Uses, expires)
	if err != nil {
		return unavailable(err)
	}
	v.sign(w)
	writeJSON(w, http.StatusCreated, Ticket{Ticket: ticket.String(), Uses: asked.Uses, Expires: ticket.Expires})
	return nil
}

func (s *Server) serveLeave(w http.ResponseWriter, r *http.Request) error {
	var asked LeaveRequest
	if err := decodeBody(r, &asked); err != nil {
		return err
	}
	within, err := span("within", asked.Within, 5*time.Minute)
	if err != nil {
		return err
	}
	v, err := s.look(r.Context(), needs{})
	if err != nil {
		return err
	}
	if err := s.backend.Leave(r.Context(), within); err != nil {
		return unavailable(err)
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, success(http.StatusOK, nil))
	return nil
}
