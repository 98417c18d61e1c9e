package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/peer/api"
	"shoal/testnet"
)

// What the two sides of a cut want: both fewer than run, so that the story need not wait for containers.
const (
	alone = 5 // what p1 scales to while it is cut off
	among = 6 // what p4 scales to at the same time
)

// disagree cuts one peer off, has the same field changed on both sides, heals, and settles the conflict.
func (s *story) disagree(ctx context.Context) error {
	s.begin("p1 is cut off, and two people who cannot see each other change the same field.")
	s.command("shoal testnet split p1")
	if err := s.net.Split(ctx, [][]string{{"p1"}}); err != nil {
		return err
	}
	began := time.Now()
	for _, side := range []struct {
		peer     string
		replicas int
	}{{"p1", alone}, {"p4", among}} {
		if _, err := s.shoal(ctx, side.peer, "scale", "deployment/"+workload, fmt.Sprintf("--replicas=%d", side.replicas), "--wait=false"); err != nil {
			return err
		}
	}
	s.did(time.Since(began), "both are accepted: %d on the one side, %d on the other", alone, among)
	s.command("shoal testnet heal")
	began = time.Now()
	if err := s.net.Heal(ctx); err != nil {
		return err
	}
	if _, err := testnet.Await(ctx, func() error { return s.everyPeer(ctx, s.listsBoth) }); err != nil {
		return err
	}
	s.did(time.Since(began), "every peer lists both values, with who wrote them, where and when")
	return s.settle(ctx)
}

// settle takes the value that lost, on a peer that had nothing to do with it.
func (s *story) settle(ctx context.Context) error {
	text, err := s.shoal(ctx, "p2", "conflicts")
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		s.note("%s", line)
	}
	held, err := s.disagreement(ctx, s.clients["p2"])
	if err != nil {
		return err
	}
	lost := string(held.Rivals[0].Value)
	left, err := strconv.Atoi(lost)
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := s.shoal(ctx, "p2", "conflicts", "resolve", "deployment/"+workload, "spec/replicas", "--take", "1"); err != nil {
		return err
	}
	if _, err := testnet.Await(ctx, func() error {
		return s.everyPeer(ctx, func(ctx context.Context, c *testnet.Client) error { return s.agreed(ctx, c, lost) })
	}); err != nil {
		return err
	}
	s.did(time.Since(began), "someone decides: every peer holds %s replicas, and no conflict is left", lost)
	if _, err := testnet.Await(ctx, func() error { return s.clients["p2"].AllReady(ctx, workload, left) }); err != nil {
		return err
	}
	s.did(time.Since(began), "all %d are ready", left)
	return nil
}

// everyPeer is nil when something holds on each peer.
func (s *story) everyPeer(ctx context.Context, look func(context.Context, *testnet.Client) error) error {
	for _, peer := range s.net.Peers() {
		if err := look(ctx, s.clients[peer]); err != nil {
			return fmt.Errorf("%s: %w", peer, err)
		}
	}
	return nil
}

func conflicts(ctx context.Context, c *testnet.Client) ([]api.Conflict, error) {
	var list api.List[api.Conflict]
	err := c.Get(ctx, "/apis/shoal/v1/conflicts", &list)
	return list.Items, err
}

// disagreement is the one conflict that there should be.
func (s *story) disagreement(ctx context.Context, c *testnet.Client) (api.Conflict, error) {
	list, err := conflicts(ctx, c)
	if err != nil {
		return api.Conflict{}, err
	}
	if len(list) != 1 || list[0].Path != "spec/replicas" || len(list[0].Rivals) != 1 {
		return api.Conflict{}, fmt.Errorf("lists %d conflicts, not one about spec/replicas with one losing value", len(list))
	}
	return list[0], nil
}

// listsBoth is nil when a peer lists both values, each with its author, peer and time.
func (s *story) listsBoth(ctx context.Context, c *testnet.Client) error {
	held, err := s.disagreement(ctx, c)
	if err != nil {
		return err
	}
	got := []string{}
	for _, claim := range []api.Claim{held.Winner, held.Rivals[0]} {
		if age := time.Since(claim.At); age < 0 || age > storyMost {
			return fmt.Errorf("the value %s was written at %s, it says", claim.Value, claim.At)
		}
		got = append(got, fmt.Sprintf("%s by %s on %s", claim.Value, claim.User, claim.Writer))
	}
	slices.Sort(got)
	want := []string{fmt.Sprintf("%d by root on p1", alone), fmt.Sprintf("%d by root on p4", among)}
	if !slices.Equal(got, want) {
		return fmt.Errorf("lists %s, not %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
	return nil
}

// agreed is nil when a peer holds a number of replicas, and nothing is in conflict.
func (s *story) agreed(ctx context.Context, c *testnet.Client, replicas string) error {
	left, err := conflicts(ctx, c)
	if err != nil {
		return err
	}
	d, err := c.Deployment(ctx, workload)
	if err == nil && fmt.Sprint(d.Spec.Replicas) != replicas {
		err = fmt.Errorf("holds %d replicas, not %s", d.Spec.Replicas, replicas)
	}
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("%s is still in conflict", left[0].Path))
	}
	return err
}
