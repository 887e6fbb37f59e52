// The daemon of stargz-snapshotter as Debian's library packages make it, to measure ourselves against. Debian ships the
// library and not the daemon; the wiring below does what upstream's own daemon does with an empty configuration file
// (prefetch and background fetch on), for images pulled through CRI.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/contrib/snapshotservice"
	"github.com/containerd/containerd/reference"
	"github.com/containerd/containerd/remotes/docker"
	dockerconfig "github.com/containerd/containerd/remotes/docker/config"
	"github.com/containerd/stargz-snapshotter/fs"
	"github.com/containerd/stargz-snapshotter/fs/config"
	"github.com/containerd/stargz-snapshotter/fs/source"
	"github.com/containerd/stargz-snapshotter/snapshot"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

// sources reads the labels that containerd's CRI puts on the snapshots of an image.
func sources(hosts source.RegistryHosts) source.GetSources {
	return func(labels map[string]string) ([]source.Source, error) {
		name, err := reference.Parse(labels["containerd.io/snapshot/cri.image-ref"])
		if err != nil {
			return nil, err
		}
		target, err := digest.Parse(labels["containerd.io/snapshot/cri.layer-digest"])
		if err != nil {
			return nil, fmt.Errorf("layer digest: %w", err)
		}
		layers := []ocispec.Descriptor{{Digest: target}}
		for _, text := range strings.Split(labels["containerd.io/snapshot/cri.image-layers"], ",") {
			if layer, err := digest.Parse(text); err == nil && layer != target {
				layers = append(layers, ocispec.Descriptor{Digest: layer})
			}
		}
		return []source.Source{{
			Hosts:    hosts,
			Name:     name,
			Target:   layers[0],
			Manifest: ocispec.Manifest{Layers: layers},
		}}, nil
	}
}

// completions passes on what the library logs above the level debug, and of the rest only that a layer has become
// complete: it says so nowhere else.
type completions struct{ to io.Writer }

func (c completions) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("level=debug")) && !bytes.Contains(line, []byte(layerIsComplete)) {
		return len(line), nil
	}
	return c.to.Write(line)
}

const layerIsComplete = "completed to fetch all layer data in background"

func run(root, address, hostsDir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	registries := dockerconfig.ConfigureHosts(ctx, dockerconfig.HostOptions{HostDir: dockerconfig.HostDirFromRoot(hostsDir)})
	hosts := func(name reference.Spec) ([]docker.RegistryHost, error) { return registries(name.Hostname()) }

	settings := config.Config{DirectoryCacheConfig: config.DirectoryCacheConfig{Direct: true}}
	filesystem, err := fs.NewFilesystem(filepath.Join(root, "stargz"), settings, fs.WithGetSources(sources(hosts)))
	if err != nil {
		return err
	}
	snapshotter, err := snapshot.NewSnapshotter(
		ctx, filepath.Join(root, "snapshotter"), filesystem, snapshot.AsynchronousRemove)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	snapshotsapi.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return err
	}
	return snapshotter.Close()
}

func main() {
	root := flag.String("root", "", "directory for snapshots and cache")
	address := flag.String("address", "", "unix socket to serve on")
	hostsDir := flag.String("hosts", "", "directory of hosts.toml files")
	flag.Parse()
	logrus.SetLevel(logrus.DebugLevel)
	logrus.SetOutput(completions{os.Stderr})
	if err := os.MkdirAll(*root, 0o700); err != nil {
		log.Fatal(err)
	}
	if err := run(*root, *address, *hostsDir); err != nil {
		log.Fatal(err)
	}
}
