package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// object is one Kubernetes object, as JSON has it.
type object = map[string]any

// resource is one kind of object that the API serves.
type resource struct {
	group      string // "apps"; empty for the core group
	kind       string
	plural     string
	singular   string
	short      []string
	namespaced bool
	writable   bool // kept as intent; otherwise made from what peers observe
	verbs      []string
	needs      needs
	alone      bool                   // one object of it can be made of what belongs to it alone
	objects    func(v *view) []object // all, sorted by namespace and name
	fields     []string               // that a fieldSelector may name, besides metadata.name and metadata.namespace
	columns    []column
	row        func(o object) []any
}

// column is one column of a table. Priority 1 shows in wide tables only.
type column struct {
	name, kind string
	priority   int
}

func (r *resource) apiVersion() string {
	if r.group == "" {
		return "v1"
	}
	return r.group + "/v1"
}

// qualified is the resource's name as messages write it: "deployments.apps".
func (r *resource) qualified() string {
	if r.group == "" {
		return r.plural
	}
	return r.plural + "." + r.group
}

// all returns every resource. A function, because the resources' own functions lead back here.
func all() []*resource {
	return []*resource{deployments, daemonsets, pods, nodes, namespaces, budgets, priorities, events}
}

// Resource is what a client needs to know of a resource to ask for it.
type Resource struct {
	Group, Kind, Plural, Singular string
	Short                         []string
	Namespaced, Writable          bool
}

// Path is the resource's path at the API: of all objects when both arguments are empty, of those of
// one namespace, or of one object.
func (r Resource) Path(namespace, name string) string {
	path := "/api/v1"
	if r.Group != "" {
		path = "/apis/" + r.Group + "/v1"
	}
	if r.Namespaced && namespace != "" {
		path += "/namespaces/" + url.PathEscape(namespace)
	}
	path += "/" + r.Plural
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// Resources lists what can be read or written, in the order in which people look for it.
func Resources() []Resource {
	var list []Resource
	for _, r := range all() {
		list = append(list, Resource{r.group, r.kind, r.plural, r.singular, r.short, r.namespaced, r.writable})
	}
	return list
}

func writables() []*resource {
	var list []*resource
	for _, r := range all() {
		if r.writable {
			list = append(list, r)
		}
	}
	return list
}

// workloads are the kinds that run replicas.
var workloads = []string{"Deployment", "DaemonSet"}

// groups are those of Kubernetes beside the core group. The own group is left out: it has no objects that clients of Kubernetes could
// list.
var groups = []string{"apps", "policy", "scheduling.k8s.io"}

// find returns the resource of a group by its plural.
func find(group, plural string) *resource {
	for _, r := range all() {
		if r.group == group && r.plural == plural {
			return r
		}
	}
	return nil
}

func (s *Server) serveVersion(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{
		"major": "1", "minor": "32", "gitVersion": "v1.32.0+shoal", "shoal": s.info.Version, "platform": "linux"})
}

func (s *Server) serveVersions(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, object{"kind": "APIVersions", "versions": []string{"v1"},
		"serverAddressByClientCIDRs": []any{}})
}

func (s *Server) serveGroups(w http.ResponseWriter, r *http.Request) {
	list := []any{}
	for _, name := range groups {
		version := object{"groupVersion": name + "/v1", "version": "v1"}
		list = append(list, object{"name": name, "versions": []any{version}, "preferredVersion": version})
	}
	writeJSON(w, http.StatusOK, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": list})
}

// serveResources lists the resources of one group.
func serveResources(w http.ResponseWriter, group string) {
	list, groupVersion := []object{}, "v1"
	for _, r := range all() {
		if r.group != group {
			continue
		}
		groupVersion = r.apiVersion()
		list = append(list, object{"name": r.plural, "singularName": r.singular, "namespaced": r.namespaced,
			"kind": r.kind, "verbs": r.verbs, "shortNames": r.short, "categories": categories(r)})
	}
	switch group {
	case "apps":
		list = append(list,
			object{"name": "deployments/scale", "singularName": "", "namespaced": true, "group": "autoscaling", "version": "v1",
				"kind": "Scale", "verbs": []string{"get", "patch", "update"}},
			object{"name": "deployments/status", "singularName": "", "namespaced": true, "kind": "Deployment", "verbs": []string{"get"}},
			object{"name": "daemonsets/status", "singularName": "", "namespaced": true, "kind": "DaemonSet", "verbs": []string{"get"}})
	case "":
		list = append(list, object{"name": "pods/log", "singularName": "", "namespaced": true, "kind": "Pod", "verbs": []string{"get"}},
			object{"name": "pods/eviction", "singularName": "", "namespaced": true, "group": "policy", "version": "v1", "kind": "Eviction", "verbs": []string{"create"}})
	}
	writeJSON(w, http.StatusOK, object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": groupVersion, "resources": list})
}

func categories(r *resource) []string {
	if r == pods || r == deployments || r == daemonsets {
		return []string{"all"}
	}
	return nil
}

// serveOpenAPI and serveOpenAPIGroup say just enough for kubectl to learn that faults and dry runs are
// found here, so that it does not look for them itself.
func (s *Server) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	paths := object{}
	for _, path := range groupPaths() {
		paths[path] = object{"serverRelativeURL": "/openapi/v3/" + path}
	}
	writeJSON(w, http.StatusOK, object{"paths": paths})
}

func groupPaths() []string {
	paths := []string{"api/v1"}
	for _, name := range groups {
		paths = append(paths, "apis/"+name+"/v1")
	}
	return paths
}

func (s *Server) serveOpenAPIGroup(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(groupPaths(), r.PathValue("path")) {
		writeError(w, notFound("no such group"))
		return
	}
	name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(r.PathValue("path"), "api/v1"), "apis/"), "/v1")
	paths := object{}
	for _, res := range writables() {
		if res.group != name {
			continue
		}
		path := "/" + r.PathValue("path") + "/" + res.plural + "/{name}"
		if res.namespaced {
			path = "/" + r.PathValue("path") + "/namespaces/{namespace}/" + res.plural + "/{name}"
		}
		paths[path] = object{"patch": object{
			"parameters":                      []any{object{"name": "dryRun", "in": "query"}, object{"name": "fieldValidation", "in": "query"}},
			"responses":                       object{},
			"x-kubernetes-action":             "patch",
			"x-kubernetes-group-version-kind": object{"group": res.group, "version": "v1", "kind": res.kind},
		}}
	}
	writeJSON(w, http.StatusOK, object{"openapi": "3.0.0", "info": object{"title": "Shoal", "version": s.info.Version}, "paths": paths})
}
