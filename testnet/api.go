package testnet

import (
	"context"
	"net/http"
	"strings"
	"time"
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

// PatchDeployment merges a patch (RFC 7386) into a Deployment.
func (c *Client) PatchDeployment(ctx context.Context, name string, patch any) error {
	return c.Do(ctx, http.MethodPatch, deploymentPath(name), patch, nil)
}

// DeleteDeployment deletes one.
func (c *Client) DeleteDeployment(ctx context.Context, name string) error {
	return c.Do(ctx, http.MethodDelete, deploymentPath(name), nil, nil)
}

// Member is one entry of /apis/shoal/v1/members.
type Member struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// Alive says whether the peer asked held the member for alive.
func (m Member) Alive() bool { return m.State == "alive" }

// Members lists the peers that this one knows, itself included.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var answer struct {
		Items []Member `json:"items"`
	}
	err := c.Get(ctx, "/apis/shoal/v1/members", &answer)
	return answer.Items, err
}

// CreateTicket makes a ticket and returns its text form.
func (c *Client) CreateTicket(ctx context.Context, uses int, valid time.Duration) (string, error) {
	var answer struct {
		Ticket string `json:"ticket"`
	}
	err := c.Do(ctx, http.MethodPost, "/apis/shoal/v1/tickets", map[string]any{"uses": uses, "expires": valid.String()}, &answer)
	return answer.Ticket, err
}

// Room is an amount of room.
type Room struct {
	CPUMillis   int64 `json:"cpuMillis"`
	MemoryBytes int64 `json:"memoryBytes"`
}

// View is what a peer says of itself and of all replicas, at one moment.
type View struct {
	Peer         string    `json:"peer"`
	Draining     bool      `json:"draining"`
	IntentDigest string    `json:"intentDigest"`
	PlanDigest   string    `json:"planDigest"`
	Admitted     Room      `json:"admitted"`
	Room         Room      `json:"room"`
	Replicas     []Replica `json:"replicas"`
}

// Replica is one replica as a peer sees it.
type Replica struct {
	ID        string     `json:"id"`
	Wanted    bool       `json:"wanted"`
	Revision  string     `json:"revision"` // the one wanted
	Peer      string     `json:"peer"`     // where it should run; empty while pending
	Pending   string     `json:"pending"`
	Instances []Instance `json:"instances"`
}

// Instance is one instance of a replica as its holder observed it.
type Instance struct {
	ID         string      `json:"id"`
	Peer       string      `json:"peer"`
	Revision   string      `json:"revision"`
	Ready      bool        `json:"ready"`
	Containers []Container `json:"containers"`
}

// Container is one container of an Instance.
type Container struct {
	Name       string    `json:"name"`
	Running    bool      `json:"running"`
	Generation uint64    `json:"generation"`
	StartedAt  time.Time `json:"startedAt"`
}

// View reads what a peer says of itself and of all replicas.
func (c *Client) View(ctx context.Context) (View, error) {
	var v View
	return v, c.Get(ctx, "/apis/shoal/v1/view", &v)
}
