package heap

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"shoal/peer/control"
	"shoal/runtime"
	"shoal/testnet/promise"
)

// Pace says how long a machine takes for what it does.
type Pace struct {
	LeastPrepare, MostPrepare time.Duration
	LeastStart, MostStart     time.Duration
	LeastStop, MostStop       time.Duration
	LeastRemove, MostRemove   time.Duration
	LeastReady, MostReady     time.Duration // from a container's start to its first good probe
}

// Usual is the pace that was measured on a small machine.
var Usual = Pace{
	LeastPrepare: 3 * time.Millisecond, MostPrepare: 20 * time.Millisecond,
	LeastStart: 10 * time.Millisecond, MostStart: 40 * time.Millisecond,
	LeastStop: 2 * time.Millisecond, MostStop: 100 * time.Millisecond,
	LeastRemove: 2 * time.Millisecond, MostRemove: 30 * time.Millisecond,
	LeastReady: 20 * time.Millisecond, MostReady: 400 * time.Millisecond,
}

// machine is the model of one peer's runtime: what it runs outlives the program.
type machine struct {
	peer      *Peer
	instances map[runtime.InstanceID]*simInstance
	images    map[string]bool
	queues    map[runtime.InstanceID][]control.Action // of the program that lives now
	ended     []runtime.Status                        // of containers, not yet told to any program
	decided   map[runtime.InstanceID]time.Duration    // by when the program had decided on the newest action of an instance
	deadlines map[runtime.InstanceID]time.Duration    // in true time: what the process that keeps them knows
	unaware   map[runtime.InstanceID]bool             // begun while the peer took another one that runs it for gone
	balance   map[runtime.InstanceID]bool             // begun for the balance
	scheduled map[string]time.Duration                // when a replica was last taken
	displaced map[string]string                       // replicas, and for whom they made room last
	intended  map[runtime.InstanceID]*promise.Copy    // about to be begun
}

type simInstance struct {
	spec       runtime.Spec
	address    netip.Addr
	containers []*simContainer
}

// ready says whether every container serves.
func (i *simInstance) ready() bool {
	return !slices.ContainsFunc(i.containers, func(c *simContainer) bool { return !c.ready })
}

type simContainer struct {
	spec    runtime.Container
	status  runtime.Status
	started time.Duration // by no peer's clock, which may stand still or go back
	ready   bool          // its probe says so, or would
	since   time.Duration // of ready
}

func newMachine(p *Peer) *machine {
	return &machine{peer: p, instances: map[runtime.InstanceID]*simInstance{}, images: map[string]bool{}, queues: map[runtime.InstanceID][]control.Action{}, decided: map[runtime.InstanceID]time.Duration{}, deadlines: map[runtime.InstanceID]time.Duration{}, unaware: map[runtime.InstanceID]bool{}, balance: map[runtime.InstanceID]bool{}, scheduled: map[string]time.Duration{}, displaced: map[string]string{}, intended: map[runtime.InstanceID]*promise.Copy{}}
}

// run queues an action: those of one instance go one after the other.
func (m *machine) run(a control.Action) {
	m.decided[a.Instance] = m.peer.decidedBy
	if a.Kind == control.Prepare {
		m.intends(a)
	}
	m.queues[a.Instance] = append(m.queues[a.Instance], a)
	if len(m.queues[a.Instance]) == 1 {
		m.begin(a)
	}
}

func (m *machine) begin(a control.Action) {
	w, boot := m.peer.world, m.peer.life
	w.tracef("%s: %s %s %s", m.peer.Name, []string{"prepare", "start", "stop", "remove"}[a.Kind], a.Instance, a.Container)
	m.announce(a)
	w.after(m.duration(a), func() {
		m.peer.whenAwake(func() {
			if !m.peer.alive || m.peer.life != boot {
				return // abort decided what became of it
			}
			done := m.perform(a)
			w.print("done", m.peer.Name+string(a.Instance), uint64(a.Kind))
			m.peer.feed(done)
			m.watchStarted(done)
			m.queues[a.Instance] = m.queues[a.Instance][1:]
			if rest := m.queues[a.Instance]; len(rest) > 0 {
				m.begin(rest[0])
			} else {
				delete(m.queues, a.Instance)
			}
		})
	})
}

// announce lets a container that is to be stopped serve nobody from now on.
func (m *machine) announce(a control.Action) {
	if a.Kind != control.Stop && a.Kind != control.Remove {
		return
	}
	m.stops(a)
	for _, c := range m.containers(a.Instance) {
		if a.Kind == control.Remove || c.spec.Name == a.Container {
			c.ready = false
		}
	}
}

func (m *machine) duration(a control.Action) time.Duration {
	p := m.peer.world.options.Pace
	switch a.Kind {
	case control.Prepare:
		return m.peer.world.between(p.LeastPrepare, p.MostPrepare)
	case control.Start:
		return m.peer.world.between(p.LeastStart, p.MostStart)
	case control.Stop:
		return m.peer.world.between(p.LeastStop, p.MostStop)
	}
	return m.peer.world.between(p.LeastRemove, p.MostRemove)
}

// abort is the death of the program: each action under way was finished or not begun.
func (m *machine) abort() {
	for _, id := range slices.Sorted(maps.Keys(m.queues)) {
		if m.peer.world.chance(0.5) {
			m.perform(m.queues[id][0])
			continue
		}
		for _, c := range m.containers(id) {
			c.ready = running(c.status) // what was about to be stopped serves on
		}
		m.served(id)
	}
	clear(m.queues)
}

func (m *machine) perform(a control.Action) control.Done {
	done := control.Done{Action: a}
	switch a.Kind {
	case control.Prepare:
		done.Address, done.Err = m.prepare(a)
	case control.Start:
		done.Status, done.Err = m.start(a)
	case control.Stop:
		done.Status, done.Err = m.stop(a)
	case control.Remove:
		m.remove(a.Instance)
	}
	return done
}

func fail(a control.Action, reason runtime.Reason, text string) *runtime.Error {
	return &runtime.Error{Op: "run", Subject: string(a.Instance), Reason: reason, Err: errors.New(text)}
}

func (m *machine) prepare(a control.Action) (netip.Addr, *runtime.Error) {
	for _, c := range a.Spec.Containers {
		if !m.images[c.Image] {
			return netip.Addr{}, fail(a, runtime.ImageMissing, "no image "+c.Image)
		}
	}
	if m.peer.spoils(replicaOf(a.Instance)).refused {
		return netip.Addr{}, fail(a, runtime.BadSpec, "this machine cannot run it")
	}
	if held := m.instances[a.Instance]; held != nil {
		return held.address, nil
	}
	made := &simInstance{spec: *a.Spec, address: netip.AddrFrom4([4]byte{10, 0, byte(m.peer.index), byte(len(m.instances) + 2)})}
	for _, c := range a.Spec.Containers {
		made.containers = append(made.containers, &simContainer{spec: c, status: runtime.Status{
			Instance: a.Instance, Container: c.Name, Phase: runtime.Prepared, Address: made.address}})
	}
	m.instances[a.Instance] = made
	m.begins(a.Instance)
	return made.address, nil
}

func (m *machine) container(id runtime.InstanceID, name string) *simContainer {
	for _, c := range m.containers(id) {
		if c.spec.Name == name {
			return c
		}
	}
	return nil
}

func (m *machine) containers(id runtime.InstanceID) []*simContainer {
	if i := m.instances[id]; i != nil {
		return i.containers
	}
	return nil
}

func (m *machine) start(a control.Action) (runtime.Status, *runtime.Error) {
	c := m.container(a.Instance, a.Container)
	switch {
	case c == nil:
		return runtime.Status{}, fail(a, runtime.NotFound, "no such container")
	case m.overdue(a.Instance):
		return c.status, fail(a, runtime.Overdue, "its time is over")
	case a.Generation <= c.status.Generation:
		return c.status, fail(a, runtime.Stale, "a newer generation was started")
	case c.status.Phase == runtime.Running:
		m.peer.world.broken("P10", "%s: container %s of %s runs and was started again", m.peer.Name, a.Container, a.Instance)
	}
	c.ready = false
	defer m.served(a.Instance)
	c.status.Generation, c.status.Phase, c.status.StartedAt = a.Generation, runtime.Running, m.peer.wall()
	c.started = m.peer.world.now
	c.status.ExitedAt, c.status.ExitCode, c.status.Reason = time.Time{}, 0, ""
	m.begun(a.Instance)
	if c.spec.Readiness == nil {
		c.serve(m.peer.world.now)
	} else {
		m.becomeReady(c)
	}
	m.maybeCrash(a.Instance, c)
	return c.status, nil
}

// becomeReady lets a container answer its probe after a while.
func (m *machine) becomeReady(c *simContainer) {
	w, generation := m.peer.world, c.status.Generation
	w.after(w.between(w.options.Pace.LeastReady, w.options.Pace.MostReady), func() {
		if c.status.Generation == generation && c.status.Phase == runtime.Running && !m.goes(c.status.Instance) {
			c.serve(w.now)
			m.served(c.status.Instance)
			m.probe(c)
		}
	})
}

// goes says whether an instance is being stopped or removed: it will not serve any more.
func (m *machine) goes(id runtime.InstanceID) bool {
	queue := m.queues[id]
	return len(queue) > 0 && (queue[0].Kind == control.Stop || queue[0].Kind == control.Remove)
}

// maybeCrash ends some containers soon after they were started.
func (m *machine) maybeCrash(id runtime.InstanceID, c *simContainer) {
	w, generation := m.peer.world, c.status.Generation
	if !w.chance(w.options.Crashes) && !m.peer.spoils(replicaOf(id)).crashes {
		return
	}
	w.after(w.between(0, 2*time.Second), func() {
		if m.container(id, c.spec.Name) == c && c.status.Generation == generation {
			m.exit(c, 1, "Error")
		}
	})
}

func (m *machine) stop(a control.Action) (runtime.Status, *runtime.Error) {
	c := m.container(a.Instance, a.Container)
	if c == nil {
		return runtime.Status{}, fail(a, runtime.NotFound, "no such container")
	}
	if c.status.Phase == runtime.Running {
		c.ready = false
		c.status.Phase, c.status.ExitedAt, c.status.ExitCode, c.status.Reason = runtime.Exited, m.peer.wall(), 143, "Error"
		m.fails(a.Instance)
	}
	return c.status, nil
}

func (m *machine) remove(id runtime.InstanceID) {
	delete(m.instances, id)
	m.peer.world.course.Gone(m.peer.world.now, m.peer.Name, replicaOf(id), string(id))
	delete(m.decided, id)
	delete(m.deadlines, id)
	delete(m.unaware, id)
	delete(m.balance, id)
}

// serve lets a container be ready from now on.
func (c *simContainer) serve(now time.Duration) { c.ready, c.since = true, now }

// exit ends a running container without having been asked.
func (m *machine) exit(c *simContainer, code int, reason string) {
	if c.status.Phase != runtime.Running {
		return
	}
	m.peer.world.noteEnded(m.peer, c)
	c.ready = false
	c.status.Phase, c.status.ExitedAt, c.status.ExitCode, c.status.Reason = runtime.Exited, m.peer.wall(), code, reason
	m.ended = append(m.ended, c.status)
	m.fails(c.status.Instance)
	m.tellEnded()
}

// tellEnded tells the program, if there is one, which containers ended.
func (m *machine) tellEnded() {
	if !m.peer.alive {
		return
	}
	for _, status := range m.ended {
		m.peer.feed(control.Exited{Status: status})
	}
	m.ended = nil
}

// powerLost ends every container; what is on disk stays.
func (m *machine) powerLost() {
	for _, id := range m.ids() {
		for _, c := range m.containers(id) {
			c.ready = false
			if c.status.Phase == runtime.Running {
				c.status.Phase, c.status.ExitCode, c.status.Reason = runtime.Exited, -1, "Lost"
			}
		}
		m.fails(id)
	}
	clear(m.deadlines)
	m.ended = nil
}

func (m *machine) ids() []runtime.InstanceID { return slices.Sorted(maps.Keys(m.instances)) }

// list is Runtime.List.
func (m *machine) list() []runtime.Instance {
	var all []runtime.Instance
	for _, id := range m.ids() {
		i := runtime.Instance{Spec: m.instances[id].spec}
		for _, c := range m.instances[id].containers {
			i.Containers = append(i.Containers, c.status)
		}
		all = append(all, i)
	}
	return all
}

// watchStarted is the prober's beginning: the first result of a generation is news, also a bad one.
func (m *machine) watchStarted(done control.Done) {
	if done.Action.Kind == control.Start && done.Err == nil {
		if c := m.container(done.Action.Instance, done.Action.Container); c != nil {
			m.probe(c)
		}
	}
}

// watchAll is the prober's beginning in a program that has found containers running.
func (m *machine) watchAll() {
	for _, id := range m.ids() {
		for _, c := range m.containers(id) {
			if c.status.Phase == runtime.Running {
				m.peer.world.after(m.peer.world.between(0, 50*time.Millisecond), func() { m.probe(c) })
			}
		}
	}
}

// probe tells the program what the readiness probe of a container says now.
func (m *machine) probe(c *simContainer) {
	if c.spec.Readiness == nil || !m.peer.alive || c.status.Phase != runtime.Running {
		return
	}
	detail := ""
	if !c.ready {
		detail = "connection refused"
	}
	m.peer.feed(control.Probed{Instance: c.status.Instance, Container: c.spec.Name, Generation: c.status.Generation, OK: c.ready, Detail: detail})
}

// doomed fails the liveness probe of a container: its program must stop it and start it again.
func (m *machine) doomed(c *simContainer) {
	if m.peer.alive && c.status.Phase == runtime.Running {
		m.peer.world.noteEnded(m.peer, c)
		m.fails(c.status.Instance)
		m.peer.feed(control.Probed{Instance: c.status.Instance, Container: c.spec.Name, Generation: c.status.Generation, Liveness: true, Detail: "HTTP 500"})
	}
}
