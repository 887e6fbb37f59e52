// Package conformance runs containerd's own snapshotter test suite against rivuletd, over its socket.
//
// It is compiled by the script `run` beside it, against Debian's packages of containerd.
package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/mount"
	_ "github.com/containerd/containerd/pkg/testutil" // the flag -test.root
	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/containerd/snapshots/proxy"
	"github.com/containerd/containerd/snapshots/testsuite"
	"github.com/containerd/continuity/fs/fstest"
	"google.golang.org/grpc"
)

// The name under which the suite runs. Newer versions skip the renaming of a lower directory for this name alone, which
// overlay refuses (EXDEV) unless mounted with redirect_dir; programs that rename directories expect that refusal.
const suiteName = "overlayfs"

// start runs the daemon named by RIVULETD with its state below root, and connects to it.
func start(ctx context.Context, root string) (snapshots.Snapshotter, func() error, error) {
	binary := os.Getenv("RIVULETD")
	if binary == "" {
		return nil, nil, fmt.Errorf("RIVULETD does not name the daemon")
	}
	// The suite's root is long: a socket's path may not be.
	run, err := os.MkdirTemp("", "rv")
	if err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(run, "s")
	config := filepath.Join(run, "config.toml")
	text := fmt.Sprintf("root = %q\naddress = %q\n[log]\nlevel = \"warning\"\n[admin]\naddress = \"\"\n", root, socket)
	if err := os.WriteFile(config, []byte(text), 0600); err != nil {
		return nil, nil, err
	}
	daemon := exec.Command(binary, "--config", config)
	daemon.Stderr = os.Stderr
	// The daemon goes when the test is killed.
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := daemon.Start(); err != nil {
		return nil, nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- daemon.Wait() }()

	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	// Debian's gRPC is older than the package that replaces WithInsecure.
	connection, err := grpc.DialContext(ctx, "unix://"+socket, grpc.WithBlock(), grpc.WithInsecure())
	if err != nil {
		daemon.Process.Kill()
		<-exited
		return nil, nil, fmt.Errorf("connecting to %s: %w", socket, err)
	}
	stop := func() error {
		connection.Close()
		daemon.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-exited:
			if err != nil {
				return fmt.Errorf("the daemon ended with %w", err)
			}
		case <-time.After(30 * time.Second):
			daemon.Process.Kill()
			<-exited
			return fmt.Errorf("the daemon did not stop")
		}
		os.RemoveAll(run)
		return noMounts(root)
	}
	snapshotter := proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(connection), "rivulet")
	return snapshotter, stop, nil
}

// noMounts fails when something is still mounted below root, and unmounts it.
func noMounts(root string) error {
	bytes, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var left []string
	for _, line := range strings.Split(string(bytes), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], root+"/") {
			left = append(left, fields[4])
		}
	}
	for _, point := range left {
		syscall.Unmount(point, syscall.MNT_DETACH)
	}
	if len(left) > 0 {
		return fmt.Errorf("still mounted: %s", strings.Join(left, ", "))
	}
	return nil
}

func TestSuite(t *testing.T) {
	testsuite.SnapshotterSuite(t, suiteName, start)
}

// TestRename runs the renames that containerd 1.6's suite contains but always skips: files of a lower layer are renamed
// and replaced by renames. A rename of a lower layer's directory must be refused, not lost.
func TestRename(t *testing.T) {
	work := t.TempDir()
	ctx := context.Background()
	snapshotter, stop, err := start(ctx, filepath.Join(work, "root"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	first := fstest.Apply(
		fstest.CreateDir("/dir", 0700),
		fstest.CreateFile("/dir/inside", []byte("inside"), 0600),
		fstest.CreateDir("/files", 0700),
		fstest.CreateFile("/files/over", []byte("the first content"), 0644),
		fstest.CreateFile("/files/old", []byte("renamed"), 0644),
	)
	second := fstest.Apply(
		fstest.CreateFile("/files/new", []byte("the second content"), 0644),
		fstest.Rename("/files/new", "/files/over"),
		fstest.Rename("/files/old", "/files/renamed"),
	)
	expected := filepath.Join(work, "expected")
	if err := os.Mkdir(expected, 0755); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(work, "mnt")
	if err := os.Mkdir(target, 0755); err != nil {
		t.Fatal(err)
	}
	parent := ""
	for number, applier := range []fstest.Applier{first, second} {
		key := fmt.Sprintf("key-%d", number)
		mounts, err := snapshotter.Prepare(ctx, key, parent)
		if err != nil {
			t.Fatal(err)
		}
		err = mount.WithTempMount(ctx, mounts, func(mounted string) error {
			if number == 1 {
				if err := os.Rename(mounted+"/dir", mounted+"/moved"); !isCrossDevice(err) {
					return fmt.Errorf("renaming a lower directory: %v", err)
				}
			}
			return applier.Apply(mounted)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := applier.Apply(expected); err != nil {
			t.Fatal(err)
		}
		parent = fmt.Sprintf("layer-%d", number)
		if err := snapshotter.Commit(ctx, parent, key); err != nil {
			t.Fatal(err)
		}
	}
	mounts, err := snapshotter.View(ctx, "view", parent)
	if err != nil {
		t.Fatal(err)
	}
	err = mount.WithTempMount(ctx, mounts, func(mounted string) error {
		return fstest.CheckDirectoryEqual(mounted, expected)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isCrossDevice(err error) bool {
	link, ok := err.(*os.LinkError)
	return ok && link.Err == syscall.EXDEV
}
