package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// most is how many lines of what a command wrote are shown.
const most = 8

// shown runs the program on a peer and shows what it wrote.
func (s *story) shown(ctx context.Context, peer string, arguments ...string) error {
	text, err := s.shoal(ctx, peer, arguments...)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines[:min(len(lines), most)] {
		s.note("%s", line)
	}
	if len(lines) > most {
		s.note("… and %d lines more", len(lines)-most)
	}
	return nil
}

// why asks a peer to explain itself.
func (s *story) why(ctx context.Context) error {
	s.begin("Every answer explains itself: why is this replica where it is, and why not elsewhere?")
	return s.shown(ctx, "p4", "why", workload+"-0")
}

// foresee asks what the loss would do that comes next.
func (s *story) foresee(ctx context.Context) error {
	victim, _, err := s.holder("p2")
	if err != nil {
		return err
	}
	s.victim = victim
	s.begin(fmt.Sprintf("What if %s were lost? Any peer can work that out before it happens.", victim))
	view := s.others(victim)[0]
	if err := s.shown(ctx, view, "what-if", "--lose", victim); err != nil {
		return err
	}
	text, err := s.on(ctx, view, "shoal", "what-if", "--lose", victim, "-o", "json")
	if err != nil {
		return err
	}
	var forecast struct {
		Placements []struct{ Replica, Peer string }
	}
	if err := json.Unmarshal([]byte(text[strings.IndexByte(text, '{'):strings.LastIndexByte(text, '}')+1]), &forecast); err != nil {
		return err
	}
	s.foreseen = make(map[string]string)
	for _, p := range forecast.Placements {
		s.foreseen[strings.TrimPrefix(p.Replica, "default/")] = p.Peer
	}
	return nil
}

// cameTrue is nil when every replica is where it was said to be.
func (s *story) cameTrue(ctx context.Context, view string) error {
	pods, err := s.clients[view].Pods(ctx, workload)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if said := s.foreseen[pod.Metadata.Name]; said != pod.Spec.NodeName {
			return fmt.Errorf("%s is on %s, and was said to be on %s", pod.Metadata.Name, pod.Spec.NodeName, said)
		}
	}
	s.holds("it came true: each of the %d is just where it was said to be", len(pods))
	return nil
}

// receipt shows what the split cost.
func (s *story) receipt(ctx context.Context) error {
	s.begin("The receipt of the split: what ran twice, where, for how long, and what was stopped.")
	return s.shown(ctx, "p5", "heals")
}
