package testnet

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/peer/api"
)

// Pod is what the testnet reads of a Pod.
type Pod struct {
	Metadata Metadata `json:"metadata"`
	Spec     struct {
		NodeName   string `json:"nodeName"`
		Containers []struct {
			Env []struct{ Name, Value string } `json:"env"`
		} `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase             string                                           `json:"phase"`
		PodIP             string                                           `json:"podIP"`
		Conditions        []struct{ Type, Status, Reason, Message string } `json:"conditions"`
		ContainerStatuses []struct {
			Name         string `json:"name"`
			Ready        bool   `json:"ready"`
			RestartCount int    `json:"restartCount"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

// Metadata is what the testnet reads of an object's metadata.
type Metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// Ready says whether the Pod's condition Ready holds.
func (p Pod) Ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// Env is the value of a variable of the Pod's first container that has it.
func (p Pod) Env(name string) string {
	for _, container := range p.Spec.Containers {
		for _, env := range container.Env {
			if env.Name == name {
				return env.Value
			}
		}
	}
	return ""
}

// Restarts is the sum over the containers.
func (p Pod) Restarts() (sum int) {
	for _, c := range p.Status.ContainerStatuses {
		sum += c.RestartCount
	}
	return sum
}

// Pods lists the Pods of a workload in namespace default: those named workload-ORDINAL.
func (c *Client) Pods(ctx context.Context, workload string) ([]Pod, error) {
	var answer struct {
		Items []Pod `json:"items"`
	}
	if err := c.Get(ctx, "/api/v1/namespaces/default/pods", &answer); err != nil {
		return nil, err
	}
	var own []Pod
	for _, pod := range answer.Items {
		ordinal, found := strings.CutPrefix(pod.Metadata.Name, workload+"-")
		if found && strings.Trim(ordinal, "0123456789") == "" {
			own = append(own, pod)
		}
	}
	return own, nil
}

// Deployment is what the testnet reads of a Deployment.
type Deployment struct {
	Metadata Metadata `json:"metadata"`
	Spec     struct {
		Replicas int `json:"replicas"`
		Template struct {
			Spec struct {
				Containers []struct {
					Env []struct{ Name, Value string } `json:"env"`
				} `json:"containers"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
	Status struct {
		Replicas        int `json:"replicas"`
		ReadyReplicas   int `json:"readyReplicas"`
		UpdatedReplicas int `json:"updatedReplicas"`
	} `json:"status"`
}

// Env is the value of a variable of the first container of the template.
func (d Deployment) Env(name string) string {
	for _, container := range d.Spec.Template.Spec.Containers {
		for _, env := range container.Env {
			if env.Name == name {
				return env.Value
			}
		}
	}
	return ""
}

func deploymentPath(name string) string {
	return "/apis/apps/v1/namespaces/default/deployments/" + name
}

// Deployment reads one of namespace default.
func (c *Client) Deployment(ctx context.Context, name string) (Deployment, error) {
	var d Deployment
	return d, c.Get(ctx, deploymentPath(name), &d)
}

// ApplyDeployment applies a whole manifest, as YAML or JSON, as server-side apply does.
func (c *Client) ApplyDeployment(ctx context.Context, name string, manifest []byte) error {
	return c.DoAs(ctx, http.MethodPatch, deploymentPath(name)+"?fieldManager=testnet&force=true", "application/apply-patch+yaml", manifest, nil)
}

// PatchDeployment merges a patch (RFC 7386) into a Deployment, and returns how long the peer took until the write was
// signed and on disk; 0 where nothing changed.
func (c *Client) PatchDeployment(ctx context.Context, name string, patch any) (written time.Duration, err error) {
	header, err := c.exchange(ctx, http.MethodPatch, deploymentPath(name), "application/merge-patch+json", patch, nil)
	if err != nil {
		return 0, err
	}
	text, changed := strings.CutPrefix(header.Get(api.HeaderTiming), "write;dur=")
	if !changed {
		return 0, nil
	}
	milliseconds, err := strconv.ParseFloat(text, 64)
	return time.Duration(milliseconds * float64(time.Millisecond)), err
}

// ApplyNamespace creates a Namespace, unless it is there.
func (c *Client) ApplyNamespace(ctx context.Context, name string) error {
	object := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}
	manifest, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return c.DoAs(ctx, http.MethodPatch, "/api/v1/namespaces/"+name+"?fieldManager=testnet&force=true", "application/apply-patch+yaml", manifest, nil)
}

// Namespaces lists the names of those that were created.
func (c *Client) Namespaces(ctx context.Context) (names []string, err error) {
	var answer struct {
		Items []struct{ Metadata Metadata } `json:"items"`
	}
	err = c.Get(ctx, "/api/v1/namespaces", &answer)
	for _, item := range answer.Items {
		names = append(names, item.Metadata.Name)
	}
	return names, err
}

// DeleteDeployment deletes one.
func (c *Client) DeleteDeployment(ctx context.Context, name string) error {
	return c.Do(ctx, http.MethodDelete, deploymentPath(name), nil, nil)
}

// Members lists the peers that this one knows, itself included.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	var answer api.List[api.Member]
	err := c.Get(ctx, "/apis/shoal/v1/members", &answer)
	return answer.Items, err
}

// Alive counts those of the named peers that the asked one holds for alive.
func (c *Client) Alive(ctx context.Context, names []string) (count int, err error) {
	members, err := c.Members(ctx)
	for _, m := range members {
		if m.State == "alive" && slices.Contains(names, m.Name) {
			count++
		}
	}
	return count, err
}

// CreateTicket makes a ticket and returns its text form.
func (c *Client) CreateTicket(ctx context.Context, uses int, valid time.Duration) (string, error) {
	var answer api.Ticket
	err := c.Do(ctx, http.MethodPost, "/apis/shoal/v1/tickets", api.TicketRequest{Uses: uses, Expires: valid.String()}, &answer)
	return answer.Ticket, err
}

// View reads what a peer says of itself and of all replicas.
func (c *Client) View(ctx context.Context) (api.View, error) {
	var view api.View
	return view, c.Get(ctx, "/apis/shoal/v1/view", &view)
}

// Replicas lists the replicas of a Deployment of namespace default, wanted or still held.
func (c *Client) Replicas(ctx context.Context, workload string) ([]api.Replica, error) {
	var answer api.List[api.Replica]
	err := c.Get(ctx, "/apis/shoal/v1/replicas", &answer)
	other := func(r api.Replica) bool { return r.Workload != "Deployment/default/"+workload }
	return slices.DeleteFunc(answer.Items, other), err
}

// ImportImage brings the image in an archive to this peer.
func (c *Client) ImportImage(ctx context.Context, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	return c.DoAs(ctx, http.MethodPost, "/apis/shoal/v1/images", "application/x-tar", file, nil)
}
