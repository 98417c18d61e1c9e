package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer/api"
)

func newLogs(a *app) *cobra.Command {
	var follow, previous bool
	var container string
	var tail int
	var since time.Duration
	c := &cobra.Command{
		Use:               "logs REPLICA",
		Short:             "Print what a container said",
		Long:              "Print what a container said, wherever it runs. REPLICA is a pod's name, like web-0.",
		Example:           "  shoal logs -f web-0\n  shoal logs --previous web-0",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeReplicas,
		RunE: func(c *cobra.Command, args []string) error {
			pods, _ := resourceOf("pods")
			namespace, name := a.parseReplica(args[0])
			path := query(pods.Path(namespace, name)+"/log", "container", container, "follow", flag(follow), "previous", flag(previous),
				"tailLines", number(tail), "sinceSeconds", number(cmp.Or(int(since.Seconds()), -1)))
			answer, err := a.client().open(c.Context(), call{method: "GET", path: path})
			if err != nil {
				return a.noReplica(c.Context(), args[0], err)
			}
			defer answer.Body.Close()
			if _, err = io.Copy(a.stdout, answer.Body); err != nil && c.Context().Err() == nil {
				return fail(exitUnreachable, "the output broke off: %w", err)
			}
			return nil
		},
	}
	a.namespaceFlags(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on as more is said")
	c.Flags().BoolVar(&previous, "previous", false, "of the container before the last restart")
	c.Flags().StringVarP(&container, "container", "c", "", "which container, where there are several")
	c.Flags().IntVar(&tail, "tail", -1, "only the last lines")
	c.Flags().DurationVar(&since, "since", 0, "only what is newer than this (default all)")
	return c
}

func flag(set bool) string {
	if set {
		return "true"
	}
	return ""
}

// number is a number that is given; empty for a negative one.
func number(n int) string {
	if n < 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func newExec(a *app) *cobra.Command {
	var container string
	c := &cobra.Command{
		Use:               "exec REPLICA -- COMMAND [ARGUMENT…]",
		Short:             "Run a command in a container and print what it says",
		Example:           "  shoal exec web-0 -- cat /etc/hosts",
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeReplicas,
		RunE: func(c *cobra.Command, args []string) error {
			namespace, name := a.parseReplica(args[0])
			body, err := json.Marshal(api.ExecRequest{Container: container, Command: args[1:]})
			if err != nil {
				return err
			}
			var answer api.ExecAnswer
			path := "/apis/shoal/v1/namespaces/" + namespace + "/pods/" + name + "/exec"
			if _, err := a.client().do(c.Context(), call{method: "POST", path: path, body: body, into: &answer}); err != nil {
				return a.noReplica(c.Context(), args[0], err)
			}
			if _, err := a.stdout.Write(answer.Output); err != nil {
				return err
			}
			if answer.ExitCode != 0 {
				return fail(exitFailed, "the command ended with exit code %d", answer.ExitCode)
			}
			return nil
		},
	}
	a.namespaceFlags(c)
	c.Flags().StringVarP(&container, "container", "c", "", "which container, where there are several")
	return c
}

func newImage(a *app) *cobra.Command {
	c := &cobra.Command{Use: "image", Short: "Images of this peer", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(newImageImport(a), newImageList(a))
	return c
}

func newImageImport(a *app) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:     "import FILE|-",
		Short:   "Take an image out of a tar archive (OCI layout or docker save)",
		Example: "  shoal image import web.tar\n  docker save nginx | shoal image import - --name nginx",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			archive, err := a.openFile(args[0])
			if err != nil {
				return err
			}
			defer archive.Close()
			answer, err := a.client().send(c.Context(), call{method: "POST", path: query("/apis/shoal/v1/images", "name", name), kind: "application/x-tar"}, archive)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			var image api.Image
			if err := json.NewDecoder(answer.Body).Decode(&image); err != nil {
				return fail(exitUnreachable, "the peer's answer broke off: %w", err)
			}
			_, err = fmt.Fprintf(a.stdout, "%s imported: %s, %d layers\n", image.Reference, image.Digest, image.Layers)
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the image, instead of the archive's own")
	return c
}

func newImageList(a *app) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the images that this peer has",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return listing(a, c, output, "images", func(g *grid, items []api.Image) {
				g.headings = []string{"IMAGE", "DIGEST", "LAYERS"}
				for _, i := range items {
					g.add(i.Reference, shortDigest(i.Digest), i.Layers)
				}
			}, "no image was imported here", func(i api.Image) string { return i.Reference })
		},
	}
	outputFlag(c, &output)
	return c
}

func shortDigest(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }
