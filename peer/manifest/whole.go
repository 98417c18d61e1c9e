package manifest

import (
	"strconv"
	"strings"
)

// This file holds the rules that look at more than one field.

// maxWorkloadName leaves room for "-9999": a replica's name is its host name.
const maxWorkloadName = 58

func (d *deployment) check(p place) {
	if len(d.Metadata.Name) > maxWorkloadName {
		p.at("metadata").at("name").fault("longer than %d characters: a replica's name, NAME-ORDINAL, must fit into a host name", maxWorkloadName)
	}
	at := p.at("metadata").at("annotations")
	for _, key := range sortedKeys(d.Metadata.Annotations) {
		if ordinal, ok := strings.CutPrefix(key, RestartAnnotation); ok {
			if number, err := strconv.Atoi(ordinal); err != nil || number < 0 || strconv.Itoa(number) != ordinal {
				at.fault("%s must end with the ordinal of a replica", clip(key))
			}
		}
	}
	checkSplit(at, d.Metadata.Annotations)
	d.Spec.Selector.finds(p.at("spec"), &d.Spec.Template)
}

func (d *daemonSet) check(p place) {
	at := p.at("metadata").at("annotations")
	for _, key := range sortedKeys(d.Metadata.Annotations) {
		if name, ok := strings.CutPrefix(key, RestartAnnotation); ok && (name == "" || dnsLabel(name) != "") {
			at.fault("%s must end with the name of a peer", clip(key))
		}
	}
	checkUnsplit(at, d.Metadata.Annotations)
	d.Spec.Selector.finds(p.at("spec"), &d.Spec.Template)
}

// finds holds a selector against the template whose replicas it must find.
func (s *selector) finds(spec place, t *template) {
	labels := t.Metadata.Labels
	for _, key := range sortedKeys(s.MatchLabels) {
		if value, ok := labels[key]; !ok || value != s.MatchLabels[key] {
			spec.at("selector").at("matchLabels").fault(
				"%s=%s is not among the labels of spec.template.metadata: the selector would not find its own replicas",
				key, s.MatchLabels[key])
		}
	}
}

func (s *strategy) check(p place) {
	if s.RollingUpdate != nil && s.Type == recreate {
		p.at("rollingUpdate").fault("goes not with type: Recreate, which replaces all at once")
	}
}

func (r *rollingUpdate) check(p place) {
	if none := func(a *Amount) bool { return a != nil && a.Number == 0 }; none(r.MaxSurge) && none(r.MaxUnavailable) {
		p.at("maxUnavailable").fault("may not be 0 where maxSurge is 0: no replica could ever be replaced")
	}
}

func (s *podSpec) check(p place) {
	volumes := map[string]bool{}
	for _, v := range s.Volumes {
		volumes[v.Name] = true
	}
	for i, c := range s.Containers {
		at := p.at("containers").item(i)
		for j, mount := range c.VolumeMounts {
			if mount.Name != "" && !volumes[mount.Name] {
				at.at("volumeMounts").item(j).at("name").fault("no volume is called %q", clip(mount.Name))
			}
		}
		s.checkUser(at, c)
	}
	s.checkHostPorts(p)
}

// checkUser holds runAsNonRoot against the user that the manifest names; an image's own user is not known here.
func (s *podSpec) checkUser(at place, c container) {
	user, _, nonRoot := s.security(c)
	if nonRoot && (user == nil || *user == 0) {
		at.fault("runAsNonRoot needs a runAsUser other than 0")
	}
}

// security resolves what a container says against what its pod says.
func (s *podSpec) security(c container) (user, group *int64, nonRoot bool) {
	if pod := s.SecurityContext; pod != nil {
		user, group = pod.RunAsUser, pod.RunAsGroup
		nonRoot = pod.RunAsNonRoot != nil && *pod.RunAsNonRoot
	}
	if own := c.SecurityContext; own != nil {
		if own.RunAsUser != nil {
			user = own.RunAsUser
		}
		if own.RunAsGroup != nil {
			group = own.RunAsGroup
		}
		if own.RunAsNonRoot != nil {
			nonRoot = *own.RunAsNonRoot
		}
	}
	return user, group, nonRoot
}

func (c *container) check(p place) {
	for _, name := range sortedKeys(c.Resources.Requests) {
		limit, ok := c.Resources.Limits[name]
		if request := c.Resources.Requests[name]; ok && limit.milli < request.milli {
			p.at("resources").at("limits").at(name).fault("%s is below the request of %s", limit.text, request.text)
		}
	}
	c.checkResources(p)
	names := map[string]bool{}
	for i, port := range c.Ports {
		if port.Name != "" && names[port.Name] {
			p.at("ports").item(i).at("name").fault("a second port called %q", clip(port.Name))
		}
		names[port.Name] = true
	}
	c.checkProbe(p.at("readinessProbe"), c.ReadinessProbe)
	c.checkProbe(p.at("livenessProbe"), c.LivenessProbe)
	if c.LivenessProbe != nil && c.LivenessProbe.SuccessThreshold != nil && *c.LivenessProbe.SuccessThreshold > 1 {
		p.at("livenessProbe").at("successThreshold").fault("must be 1")
	}
}

func (c *container) checkProbe(p place, probe *probe) {
	if probe == nil {
		return
	}
	if probe.HTTPGet != nil {
		c.checkPort(p.at("httpGet").at("port"), probe.HTTPGet.Port)
	}
	if probe.TCPSocket != nil {
		c.checkPort(p.at("tcpSocket").at("port"), probe.TCPSocket.Port)
	}
}

func (c *container) checkPort(p place, port PortRef) {
	if port.Name != "" && c.port(port) == 0 {
		p.fault("no port of this container is called %q", clip(port.Name))
	}
}

// port resolves a port by its name; 0 when there is none.
func (c *container) port(ref PortRef) uint16 {
	if ref.Name == "" {
		return ref.Number
	}
	for _, p := range c.Ports {
		if p.Name == ref.Name {
			return uint16(p.ContainerPort)
		}
	}
	return 0
}

func (probe *probe) check(p place) {
	ways := 0
	for _, given := range []bool{probe.HTTPGet != nil, probe.TCPSocket != nil, probe.Exec != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 && p.node.get("grpc").empty() {
		p.fault("needs exactly one of httpGet, tcpSocket and exec")
	}
}

func (v *volume) check(p place) {
	if v.EmptyDir != nil {
		return
	}
	for _, e := range p.node.entries {
		if e.key != "name" && e.key != "emptyDir" {
			return // refused already, by its own name
		}
	}
	p.fault("needs emptyDir: {}, the one kind of volume that is supported")
}

func (s *containerSecurity) check(p place) {
	if s.AllowPrivilegeEscalation != nil && *s.AllowPrivilegeEscalation {
		p.at("allowPrivilegeEscalation").fault("true is not supported yet: containers never gain privileges")
	}
}
