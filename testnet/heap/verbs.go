package heap

import (
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/testnet/promise"
)

// verb is what a step of a script does, and how many words it needs at least.
type verb struct {
	words int
	do    func(p *play, words []string)
}

// verbs are all steps that there are:
//
//	wait SPAN                   time passes
//	apply PEER NAME N COLOR     the manifest of a Deployment is given to a peer
//	scale PEER NAME N           its number of replicas is
//	paint PEER NAME COLOR       one of its fields is
//	set PEER NAME PATH [TEXT]   another one is, or goes
//	delete PEER NAME
//	exit oom|probe              some container ends, or its liveness probe fails
//	off PEER, on                a machine loses power; all that are off start
//	restart PEER SPAN           a program dies, and is back after a while
//	wipe PEER                   a machine that is off loses its disk
//	split P1,P2[/P3,P4], heal   the network is cut; all cuts end
//	oneway P1 P2                nothing passes from one to the other
//	cutalone P1,P2 SPAN         a cut of a cluster at rest, in which no container may stop (P5)
//	healalone                   all cuts end, and nothing else: what is ready in the revision that is wanted runs on
//	                            (P8), and what is ready stays up (P7)
//	image PEER                  a peer loses its images, until the next rest
//	leave PEER                  a peer hands over its work and says goodbye
//	clock PEER SPAN, freeze PEER, unset PEER
//	                            its wall clock is set off, stops, begins in 1970
//	move PEER, rename PEER      a machine that is off gets another address, another name
//	trip PEER NAME              the code of a peer fails at an object from now on (P13)
//	forge PEER NAME             a stolen machine makes up writes (P11)
//	age SPAN                    a long time passes in which nothing is done
//	within SPAN                 by then all that can reach each other know each other and hold the same
//	contradict PEER NAME        a stolen machine signs two writes with one stamp (P3)
//	restore PEER                a machine that is off gets back an older copy of its disk, made by: backup PEER
//	cordon PEER, uncordon PEER, drain PEER, taint PEER KEY=VALUE:EFFECT, untaint PEER, label PEER KEY=VALUE
//	                            what users say of a peer, in its Node object; uncordon ends a drain, too
//	health PEER good|fair|poor  how a peer feels
//	resize PEER CPU MEMORY      a peer has so many thousandths of a CPU and mebibytes to give
//	refuse PEER NAME            a peer cannot run a workload, until: allow PEER NAME
//	crash PEER NAME             containers of a workload end soon after they start there, until: allow PEER NAME
//	flap PEER N UP DOWN         a machine loses power and returns, so often, for so long each
//	gives PEER NAME N, ported PEER NAME N, tolerant PEER NAME N SECONDS, said PEER NAME N KEY=VALUE…
//	                            a workload asks for a device for each replica, for a port of the peer, tolerates every taint for a
//	                            while, has annotations
//	placed                      every replica has a place
//	empty PEER                  nothing runs on a peer
//	mark, begun N               from here on no replica is begun more than N times
//	policies                    what each workload says of splits has been followed by now (P9)
//	rest, still                 every promise is checked once all is quiet; then, that it stays so
var verbs map[string]verb

func init() {
	verbs = map[string]verb{
		"wait":       {1, func(p *play, a []string) { p.Run(span(a[0])) }},
		"apply":      {4, (*play).apply},
		"scale":      {3, (*play).scale},
		"paint":      {3, (*play).paint},
		"set":        {3, (*play).set},
		"delete":     {2, (*play).remove},
		"exit":       {1, func(p *play, a []string) { p.KillAnyContainer(a[0] == "probe") }},
		"off":        {1, func(p *play, a []string) { p.ifAlive(a[0], func() { p.LosePower(a[0]) }) }},
		"on":         {0, func(p *play, _ []string) { p.powerOn() }},
		"restart":    {2, func(p *play, a []string) { p.ifAlive(a[0], func() { p.KillProgram(a[0], span(a[1])) }) }},
		"wipe":       {1, func(p *play, a []string) { p.ifOff(a[0], func() { p.Wipe(a[0]) }) }},
		"split":      {1, (*play).split},
		"heal":       {0, func(p *play, _ []string) { p.Heal(); p.cut = false }},
		"healalone":  {0, (*play).healAlone},
		"oneway":     {2, (*play).oneWay},
		"cutalone":   {2, (*play).cutAlone},
		"image":      {1, (*play).imageGoes},
		"leave":      {1, (*play).leave},
		"clock":      {2, func(p *play, a []string) { p.ifKnown(a[0], func() { p.Skew(a[0], span(a[1])) }) }},
		"freeze":     {1, func(p *play, a []string) { p.ifKnown(a[0], func() { p.Freeze(a[0]) }) }},
		"unset":      {1, func(p *play, a []string) { p.ifKnown(a[0], func() { p.Unset(a[0]) }) }},
		"move":       {1, func(p *play, a []string) { p.ifOff(a[0], func() { p.Move(a[0]) }) }},
		"rename":     {1, func(p *play, a []string) { p.ifOff(a[0], func() { p.Rename(a[0]) }) }},
		"trip":       {2, func(p *play, a []string) { p.ifKnown(a[0], func() { p.Trip(a[0], Deployment(a[1])) }) }},
		"forge":      {2, func(p *play, a []string) { p.ifAlive(a[0], func() { p.Forge(a[0], Deployment(a[1])) }) }},
		"age":        {1, func(p *play, a []string) { p.Age(span(a[0])) }},
		"within":     {1, (*play).within},
		"contradict": {2, func(p *play, a []string) { p.ifAlive(a[0], func() { p.Contradict(a[0], Deployment(a[1])) }) }},
		"backup":     {1, func(p *play, a []string) { p.ifKnown(a[0], func() { p.Backup(a[0]) }) }},
		"restore":    {1, func(p *play, a []string) { p.ifOff(a[0], func() { p.Restore(a[0]) }) }},
		"cordon":     {1, func(p *play, a []string) { p.say(a[0], func(n *node) { n.cordoned = true }) }},
		"uncordon":   {1, func(p *play, a []string) { p.say(a[0], func(n *node) { n.cordoned, n.draining = false, false }) }},
		"drain":      {1, func(p *play, a []string) { p.say(a[0], func(n *node) { n.cordoned, n.draining = true, true }) }},
		"taint":      {2, func(p *play, a []string) { p.say(a[0], func(n *node) { n.taint(a[1]) }) }},
		"untaint":    {1, func(p *play, a []string) { p.say(a[0], func(n *node) { n.taints = nil }) }},
		"label":      {2, func(p *play, a []string) { p.say(a[0], func(n *node) { n.label(a[1]) }) }},
		"health":     {2, func(p *play, a []string) { p.ifKnown(a[0], func() { p.Health(a[0], healthOf(a[1])) }) }},
		"resize":     {3, (*play).resize},
		"refuse":     {2, func(p *play, a []string) { p.ifKnown(a[0], func() { p.Spoil(a[0], a[1], spoilt{refused: true}) }) }},
		"crash":      {2, func(p *play, a []string) { p.ifKnown(a[0], func() { p.Spoil(a[0], a[1], spoilt{crashes: true}) }) }},
		"allow":      {2, func(p *play, a []string) { p.ifKnown(a[0], func() { p.Spoil(a[0], a[1], spoilt{}) }) }},
		"flap":       {4, (*play).flap},
		"gives":      {3, (*play).gives},
		"ported":     {3, (*play).ported},
		"tolerant":   {4, (*play).tolerant},
		"said":       {3, (*play).said},
		"placed":     {0, (*play).placed},
		"empty":      {1, (*play).empty},
		"mark":       {0, func(p *play, _ []string) { p.course.Mark(p.now) }},
		"begun":      {1, (*play).begun},
		"policies":   {0, func(p *play, _ []string) { p.add(promise.PolicyKept(p.Snapshot())) }},
		"rest":       {0, func(p *play, _ []string) { p.rest(time.Minute) }},
		"still":      {0, func(p *play, _ []string) { p.still() }},
	}
}

// span reads a span of time; what is none is none.
func span(text string) time.Duration { d, _ := time.ParseDuration(text); return d }

func count(text string) int { n, _ := strconv.Atoi(text); return n }

// within checks that all are one cluster by then: they know each other, and hold the same intent.
func (p *play) within(a []string) {
	took, one := p.Await(span(a[0]), func() bool { return p.acquainted() && p.sameIntent() })
	p.tracef("one cluster after %s: %t", took, one)
	if !one {
		p.broken = append(p.broken, violationAt(p.now, "P3", "%s after connectivity not all know each other (%t) and hold the same (%t)", took, p.acquainted(), p.sameIntent()))
	}
}

func (p *play) ifAlive(name string, do func()) {
	if p.alive(name) != nil {
		do()
	}
}

func (p *play) ifKnown(name string, do func()) {
	if p.known(name) {
		do()
	}
}

func (p *play) ifOff(name string, do func()) {
	if p.known(name) && !p.Peer(name).powered {
		do()
	}
}

func (p *play) apply(a []string) {
	p.ifAlive(a[0], func() { p.accepted(p.Apply(a[0], Manifest(a[1], count(a[2]), a[3]))) })
}

// ifLives does something to an object that a peer holds to be alive.
func (p *play) ifLives(peer, name string, do func()) {
	if p.alive(peer) == nil {
		return
	}
	if object, _ := p.Core(peer).Object(Deployment(name)); object.Live {
		do()
	}
}

func (p *play) scale(a []string) {
	p.ifLives(a[0], a[1], func() { p.accepted(p.Scale(a[0], a[1], count(a[2]))) })
}

func (p *play) paint(a []string) {
	p.ifLives(a[0], a[1], func() { p.accepted(p.Set(a[0], Deployment(a[1]), colorPath, a[2])) })
}

func (p *play) set(a []string) {
	change := crdt.Change{Path: crdt.Path(a[2])}
	if len(a) > 3 {
		change.Value = strconv.AppendQuote(nil, a[3])
	}
	p.ifLives(a[0], a[1], func() {
		p.accepted(p.change(a[0], Deployment(a[1]), func(crdt.Object) (control.Write, error) {
			return control.Write{Manager: "edit", Changes: []crdt.Change{change}}, nil
		}))
	})
}

func (p *play) remove(a []string) {
	p.ifLives(a[0], a[1], func() { p.accepted(p.Delete(a[0], Deployment(a[1]))) })
}

func (p *play) split(a []string) {
	var groups [][]string
	for _, group := range strings.Split(a[0], "/") {
		groups = append(groups, p.only(group))
	}
	p.Split(groups...)
	p.cut = true
}

// only lists those of some names that there are.
func (p *play) only(names string) []string {
	var known []string
	for _, name := range strings.Split(names, ",") {
		if p.known(name) {
			known = append(known, name)
		}
	}
	return known
}

func (p *play) oneWay(a []string) {
	if p.known(a[0]) && p.known(a[1]) {
		p.CutOneWay(a[0], a[1])
		p.cut = true
	}
}

func (p *play) imageGoes(a []string) {
	if p.known(a[0]) && len(p.without) < len(p.peers)-1 {
		p.Images(a[0])
		p.without[a[0]] = true
	}
}

func (p *play) leave(a []string) {
	if p.cut || len(p.Alive()) < 2 {
		return
	}
	p.ifAlive(a[0], func() {
		if err := p.Leave(a[0], 20*time.Second); err != nil {
			p.broken = append(p.broken, violationAt(p.now, "P7", "%v", err))
		}
	})
}

// cutAlone splits a whole cluster at rest and checks that no container stops for it (P5).
func (p *play) cutAlone(a []string) {
	if p.cut || p.options.Crashes > 0 {
		return
	}
	before := p.Snapshot()
	p.split(a[:1])
	p.Run(span(a[1]))
	p.add(promise.CutAlone(before, p.Snapshot()))
}

// healAlone ends all cuts, and checks at the next rest that of each replica a copy that was ready runs on (P8), and that no
// merge of what was written on both sides stopped one (P7).
func (p *play) healAlone([]string) {
	p.Heal()
	p.cut = false
	before := p.Snapshot()
	p.rest(time.Minute)
	if p.options.Crashes == 0 {
		after := p.Snapshot()
		p.add(promise.RunsOn(before, after))
		p.add(promise.StaysUp(before, after))
	}
}
