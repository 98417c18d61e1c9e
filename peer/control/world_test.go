package control

import (
	"bytes"
	"crypto/sha512"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/manifest"
	"shoal/peer/replication"
	"shoal/peer/wire"
	"shoal/placement"
	"shoal/runtime"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// world is one machine, p1, with everything around it played by a script.
type world struct {
	machine *Machine
	room    gossip.Room
	labels  map[string]string
	space   placement.Resources // beside room
	devices []placement.Amount
	tuning  Tuning
	boot    uint64
	elapsed time.Duration
	wall    time.Time

	ops       map[string]crdt.Op
	book      map[gossip.PeerID]gossip.Member
	records   map[string][]byte
	history   map[crdt.Key][]HistoryEntry
	audited   []AuditEntry
	trips     map[string]bool // site and name that fail
	instances map[runtime.InstanceID]*runtime.Instance
	pending   []Action
	last      Output
	quiet     bool

	remote    map[string]*crdt.Set // what other peers hold when they write without having heard of p1
	rows      map[string]*wire.Observation
	sequences map[string]uint64
	words     map[crdt.PeerID]uint64 // the boots of peers that answer the next question
	revisions map[string]string      // real -> r1, r2 …
	requests  uint64
	told      uint64 // events of other peers
	tells     []string
	printed   bytes.Buffer
}

func newWorld() *world {
	return &world{
		room: gossip.Room{CPUMillis: 4000, MemoryBytes: 4 << 30}, wall: epoch,
		ops: map[string]crdt.Op{}, book: map[gossip.PeerID]gossip.Member{},
		records: map[string][]byte{}, history: map[crdt.Key][]HistoryEntry{}, trips: map[string]bool{}, instances: map[runtime.InstanceID]*runtime.Instance{}, remote: map[string]*crdt.Set{},
		rows: map[string]*wire.Observation{}, sequences: map[string]uint64{}, words: map[crdt.PeerID]uint64{}, revisions: map[string]string{},
	}
}

func peerID(name string) crdt.PeerID {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "p"))
	return crdt.PeerID(fmt.Sprintf("%064x", n))
}

var hexID = regexp.MustCompile(`[0-9a-f]{64}`)

var hexOp = regexp.MustCompile(`operation [0-9a-f]{16}`)

func peerNameOf(id string) string {
	n, _ := strconv.ParseUint(id[48:], 16, 64)
	return fmt.Sprintf("p%d", n)
}

func sign(message []byte) []byte { sum := sha512.Sum512(message); return sum[:] }

// verbs, each with what follows it:
//
//	start [room CPU BYTES] [labels k=v]  p1 starts, from all that it saved
//	book p2 p3                           peers known from an earlier life
//	member NAME alive|suspect|failed|left
//	row NAME [draining] [at SPAN] [boot N] [room CPU] [runs REPLICA REVISION ready|starting|stopping]… [refuses REPLICA REVISION reason]
//	again NAME                           its newest row comes once more, from itself
//	apply NAME k=v…  delete NAME  namespace NAME  remove-namespace NAME
//	remote PEER NAME k=v…                a write by another peer, which has heard only its own
//	done [INSTANCE] [error REASON text]  the runtime answers
//	run                                  flushes and answers until nothing is left to do
//	exit REPLICA CODE  probe REPLICA ready|unready|dead|late
//	images REF…  room CPU BYTES  leave SPAN  wait SPAN  flush  wall SPAN
//	trip SITE NAME                       the code fails there from now on; trip: no more
//	resolve NAME [PATH VALUE]            writes a field having seen all, or ends the orphans of a dead object
//	acks N NAME k=v…  ack PEER           apply, asking for acknowledgements; one comes for the last write
//	row NAME … serves REPLICA REVISION  event REPLICA REASON TEXT CAUSE  ended REPLICA FROM UNTIL REASON TEXT CAUSE  cut-short
//	events heals  explain REPLICA  what-if lose|drain|add|apply|remove …
//	missed PEER…                         they say that they had lost p1
//	flap told-missed                     what p1 says of its own flaps, and whom it told since that was last asked that it was lost
//	passes PEER NAME  answers PEER…      a newer row of NAME comes by way of PEER; they answer p1's question
//	answered-before PEER…                their answers to p1's first question come
//	aside conflicts history floor skews audit sent
//	plan replicas members invalid why notes admitted persist version  print
func (w *world) do(args []string) error {
	verbs := map[string]func([]string) error{
		"start": w.start, "book": w.bookVerb, "member": w.member, "row": w.row, "again": w.again,
		"apply": w.apply, "delete": w.delete, "namespace": w.namespace, "remove-namespace": w.removeNamespace,
		"ticket": w.ticket, "remote": w.remoteWrite, "done": w.done, "run": w.run, "exit": w.exit, "probe": w.probe,
		"images": w.images, "room": w.setRoom, "health": w.setHealth, "leave": w.leave, "wait": w.wait, "flush": w.flushVerb, "wall": w.wallVerb,
		"crash": w.crash, "garble": w.garble, "break": w.breakVerb, "stale-apply": w.staleApply,
		"plan": w.plan, "replicas": w.replicas, "members": w.membersVerb, "invalid": w.invalid, "why": w.why,
		"notes": w.notes, "admitted": w.admitted, "persist": w.persist, "quiet": w.quietVerb, "wake": w.wakeVerb,
		"trip": w.tripVerb, "aside": w.asideVerb, "conflicts": w.conflictsVerb, "resolve": w.resolveVerb, "history": w.historyVerb,
		"floor": w.floorVerb, "skews": w.skewsVerb, "audit": w.auditVerb, "ack": w.ackVerb, "events": w.eventsVerb, "heals": w.healsVerb,
		"explain": w.explainVerb, "what-if": w.whatIfVerb, "acks": w.acksVerb, "sent": w.sentVerb,
		"missed": w.missedVerb, "flap": w.flapVerb, "answered-before": w.answeredBefore, "told-missed": w.toldMissed,
		"passes": w.passesVerb, "answers": w.answersVerb,
	}
	maps.Copy(verbs, w.placingVerbs())
	verb, known := verbs[args[0]]
	if !known {
		return fmt.Errorf("unknown verb")
	}
	return verb(args[1:])
}

// print writes a line with names for peers and revisions in place of what they stand for.
func (w *world) print(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	text = hexID.ReplaceAllStringFunc(text, peerNameOf)
	for real, name := range w.revisions {
		text = strings.ReplaceAll(text, real, name)
	}
	w.printed.WriteString(text + "\n")
}

func (w *world) revision(real string) string {
	if w.revisions[real] == "" {
		w.revisions[real] = fmt.Sprintf("r%d", len(w.revisions)+1)
	}
	return w.revisions[real]
}

func (w *world) realRevision(name string) string {
	for real, known := range w.revisions {
		if known == name {
			return real
		}
	}
	return name
}

func (w *world) start(args []string) error {
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "room":
			if err := w.parseRoom(args[i+1:]); err != nil {
				return err
			}
			i += 2
		case "labels":
			w.labels = pairs(strings.Split(args[i+1], ","))
			i++
		default:
			if !w.setSpace(args[i], args[i+1]) {
				return fmt.Errorf("unknown word %s", args[i])
			}
			i++
		}
	}
	saved := Saved{Records: maps.Clone(w.records)}
	for _, name := range slices.Sorted(mapsKeys(w.ops)) {
		saved.Ops = append(saved.Ops, w.ops[name])
	}
	for _, id := range slices.Sorted(mapsKeys(w.book)) {
		saved.Book = append(saved.Book, w.book[id])
	}
	for _, id := range slices.Sorted(mapsKeys(w.instances)) {
		saved.Instances = append(saved.Instances, *w.instances[id])
	}
	w.boot++
	w.elapsed, w.pending, w.last = 0, nil, Output{}
	w.machine = New(Config{
		Self: gossip.Self{ID: gossip.PeerID(peerID("p1")), Name: "p1", Room: w.room}, Boot: w.boot, Labels: w.labels,
		Subnet: netip.MustParsePrefix("10.1.0.0/24"), Sign: sign, Pick: func(n int) int { return n / 2 }, Tuning: w.tuning, Trip: w.trip,
		Verify:       func(row replication.Row) bool { return bytes.Equal(row.Signature, sign(row.Signed)) },
		StorageBytes: w.space.StorageBytes, Pids: w.space.Pids, Devices: w.devices,
	}, saved)
	return nil
}

func mapsKeys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func pairs(words []string) map[string]string {
	m := map[string]string{}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		m[name] = value
	}
	return m
}

func (w *world) parseRoom(args []string) error {
	cpu, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	mib, err := strconv.ParseInt(strings.TrimSuffix(args[1], "Mi"), 10, 64)
	w.room = gossip.Room{CPUMillis: cpu, MemoryBytes: mib << 20}
	return err
}

func (w *world) bookVerb(names []string) error {
	for _, name := range names {
		m := memberNamed(name, gossip.Alive)
		w.book[m.ID] = m
	}
	return nil
}

func memberNamed(name string, state gossip.State) gossip.Member {
	return gossip.Member{Self: gossip.Self{ID: gossip.PeerID(peerID(name)), Name: name,
		Stream: netip.MustParseAddrPort("127.0.0.1:7400"),
		Room:   gossip.Room{CPUMillis: 4000, MemoryBytes: 4 << 30}}, State: state}
}

func (w *world) member(args []string) error {
	states := map[string]gossip.State{"alive": gossip.Alive, "suspect": gossip.Suspect, "failed": gossip.Failed, "left": gossip.Left}
	for _, name := range args[:len(args)-1] {
		w.machine.Step(MemberChanged{memberNamed(name, states[args[len(args)-1]])})
	}
	return nil
}

func (w *world) row(args []string) error {
	o := &wire.Observation{CPUMillis: 4000, Memory: 4 << 30}
	name, boot := args[0], uint64(1)
	for i := 1; i < len(args); {
		switch args[i] {
		case "draining":
			o.Draining = true
			i++
		case "at":
			ahead, err := time.ParseDuration(args[i+1])
			if err != nil {
				return err
			}
			o.At = w.wall.Add(ahead).UnixMilli()
			i += 2
		case "boot":
			boot, _ = strconv.ParseUint(args[i+1], 10, 64)
			i += 2
		case "room":
			o.CPUMillis, _ = strconv.ParseInt(args[i+1], 10, 64)
			i += 2
		case "runs":
			o.Instances = append(o.Instances, w.rowInstance(args[i+1], args[i+2], args[i+3]))
			i += 4
		case "serves":
			o.Instances = append(o.Instances, serving(w.rowInstance(args[i+1], args[i+2], "ready")))
			i += 3
		case "event":
			o.Events = append(o.Events, w.rowEvent(args[i+1:i+5]))
			i += 5
		case "refuses":
			o.Refusals = append(o.Refusals, wire.Refusal{Replica: "default/" + args[i+1],
				Revision: w.realRevision(args[i+2]), Reason: args[i+3], ForMillis: 30_000})
			i += 4
		default:
			n := w.rowWord(o, args[i:])
			if n == 0 {
				return fmt.Errorf("unknown word %s", args[i])
			}
			i += n
		}
	}
	w.rows[name] = o
	w.sequences[name]++
	w.sendRow(name, boot, wire.EncodeObservation(*o))
	w.giveWord(name, boot)
	return nil
}

func (w *world) rowInstance(replica, revision, state string) wire.Instance {
	real := w.realRevision(revision)
	in := wire.Instance{ID: "default." + replica + "." + real, Replica: "default/" + replica, Revision: real,
		Since: epoch.UnixMilli(), CPUMillis: 1000, Memory: 64 << 20,
		Workload: "Deployment/default/" + replica[:strings.LastIndexByte(replica, '-')]}
	in.State = map[string]string{"ready": "Running", "starting": "Starting", "stopping": "Stopping", "arriving": "Starting", "arrived": "Running"}[state]
	in.Ready, in.Arriving = state == "ready" || state == "arrived", state == "arriving" || state == "arrived"
	return in
}

func (w *world) sendRow(name string, boot uint64, body []byte) {
	row := replication.SealRow(replication.Row{Peer: peerID(name),
		Version: replication.Version{Boot: boot, Sequence: w.sequences[name]}, Body: body}, sign)
	w.machine.Step(Received{From: peerID(name), Message: replication.Message{Rows: &replication.Rows{Rows: []replication.Row{row}}}})
}

// giveWord is a peer's answer to the question which row of it is the newest: the one that it was asked, or will be asked next.
func (w *world) giveWord(name string, boot uint64) {
	if n := w.machine.members[peerID(name)]; n != nil {
		w.answerTo(peerID(name), boot, n.question)
	}
	w.words[peerID(name)] = boot
}

func (w *world) answerTo(id crdt.PeerID, boot, question uint64) {
	own := replication.Version{Boot: boot, Sequence: w.sequences[peerNameOf(string(id))]}
	w.machine.Step(Received{From: id, Message: replication.Message{Digest: &replication.Digest{Answer: true, Busy: true,
		Count: uint64(w.machine.set.Count()), Floor: w.machine.floors.appliedHash, Own: own, Question: question}}})
}

// answerQuestions answers those of the last flush that peers have words for, and says whether there were any.
func (w *world) answerQuestions() (any bool) {
	for _, send := range w.last.Send {
		d := send.Message.Digest
		if boot, answers := w.words[send.To]; answers && d != nil && d.Question != 0 && !d.Answer {
			w.answerTo(send.To, boot, d.Question)
			any = true
		}
	}
	clear(w.words)
	return any
}

func (w *world) again(args []string) error {
	w.sendRow(args[0], 1, wire.EncodeObservation(*w.rows[args[0]]))
	w.giveWord(args[0], 1)
	return nil
}

func (w *world) garble(args []string) error {
	w.sequences[args[0]]++
	w.sendRow(args[0], 1, []byte("\xff garbled"))
	return nil
}

// crash is the end of the program and of nothing else; exits while it is away are seen by nobody.
func (w *world) crash(args []string) error {
	for _, name := range args {
		w.setStatus(w.instance(name), "web", func(s *runtime.Status) { s.Phase, s.ExitCode, s.Reason = runtime.Exited, 7, "Error" })
	}
	w.machine = nil
	return nil
}

// breakVerb spoils the record of an instance, or makes the code fail on one workload.
func (w *world) breakVerb(args []string) error {
	defer func() { // the next flush reads all again
		if m := w.machine; m != nil {
			for key, o := range m.objects {
				o.digest, m.objectsDirty[key] = [32]byte{1}, true
			}
		}
	}()
	switch args[0] {
	case "record":
		w.instances[w.instance(args[1])].Spec.Note = []byte("{")
	case "read":
		w.machine.config.Read = func(key crdt.Key, fields []crdt.Field) (*manifest.Workload, manifest.Faults) {
			if key.Name == args[1] {
				panic("index out of range")
			}
			return readForm(key, fields)
		}
	case "plan":
		w.machine.config.Plan = func(v placement.View) placement.Plan {
			for _, want := range v.Wanted {
				if strings.HasSuffix(string(want.Workload), "/"+args[1]) {
					panic("division by zero")
				}
			}
			return v.Plan()
		}
	}
	return nil
}

func (w *world) images(args []string) error {
	w.machine.Step(SelfChanged{Room: w.room, Images: args, StorageBytes: w.space.StorageBytes, Pids: w.space.Pids, Devices: w.devices})
	return nil
}

// setHealth changes this peer's health: health good|fair|poor WHY…
func (w *world) setHealth(args []string) error {
	health := map[string]gossip.Health{"good": gossip.Good, "fair": gossip.Fair, "poor": gossip.Poor}[args[0]]
	w.machine.Step(SelfChanged{Room: w.room, Health: health, Why: strings.Join(args[1:], " "), StorageBytes: w.space.StorageBytes, Pids: w.space.Pids, Devices: w.devices})
	return nil
}

func (w *world) setRoom(args []string) error {
	err := w.parseRoom(args)
	w.machine.Step(SelfChanged{Room: w.room, StorageBytes: w.space.StorageBytes, Pids: w.space.Pids, Devices: w.devices})
	return err
}

func (w *world) leave(args []string) error {
	within, err := time.ParseDuration(args[0])
	w.requests++
	w.machine.Step(LeaveAsked{Request: w.requests, Within: within})
	return err
}

// wait lets time pass, with a flush at every moment that the machine asked for.
func (w *world) wait(args []string) error {
	span, err := time.ParseDuration(args[0])
	w.flush()
	end := w.elapsed + span
	for range 10_000 {
		next := end
		if w.last.Wake != 0 && w.last.Wake < end {
			next = max(w.last.Wake, w.elapsed)
		}
		w.wall = w.wall.Add(next - w.elapsed)
		w.elapsed = next
		w.flush()
		if next == end {
			return err
		}
	}
	return fmt.Errorf("it wakes without end")
}

func (w *world) wallVerb(args []string) error {
	span, err := time.ParseDuration(args[0])
	w.wall = w.wall.Add(span)
	return err
}

func (w *world) flushVerb([]string) error { w.flush(); return nil }

func (w *world) quietVerb(args []string) error { w.quiet = args[0] == "on"; return nil }

func pushOf(ops ...crdt.Op) replication.Message {
	return replication.Message{Push: &replication.Push{Ops: ops}}
}
