package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
	"shoal/peer/manifest"
)

// Names under which fields that shoal writes are owned. A later apply leaves what scale and set wrote, unless
// the manifest says something else about it.
const (
	applyManager    = "shoal"
	scaleManager    = "shoal-scale"
	setManager      = "shoal-set"
	rollbackManager = "shoal-rollback"
	resolveManager  = "shoal-resolve"
	deleteManager   = "shoal-delete"
)

// waitFlags are those of commands that can wait until what they asked for runs.
type waitFlags struct {
	wait    bool
	timeout time.Duration
}

func (f *waitFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.wait, "wait", false, "wait until all replicas are ready (default on a terminal)")
	c.Flags().DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long to wait")
}

// wanted says whether to wait: as asked for, else when a person looks on.
func (f *waitFlags) wanted(a *app, c *cobra.Command) bool {
	if c.Flags().Changed("wait") {
		return f.wait
	}
	return a.onTerminal()
}

func newApply(a *app) *cobra.Command {
	var files []string
	var flags applyFlags
	var plan bool
	c := &cobra.Command{
		Use:   "apply -f FILE|DIRECTORY|-",
		Short: "Make what manifests describe so",
		Long: `Make what manifests describe so.

Fields that you applied earlier and that the manifest no longer has are removed; fields that others set stay. A field to which
another user or command gave another value is not taken over unless with --force-conflicts: 'shoal scale' counts as another.
All manifests are checked before anything is sent. On a terminal apply waits until all replicas are ready.`,
		Example: `  shoal apply -f web.yaml
  shoal apply -f manifests/ --wait --timeout 5m
  shoal apply -f web.yaml --acks 2
  shoal apply -f web.yaml --plan
  cat web.yaml | shoal apply -f - --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			documents, err := a.readManifests(c, files)
			if err != nil {
				return err
			}
			if plan {
				return a.plan(c, documents, flags.force, "table")
			}
			return a.apply(c, documents, flags)
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringSliceVarP(&files, "filename", "f", nil, "file, directory, or - for standard input")
	c.Flags().BoolVar(&flags.dryRun, "dry-run", false, "let the peer check, say what would change, and change nothing")
	c.Flags().BoolVar(&plan, "plan", false, "show what would start, move and stop, and change nothing: 'shoal plan'")
	c.Flags().BoolVar(&flags.force, "force-conflicts", false, "take fields over to which others gave another value")
	flags.acks.add(c)
	flags.wait.add(c)
	return c
}

// applyFlags are how to apply.
type applyFlags struct {
	dryRun, force bool
	acks          ackFlags
	wait          waitFlags
}

// readManifests decodes all that -f names, and finds all faults at once. A namespace comes before what is in it.
func (a *app) readManifests(c *cobra.Command, names []string) ([]manifest.Document, error) {
	if len(names) == 0 {
		return nil, fail(exitUsage, "name a manifest with -f\nsee %s --help", c.CommandPath())
	}
	var all []manifest.Document
	var faults manifest.Faults
	for _, name := range names {
		files, err := manifestFiles(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := a.readFile(file)
			if err != nil {
				return nil, err
			}
			documents, err := manifest.Decode(file, text)
			var wrong manifest.Faults
			if errors.As(err, &wrong) {
				faults = append(faults, wrong...)
			}
			all = append(all, documents...)
		}
	}
	if len(faults) > 0 {
		return nil, fail(exitInvalid, "the manifest is not valid; nothing was changed:\n%w", faults)
	}
	for i := range all {
		if err := a.place(&all[i], c.Flags().Changed("namespace")); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(x, y manifest.Document) int {
		return order(x) - order(y)
	})
	return all, nil
}

func order(d manifest.Document) int {
	if d.Key.Kind == "Namespace" {
		return 0
	}
	return 1
}

// place puts a document that names no namespace into that of --namespace.
func (a *app) place(d *manifest.Document, asked bool) error {
	if d.Key.Namespace == "" {
		return nil
	}
	meta := d.Tree["metadata"].(map[string]any)
	given, _ := meta["namespace"].(string)
	if given != "" && asked && given != a.namespace {
		return fail(exitInvalid, "%s is in namespace %q, and --namespace says %q", d.Key, given, a.namespace)
	}
	if given == "" {
		d.Key.Namespace = a.namespace
	}
	return nil
}

// manifestFiles are the files that one -f names.
func manifestFiles(name string) ([]string, error) {
	info, err := os.Stat(name)
	if name == "-" || err == nil && !info.IsDir() {
		return []string{name}, nil
	}
	if err != nil {
		return nil, fail(exitInvalid, "cannot read the manifest: %w", err)
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fail(exitInvalid, "cannot read the manifests: %w", err)
	}
	var files []string
	for _, e := range entries {
		if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) && !e.IsDir() {
			files = append(files, filepath.Join(name, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fail(exitInvalid, "no .yaml, .yml or .json file is in %s", name)
	}
	return files, nil
}

func (a *app) readFile(name string) ([]byte, error) {
	reader := a.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fail(exitInvalid, "cannot read the manifest: %w", err)
		}
		defer file.Close()
		reader = file
	}
	text, err := io.ReadAll(io.LimitReader(reader, manifest.MaxBytes+1))
	if err != nil {
		return nil, fail(exitInvalid, "cannot read the manifest %s: %w", name, err)
	}
	return text, nil
}

func (a *app) apply(c *cobra.Command, documents []manifest.Document, flags applyFlags) error {
	var applied []objectName
	var missing error
	for _, d := range documents {
		o, err := documentName(d)
		if err != nil {
			return err
		}
		err = a.applyOne(c.Context(), o, d, flags)
		if codeOf(err) == exitNoAcks {
			missing, err = errors.Join(missing, err), nil // the others are to be written all the same
		}
		if err != nil {
			return errors.Join(err, missing)
		}
		applied = append(applied, o)
	}
	if missing != nil || flags.dryRun || !flags.wait.wanted(a, c) {
		return missing
	}
	ctx, cancel := context.WithTimeout(c.Context(), flags.wait.timeout)
	defer cancel()
	for i, o := range applied {
		if err := a.await(ctx, o, documents[i].Key.Namespace, flags.wait.timeout); err != nil {
			return err
		}
	}
	return nil
}

func documentName(d manifest.Document) (objectName, error) {
	r, err := resourceOf(d.Key.Kind)
	return objectName{r, d.Key.Name}, err
}

func (a *app) applyOne(ctx context.Context, o objectName, d manifest.Document, flags applyFlags) error {
	if flags.dryRun {
		changes, header, err := a.preview(ctx, o, d, flags.force)
		if err != nil {
			return err
		}
		a.warn(header)
		fmt.Fprintf(a.stdout, "%s %s (dry run)\n", o, header.Get(api.HeaderResult))
		printChanges(a.stdout, changes)
		return nil
	}
	header, err := a.send(ctx, o, d, flags, nil)
	if err != nil {
		return err
	}
	a.warn(header)
	fmt.Fprintf(a.stdout, "%s %s\n", o, header.Get(api.HeaderResult))
	return flags.acks.check(header, o, flags.wait.timeout)
}

// send applies one document.
func (a *app) send(ctx context.Context, o objectName, d manifest.Document, flags applyFlags, into any) (http.Header, error) {
	body, err := json.Marshal(d.Tree)
	if err != nil {
		return nil, err
	}
	pairs := append(flags.acks.query(flags.wait.timeout), "fieldManager", applyManager)
	if flags.force {
		pairs = append(pairs, "force", "true")
	}
	if flags.dryRun {
		pairs = append(pairs, "dryRun", "All")
	}
	path := query(o.Path(d.Key.Namespace, o.name), pairs...)
	return a.client().do(ctx, call{method: "PATCH", path: path, kind: "application/apply-patch+yaml", body: body, into: into})
}

// deploymentState is what waiting looks at.
type deploymentState struct {
	Metadata struct{ ResourceVersion string }
	Spec     struct{ Replicas *int }
	Status   struct {
		Conditions []struct{ Type, Status, Reason, Message string }
	}
}

// progress says what a workload still waits for; empty when all its replicas are ready in their newest form.
func (d deploymentState) progress() string {
	for _, c := range d.Status.Conditions {
		if c.Type == "Progressing" && c.Reason != "NewReplicaSetAvailable" {
			return c.Message
		}
	}
	return ""
}

// notReady says what of an object has no place, why, and with which one change it would.
func (a *app) notReady(ctx context.Context, o objectName, namespace, text string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // the time to wait is over already
	defer cancel()
	lines := []string{text}
	var list api.List[api.Replica]
	if _, err := a.client().do(ctx, call{method: "GET", path: ownGroup + "replicas", into: &list}); err != nil {
		return fail(exitNotReady, "%s", text)
	}
	pending := 0
	for i := range list.Items {
		r := &list.Items[i]
		if !r.Wanted || r.Peer != "" || r.Workload != o.Kind+"/"+namespace+"/"+o.name {
			continue
		}
		if pending++; pending > 1 {
			continue
		}
		var why api.WhyNot
		if _, err := a.client().do(ctx, call{method: "GET", path: ownGroup + "why-not/" + r.ID, into: &why}); err == nil {
			lines = append(lines, pendingLine(r.ID, why.Pending, why.Remedy))
		}
	}
	if pending > 1 {
		lines = append(lines, fmt.Sprintf("  and %d more of its replicas have no place", pending-1))
	}
	return fail(exitNotReady, "%s\n'shoal why REPLICA' tells more; shoal goes on trying", strings.Join(lines, "\n"))
}

// await waits until an object is ready, and says what it waits for.
func (a *app) await(ctx context.Context, o objectName, namespace string, timeout time.Duration) error {
	if o.Kind != "Deployment" && o.Kind != "DaemonSet" {
		return nil
	}
	var state deploymentState
	if _, err := a.client().do(ctx, call{method: "GET", path: o.Path(namespace, o.name), into: &state}); err != nil {
		return err
	}
	said := ""
	say := func(text string) bool {
		if text != "" && text != said {
			fmt.Fprintf(a.stderr, "waiting for %s: %s\n", o, text)
			said = text
		}
		return text == ""
	}
	done := say(state.progress())
	errDone := errors.New("done")
	path := query(o.Path(namespace, ""), "fieldSelector", "metadata.name="+o.name)
	for !done {
		err := a.follow(ctx, path, "", "", func(kind string, object json.RawMessage) error {
			if kind == "DELETED" {
				return fail(exitNotFound, "%s was deleted by someone else", o)
			}
			if err := json.Unmarshal(object, &state); err != nil {
				return err
			}
			if say(state.progress()) {
				return errDone
			}
			return nil
		})
		switch {
		case errors.Is(err, errDone):
			done = true
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return a.notReady(ctx, o, namespace, fmt.Sprintf("%s is not ready after %s: %s", o, timeout, strings.TrimSpace(said)))
		case ctx.Err() != nil:
			return fail(exitFailed, "interrupted; %s is applied, but not ready yet", o)
		case err != nil:
			return err
		}
	}
	fmt.Fprintf(a.stdout, "%s ready\n", o)
	return nil
}
