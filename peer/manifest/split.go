package manifest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/placement"
)

// The annotations of a workload that Kubernetes has no field for. They stand in metadata of the workload, not of its template.
const (
	SplitAnnotation     = "shoal/split"
	ExclusiveAnnotation = "shoal/exclusive"
	WitnessesAnnotation = "shoal/witnesses"
	HomeAnnotation      = "shoal/home"
	LostWaitAnnotation  = "shoal/lost-wait"
	MaxMovingAnnotation = "shoal/max-moving"
)

const (
	ownAnnotations = "shoal/"
	mostWitnesses  = 15 // in one list
	mostLists      = 4
	maxLostWait    = 365 * 24 * time.Hour
	forever        = "forever"
)

var splitAnnotations = []string{SplitAnnotation, ExclusiveAnnotation, WitnessesAnnotation, HomeAnnotation, LostWaitAnnotation, MaxMovingAnnotation}

var policies = []string{string(Everywhere), string(Witness), string(Home), string(Freeze)}

// splitOf reads the annotations of a valid workload. Kubernetes' toleration of an unreachable node says how long a lost peer is waited
// for where no annotation does.
func splitOf(annotations map[string]string, tolerations []placement.Toleration) Split {
	s := Split{Policy: SplitPolicy(annotations[SplitAnnotation]), Exclusive: annotations[ExclusiveAnnotation] == "true"}
	witnesses, home := annotations[WitnessesAnnotation], annotations[HomeAnnotation]
	switch {
	case s.Policy != "":
	case s.Exclusive && home != "":
		s.Policy = Home
	case s.Exclusive:
		s.Policy = Witness
	default:
		s.Policy = Everywhere
	}
	switch s.Policy {
	case Witness:
		for i, list := range lists(witnesses) {
			if slices.Sort(list); i == 0 {
				s.Witnesses = list
			} else {
				s.Also = append(s.Also, list)
			}
		}
	case Home:
		s.Witnesses = []string{home}
	}
	s.LostWait = lostWait(annotations[LostWaitAnnotation], tolerations)
	if s.Policy == Freeze {
		s.LostWait = placement.Forever
	}
	return s
}

func lostWait(text string, tolerations []placement.Toleration) time.Duration {
	if wait, fault := readWait(text); text != "" && fault == "" {
		return wait
	}
	for _, t := range tolerations {
		if t.Key == unreachable && (t.Effect == "" || t.Effect == placement.NoExecute) {
			return t.For
		}
	}
	return 0
}

func readWait(text string) (time.Duration, string) {
	if text == forever {
		return placement.Forever, ""
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxLostWait {
		return 0, `must be a span like "90s", "10m" or "24h", at most a year, or "forever"`
	}
	return d, ""
}

// lists are the lists of names in a text: lists are separated by semicolons, names by commas.
func lists(text string) [][]string {
	var all [][]string
	for list := range strings.SplitSeq(text, ";") {
		var names []string
		for name := range strings.SplitSeq(list, ",") {
			names = append(names, strings.TrimSpace(name))
		}
		all = append(all, names)
	}
	return all
}

// mostMoving resolves shoal/max-moving, by default a tenth, rounded down, to a number of at least 1.
func mostMoving(text string, replicas int) int {
	share := Amount{Number: 10, Percent: true}
	if given, fault := readMoving(text); text != "" && fault == "" {
		share = given
	}
	if !share.Percent {
		return int(share.Number)
	}
	return max(1, int(share.Number)*replicas/100)
}

func readMoving(text string) (Amount, string) {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > MaxReplicas || percent && n > 100 {
		return Amount{}, `must be a number of at least 1, or a share like "10%"`
	}
	return Amount{Number: n, Percent: percent}, ""
}

// checkSplit checks the annotations of a workload against each other.
func checkSplit(p place, annotations map[string]string) {
	a := annotated{p, annotations}
	a.checkNames()
	a.checkValues()
	policy := SplitPolicy(annotations[SplitAnnotation])
	if policy != "" && !slices.Contains(policies, string(policy)) {
		a.fault(SplitAnnotation, "%s", oneOf(string(policy), policies))
		return
	}
	a.checkWitnesses(policy)
	if annotations[ExclusiveAnnotation] == "true" && (policy == Everywhere || policy == Freeze) {
		a.fault(ExclusiveAnnotation, "goes with shoal/split: witness or home: with %s nobody says on which side of a split the one copy may run", policy)
	}
	if policy == Freeze && annotations[LostWaitAnnotation] != "" && annotations[LostWaitAnnotation] != forever {
		a.fault(LostWaitAnnotation, "goes not with shoal/split: freeze, which waits for a lost peer for ever")
	}
}

// annotated is an object's annotations and where they stand.
type annotated struct {
	place
	values map[string]string
}

func (a annotated) fault(name, format string, args ...any) {
	a.place.at(name).fault(format, args...)
}

// checkNames refuses an annotation in shoal's own name that says nothing.
func (a annotated) checkNames() {
	for _, key := range sortedKeys(a.values) {
		if strings.HasPrefix(key, ownAnnotations) && !strings.HasPrefix(key, RestartAnnotation) && !slices.Contains(splitAnnotations, key) {
			unknownAnnotation(a.place.at(key), key, splitAnnotations)
		}
	}
}

func unknownAnnotation(p place, key string, known []string) {
	p.c.add(Fault{Line: p.node.line, Column: p.node.column, Path: p.path, Text: "there is no such annotation", Suggest: nearest(key, known)})
}

func (a annotated) checkValues() {
	if text, ok := a.values[ExclusiveAnnotation]; ok && text != "true" && text != "false" {
		a.fault(ExclusiveAnnotation, `must be "true" or "false", not %q`, clip(text))
	}
	if text, ok := a.values[LostWaitAnnotation]; ok {
		if _, fault := readWait(text); fault != "" {
			a.fault(LostWaitAnnotation, "%s, not %q", fault, clip(text))
		}
	}
	if text, ok := a.values[MaxMovingAnnotation]; ok {
		if _, fault := readMoving(text); fault != "" {
			a.fault(MaxMovingAnnotation, "%s, not %q", fault, clip(text))
		}
	}
}

// checkWitnesses refuses a set of witnesses of which there can never be a majority, and witnesses whom nothing asks.
func (a annotated) checkWitnesses(policy SplitPolicy) {
	_, witnessed := a.values[WitnessesAnnotation]
	home, homely := a.values[HomeAnnotation]
	exclusive := a.values[ExclusiveAnnotation] == "true"
	asked := func(p SplitPolicy) bool { return policy == p || policy == "" && exclusive }
	if witnessed && !asked(Witness) {
		a.fault(WitnessesAnnotation, "says nothing without shoal/split: witness")
	}
	if homely && !asked(Home) {
		a.fault(HomeAnnotation, "says nothing without shoal/split: home")
	}
	switch {
	case policy == "" && exclusive && witnessed && homely:
		a.fault(ExclusiveAnnotation, "needs shoal/split to say which counts, shoal/witnesses or shoal/home")
	case policy == Home || asked(Home) && homely:
		if text := dnsLabel(home); home == "" || text != "" {
			a.fault(HomeAnnotation, "must be the name of the one peer at whose side it runs, not %q", clip(home))
		}
	case policy == Witness || exclusive && policy == "":
		a.checkMajority()
	}
}

// oddHint ends what is said of a set of witnesses.
const oddHint = `name an odd number of peers, as in "p1,p2,p3"`

func (a annotated) checkMajority() {
	text := a.values[WitnessesAnnotation]
	if strings.TrimSpace(text) == "" {
		a.fault(WitnessesAnnotation, "required, but missing: without witnesses there is never a majority, and nothing would run: %s", oddHint)
		return
	}
	all := lists(text)
	if len(all) > mostLists {
		a.fault(WitnessesAnnotation, "more than %d lists: each lease asks all of them", mostLists)
	}
	for _, names := range all {
		a.checkList(names)
	}
}

func (a annotated) checkList(names []string) {
	if len(names) > mostWitnesses {
		a.fault(WitnessesAnnotation, "more than %d in one list: each lease asks all of them", mostWitnesses)
	}
	sorted := slices.Sorted(slices.Values(names))
	for i, name := range sorted {
		switch {
		case name == "" || dnsLabel(name) != "":
			a.fault(WitnessesAnnotation, "%q is not a peer's name, and has no voice: %s", clip(name), oddHint)
		case i > 0 && sorted[i-1] == name:
			a.fault(WitnessesAnnotation, "%s is named twice, but has one voice: %s", name, oddHint)
		}
	}
	if n := len(names); n%2 == 0 {
		a.place.at(WitnessesAnnotation).warn("%d witnesses bear the loss of no more than %d do, and a split that halves them leaves neither side a majority", n, n-1)
	}
}

// checkUnsplit refuses what says nothing of a workload whose replicas belong to one peer each.
func checkUnsplit(p place, annotations map[string]string) {
	for _, key := range sortedKeys(annotations) {
		if !strings.HasPrefix(key, ownAnnotations) || strings.HasPrefix(key, RestartAnnotation) {
			continue
		}
		at := p.at(key)
		switch {
		case !slices.Contains(splitAnnotations, key):
			unknownAnnotation(at, key, nil)
		case annotations[key] == "false" || annotations[key] == string(Everywhere):
		default:
			at.fault("goes not with a DaemonSet: each of its replicas belongs to one peer, and runs nowhere else")
		}
	}
}

// check refuses conditions that no peer can meet, whatever its labels, and annotations of the workload that stand where nothing reads
// them.
func (t *template) check(p place) {
	for _, key := range sortedKeys(t.Metadata.Annotations) {
		if slices.Contains(splitAnnotations, key) {
			p.at("metadata").at("annotations").at(key).fault("belongs in metadata.annotations of the workload itself")
		}
	}
	asked := placement.Wanted{NodeSelector: t.Spec.NodeSelector, Rules: t.rules("")}
	if text := asked.Contradiction(); text != "" && !p.faulty() {
		p.at("spec").at("affinity").fault("can never hold: %s", text)
	}
}
