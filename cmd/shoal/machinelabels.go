package main

import (
	"errors"
	"fmt"
	"maps"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"shoal/peer/manifest"
	"shoal/placement"
)

// The labels that each peer gives itself, with Kubernetes' names.
const (
	hostLabel = "kubernetes.io/hostname"
	osLabel   = "kubernetes.io/os"
	archLabel = "kubernetes.io/arch"
	zoneLabel = "topology.kubernetes.io/zone"
)

// labels are those configured, and those that the machine has by itself.
func (c agentConfig) labels() map[string]string {
	labels := maps.Clone(c.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[hostLabel], labels[osLabel], labels[archLabel] = c.Name, goruntime.GOOS, goruntime.GOARCH
	if c.Zone != "" {
		labels[zoneLabel] = c.Zone
	}
	return labels
}

// devices are the extended resources configured, sorted by name.
func (c agentConfig) devices() []placement.Amount {
	var list []placement.Amount
	for _, name := range slices.Sorted(maps.Keys(c.Devices)) {
		if n, err := strconv.ParseInt(c.Devices[name], 10, 64); err == nil && n > 0 {
			list = append(list, placement.Amount{Name: name, Count: n})
		}
	}
	return list
}

// mostDevices bounds how many of one kind of device, and how many kinds, a peer may say it has.
const mostDevices = 1 << 20

func (c agentConfig) validateLabels() []error {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		switch text := manifest.LabelFault(key, c.Labels[key]); {
		case text != "":
			faults = append(faults, errors.New("labels: "+text))
		case key == hostLabel || key == osLabel || key == archLabel:
			faults = append(faults, fmt.Errorf("labels: %s is set by the peer itself", key))
		case key == zoneLabel && c.Zone != "" && c.Zone != c.Labels[key]:
			faults = append(faults, fmt.Errorf("labels: %s is %q, but zone is %q: give one of them", key, c.Labels[key], c.Zone))
		}
	}
	if text := manifest.LabelFault(zoneLabel, c.Zone); text != "" {
		faults = append(faults, errors.New("zone: "+strings.TrimPrefix(text, zoneLabel+": ")))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Devices)) {
		if !manifest.IsDevice(name) {
			faults = append(faults, fmt.Errorf("devices: %q needs a domain of its own, as in example.com/gpu", name))
		}
		if n, err := strconv.ParseInt(c.Devices[name], 10, 64); err != nil || n < 0 || n > mostDevices {
			faults = append(faults, fmt.Errorf("devices: %s: %q is not a number of devices", name, c.Devices[name]))
		}
	}
	return faults
}
