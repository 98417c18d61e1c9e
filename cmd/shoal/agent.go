package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"shoal/peer"
	"shoal/peer/stream"
	"shoal/peer/trust"
	"shoal/runtime/oci"
	"shoal/runtime/supervise"
)

// mainProcess marks the process that the supervisor starts.
const mainProcess = "SHOAL_MAIN_PROCESS"

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func newAgent(a *app) *cobra.Command {
	command := &cobra.Command{
		Use:   "agent",
		Short: "Run this machine's peer",
		Long: `Run this machine's peer.

Without --join the first start makes a new cluster: its keys are in the data directory.
With --join and --ticket the first start joins the cluster of the peer at HOST:PORT.
Every later start resumes from the data directory and needs neither.

SIGTERM ends the peer and leaves its containers running; the next start takes them over.
To hand the work to other peers first, use 'shoal leave'.`,
		Example: `  shoal agent
  shoal agent --join 192.0.2.7:7400 --ticket shoal1-…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, _, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			if a.env(mainProcess) == "" {
				return superviseAgent(config)
			}
			return runAgent(cmd.Context(), a, config)
		},
	}
	addConfigFlags(command.Flags())
	return command
}

// superviseAgent turns this process into the supervisor and starts the peer itself as its child.
func superviseAgent(config agentConfig) error {
	if err := checkMachine(); err != nil {
		return err
	}
	exits := filepath.Join(config.Data, "exits")
	if err := os.MkdirAll(exits, 0o700); err != nil {
		return fail(exitFailed, "data directory: %w: choose another with --data", err)
	}
	code, err := supervise.Run(supervise.Config{Args: os.Args, Env: []string{mainProcess + "=1"}, ExitsDir: exits})
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}

// checkMachine says what is missing before anything is written.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return fail(exitFailed, "an agent needs root to make namespaces and cgroups: start it with sudo")
	}
	if err := oci.Check(); err != nil {
		return fail(exitFailed, "this machine cannot run containers: %w", err)
	}
	return nil
}

func runAgent(ctx context.Context, a *app, config agentConfig) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: logLevels[config.LogLevel]})))
	store, err := openStore(config.Data)
	if err != nil {
		return err
	}
	defer store.Close()
	id, err := takeIdentity(ctx, config)
	if err != nil {
		return err
	}
	host, err := assemble(config, id, store)
	if err != nil {
		return err
	}
	return host.run(ctx)
}

// takeIdentity resumes, founds a cluster or joins one.
func takeIdentity(ctx context.Context, config agentConfig) (identity, error) {
	id, found, err := loadIdentity(config.Data)
	if err != nil {
		return id, err
	}
	if found {
		if config.Ticket != "" {
			slog.Info("already a member of a cluster: the ticket is not used", "cluster", id.Cluster[:12])
		}
		return id, nil
	}
	if config.Join == "" && config.Ticket == "" {
		id, err = foundCluster(config.Data, config.Name, time.Now())
		if err == nil {
			slog.Info("made a new cluster", "cluster", id.Cluster[:12],
				"rootKey", filepath.Join(config.Data, rootKeyFile), "next", "keep the root key safe; join others with a ticket from 'shoal ticket create'")
		}
		return id, err
	}
	return joinCluster(ctx, config)
}

func joinCluster(ctx context.Context, config agentConfig) (identity, error) {
	if config.Ticket == "" {
		return identity{}, fail(exitUsage, "--join needs a ticket: create one on a member with 'shoal ticket create' and give it with --ticket")
	}
	ticket, err := trust.ParseTicket(config.Ticket)
	if err != nil {
		return identity{}, fail(exitInvalid, "the ticket cannot be used: %w", err)
	}
	seeds := ticket.Seeds
	if config.Join != "" {
		seeds = []string{config.Join}
	}
	id := identity{Version: 1, Name: config.Name, Cluster: ticket.Cluster}
	if id.Key, err = newKey(); err != nil {
		return id, err
	}
	var faults []error
	for _, seed := range seeds {
		err := joinAt(ctx, seed, ticket, &id)
		if err == nil {
			return id, id.save(config.Data)
		}
		var refused *peer.JoinError
		if errors.As(err, &refused) {
			return id, fail(exitInvalid, "%s refused: %w", seed, err)
		}
		faults = append(faults, err)
	}
	return id, fail(exitUnreachable, "no seed could be reached: %w", errors.Join(faults...))
}

func joinAt(ctx context.Context, seed string, ticket trust.Ticket, id *identity) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	request := func(remote trust.PeerID) []byte {
		return peer.JoinRequest(ticket, peer.ID(id.Key), remote, id.Name, time.Now())
	}
	remote, reply, err := stream.Join(ctx, stream.JoinConfig{PrivateKey: id.Key, Addr: seed}, request)
	if err != nil {
		return err
	}
	membership, err := peer.ReadJoinReply(ticket, peer.ID(id.Key), remote, reply, time.Now())
	if err != nil {
		return err
	}
	if skew := membership.Skew; skew.Abs() > time.Minute {
		slog.Warn(fmt.Sprintf("this machine's clock differs by %s from that of %s: writes still merge, but set the clock", skew.Round(time.Second), seed))
	}
	id.Certificates, id.GossipKey, id.Seeds = membership.Certificates, membership.GossipKey, membership.Seeds
	return nil
}
