import Glibc
import Harness
import Lab
import Linux
import SystemPackage
import Testing

/// Failing samples on real parts: each is recorded with its reason, leaves nothing behind, and does not affect the
/// next. Needs root and the packages of `deploy/debian-deps test`.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PrivilegedSampleTests {
    private static func recipe(_ probe: ReadyProbe) -> ImageRecipe {
        ImageRecipe(
            "busybox", .small, base: .files("busybox-static"), stages: [],
            command: ["/bin/busybox", "sh", "-c", "echo up; exec /bin/busybox sleep 1000"], probe: probe)
    }

    private static func key(_ mode: any Mode) -> SampleRecord.Key {
        SampleRecord.Key(image: "busybox", edition: "small", network: "none", mode: mode.name, block: 0)
    }

    private static func runner(_ probe: ReadyProbe, in lab: Lab, programs: Programs = Programs()) async throws
        -> SampleRunner
    {
        let cache = ImageCache(directory: "\(lab.directory)/cache")
        let entry = try await cache.image(recipe(probe), forms: [.plain, .estargz], in: lab) { _ in }
        let image = try await ServedImage(entry, forms: [.plain, .estargz], in: lab)
        return SampleRunner(lab: lab, image: image, link: .unshaped, programs: programs, progress: ProgressDisplay())
    }

    /// Returns the mounts below the lab's directory.
    private static func mounts(in lab: Lab) throws -> [String] {
        try Sys.mounts().map(\.mountPoint).filter { $0.hasPrefix(lab.directory) }
    }

    @Test("records failures and continues") func recordsFailuresAndContinues() async throws {
        try await Lab.with { lab in
            // A pod that never becomes ready.
            var never = try await Self.runner(.line("ready"), in: lab)
            never.limit = 2
            let late = try await never.record(RivuletMode(), as: Self.key(RivuletMode()))
            #expect(late.ready == nil)
            #expect(late.error?.contains("within 2 s") == true)
            // The last output of the container and the daemon.
            #expect(late.error?.contains("up") == true)
            #expect(late.error?.contains("\"level\":\"info\"") == true)
            #expect(try Self.mounts(in: lab).isEmpty)

            // A daemon that does not start.
            let broken = try await Self.runner(
                .line("up"), in: lab, programs: Programs(stargz: "/bin/false"))
            let failed = try await broken.record(StargzMode(), as: Self.key(StargzMode()))
            #expect(failed.ready == nil)
            #expect(failed.error?.contains("stargz ended") == true)
            #expect(try Self.mounts(in: lab).isEmpty)

            // And a good one.
            let good = try await Self.runner(.line("up"), in: lab)
            let record = try await good.record(OverlayfsMode(), as: Self.key(OverlayfsMode()))
            #expect(record.error == nil)
            #expect(try #require(record.ready) > 0)
            #expect(try Self.mounts(in: lab).isEmpty)
        }
    }

    /// runc freezes a container before it kills its processes.
    @Test("a frozen container ends with its lab") func frozenContainerEndsWithItsLab() async throws {
        let frozen = try await Lab.with { lab in
            let isUnified = !Files.exists("/sys/fs/cgroup/freezer")
            let group = "/sys/fs/cgroup" + (isUnified ? "" : "/freezer") + lab.controlGroup
            try Files.makeDirectory(group)
            let process = try ChildProcess("sleep", ["sleep", "1000"], log: "\(lab.directory)/log/sleep.log")
            try Sys.writeFile("\(group)/cgroup.procs", Array("\(process.pid)".utf8))
            let (file, state) = isUnified ? ("cgroup.freeze", "1") : ("freezer.state", "FROZEN")
            try Sys.writeFile("\(group)/\(file)", Array(state.utf8))
            return process
        }
        #expect(frozen.wait(timeout: 10_000_000_000) == .signal(SIGKILL))
    }

    /// containerd's overlayfs on a disk without room for the image.
    private struct FullDiskMode: Mode {
        let name = "full-disk"
        let form = ImageForm.plain

        func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter { .overlayfs }

        func prepare(_ setting: Setting) async throws {
            let filler = try Sys.open("\(setting.lab.directory)/full-disk/c/filler", [.writeOnly, .create])
            let piece = [UInt8](repeating: 1, count: 64 << 10)
            do throws(Errno) {
                var offset: UInt64 = 0
                while true {
                    try Sys.pwriteAll(filler.raw, piece, at: offset)
                    offset += UInt64(piece.count)
                }
            } catch {
                guard error == .noSpace else { throw error }
            }
        }
    }

    @Test("records a full disk and continues") func recordsFullDiskAndContinues() async throws {
        try await Lab.with { lab in
            let runner = try await Self.runner(.line("up"), in: lab)
            let disk = "\(lab.directory)/full-disk/c"
            try Files.makeDirectory(disk)
            try Sys.mount("tmpfs", on: disk, type: "tmpfs", options: "size=32m")
            let full = try await runner.record(FullDiskMode(), as: Self.key(FullDiskMode()))
            #expect(full.ready == nil)
            #expect(full.error?.contains("no space left on device") == true, "\(full.error ?? "no error")")
            // The error includes the end of containerd's log.
            #expect(full.error?.contains("level=") == true)
            #expect(try Self.mounts(in: lab).isEmpty)

            let good = try await runner.record(OverlayfsMode(), as: Self.key(OverlayfsMode()))
            #expect(good.error == nil)
            #expect(try Self.mounts(in: lab).isEmpty)
        }
    }
}
