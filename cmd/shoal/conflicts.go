package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/crdt"
	"shoal/peer/api"
	"shoal/peer/manifest"
)

// intentName names an object that users write, by TYPE/NAME or as listings do, by Kind/namespace/name.
type intentName struct {
	objectName
	namespace string
}

// text is the name as the API's own group has it.
func (n intentName) text() string {
	return crdt.Key{Kind: n.Kind, Namespace: n.namespace, Name: n.name}.String()
}

func (a *app) parseIntent(arg string) (intentName, error) {
	parts := strings.Split(arg, "/")
	if len(parts) == 3 {
		arg = parts[0] + "/" + parts[2]
	}
	if len(parts) == 1 {
		return intentName{}, notNamed(arg)
	}
	names, err := parseNames([]string{arg})
	if err != nil {
		return intentName{}, err
	}
	n := intentName{objectName: names[0]}
	if !n.Writable {
		return n, fail(exitUsage, "a %s is what peers observe, and nobody writes it: name a deployment or a namespace", n.Singular)
	}
	if n.Namespaced {
		n.namespace = a.namespace
		if len(parts) == 3 {
			n.namespace = parts[1]
		}
	}
	return n, nil
}

// parseIntentOf reads TYPE/NAME, or TYPE NAME as two arguments.
func (a *app) parseIntentOf(args []string) (intentName, error) {
	if len(args) == 2 && !strings.Contains(args[0]+args[1], "/") {
		return a.parseIntent(args[0] + "/" + args[1])
	}
	if len(args) == 2 {
		return intentName{}, fail(exitUsage, "name one object: TYPE/NAME or TYPE NAME")
	}
	return a.parseIntent(args[0])
}

func newConflicts(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "conflicts [TYPE/NAME | TYPE NAME]",
		Aliases: []string{"conflict"},
		Short:   "List fields that were written in several places at the same time",
		Long: `List fields that were written in several places at the same time.

The value in force is marked with '*', those that lost against it are numbered. Nothing is lost: they stay listed until
somebody settles it, with 'conflicts resolve' or by writing the field in any other way. An object that was deleted in one place
and changed in another is listed too: the deletion is in force, and the change has lost.`,
		Example: `  shoal conflicts
  shoal conflicts resolve deployment/web spec/replicas --take 1`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			path := "conflicts"
			if len(args) > 0 {
				name, err := a.parseIntentOf(args)
				if err != nil {
					return err
				}
				path = query(path, "object", name.text())
			}
			return listing(a, c, output, path, fillConflicts, "nothing is in conflict", func(x api.Conflict) string { return x.Object + " " + x.Path })
		},
	}
	a.namespaceFlags(c)
	outputFlag(c, &output)
	c.AddCommand(newResolve(a))
	return c
}

func fillConflicts(g *grid, items []api.Conflict) {
	g.headings = []string{"OBJECT", "FIELD", "#", "VALUE", "USER", "PEER", "WRITTEN"}
	for _, x := range items {
		for i, claim := range slices.Concat([]api.Claim{x.Winner}, x.Rivals) {
			object, field, number := "", claim.Path, strconv.Itoa(i)
			if i == 0 {
				object, field, number = x.Object, x.Path, "*"
			}
			g.add(object, field, number, claimText(x, i, claim), orElse(claim.User, "-"), orElse(claim.Writer, "-"), whenText(claim.At))
		}
	}
}

func claimText(x api.Conflict, number int, claim api.Claim) string {
	switch {
	case number == 0 && !x.Live:
		return "(object deleted)"
	case string(claim.Value) == "null":
		return "(removed)"
	}
	return string(claim.Value)
}

// whenText is a moment as people read it; "-" where none is known.
func whenText(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Local().Format(time.RFC3339)
}

// resolveFlags say which value shall hold.
type resolveFlags struct {
	take, value string
	all         bool
	acks        ackFlags
	within      time.Duration
}

func newResolve(a *app) *cobra.Command {
	var flags resolveFlags
	c := &cobra.Command{
		Use:   "resolve TYPE/NAME [FIELD] --take winner|NUMBER | --value VALUE",
		Short: "Settle conflicts: say which value shall hold",
		Long: `Settle conflicts: say which value shall hold.

--take winner keeps the value in force, --take 1 takes the first of those that lost, as 'shoal conflicts' numbers them, and
--value takes another one: JSON, or else text; null removes the field. Without a field it is about the only conflict of the
object, and with --take winner about all of them. Of a deleted object --take winner leaves it deleted, and --take 1
creates it again, as it was, with that value in place. When another value has come in meanwhile, nothing is settled.`,
		Example: `  shoal conflicts resolve deployment/web spec/replicas --take 1
  shoal conflicts resolve deployment/web spec/replicas --value 7
  shoal conflicts resolve --all --take winner`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if flags.take == "" && !c.Flags().Changed("value") || flags.take != "" && c.Flags().Changed("value") {
				return fail(exitUsage, "give --take winner, --take NUMBER, or --value VALUE\nsee %s --help", c.CommandPath())
			}
			if flags.all != (len(args) == 0) || flags.all && flags.take != "winner" {
				return fail(exitUsage, "name an object, or give --all --take winner\nsee %s --help", c.CommandPath())
			}
			return a.resolve(c, args, flags)
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringVar(&flags.take, "take", "", "winner, or the number of a value that lost")
	c.Flags().StringVar(&flags.value, "value", "", "another value: JSON, or else text")
	c.Flags().BoolVar(&flags.all, "all", false, "settle all conflicts of all objects")
	flags.acks.addWithin(c, &flags.within)
	return c
}

func (a *app) resolve(c *cobra.Command, args []string, flags resolveFlags) error {
	path := "conflicts"
	if !flags.all {
		name, err := a.parseIntent(args[0])
		if err != nil {
			return err
		}
		path = query(path, "object", name.text())
	}
	var list api.List[api.Conflict]
	if _, err := a.client().do(c.Context(), call{method: "GET", path: ownGroup + path, into: &list}); err != nil {
		return err
	}
	if len(list.Items) == 0 {
		if flags.all {
			fmt.Fprintln(a.stderr, "nothing is in conflict")
			return nil
		}
		return fail(exitNotFound, "%s is not in conflict, as far as this peer knows", args[0])
	}
	field := ""
	if len(args) > 1 {
		var err error
		if field, err = fieldOf(list.Items, args[1]); err != nil {
			return err
		}
	}
	for len(list.Items) > 0 {
		object := list.Items[0].Object
		own := slices.IndexFunc(list.Items, func(x api.Conflict) bool { return x.Object != object })
		if own < 0 {
			own = len(list.Items)
		}
		if err := a.resolveOne(c.Context(), list.Items[:own], field, flags); err != nil {
			return err
		}
		list.Items = list.Items[own:]
	}
	return nil
}

// fieldOf finds the path that a user means, written as listings do or as Kubernetes' messages do.
func fieldOf(items []api.Conflict, text string) (string, error) {
	for _, x := range items {
		kubernetes := manifest.FieldPath(crdt.Path(x.Path))
		if text == x.Path || text == kubernetes || text == strings.TrimPrefix(kubernetes, ".") {
			return x.Path, nil
		}
	}
	var known []string
	for _, x := range items {
		known = append(known, x.Path)
	}
	return "", fail(exitNotFound, "%s is not in conflict: of this object there are %s", text, strings.Join(known, ", "))
}

// named is an object as the API names it, for messages.
type named string

func (n named) String() string { return string(n) }

// resolveOne settles conflicts of one object: those that are listed, and no others.
func (a *app) resolveOne(ctx context.Context, items []api.Conflict, field string, flags resolveFlags) error {
	request := api.ResolveRequest{Object: items[0].Object, Path: field, Take: flags.take}
	if flags.take == "" {
		if request.Value = json.RawMessage(flags.value); !json.Valid(request.Value) {
			request.Value, _ = json.Marshal(flags.value)
		}
	}
	for _, x := range items {
		for _, claim := range slices.Concat([]api.Claim{x.Winner}, x.Rivals) {
			request.Seen = append(request.Seen, claim.Stamp)
		}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	var done api.List[api.Resolved]
	path := query(ownGroup+"conflicts/resolve", append(flags.acks.query(flags.within), "fieldManager", resolveManager)...)
	header, err := a.client().do(ctx, call{method: "POST", path: path, body: body, into: &done})
	if err != nil {
		return err
	}
	for _, x := range done.Items {
		switch {
		case x.Path == "":
			fmt.Fprintf(a.stdout, "%s stays deleted\n", x.Object)
		case string(x.Value) == "null":
			fmt.Fprintf(a.stdout, "%s: %s is removed\n", x.Object, x.Path)
		default:
			fmt.Fprintf(a.stdout, "%s: %s is %s\n", x.Object, x.Path, x.Value)
		}
	}
	return flags.acks.check(header, named(request.Object), flags.within)
}
