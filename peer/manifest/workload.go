package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/placement"
	"shoal/runtime"
)

// RestartAnnotation, followed by an ordinal, is an annotation of a workload: a new value of it
// replaces that one replica.
const RestartAnnotation = "shoal/restart."

// Workload is what an object asks to run, in the form that placement and control use.
type Workload struct {
	Key                crdt.Key
	Replicas           int
	Revision           string       // 8 hex digits: hash of Template with defaults, the same on every peer
	Template           runtime.Spec // Instance, Hostname and Note empty
	RequestCPUMillis   int64
	RequestMemoryBytes int64
	NodeSelector       map[string]string
	GraceSeconds       int64
	MaxSurge           int               // resolved: how many replicas above Replicas a rollout may run; 0: none, so the old one of each goes first
	Labels             map[string]string // of the template
	MaxUnavailable     int               // resolved: how many replicas may be missing in a rollout that finds no room for a new one beside the old, or that has no surge; 0 where not given
	Recreate           bool              // all replicas of older revisions are gone before one of the newest begins; MaxSurge is 0 then
	MinReadySeconds    int64
	Restarts           map[int]string // per ordinal: the mark of annotation shoal/restart.ORDINAL; part of that replica's revision

	EachPeer            bool              // a DaemonSet: one on each peer that its rules allow; Replicas is 0
	RestartsOn          map[string]string // of a DaemonSet, per name of a peer: the mark of annotation shoal/restart.PEER
	SurgePercent        int               // of a DaemonSet: MaxSurge as a share of its replicas, rounded up; 0 where MaxSurge says it
	RequestStorageBytes int64
	RequestPids         int64
	Devices             []placement.Amount // sorted by name
	Ports               []placement.Port   // host ports
	Rules               *placement.Rules   // never nil for a workload that Read gives
	PriorityClass       string             // its value is in an object of its own; see PriorityOf
	NeverDisplace       bool
	MostMoving          int // resolved: how many replicas may be on their way for the balance at once; at least 1

	Split Split
}

// SplitPolicy is what a split of the cluster means for a workload (annotation shoal/split).
type SplitPolicy string

const (
	// Everywhere: each side runs all of it. The default.
	Everywhere SplitPolicy = "everywhere"
	// Witness: only the side with most of the witnesses runs it.
	Witness SplitPolicy = "witness"
	// Home: only the side with its home peer runs it. It is Witness with one witness.
	Home SplitPolicy = "home"
	// Freeze: each side keeps just what it has.
	Freeze SplitPolicy = "freeze"
)

// Split is what a workload's annotations say of splits and losses.
type Split struct {
	Policy    SplitPolicy
	Exclusive bool          // never two of one replica at once, also not in a move (annotation shoal/exclusive)
	Witnesses []string      // names of peers, sorted; of Home just the home peer (annotations shoal/witnesses, shoal/home)
	Also      [][]string    // of Witness: further lists, each sorted; a majority of each is needed too
	LostWait  time.Duration // how long a lost peer is waited for (annotation shoal/lost-wait); Forever of Freeze
}

// Leased says whether a replica may run only while its peer holds a lease for it.
func (s Split) Leased() bool { return s.Exclusive || s.Policy == Witness || s.Policy == Home }

// WorkloadOf reads a valid object in the form that Tree gives; false for kinds that run nothing.
func WorkloadOf(key crdt.Key, tree map[string]any) (Workload, bool) {
	c := &checker{}
	object, _, ok := c.object(nodeOf(tree))
	if !ok {
		return Workload{}, false
	}
	return workload(key, object)
}

// Read is Validate and WorkloadOf at the cost of one: it checks a whole object and gives what it asks to run, nil where that is
// nothing or the object is not valid.
func Read(key crdt.Key, tree map[string]any) (*Workload, Faults) {
	object, faults := validate(key, tree)
	if len(faults) > 0 {
		return nil, faults
	}
	w, runs := workload(key, object)
	if !runs {
		return nil, nil
	}
	return &w, nil
}

// workload is what an object asks to run; false for kinds that run nothing.
func workload(key crdt.Key, object reflect.Value) (Workload, bool) {
	w := Workload{Key: key}
	switch o := object.Interface().(type) {
	case deployment:
		w.of(&o.Spec.Template)
	case daemonSet:
		w.of(&o.Spec.Template)
	default:
		return Workload{}, false
	}
	w.beside(object)
	w.annotated(object)
	return w, true
}

// of sets what a template says.
func (w *Workload) of(t *template) {
	pod := &t.Spec
	w.Revision = revision(*t)
	w.NodeSelector = pod.NodeSelector
	w.GraceSeconds = *orDefault(pod.TerminationGracePeriodSeconds, 30)
	w.Labels = t.Metadata.Labels
	w.Rules = t.rules(w.Key.Namespace)
	w.PriorityClass, w.NeverDisplace = pod.PriorityClassName, pod.PreemptionPolicy == "Never"
	for i := range pod.Containers {
		w.Template.Containers = append(w.Template.Containers, pod.Containers[i].spec(pod))
	}
	w.asks(pod)
}

// beside sets what a spec says beside its template.
func (w *Workload) beside(object reflect.Value) {
	switch o := object.Interface().(type) {
	case deployment:
		w.Replicas = int(*orDefault(o.Spec.Replicas, 1))
		w.MaxSurge, w.MaxUnavailable = o.Spec.surge(), o.Spec.unavailable()
		w.Recreate = o.Spec.Strategy.Type == recreate
		w.MinReadySeconds = o.Spec.MinReadySeconds
	case daemonSet:
		w.EachPeer, w.MinReadySeconds = true, o.Spec.MinReadySeconds
		w.MaxSurge, w.SurgePercent = o.Spec.pace()
	}
}

// annotated sets what the annotations say.
func (w *Workload) annotated(object reflect.Value) {
	annotations := object.FieldByName("Metadata").Interface().(metadata).Annotations
	if w.EachPeer {
		w.RestartsOn = restartsOn(annotations)
		annotations = nil // nothing else of them is for it
	}
	w.Restarts = restarts(annotations)
	w.Split = splitOf(annotations, w.Rules.Tolerations)
	w.MostMoving = mostMoving(annotations[MaxMovingAnnotation], w.Replicas)
}

func orDefault(value *int64, fallback int64) *int64 {
	if value == nil {
		return &fallback
	}
	return value
}

// recreate is the strategy that replaces all replicas at once.
const recreate = "Recreate"

// quarter is what maxSurge and maxUnavailable are by default.
var quarter = Amount{Number: 25, Percent: true}

// surge resolves maxSurge to a number of at least 1, where it is not 0.
func (s deploymentSpec) surge() int {
	amount := quarter
	if r := s.Strategy.RollingUpdate; r != nil && r.MaxSurge != nil {
		amount = *r.MaxSurge
	}
	if s.Strategy.Type == recreate || amount.Number == 0 {
		return 0
	}
	return int(max(1, amount.of(*orDefault(s.Replicas, 1))))
}

// unavailable resolves maxUnavailable, where it is given: a share is rounded down, as in Kubernetes. It is 1 at least where there is no
// surge, for then nothing else lets a rollout go on.
func (s deploymentSpec) unavailable() int {
	r, replicas := s.Strategy.RollingUpdate, *orDefault(s.Replicas, 1)
	least, amount := int64(0), Amount{}
	switch {
	case s.Strategy.Type == recreate:
		return int(replicas)
	case s.surge() == 0:
		least, amount = 1, quarter
	}
	if r != nil && r.MaxUnavailable != nil {
		amount = *r.MaxUnavailable
	}
	if amount.Percent {
		amount.Number = replicas * amount.Number / 100
	}
	return int(max(least, amount.Number))
}

// pace is how many replicas are replaced at once, as a number or as a share. Which of the two fields says it makes no difference:
// the old one goes only when the new one is ready.
func (s *daemonSetSpec) pace() (number, percent int) {
	number = 1
	if r := s.UpdateStrategy.RollingUpdate; r != nil {
		for _, a := range []*Amount{r.MaxSurge, r.MaxUnavailable} {
			switch {
			case a == nil:
			case a.Percent:
				percent = max(percent, int(a.Number))
			default:
				number = max(number, int(a.Number))
			}
		}
	}
	return number, percent
}

func restartsOn(annotations map[string]string) map[string]string {
	var marks map[string]string
	for key, mark := range annotations {
		if name, ok := strings.CutPrefix(key, RestartAnnotation); ok {
			if marks == nil {
				marks = map[string]string{}
			}
			marks[name] = mark
		}
	}
	return marks
}

func restarts(annotations map[string]string) map[int]string {
	marks := map[int]string{}
	for key, mark := range annotations {
		if text, ok := strings.CutPrefix(key, RestartAnnotation); ok {
			if ordinal, err := strconv.Atoi(text); err == nil && ordinal >= 0 {
				marks[ordinal] = mark
			}
		}
	}
	if len(marks) == 0 {
		return nil
	}
	return marks
}

// request is what a container asks for: its request, else its limit, as in Kubernetes.
func (c *container) request(name string) Quantity {
	if q, ok := c.Resources.Requests[name]; ok {
		return q
	}
	return c.Resources.Limits[name]
}

func (c *container) spec(pod *podSpec) runtime.Container {
	spec := runtime.Container{
		Name: c.Name, Image: c.Image, Command: c.Command, Args: c.Args, WorkingDir: c.WorkingDir,
		Limits: runtime.Limits{
			CPUMillis:        c.Resources.Limits["cpu"].Millis(),
			CPURequestMillis: c.request("cpu").Millis(),
			MemoryBytes:      c.Resources.Limits["memory"].Whole(),
			Pids:             c.Resources.Limits["pids"].Whole(),
			StorageBytes:     c.Resources.Limits["ephemeral-storage"].Whole(),
		},
		Readiness: c.probeSpec(c.ReadinessProbe),
		Liveness:  c.probeSpec(c.LivenessProbe),
	}
	for _, e := range c.Env {
		spec.Env = append(spec.Env, runtime.Env{Name: e.Name, Value: e.Value})
	}
	for _, p := range c.Ports {
		spec.Ports = append(spec.Ports, runtime.Port{Name: p.Name, Number: uint16(p.ContainerPort), Protocol: p.Protocol})
	}
	for _, m := range c.VolumeMounts {
		spec.Mounts = append(spec.Mounts, runtime.Mount{Volume: m.Name, Path: m.MountPath, ReadOnly: m.ReadOnly, VolumeBytes: pod.volumeBytes(m.Name)})
	}
	if s := c.SecurityContext; s != nil {
		spec.ReadOnlyRoot = s.ReadOnlyRootFilesystem
		spec.AddCapabilities, spec.DropCapabilities = s.Capabilities.Add, s.Capabilities.Drop
	}
	spec.User = userText(pod, c)
	expand(&spec)
	return spec
}

// volumeBytes is how much a volume may hold; 0 for as much as there is.
func (s *podSpec) volumeBytes(name string) int64 {
	for _, v := range s.Volumes {
		if v.Name == name && v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil {
			return v.EmptyDir.SizeLimit.Whole()
		}
	}
	return 0
}

// userText is "uid" or "uid:gid"; empty for the image's own. A group alone is group of root, as in Kubernetes.
func userText(pod *podSpec, c *container) string {
	user, group, _ := pod.security(*c)
	switch {
	case user == nil && group == nil:
		return ""
	case group == nil:
		return strconv.FormatInt(*user, 10)
	}
	return fmt.Sprintf("%d:%d", *orDefault(user, 0), *group)
}

func (c *container) probeSpec(p *probe) *runtime.Probe {
	if p == nil {
		return nil
	}
	spec := &runtime.Probe{
		InitialDelay:     time.Duration(p.InitialDelaySeconds) * time.Second,
		Period:           time.Duration(*orDefault(p.PeriodSeconds, 10)) * time.Second,
		Timeout:          time.Duration(*orDefault(p.TimeoutSeconds, 1)) * time.Second,
		SuccessThreshold: int(*orDefault(p.SuccessThreshold, 1)),
		FailureThreshold: int(*orDefault(p.FailureThreshold, 3)),
	}
	switch {
	case p.HTTPGet != nil:
		spec.HTTP = &runtime.HTTPProbe{Path: p.HTTPGet.Path, Port: c.port(p.HTTPGet.Port), Scheme: p.HTTPGet.Scheme}
		for _, h := range p.HTTPGet.HTTPHeaders {
			spec.HTTP.Header = append(spec.HTTP.Header, runtime.Env{Name: h.Name, Value: h.Value})
		}
	case p.TCPSocket != nil:
		spec.TCP = &runtime.TCPProbe{Port: c.port(p.TCPSocket.Port)}
	case p.Exec != nil:
		spec.Exec = p.Exec.Command
	}
	return spec
}

// revision hashes everything in a template that differs from its default. So neither the order of fields,
// nor a default written out, nor a field that a later version of this program adds, makes a new revision.
func revision(t template) string {
	hash := sha256.New()
	write := func(path, value string) { fmt.Fprintf(hash, "%q=%q\n", path, value) }
	canonical(write, "", reflect.ValueOf(t), &field{of: reflect.TypeFor[template]()})
	return hex.EncodeToString(hash.Sum(nil)[:4])
}

func canonical(write func(path, value string), path string, v reflect.Value, f *field) {
	given := v.Kind() == reflect.Pointer // whose zero is a value too
	if given {
		if v.IsNil() {
			return
		}
		v = v.Elem()
		if v.Kind() == reflect.Struct {
			write(path, "{}")
		}
	}
	if c, ok := v.Interface().(interface{ canonical() string }); ok {
		write(path, c.canonical())
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		s := shapes[v.Type()]
		for _, name := range s.sorted {
			below := s.byName[name]
			canonical(write, path+"/"+name, v.Field(below.index), below)
		}
	case reflect.Slice:
		for i := range v.Len() {
			canonical(write, path+"/"+strconv.Itoa(i), v.Index(i), &field{of: v.Type().Elem()})
		}
	case reflect.Map:
		keys := v.MapKeys()
		byText := make(map[string]reflect.Value, len(keys))
		for _, key := range keys {
			byText[key.String()] = v.MapIndex(key)
		}
		for _, key := range sortedKeys(byText) {
			canonical(write, path+"/"+escape.Replace(key), byText[key], &field{of: v.Type().Elem()})
		}
	default:
		if text := fmt.Sprint(v.Interface()); text != f.fallback && (given || !v.IsZero()) {
			write(path, text)
		}
	}
}
