package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/peer/manifest"
)

// serveDelete deletes one object. A namespace goes with all that is in it.
func (s *Server) serveDelete(w http.ResponseWriter, r *http.Request, t target) error {
	if t.name == "" {
		return notAllowed("name the object to delete")
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var options struct {
		DryRun        []string                              `json:"dryRun"`
		Preconditions struct{ UID, ResourceVersion string } `json:"preconditions"`
	}
	if len(body) > 0 && json.Unmarshal(body, &options) != nil {
		return badRequest("the body is not DeleteOptions")
	}
	if t.resource == pods {
		return s.restartPod(w, r, t)
	}
	if !t.writable {
		return notAllowed("%s cannot be deleted: they are what peers observe", t.plural)
	}
	if t.resource == namespaces && t.name == manifest.DefaultNamespace {
		return failure(http.StatusForbidden, "Forbidden", "the namespace default always exists")
	}
	held, err := s.readOne(r.Context(), t.resource, t.key())
	if err != nil {
		return err
	}
	tree, v := held.form(), held.view
	if tree == nil {
		return t.missing(t.name)
	}
	uid := fmt.Sprint(dig(tree, "metadata", "uid"))
	if p := options.Preconditions; p.UID != "" && p.UID != uid || p.ResourceVersion != "" && p.ResourceVersion != dig(tree, "metadata", "resourceVersion") {
		return conflict(fmt.Sprintf("%s %q is not the one that was to be deleted", t.qualified(), t.name))
	}
	if !isDryRun(r) && len(options.DryRun) == 0 {
		if err := s.deleteAll(r.Context(), t); err != nil {
			return err
		}
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, success(http.StatusOK, &Details{Name: t.name, Group: t.group, Kind: t.plural, UID: uid}))
	return nil
}

// deleteAll deletes an object after what is in it.
func (s *Server) deleteAll(ctx context.Context, t target) error {
	if t.resource == namespaces {
		v, err := s.look(ctx, deployments.needs)
		if err != nil {
			return err
		}
		for _, o := range v.objects["Deployment"] {
			if o.Key.Namespace != t.name {
				continue
			}
			if err := s.deleteOne(ctx, deployments, o.Key); err != nil {
				return err
			}
		}
	}
	return s.deleteOne(ctx, t.resource, t.key())
}

// deleteOne deletes one object; one that is gone already is no error.
func (s *Server) deleteOne(ctx context.Context, res *resource, key crdt.Key) error {
	for range maxRetries {
		held, err := s.readOne(ctx, res, key)
		if err != nil || !held.current.Live {
			return err
		}
		_, err = s.backend.Write(ctx, control.Write{Key: key, Verb: crdt.Delete, Seen: held.current.Seen, User: User(ctx)})
		if err == nil {
			return nil
		}
		if !errors.Is(err, control.ErrStale) {
			return res.writeStatus(key.Name, err)
		}
	}
	return res.writeStatus(key.Name, control.ErrStale)
}

// restartPod marks one replica to be replaced: a new one is started, and the old one goes when that is ready.
func (s *Server) restartPod(w http.ResponseWriter, r *http.Request, t target) error {
	v, err := s.look(r.Context(), pods.needs)
	if err != nil {
		return err
	}
	replica, ok := workloadOf(v, t.namespace, t.name)
	if !ok {
		return t.missing(t.name)
	}
	if !isDryRun(r) && replica.Wanted {
		mark, _ := json.Marshal(time.Now().UTC().Format(time.RFC3339Nano))
		c := change{key: replica.Workload, manager: "shoal-restart", compute: func(held *reading) ([]crdt.Change, error) {
			if !held.exists() {
				return nil, t.missing(t.name)
			}
			return []crdt.Change{{Path: restartPath(replica.Ordinal), Value: mark}}, nil
		}}
		if _, _, err := s.change(r.Context(), deployments, c); err != nil {
			return err
		}
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, success(http.StatusOK, &Details{Name: t.name, Kind: t.plural, UID: podUID(replica, newest(replica))}))
	return nil
}
