package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer"
	"shoal/peer/control"
	"shoal/peer/manifest"
	"shoal/placement"
)

// Limits of the server.
const (
	maxBody    = 4 << 20
	maxWatches = 256
	maxRetries = 16 // of a change whose object keeps changing
	stuckAfter = time.Minute
)

// Headers that say whose view an answer is.
const (
	HeaderPeer    = "X-Shoal-Peer"     // the peer's name
	HeaderMembers = "X-Shoal-Members"  // "4/5": alive, of those known
	HeaderViewAge = "X-Shoal-View-Age" // milliseconds: how old the oldest row of a living peer is
)

// HeaderResult says what a write did: "created", "configured" or "unchanged".
const HeaderResult = "X-Shoal-Result"

// HeaderTiming says how long the peer took until a write was signed and on disk, in milliseconds: "write;dur=1.4"
// (W3C Server Timing).
const HeaderTiming = "Server-Timing"

// Info is what the server says of itself.
type Info struct {
	Version string // of the program
	Self    crdt.PeerID
}

// Server serves the API of one peer. It is an http.Handler.
type Server struct {
	backend  peer.Backend
	info     Info
	versions *versions
	watches  chan struct{} // one entry per open watch
	evicts   chan struct{} // holds one entry while a replica is being evicted
	routes   *http.ServeMux
}

// New returns a server of what backend gives.
func New(backend peer.Backend, info Info) *Server {
	s := &Server{backend: backend, info: info, versions: newVersions(), watches: make(chan struct{}, maxWatches),
		evicts: make(chan struct{}, 1)}
	s.routes = http.NewServeMux()
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		s.routes.HandleFunc("GET "+path, s.healthy)
	}
	s.routes.HandleFunc("GET /version", s.serveVersion)
	s.routes.HandleFunc("GET /api", s.serveVersions)
	s.routes.HandleFunc("GET /apis", s.serveGroups)
	s.routes.HandleFunc("GET /openapi/v3", s.serveOpenAPI)
	s.routes.HandleFunc("GET /openapi/v3/{path...}", s.serveOpenAPIGroup)
	s.routes.HandleFunc("/api/v1/", s.serveResource)
	s.routes.HandleFunc("/api/v1", s.serveResource)
	for _, group := range groups {
		s.routes.HandleFunc("/apis/"+group, s.serveResource)
		s.routes.HandleFunc("/apis/"+group+"/", s.serveResource)
	}
	s.own(s.routes)
	s.instances(s.routes)
	s.routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, notFound("there is nothing at "+r.URL.Path))
	})
	return s
}

// ServeHTTP serves callers on this machine.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.routes.ServeHTTP(w, r) }

// Remote serves the part of the API that other peers may use, for their users.
func Remote(backend peer.Backend, info Info) http.Handler {
	s := &Server{backend: backend, info: info}
	routes := http.NewServeMux()
	s.instances(routes)
	return routes
}

func (s *Server) healthy(w http.ResponseWriter, r *http.Request) {
	if _, err := s.look(r.Context(), needs{}); err != nil {
		writeError(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// needs says what of the peer's state a request looks at.
type needs struct {
	objects   bool
	replicas  bool
	notes     bool
	summary   bool      // digests and sums
	conflicts bool      // what is in conflict
	floor     bool      // how far forgetting is
	skews     bool      // of the members'  clocks
	key       *crdt.Key // this object, live or not; of objects and replicas then only what belongs to it
	why       string    // what the view says of this replica
	heals     bool      // the receipts of reunions
	budgets   bool      // how they stand
}

// view is one reading of the peer's state.
type view struct {
	version  uint64
	self     crdt.PeerID
	members  []control.MemberView
	names    map[crdt.PeerID]string
	objects  map[string][]crdt.Object // by kind
	invalid  map[crdt.Key][]string
	replicas []control.ReplicaView
	notes    []control.Note

	intent, plan   [32]byte
	digest         control.ViewDigest
	admitted, room placement.Resources

	current crdt.Object // of needs.key
	home    bool        // whether its namespace exists
	ops     []crdt.OpID // what it is made of

	conflicted []control.Conflicted
	aside      []control.AsideEntry
	floor      control.FloorStatus
	skews      control.SkewReport
	explained  control.Explained // of needs.why
	heals      []control.Heal
	budgets    map[crdt.Key]control.BudgetView
}

// look reads the peer's state once.
func (s *Server) look(ctx context.Context, n needs) (*view, error) {
	v := &view{self: s.info.Self, objects: map[string][]crdt.Object{}, invalid: map[crdt.Key][]string{}}
	err := s.backend.Read(ctx, func(m *control.Machine) {
		v.version, v.members = m.Version(), m.Members()
		if n.objects {
			v.readObjects(m, n.key)
		}
		switch {
		case n.replicas && n.key != nil:
			v.replicas = m.ReplicasOf(*n.key)
		case n.replicas:
			v.replicas = m.Replicas()
		}
		if n.notes {
			v.notes = slices.DeleteFunc(m.Notes(), func(n control.Note) bool { return n.Object != (crdt.Key{}) && !users(n.Object) })
		}
		if n.summary {
			v.intent, v.plan = m.Digests()
			v.digest = m.ViewDigest()
			v.admitted, v.room = m.Admitted()
		}
		if n.key != nil {
			v.current, _ = m.Object(*n.key)
			v.ops = m.OpsOf(*n.key)
			namespace, _ := m.Object(crdt.Key{Kind: "Namespace", Name: n.key.Namespace})
			v.home = namespace.Live || n.key.Namespace == manifest.DefaultNamespace
		}
		if n.conflicts {
			v.conflicted = m.Conflicts()
		}
		if n.floor {
			v.floor = m.FloorStatus()
		}
		if n.heals {
			v.heals = m.Heals()
		}
		if n.budgets {
			v.budgets = m.Budgets()
		}
		if n.skews {
			v.skews = m.Skews()
		}
		v.aside = m.Aside()
		if n.why != "" {
			v.explained, _ = m.Explain(placement.ReplicaID(n.why))
		}
	})
	if err != nil {
		return nil, unavailable(err)
	}
	v.names = memberNames(v.members)
	return v, nil
}

// readObjects reads all live objects, or only the one of that key.
func (v *view) readObjects(m *control.Machine, only *crdt.Key) {
	if only != nil {
		if o, known := m.Object(*only); known && o.Live {
			v.objects[only.Kind] = []crdt.Object{o}
		}
	} else {
		for _, r := range writables() {
			v.objects[r.kind] = m.Objects(r.kind, "")
		}
	}
	for _, list := range v.objects {
		for _, o := range list {
			if faults := m.Invalid(o.Key); faults != nil {
				v.invalid[o.Key] = faults
			}
		}
	}
}

// memberNames are the names of all members. They are unique: where two peers carry one name, the second
// by ID has the start of its ID added.
func memberNames(members []control.MemberView) map[crdt.PeerID]string {
	names, taken := map[crdt.PeerID]string{}, map[string]bool{}
	for _, m := range members {
		name := m.Name
		if name == "" || taken[name] {
			name = strings.Trim(name+"-"+short(crdt.PeerID(m.ID)), "-")
		}
		taken[name] = true
		names[crdt.PeerID(m.ID)] = name
	}
	return names
}

func short(id crdt.PeerID) string { return string(id[:min(8, len(id))]) }

// name is how people know a peer.
func (v *view) name(id crdt.PeerID) string {
	if id == "" {
		return ""
	}
	if name, ok := v.names[id]; ok {
		return name
	}
	return short(id)
}

// sign says in the headers whose view an answer is, and how old.
func (v *view) sign(w http.ResponseWriter) {
	alive, oldest := 0, time.Duration(0)
	for _, m := range v.members {
		if m.State != gossip.Alive {
			continue
		}
		alive++
		if crdt.PeerID(m.ID) != v.self {
			oldest = max(oldest, m.RowAge)
		}
	}
	w.Header().Set(HeaderPeer, v.name(v.self))
	w.Header().Set(HeaderMembers, fmt.Sprintf("%d/%d", alive, len(v.members)))
	w.Header().Set(HeaderViewAge, strconv.FormatInt(oldest.Milliseconds(), 10))
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic("api: an answer that JSON cannot hold: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(text, '\n'))
}

// writeError answers with a Status object.
func writeError(w http.ResponseWriter, err error) {
	var status *Status
	if !errors.As(err, &status) {
		status = internal(err)
	}
	writeJSON(w, status.Code, status)
}
