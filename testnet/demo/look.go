package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"shoal/testnet"
	"shoal/testnet/machine"
)

// shoal runs the program on peers' machines, as a person would, and returns what it wrote to standard output.
func (s *story) shoal(ctx context.Context, peers string, arguments ...string) (string, error) {
	line := "shoal testnet run " + peers + " -- shoal " + strings.Join(arguments, " ")
	s.command(strings.NewReplacer(s.kit.Root+"/", "", s.dir+"/", "").Replace(line))
	return s.on(ctx, peers, append([]string{"shoal"}, arguments...)...)
}

// on runs a command on peers' machines; an exit code is an error with what the command wrote.
func (s *story) on(ctx context.Context, peers string, command ...string) (string, error) {
	chosen, err := s.net.Select(peers)
	if err != nil {
		return "", err
	}
	out, err := os.CreateTemp(s.dir, "out-")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	code, err := s.net.Run(ctx, chosen, command, testnet.Stdio{Out: out, Err: out})
	if err != nil {
		return "", err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(out)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s on %s ended with exit code %d:\n%s", strings.Join(command, " "), peers, code, strings.TrimSpace(string(text)))
	}
	return string(text), err
}

// others lists all peers but one.
func (s *story) others(but string) []string {
	return slices.DeleteFunc(s.net.Peers(), func(peer string) bool { return peer == but })
}

// holder is the wished peer if it runs containers of the workload, else the first that does, with its containers: where
// replicas are placed depends on the peers' keys, which are new each time.
func (s *story) holder(wished string) (string, map[string]machine.Process, error) {
	for _, peer := range append([]string{wished}, s.net.Peers()...) {
		containers, err := s.net.Containers(peer)
		if err != nil || len(containers) > 0 {
			return peer, containers, err
		}
	}
	return "", nil, errors.New("no peer runs a container")
}

// containersOf remembers what runs on peers.
func (s *story) containersOf(peers []string) (map[string]map[string]machine.Process, error) {
	all := make(map[string]map[string]machine.Process)
	for _, peer := range peers {
		containers, err := s.net.Containers(peer)
		if err != nil {
			return nil, err
		}
		all[peer] = containers
	}
	return all, nil
}

func count(all map[string]map[string]machine.Process) (sum int) {
	for _, containers := range all {
		sum += len(containers)
	}
	return sum
}

// same is nil when all that was remembered runs on as the same processes.
func (s *story) same(all map[string]map[string]machine.Process) error {
	var faults []error
	for peer, containers := range all {
		faults = append(faults, s.net.SameContainers(peer, containers))
	}
	return errors.Join(faults...)
}

// restarts is how many times containers of the workload on a peer were restarted, by its own account.
func (s *story) restarts(ctx context.Context, peer string) (sum int, err error) {
	pods, err := s.clients[peer].Pods(ctx, workload)
	for _, pod := range pods {
		if pod.Spec.NodeName == peer {
			sum += pod.Restarts()
		}
	}
	return sum, err
}

// readyOn is nil when, in the view of each peer of a side, exactly want replicas of a color are ready, all on that side.
func (s *story) readyOn(ctx context.Context, side []string, want int, color string) error {
	for _, peer := range side {
		if err := s.clients[peer].AllReady(ctx, workload, want); err != nil {
			return err
		}
		pods, err := s.clients[peer].Pods(ctx, workload)
		if err != nil {
			return err
		}
		for _, pod := range pods {
			if !slices.Contains(side, pod.Spec.NodeName) {
				return fmt.Errorf("%s sees %s on %s, beyond the cut", peer, pod.Metadata.Name, pod.Spec.NodeName)
			}
			if got := pod.Env("COLOR"); got != color {
				return fmt.Errorf("%s sees %s in %s, not %s", peer, pod.Metadata.Name, got, color)
			}
		}
	}
	return nil
}

// membersAll is nil when each peer holds all for alive.
func (s *story) membersAll(ctx context.Context) error {
	for peer, client := range s.clients {
		alive, err := client.Alive(ctx, s.net.Peers())
		if err != nil {
			return err
		}
		if alive != len(s.clients) {
			return fmt.Errorf("%s sees %d of %d alive", peer, alive, len(s.clients))
		}
	}
	return nil
}

// merged is nil when each peer's Deployment has both changes.
func (s *story) merged(ctx context.Context) error {
	for peer, client := range s.clients {
		d, err := client.Deployment(ctx, workload)
		if err != nil {
			return err
		}
		if d.Spec.Replicas != scaled || d.Env("COLOR") != "green" {
			return fmt.Errorf("%s holds %d replicas in %s", peer, d.Spec.Replicas, d.Env("COLOR"))
		}
	}
	return nil
}

// settled waits until the promises hold, as `shoal testnet check` sees them.
func (s *story) settled(ctx context.Context, _ []string) error {
	report, err := s.net.CheckWithin(ctx, 20*time.Second)
	return errors.Join(err, report.Err())
}

// showPlaces prints where the replicas run.
func (s *story) showPlaces(ctx context.Context, view string) error {
	pods, err := s.clients[view].Pods(ctx, workload)
	if err != nil {
		return err
	}
	on := make(map[string][]string)
	for _, pod := range pods {
		on[pod.Spec.NodeName] = append(on[pod.Spec.NodeName], pod.Metadata.Name)
	}
	var places []string
	for _, peer := range s.net.Peers() {
		if len(on[peer]) > 0 {
			places = append(places, peer+": "+strings.Join(on[peer], " "))
		}
	}
	s.note("%s", strings.Join(places, "   "))
	return nil
}

// serves asks every replica that the first peer given sees, on the machine that it runs on, for a page.
func (s *story) serves(ctx context.Context, want int, side ...string) error {
	began := time.Now()
	pods, err := s.clients[side[0]].Pods(ctx, workload)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if _, err := s.on(ctx, pod.Spec.NodeName, s.kit.Web, "-check", "http://"+pod.Status.PodIP+":8080/"); err != nil {
			return fmt.Errorf("%s does not serve: %w", pod.Metadata.Name, err)
		}
	}
	if len(pods) != want {
		return fmt.Errorf("%d replicas serve, want %d", len(pods), want)
	}
	s.did(time.Since(began), "all %d answer requests", want)
	return nil
}
