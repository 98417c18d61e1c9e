package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shoal/gossip"
	"shoal/gossip/swim"
	"shoal/peer"
	"shoal/peer/api"
	"shoal/peer/control"
	"shoal/peer/store"
	"shoal/peer/stream"
	"shoal/runtime"
	"shoal/runtime/image"
	"shoal/runtime/network"
	"shoal/runtime/oci"
	"shoal/runtime/probe"
	"shoal/runtime/supervise"
)

// host is a peer with the real adapters around it.
type host struct {
	config agentConfig
	peer   *peer.Peer
}

func newKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// openStore opens the data directory's store; what is wrong with it gets an exit code of its own.
func openStore(dir string) (*store.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fail(exitFailed, "data directory: %w: choose another with --data", err)
	}
	opened, err := store.Open(dir)
	var inUse *store.InUseError
	var version *store.VersionError
	var damage *store.DamageError
	if errors.As(err, &inUse) || errors.As(err, &version) || errors.As(err, &damage) {
		return nil, fail(exitDamaged, "%w", err)
	}
	return opened, err
}

// assemble chooses the adapters. Nothing listens yet.
func assemble(config agentConfig, id identity, opened *store.Store) (*host, error) {
	room, err := config.room()
	if err != nil {
		return nil, err
	}
	storage, pids := config.storage(), config.pids()
	self := peer.ID(id.Key)
	advertised := config.advertised()
	subnet := config.subnet(self)
	images, err := image.Open(filepath.Join(config.Data, "images"))
	if err != nil {
		return nil, err
	}
	connections, err := network.Open(network.Config{
		Bridge: bridgeName(self), Subnet: subnet, Dir: filepath.Join(config.Data, "network"),
	})
	if err != nil {
		return nil, err
	}
	peerConfig := peer.Config{
		Key: id.Key, Cluster: id.Cluster, GossipKey: id.GossipKey, Certificates: id.Certificates,
		Name: config.Name, Room: room, Storage: storage, Pids: pids, Devices: config.devices(), Labels: config.labels(), Subnet: subnet, Seeds: id.Seeds,
		Stream: netip.AddrPortFrom(advertised, uint16(config.Port)),
		Gossip: netip.AddrPortFrom(advertised, uint16(config.Port+1)),
		Random: randomBelow, Trip: trip, Build: versionText(), Session: session(),
	}
	made, err := peer.New(peerConfig, config.ports(peerConfig, opened, images, connections))
	return &host{config: config, peer: made}, err
}

func (c agentConfig) ports(p peer.Config, opened *store.Store, images runtime.Images, connections runtime.Network) peer.Ports {
	bind := netip.MustParseAddr(c.Bind)
	profile, _ := swim.ParseProfile(c.Profile) // validated
	started := supervise.Uptime()
	return peer.Ports{
		Store:  opened,
		Images: images,
		Now:    func() control.Clock { return control.Clock{Elapsed: supervise.Uptime() - started, Wall: time.Now()} },
		Began:  started,
		Streams: func(handler peer.StreamHandler) (peer.Streams, error) {
			return wrapStreams(stream.New(stream.Config{PrivateKey: p.Key, Bind: netip.AddrPortFrom(bind, uint16(c.Port))}, handler))
		},
		Gossip: func(changed func(gossip.Member)) (gossip.Cluster, error) {
			return swim.New(swim.Config{
				Self: gossip.Self{ID: gossip.PeerID(peer.ID(p.Key)), Name: p.Name, Stream: p.Stream, Room: p.Room},
				Bind: netip.AddrPortFrom(bind, uint16(c.Port+1)), Advertise: p.Gossip.Addr(), Key: p.GossipKey, Profile: profile, Logger: slog.Default(),
			}, changed)
		},
		Runtime: func(exited func(runtime.Status)) (runtime.Runtime, error) {
			return oci.New(oci.Config{
				Dir: filepath.Join(c.Data, "runtime"), CgroupParent: c.CgroupParent,
				ExitsDir: filepath.Join(c.Data, "exits"), Images: images, Network: connections,
			}, exited)
		},
		Prober: newProber,
		Signs:  func() gossip.Signs { return signs(c.Data, "/proc/pressure") },
	}
}

// session names the life of the supervisor above this process, under one boot of the machine.
func session() string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	started, err := supervise.StartTime(os.Getppid())
	if err != nil || len(boot) == 0 {
		return "" // nothing is known to have outlived the program
	}
	return fmt.Sprintf("%s/%d/%d", strings.TrimSpace(string(boot)), os.Getppid(), started)
}

// newProber puts runtime/probe behind the peer's contract.
func newProber(exec peer.ExecFunc, changed func(control.Probed)) peer.Prober {
	return prober{probe.New(probe.Exec(exec), func(r probe.Result) { changed(control.Probed(r)) })}
}

type prober struct{ *probe.Prober }

func (p prober) Watch(target peer.ProbeTarget) { p.Prober.Watch(probe.Target(target)) }

func (p prober) Resume(target peer.ProbeTarget, age time.Duration) {
	p.Prober.Resume(probe.Target(target), age)
}

func randomBelow(n int) int {
	number, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // the kernel's generator does not fail
	}
	return int(number.Int64())
}

// run serves the peer and its API until ctx ends or the peer has left.
func (h *host) run(ctx context.Context) error {
	listener, err := listenUnix(filepath.Join(h.config.Data, "shoal.sock"))
	if err != nil {
		return err
	}
	defer listener.Close()
	info := api.Info{Version: versionText(), Self: h.peer.ID()}
	go serve(listener, api.New(h.peer, info))
	go serve(h.peer.RemoteAPI(), api.Remote(h.peer, info))
	go func() {
		<-h.peer.Started()
		slog.Info("up", "name", h.config.Name, "id", h.peer.ID()[:12], "socket", listener.Addr())
	}()
	return h.peer.Run(ctx)
}

// listenUnix takes the place of a socket that an earlier life left; the store's lock says that it is not in use.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for commands: %w", err)
	}
	return listener, os.Chmod(path, 0o600)
}

func serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ConnContext: api.ConnContext}
	if err := server.Serve(listener); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
		slog.Error("the API has stopped", "error", err)
	}
}
