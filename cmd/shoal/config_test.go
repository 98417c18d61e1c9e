package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"shoal/placement"
)

// configured loads a configuration file with flags.
func configured(t *testing.T, file string, args ...string) (agentConfig, error) {
	t.Helper()
	flags := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	addConfigFlags(flags)
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := flags.Parse(append(args, "--config", path, "--name", "p1")); err != nil {
		t.Fatal(err)
	}
	config, _, err := loadConfig(flags)
	return config, err
}

func TestWhatAPeerSaysOfItself(t *testing.T) {
	const file = "labels: {topology.kubernetes.io/region: eu, disk: ssd}\ndevices: {example.com/gpu: 2, example.com/fpga: 0}\nzone: attic\n"
	check := func(c agentConfig, err error, devices []placement.Amount, labels map[string]string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		got := c.labels()
		delete(got, archLabel)
		if diff := cmp.Diff(devices, c.devices()) + cmp.Diff(labels, got); diff != "" {
			t.Error(diff)
		}
	}
	gpu := func(n int64) []placement.Amount { return []placement.Amount{{Name: "example.com/gpu", Count: n}} }
	c, err := configured(t, file, "--data", t.TempDir())
	check(c, err, gpu(2), map[string]string{"topology.kubernetes.io/region": "eu", "disk": "ssd", zoneLabel: "attic", hostLabel: "p1", osLabel: "linux"})
	if c.storage() <= 0 || c.pids() <= 0 {
		t.Errorf("by itself it has %d bytes and %d processes", c.storage(), c.pids())
	}
	t.Setenv("SHOAL_DEVICES", "example.com/gpu=3")
	c, err = configured(t, file, "--storage", "1000", "--pids", "7", "--labels", "a=b", "--zone", "")
	check(c, err, gpu(3), map[string]string{"a": "b", hostLabel: "p1", osLabel: "linux"})
	if c.storage() != 1000 || c.pids() != 7 {
		t.Errorf("it has %d bytes and %d processes", c.storage(), c.pids())
	}
}

func TestFaultsOfTheConfigurationAreAllNamed(t *testing.T) {
	_, err := configured(t, "labels: {kubernetes.io/os: x, 'a b': c, topology.kubernetes.io/zone: b}\ndevices: {gpu: many}\n", "--zone", "a", "--pids=-1")
	want := `storage and pids cannot be negative
labels: "a b" is not a valid key: letters, digits, '-', '_' and '.', with an optional domain and '/' before
labels: kubernetes.io/os is set by the peer itself
labels: topology.kubernetes.io/zone is "b", but zone is "a": give one of them
devices: "gpu" needs a domain of its own, as in example.com/gpu
devices: gpu: "many" is not a number of devices`
	if err == nil || codeOf(err) != exitUsage {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	t.Setenv("SHOAL_DEVICES", "example.com/gpu")
	if _, err := configured(t, ""); err == nil || !strings.Contains(err.Error(), "is not KEY=VALUE") {
		t.Error(err)
	}
}
