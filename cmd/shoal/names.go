package main

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

// namespaceFlags adds --namespace.
func (a *app) namespaceFlags(c *cobra.Command) {
	c.Flags().StringVarP(&a.namespace, "namespace", "n", "default", "namespace of what is named")
}

// resourceOf finds a resource by any of its names.
func resourceOf(name string) (api.Resource, error) {
	var known []string
	lower := strings.ToLower(name)
	for _, r := range api.Resources() {
		if lower == r.Plural || lower == r.Singular || slices.Contains(r.Short, lower) {
			return r, nil
		}
		known = append(known, r.Plural)
	}
	return api.Resource{}, fail(exitUsage, "there is no type %q: known types are %s", name, strings.Join(known, ", "))
}

// object names one object of a resource.
type objectName struct {
	api.Resource
	name string
}

func (o objectName) String() string {
	if o.Group == "" {
		return o.Singular + "/" + o.name
	}
	return o.Singular + "." + o.Group + "/" + o.name
}

// parseNames reads TYPE NAME… or TYPE/NAME….
func parseNames(args []string) ([]objectName, error) {
	var list []objectName
	if !strings.Contains(args[0], "/") {
		r, err := resourceOf(args[0])
		if err != nil && len(args) == 1 {
			return nil, notNamed(args[0])
		}
		if err != nil {
			return nil, err
		}
		if len(args) == 1 {
			return nil, fail(exitUsage, "name a %s", r.Singular)
		}
		for _, name := range args[1:] {
			list = append(list, objectName{r, name})
		}
		return list, nil
	}
	for _, arg := range args {
		kind, name, ok := strings.Cut(arg, "/")
		if !ok || name == "" {
			return nil, notNamed(arg)
		}
		r, err := resourceOf(kind)
		if err != nil {
			return nil, err
		}
		list = append(list, objectName{r, name})
	}
	return list, nil
}

func notNamed(arg string) error {
	return fail(exitUsage, "%q names no object: write TYPE/NAME, like deployment/%s", arg, map[bool]string{true: "web", false: arg}[strings.Contains(arg, "/")])
}

// parseWorkload reads WORKLOAD: TYPE/NAME, or the name alone where just one workload of the namespace bears it.
func (a *app) parseWorkload(ctx context.Context, text string) (objectName, error) {
	if strings.Contains(text, "/") {
		names, err := parseNames([]string{text})
		if err != nil {
			return objectName{}, err
		}
		return names[0], nil
	}
	var found []objectName
	for _, kind := range []string{"deployments", "daemonsets"} {
		r, _ := resourceOf(kind)
		if slices.Contains(a.namesOf(ctx, r), text) {
			found = append(found, objectName{r, text})
		}
	}
	switch len(found) {
	case 0:
		return objectName{}, fail(exitNotFound, "there is no workload %s in namespace %s", text, a.namespace)
	case 1:
		return found[0], nil
	}
	return objectName{}, fail(exitUsage, "several workloads are called %s: say which, like %s/%s", text, found[0].Singular, text)
}

// parseReplica reads REPLICA: NAME, pod/NAME or NAMESPACE/NAME.
func (a *app) parseReplica(text string) (namespace, name string) {
	first, rest, ok := strings.Cut(text, "/")
	switch {
	case !ok:
		return a.namespace, text
	case first == "pod" || first == "pods" || first == "po":
		return a.namespace, rest
	}
	return first, rest
}

// completeNames completes TYPE and then names of that type from what the peer has.
func (a *app) completeNames(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		var kinds []string
		for _, r := range api.Resources() {
			kinds = append(kinds, r.Plural)
		}
		return kinds, cobra.ShellCompDirectiveNoFileComp
	}
	r, err := resourceOf(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.namesOf(c.Context(), r), cobra.ShellCompDirectiveNoFileComp
}

// noReplica says what to name instead, where an error is that there is no replica of a name that a workload bears.
func (a *app) noReplica(ctx context.Context, text string, err error) error {
	if codeOf(err) != exitNotFound {
		return err
	}
	workload, wrong := a.parseWorkload(ctx, text)
	if wrong != nil {
		return err
	}
	pods, _ := resourceOf("pods")
	own := slices.DeleteFunc(a.namesOf(ctx, pods), func(name string) bool { return !strings.HasPrefix(name, workload.name+"-") })
	if len(own) == 0 {
		return err
	}
	return fail(exitNotFound, "%s is no replica: name one of its own, like %s", text, strings.Join(own[:min(len(own), 3)], ", "))
}

// completeReplicas completes the names of replicas.
func (a *app) completeReplicas(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	r, _ := resourceOf("pods")
	return a.namesOf(c.Context(), r), cobra.ShellCompDirectiveNoFileComp
}

// completePeers completes the names of peers.
func (a *app) completePeers(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	r, _ := resourceOf("nodes")
	return a.namesOf(c.Context(), r), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) namesOf(ctx context.Context, r api.Resource) []string {
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	if _, err := a.client().do(ctx, call{method: "GET", path: r.Path(a.namespace, ""), into: &list}); err != nil {
		return nil
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Metadata.Name)
	}
	return names
}

// query makes a path with a query out of pairs; empty values are left out.
func query(path string, pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}
