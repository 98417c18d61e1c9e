package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

const (
	watchFor      = 30 * time.Minute
	bookmarkEach  = time.Minute
	watchCoalesce = 20 * time.Millisecond // changes within this time are sent together
)

// watcher is one open watch: it compares each reading with what it has sent.
type watcher struct {
	server  *Server
	request *http.Request
	res     *resource
	sel     selection
	table   bool
	writer  http.ResponseWriter
	sent    map[string]object // by nameOf, as sent last
	version uint64            // of the newest reading
}

func (s *Server) serveWatch(w http.ResponseWriter, r *http.Request, res *resource, sel selection) error {
	select {
	case s.watches <- struct{}{}:
		defer func() { <-s.watches }()
	default:
		return failure(http.StatusTooManyRequests, "TooManyRequests", "too many watches are open")
	}
	watch := &watcher{server: s, request: r, res: res, sel: sel, table: wantsTable(r), writer: w, sent: map[string]object{}}
	if err := watch.begin(); err != nil {
		return err
	}
	watch.follow(seconds(r, "timeoutSeconds", watchFor))
	return nil
}

// begin answers with what is there, or with what happened since the version that the client knows.
func (w *watcher) begin() error {
	query := w.request.URL.Query()
	since, initial := uint64(0), query.Get("sendInitialEvents") == "true"
	if text := query.Get("resourceVersion"); text != "" && text != "0" {
		var err error
		if since, err = strconv.ParseUint(text, 10, 64); err != nil {
			return badRequest("resourceVersion %q is not a number", text)
		}
	}
	objects, v, err := w.server.read(w.request, w.res, w.sel)
	if err != nil {
		return err
	}
	born, known := w.server.versions.since(w.res, since)
	if since > v.version || since != 0 && !initial && !known {
		return gone("resourceVersion %d is not of this peer, or too old", since)
	}
	w.version = v.version
	v.sign(w.writer)
	w.writer.Header().Set("Content-Type", "application/json;stream=watch")
	w.writer.WriteHeader(http.StatusOK)
	for _, o := range objects {
		w.sent[nameOf(o)] = o
		switch {
		case since == 0 || initial || versionOf(o) > since && born(o):
			w.send("ADDED", o)
		case versionOf(o) > since:
			w.send("MODIFIED", o)
		}
	}
	if initial {
		w.bookmark(true)
	}
	return w.flush()
}

// follow sends changes until the client goes, the time is up, or the peer stops.
func (w *watcher) follow(limit time.Duration) {
	end := time.NewTimer(limit)
	defer end.Stop()
	bookmarks := time.NewTicker(bookmarkEach)
	defer bookmarks.Stop()
	for {
		select {
		case <-w.request.Context().Done():
			return
		case <-end.C:
			return
		case <-bookmarks.C:
			w.bookmark(false)
		case <-w.server.backend.Changed(w.version):
			if !w.pause() || !w.advance() {
				return
			}
		}
		if w.flush() != nil {
			return
		}
	}
}

// pause waits for changes that come right after the first one; false when the client has gone.
func (w *watcher) pause() bool {
	timer := time.NewTimer(watchCoalesce)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.request.Context().Done():
		return false
	}
}

// advance reads again and sends what differs; false when the peer can no longer be read.
func (w *watcher) advance() bool {
	objects, v, err := w.server.read(w.request, w.res, w.sel)
	if err != nil {
		return false
	}
	w.version = v.version
	before := w.sent
	w.sent = make(map[string]object, len(objects))
	for _, o := range objects {
		name := nameOf(o)
		was, there := before[name]
		delete(before, name)
		w.sent[name] = o
		switch {
		case !there:
			w.send("ADDED", o)
		case dig(was, "metadata", "uid") != dig(o, "metadata", "uid"):
			w.send("DELETED", was)
			w.send("ADDED", o)
		case versionOf(was) != versionOf(o):
			w.send("MODIFIED", o)
		}
	}
	for _, name := range sortedNames(before) {
		setVersion(before[name], v.version)
		w.send("DELETED", before[name])
	}
	return true
}

// send writes one event; a client that is gone is noticed by flush.
func (w *watcher) send(kind string, o object) {
	var body any = o
	if w.table && kind != "BOOKMARK" {
		body = w.res.table([]object{o}, versionOf(o))
	}
	text, err := json.Marshal(object{"type": kind, "object": body})
	if err != nil {
		panic("api: an event that JSON cannot hold: " + err.Error())
	}
	w.deadline()
	w.writer.Write(append(text, '\n'))
}

// bookmark tells the client how far it is.
func (w *watcher) bookmark(initialEnd bool) {
	query := w.request.URL.Query()
	if !initialEnd && query.Get("allowWatchBookmarks") != "true" {
		return
	}
	meta := object{"resourceVersion": strconv.FormatUint(w.version, 10)}
	if initialEnd {
		meta["annotations"] = object{"k8s.io/initial-events-end": "true"}
	}
	w.send("BOOKMARK", object{"kind": w.res.kind, "apiVersion": w.res.apiVersion(), "metadata": meta})
}

// deadline ends a client that does not read. Writers that know no deadlines, as in tests, have none.
func (w *watcher) deadline() {
	_ = http.NewResponseController(w.writer).SetWriteDeadline(time.Now().Add(stuckAfter))
}

func (w *watcher) flush() error {
	return http.NewResponseController(w.writer).Flush()
}
