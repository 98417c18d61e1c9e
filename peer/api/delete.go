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
	held, err := s.deletable(r.Context(), t)
	if err != nil {
		return err
	}
	tree, v := held.form(), held.view
	uid := fmt.Sprint(dig(tree, "metadata", "uid"))
	if p := options.Preconditions; p.UID != "" && p.UID != uid || p.ResourceVersion != "" && p.ResourceVersion != dig(tree, "metadata", "resourceVersion") {
		return conflict(fmt.Sprintf("%s %q is not the one that was to be deleted", t.qualified(), t.name))
	}
	acks, err := parseAcks(r)
	if err != nil {
		return err
	}
	if !isDryRun(r) && len(options.DryRun) == 0 {
		ops, err := s.deleteAll(r.Context(), t, change{manager: fieldManager(r), acks: acks.peers})
		if err == nil {
			err = s.await(r.Context(), w, v, acks, ops)
		}
		if err != nil {
			return err
		}
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, success(http.StatusOK, &Details{Name: t.name, Group: t.group, Kind: t.plural, UID: uid}))
	return nil
}

// deletable reads an object that can be deleted.
func (s *Server) deletable(ctx context.Context, t target) (*reading, error) {
	if !t.writable {
		return nil, notAllowed("%s cannot be deleted: they are what peers observe", t.plural)
	}
	if t.resource == namespaces && t.name == manifest.DefaultNamespace {
		return nil, failure(http.StatusForbidden, "Forbidden", "the namespace default always exists")
	}
	held, err := s.readOne(ctx, t.resource, t.key())
	if err != nil {
		return nil, err
	}
	if held.form() == nil {
		return nil, t.missing(t.name)
	}
	if !held.current.Live && t.resource != namespaces {
		return nil, failure(http.StatusForbidden, "Forbidden", fmt.Sprintf("nobody wrote %s %s: there is nothing to delete%s", t.singular, t.name,
			map[bool]string{true: "; to remove the peer, run 'shoal leave' on it"}[t.resource == nodes]))
	}
	return held, nil
}

// deleteAll deletes an object after what is in it, and returns what it wrote.
func (s *Server) deleteAll(ctx context.Context, t target, c change) ([]crdt.OpID, error) {
	var ops []crdt.OpID
	if t.resource == namespaces {
		v, err := s.look(ctx, needs{objects: true})
		if err != nil {
			return nil, err
		}
		for _, res := range writables() {
			for _, o := range v.objects[res.kind] {
				if o.Key.Namespace != t.name {
					continue
				}
				op, err := s.deleteOne(ctx, res, o.Key, c)
				if err != nil {
					return nil, err
				}
				ops = append(ops, op...)
			}
		}
	}
	op, err := s.deleteOne(ctx, t.resource, t.key(), c)
	return append(ops, op...), err
}

// deleteOne deletes one object; one that is gone already is no error.
func (s *Server) deleteOne(ctx context.Context, res *resource, key crdt.Key, c change) ([]crdt.OpID, error) {
	c.key = key
	for range maxRetries {
		held, err := s.readOne(ctx, res, key)
		if err != nil || !held.current.Live {
			return nil, err
		}
		done, err := held.write(ctx, c, crdt.Delete, nil)
		if !errors.Is(err, control.ErrStale) {
			return done.ops, err
		}
	}
	return nil, res.writeStatus(key.Name, control.ErrStale)
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
		if err := s.markReplica(w, r, replica); err != nil {
			return err
		}
	}
	v.sign(w)
	writeJSON(w, http.StatusOK, success(http.StatusOK, &Details{Name: t.name, Kind: t.plural, UID: podUID(replica, newest(replica))}))
	return nil
}

// markReplica writes the mark by which one replica gets a revision of its own.
func (s *Server) markReplica(w http.ResponseWriter, r *http.Request, replica control.ReplicaView) error {
	mark, _ := json.Marshal(time.Now().UTC().Format(time.RFC3339Nano))
	acks, err := parseAcks(r)
	if err != nil {
		return err
	}
	res := workloadResource(replica.Workload.Kind)
	if res == nil {
		return notAllowed("%s belongs to no workload that could replace it", podName(replica))
	}
	c := change{key: replica.Workload, manager: "shoal-restart", acks: acks.peers, compute: func(held *reading) ([]crdt.Change, error) {
		if !held.exists() {
			return nil, res.missing(replica.Workload.Name)
		}
		return []crdt.Change{{Path: restartPath(replica), Value: mark}}, nil
	}}
	done, after, err := s.change(r.Context(), res, c)
	if err != nil {
		return err
	}
	return s.await(r.Context(), w, after, acks, done.ops)
}

// workloadResource is the resource of a kind that runs replicas; nil for others.
func workloadResource(kind string) *resource {
	for _, res := range []*resource{deployments, daemonsets} {
		if res.kind == kind {
			return res
		}
	}
	return nil
}
