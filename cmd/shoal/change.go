package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
	"shoal/peer/manifest"
)

func newDelete(a *app) *cobra.Command {
	var files []string
	var flags deleteFlags
	c := &cobra.Command{
		Use:   "delete TYPE NAME… | TYPE/NAME… | -f FILE",
		Short: "Delete objects; replace replicas",
		Long: `Delete objects; replace replicas.

Deleting a pod replaces that one replica: the new one is started first, and the old one goes when the new one is ready.
Deleting a namespace deletes all that is in it.`,
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			if (len(files) > 0) == (len(args) > 0) {
				return fail(exitUsage, "name what to delete, or a manifest with -f\nsee %s --help", c.CommandPath())
			}
			if len(files) > 0 {
				return a.deleteFiles(c, files, flags)
			}
			names, err := parseNames(args)
			for _, n := range names {
				err = errors.Join(err, a.delete(c.Context(), n, a.namespace, flags))
			}
			return err
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringSliceVarP(&files, "filename", "f", nil, "what this file, directory, or - for standard input describes")
	c.Flags().BoolVar(&flags.ignoreMissing, "ignore-not-found", false, "it is no error when there is no such object")
	flags.acks.addWithin(c, &flags.within)
	return c
}

// deleteFlags are how to delete.
type deleteFlags struct {
	ignoreMissing bool
	acks          ackFlags
	within        time.Duration
}

// deleteFiles deletes what manifests describe, what is in a namespace before the namespace.
func (a *app) deleteFiles(c *cobra.Command, files []string, flags deleteFlags) error {
	documents, err := a.readManifests(c, files)
	if err != nil {
		return err
	}
	for i := len(documents) - 1; i >= 0; i-- {
		o, wrong := documentName(documents[i])
		if wrong == nil {
			wrong = a.delete(c.Context(), o, documents[i].Key.Namespace, flags)
		}
		err = errors.Join(err, wrong)
	}
	return err
}

func (a *app) delete(ctx context.Context, o objectName, namespace string, flags deleteFlags) error {
	path := query(o.Path(namespace, o.name), append(flags.acks.query(flags.within), "fieldManager", deleteManager)...)
	header, err := a.client().do(ctx, call{method: "DELETE", path: path})
	if flags.ignoreMissing && codeOf(err) == exitNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	word := "deleted"
	if o.Kind == "Pod" {
		word = "is being replaced"
	}
	fmt.Fprintf(a.stdout, "%s %s\n", o, word)
	return flags.acks.check(header, o, flags.within)
}

func newScale(a *app) *cobra.Command {
	replicas := -1
	var wait waitFlags
	var acks ackFlags
	c := &cobra.Command{
		Use:               "scale TYPE/NAME --replicas N",
		Short:             "Change how many replicas a workload has",
		Example:           "  shoal scale deployment/web --replicas 8",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			names, err := parseNames(args)
			if err != nil {
				return err
			}
			if replicas < 0 || replicas > manifest.MaxReplicas {
				return fail(exitUsage, "give --replicas, from 0 to %d", manifest.MaxReplicas)
			}
			return a.scale(c, names, replicas, wait, acks)
		},
	}
	a.namespaceFlags(c)
	c.Flags().IntVar(&replicas, "replicas", -1, "the new number")
	acks.add(c)
	wait.add(c)
	return c
}

func (a *app) scale(c *cobra.Command, names []objectName, replicas int, wait waitFlags, acks ackFlags) error {
	body := []byte(fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
	for _, o := range names {
		if o.Kind != "Deployment" {
			return fail(exitUsage, "a %s has no replicas: scale a deployment", o.Singular)
		}
		path := query(o.Path(a.namespace, o.name)+"/scale", append(acks.query(wait.timeout), "fieldManager", scaleManager)...)
		header, err := a.client().do(c.Context(), call{method: "PATCH", path: path, kind: "application/merge-patch+json", body: body})
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s scaled to %d\n", o, replicas)
		if err := acks.check(header, o, wait.timeout); err != nil {
			return err
		}
	}
	return a.awaitAll(c, names, wait)
}

func (a *app) awaitAll(c *cobra.Command, names []objectName, wait waitFlags) error {
	if !wait.wanted(a, c) {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), wait.timeout)
	defer cancel()
	for _, o := range names {
		if err := a.await(ctx, o, a.namespace, wait.timeout); err != nil {
			return err
		}
	}
	return nil
}

func newSet(a *app) *cobra.Command {
	c := &cobra.Command{Use: "set", Short: "Change one thing about a workload", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(newSetEnv(a), newSetImage(a))
	return c
}

func newSetEnv(a *app) *cobra.Command {
	var containers []string
	var flags setFlags
	c := &cobra.Command{
		Use:   "env TYPE/NAME NAME=VALUE… NAME-…",
		Short: "Set environment variables, or remove them with a '-' behind the name",
		Example: `  shoal set env deployment/web COLOUR=blue
  shoal set env deployment/web COLOUR-`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			env, err := parseEnv(args[1:])
			if err != nil {
				return err
			}
			return a.set(c, args[0], containers, flags, func(string) map[string]any { return map[string]any{"env": env} })
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringSliceVarP(&containers, "container", "c", nil, "only in these containers (default all)")
	flags.add(c)
	return c
}

// setFlags are what the commands that set something wait for.
type setFlags struct {
	wait waitFlags
	acks ackFlags
}

func (f *setFlags) add(c *cobra.Command) {
	f.acks.add(c)
	f.wait.add(c)
}

// parseEnv reads NAME=VALUE and NAME- into entries of a strategic merge patch.
func parseEnv(args []string) ([]any, error) {
	var env []any
	for _, arg := range args {
		if name, value, ok := strings.Cut(arg, "="); ok && name != "" {
			env = append(env, map[string]any{"name": name, "value": value})
		} else if name, ok := strings.CutSuffix(arg, "-"); ok && name != "" {
			env = append(env, map[string]any{"name": name, "$patch": "delete"})
		} else {
			return nil, fail(exitUsage, "%q is neither NAME=VALUE nor NAME-", arg)
		}
	}
	return env, nil
}

func newSetImage(a *app) *cobra.Command {
	var flags setFlags
	c := &cobra.Command{
		Use:     "image TYPE/NAME CONTAINER=IMAGE…",
		Short:   "Change the images of containers",
		Example: "  shoal set image deployment/web web=shoal.example/web:2",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			images := map[string]string{}
			for _, arg := range args[1:] {
				name, image, ok := strings.Cut(arg, "=")
				if !ok || name == "" || image == "" {
					return fail(exitUsage, "%q is not CONTAINER=IMAGE", arg)
				}
				images[name] = image
			}
			return a.set(c, args[0], slices.Sorted(maps.Keys(images)), flags, func(container string) map[string]any {
				return map[string]any{"image": images[container]}
			})
		},
	}
	a.namespaceFlags(c)
	flags.add(c)
	return c
}

// set patches containers of a workload with what patch returns for each: those named, which must all
// exist, or all where none is named.
func (a *app) set(c *cobra.Command, target string, only []string, flags setFlags, patch func(container string) map[string]any) error {
	names, err := parseNames([]string{target})
	if err != nil {
		return err
	}
	o := names[0]
	if o.Kind != "Deployment" && o.Kind != "DaemonSet" {
		return fail(exitUsage, "a %s has no containers to set: name a deployment or a daemonset", o.Singular)
	}
	containers, err := a.containersOf(c.Context(), o)
	if err != nil {
		return err
	}
	for _, name := range only {
		if !slices.Contains(containers, name) {
			return fail(exitNotFound, "%s has no container %q: it has %s", o, name, strings.Join(containers, ", "))
		}
	}
	if len(only) == 0 {
		only = containers
	}
	list := []any{}
	for _, name := range only {
		fields := patch(name)
		fields["name"] = name
		list = append(list, fields)
	}
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": list}}}})
	if err != nil {
		return err
	}
	path := query(o.Path(a.namespace, o.name), append(flags.acks.query(flags.wait.timeout), "fieldManager", setManager)...)
	header, err := a.client().do(c.Context(), call{method: "PATCH", path: path, kind: "application/strategic-merge-patch+json", body: body})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s %s\n", o, header.Get(api.HeaderResult))
	if err := flags.acks.check(header, o, flags.wait.timeout); err != nil {
		return err
	}
	return a.awaitAll(c, names, flags.wait)
}

func (a *app) containersOf(ctx context.Context, o objectName) ([]string, error) {
	var d struct {
		Spec struct {
			Template struct {
				Spec struct{ Containers []struct{ Name string } }
			}
		}
	}
	if _, err := a.client().do(ctx, call{method: "GET", path: o.Path(a.namespace, o.name), into: &d}); err != nil {
		return nil, err
	}
	var names []string
	for _, c := range d.Spec.Template.Spec.Containers {
		names = append(names, c.Name)
	}
	return names, nil
}
