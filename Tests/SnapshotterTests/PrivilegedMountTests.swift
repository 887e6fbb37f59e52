import Base
import ContainerdAPI
import GRDB
import Glibc
import Linux
import SystemPackage
import Testing

/// Mounts the snapshotter's mounts as containerd would. Needs root, and a state directory that is not on an overlay.
@Suite(.serialized)
struct PrivilegedMountTests {
    /// Mounts as containerd does: removes the common parent from the names of the lower directories, and mounts from
    /// there.
    private static func mount(_ mounts: [Mount], at target: String) throws {
        for mount in mounts {
            guard mount.type == "overlay" else {
                try Sys.mount(mount.source, on: target, flags: [.bind, .recursive])
                if mount.options.contains("ro") {
                    try Sys.mount("none", on: target, flags: [.bind, .remount, .readOnly])
                }
                continue
            }
            let (directory, options) = compacted(mount)
            // This changes the working directory of the whole process, but no test relies on it.
            let before = try Sys.open(".", [.readOnly, .directory])
            guard chdir(directory) == 0 else { throw Errno(rawValue: errno) }
            let outcome = Result { try Sys.mount("overlay", on: target, type: "overlay", options: options) }
            #expect(fchdir(before.raw) == 0)
            try outcome.get()
        }
    }

    private static func withMount(_ mounts: [Mount], at target: String, _ body: () throws -> Void) throws {
        try mount(mounts, at: target)
        let outcome = Result { try body() }
        try Sys.unmount(target)
        try outcome.get()
    }

    /// Returns the common parent of the lower directories, and the options relative to it.
    private static func compacted(_ mount: Mount) -> (directory: String, options: String) {
        let prefix = "lowerdir="
        var options = mount.options.filter { !$0.hasPrefix(prefix) }
        let lowers = (mount.options.first { $0.hasPrefix(prefix) } ?? "").dropFirst(prefix.count).split(separator: ":")
        var common = lowers.first.map(String.init) ?? ""
        for lower in lowers { common = String(zip(common, lower).prefix { $0 == $1 }.map(\.0)) }
        let directory = common.lastIndex(of: "/").map { String(common[...$0]) } ?? "/"
        let names = lowers.map { $0.dropFirst(directory.count) }
        options.append(prefix + names.joined(separator: ":"))
        return (directory, options.joined(separator: ","))
    }

    @Test func layersAreMadeAndSeenThroughTheirMounts() async throws {
        try await withTemporaryDirectory(in: "/var/tmp") { root in
            let target = root + "/mnt"
            try Sys.makeDirectory(target)
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                try Self.withMount(try await snapshotter.prepare("1"), at: target) {
                    #expect(try Sys.stat(target).mode & 0o7777 == 0o755)
                    try Sys.writeFile(target + "/kept", [1])
                    try Sys.writeFile(target + "/changed", [1])
                    try Sys.writeFile(target + "/deleted", [1])
                    try Sys.chown(target, uid: 1000, gid: 1001)
                    try Sys.chmod(target, 0o2711)
                }
                try await snapshotter.commit("layer 1", "1")
                try Self.withMount(try await snapshotter.prepare("2", "layer 1"), at: target) {
                    let status = try Sys.stat(target)
                    #expect(status.mode & 0o7777 == 0o2711)
                    #expect(status.uid == 1000 && status.gid == 1001)
                    try Sys.writeFile(target + "/changed", [2])
                    try Sys.unlink(target + "/deleted")
                    try Sys.rename(target + "/kept", to: target + "/renamed")
                }
                try await snapshotter.commit("layer 2", "2")
                for (key, parent) in [("view", "layer 2"), ("single", "layer 1")] {
                    try Self.withMount(try await snapshotter.view(key, parent), at: target) {
                        #expect(throws: (any Error).self) { try Sys.writeFile(target + "/new", [3]) }
                        let changed = try Sys.readFile(target + "/changed", limit: 100)
                        #expect(changed == (key == "view" ? [2] : [1]))
                        #expect(try Sys.exists(target + "/deleted") == (key == "single"))
                        #expect(try Sys.exists(target + "/renamed") == (key == "view"))
                    }
                }
                // Mount twice, as after a restart of the container.
                let container = try await snapshotter.prepare("container", "layer 2")
                for number in 0..<2 {
                    try Self.withMount(container, at: target) {
                        try Sys.writeFile(target + "/changed", [UInt8(number)])
                        #expect(try Sys.stat(target).uid == 1000)
                    }
                }
            }
        }
    }

    /// Uses as many layers as the kernel's overlay supports, with the numbers of a node that has run for years.
    @Test(arguments: [128, 500])
    func deepStacksFitIntoOnePageOfOptions(_ depth: Int) async throws {
        try await withTemporaryDirectory(in: "/var/tmp") { root in
            let target = root + "/mnt"
            try Sys.makeDirectory(target)
            try await withSnapshotter(root: root) { _ = try await $0.names() }
            try await DatabaseQueue(path: root + "/state/state.db").write { database in
                try database.execute(sql: "INSERT INTO sqlite_sequence (name, seq) VALUES ('snapshot', 1000000)")
            }
            try await withSnapshotter(root: root) { (snapshotter: Harness) async throws in
                var parent = ""
                for number in 0..<depth {
                    let mount = try #require(try await snapshotter.prepare("key", parent).first)
                    let upper = mount.options.first { $0.hasPrefix("upperdir=") }.map { String($0.dropFirst(9)) }
                    try Sys.writeFile((upper ?? mount.source) + "/file \(number)", [1])
                    parent = "layer \(number)"
                    try await snapshotter.commit(parent, "key")
                }
                let mount = try #require(try await snapshotter.prepare("container", parent).first)
                #expect(mount.options.last?.split(separator: ":").count == depth)
                // Leave room for an SELinux context.
                #expect(Self.compacted(mount).options.utf8.count < 4096 - 256)
                try Self.withMount([mount], at: target) {
                    let names = try Sys.list(target)
                    #expect(names.count == depth)
                    try Sys.writeFile(target + "/new", [1])
                }
                try Self.withMount(try await snapshotter.view("view", parent), at: target) {
                    let names = try Sys.list(target)
                    #expect(names.count == depth)
                }
                // Deep stacks leave nothing behind either.
                try await snapshotter.remove("container")
                try await snapshotter.remove("view")
                for number in (0..<depth).reversed() { try await snapshotter.remove("layer \(number)") }
                try await snapshotter.cleanup()
                #expect(try Sys.list(snapshotter.root + "/snapshots").isEmpty)
                #expect(try Sys.list(snapshotter.root + "/l").isEmpty)
            }
        }
    }
}
