package peer

import (
	"context"
	"net/netip"

	"shoal/peer/control"
	"shoal/runtime"
)

// instanceProbes is what must be known of an instance to probe it.
type instanceProbes struct {
	address    netip.Addr
	containers map[string]runtime.Container
}

func newInstanceProbes(spec runtime.Spec) *instanceProbes {
	probes := &instanceProbes{containers: map[string]runtime.Container{}}
	for _, container := range spec.Containers {
		if container.Readiness != nil || container.Liveness != nil {
			probes.containers[container.Name] = container
		}
	}
	return probes
}

// adoptProbes goes on probing what an earlier life of the program started.
func (p *Peer) adoptProbes(instance runtime.Instance) {
	probes := newInstanceProbes(instance.Spec)
	p.probes[instance.Spec.Instance] = probes
	for _, status := range instance.Containers {
		if status.Address.IsValid() {
			probes.address = status.Address
		}
		if target, probed := probes.target(status); probed && status.Phase == runtime.Running {
			p.prober.Resume(target, p.ports.Now().Wall.Sub(status.StartedAt))
		}
	}
}

// beforeAction keeps the probes in step with an action that is about to be queued.
func (p *Peer) beforeAction(action control.Action) {
	switch action.Kind {
	case control.Prepare:
		p.probes[action.Instance] = newInstanceProbes(*action.Spec)
	case control.Stop:
		p.prober.Forget(action.Instance, action.Container)
	case control.Remove:
		if probes := p.probes[action.Instance]; probes != nil {
			for name := range probes.containers {
				p.prober.Forget(action.Instance, name)
			}
		}
		delete(p.probes, action.Instance)
	}
}

// afterDone starts probing what has just been started. Run's goroutine calls it.
func (p *Peer) afterDone(done control.Done) {
	probes := p.probes[done.Action.Instance]
	if probes == nil || done.Err != nil {
		return
	}
	switch done.Action.Kind {
	case control.Prepare:
		probes.address = done.Address
	case control.Start:
		if target, probed := probes.target(done.Status); probed {
			p.prober.Watch(target)
		}
	}
}

func (p *instanceProbes) target(status runtime.Status) (target ProbeTarget, probed bool) {
	container, probed := p.containers[status.Container]
	return ProbeTarget{
		Instance: status.Instance, Container: status.Container, Generation: status.Generation,
		Address: p.address, Readiness: container.Readiness, Liveness: container.Liveness,
	}, probed
}

// exited and answered are called from the runtime's goroutines.
func (p *Peer) exited(status runtime.Status) { p.box.add(control.Exited{Status: status}) }
func (p *Peer) answered(done control.Done)   { p.box.add(done) }

func (p *Peer) runExec(ctx context.Context, id runtime.InstanceID, container string, command []string) (int, []byte, error) {
	result, err := p.runtime.Exec(ctx, id, container, command)
	return result.ExitCode, result.Output, err
}
