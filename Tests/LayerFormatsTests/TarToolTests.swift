import Base
import Foundation
import Glibc
import LayerFormats
import LayerIndex
import Linux
import TestSupport
import Testing

/// Tests that read GNU tar's archive of a tree, and compare it with stat(2).
@Suite struct TarToolTests {
    /// A name that needs more than the header's 100 bytes, but fits if part of it goes into the header's prefix.
    static let long = String(repeating: "a", count: 90) + "/" + String(repeating: "b", count: 90)
    /// A name that does not fit even then.
    static let longer = String(repeating: "c", count: 90) + "/" + String(repeating: "d", count: 150)

    @Test(arguments: ["ustar", "gnu", "pax"]) func asTarWrites(format: String) throws {
        try withTemporaryDirectory { directory in
            let tree = "\(directory)/tree"
            try makeTree(tree, hasEverything: format != "ustar")
            var command = ["tar", "--format=\(format)", "--sort=name", "-C", tree, "-cf", "\(directory)/archive"]
            // ext4, xfs and newer tmpfs have extended attributes; tar stores them only in pax headers.
            let hasAttributes =
                format == "pax" && (try? run(["setfattr", "-n", "user.test", "-v", "0x000aff3d", "\(tree)/d/f"])) == 0
            if hasAttributes { command += ["--xattrs", "--xattrs-include=user.*"] }
            try #require(try run(command + ["."]) == 0)
            let archive = try [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(directory)/archive")))

            let seen = try SeenEntry.read(archive)
            let expected = ["./", "./d/", "./d/f", "./fifo", "./hard", "./link", "./\(Self.long)"]
            let names = Set(seen.map(\.name))
            #expect(names.isSuperset(of: expected))
            #expect(names.contains("./\(Self.longer)") == (format != "ustar"))
            for entry in seen where entry.kind != .hardlink {
                try compare(entry, with: "\(tree)/\(entry.name)", nanoseconds: format == "pax")
            }
            #expect(seen.first { $0.name == "./hard" }?.kind == .hardlink)
            #expect(seen.first { $0.name == "./hard" }?.target == "./d/f")
            let attributes = try #require(seen.first { $0.name == "./d/f" }).xattrs
            #expect(attributes == (hasAttributes ? [Array("user.test".utf8), [0, 0x0A, 0xFF, 0x3D]] : []))

            var random = SeededRandom(seed: 7)
            #expect(try SeenEntry.read(archive, piece: { Int.random(in: 1...3000, using: &random) }) == seen)
        }
    }

    /// containerd refuses GNU tar's own format and expands those of pax.
    @Test("expands sparse files of pax", arguments: ["gnu", "0.0", "0.1", "1.0"])
    func expandsSparseFilesOfPax(format: String) throws {
        try withTemporaryDirectory { directory in
            let data = Samples.noise(bytes: 5000, seed: 3)
            let content = data + [UInt8](repeating: 0, count: 1 << 20) + data + [UInt8](repeating: 0, count: 70_000)
            try write(data, to: "\(directory)/hole")
            let file = try Sys.open("\(directory)/hole", .readWrite)
            try Sys.pwriteAll(file.raw, data, at: UInt64(data.count + 1 << 20))
            try Sys.ftruncate(file.raw, size: UInt64(content.count))
            let options = format == "gnu" ? ["--format=gnu"] : ["--format=pax", "--sparse-version=\(format)"]
            let output = ["--sparse", "-C", directory, "-cf", "\(directory)/archive", "hole"]
            try #require(try run(["tar"] + options + output) == 0)
            let archive = try [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(directory)/archive")))
            if format == "gnu" {
                let error = try #require(SeenEntry.failure(archive))
                #expect(error.code == .unsupported && error.message.hasPrefix("hole: "), "\(error)")
                return
            }
            #expect(archive.count < content.count / 2)
            var random = SeededRandom(seed: 7)
            for piece in [{ Int.max }, { Int.random(in: 1...700, using: &random) }] {
                let seen = try SeenEntry.read(archive, piece: piece)
                #expect(seen.map(\.name) == ["hole"])
                #expect(seen.first?.content == content)
            }
        }
    }

    // MARK: - The tree

    /// Makes the tree. Without `hasEverything`, leaves out what ustar cannot store: a very long name, and a time before
    /// 1970.
    private func makeTree(_ tree: String, hasEverything: Bool) throws {
        try makeDirectory("\(tree)/d")
        try makeDirectory("\(tree)/\(String(Self.long.prefix(90)))")
        try write(Samples.noise(bytes: 1300, seed: 1), to: "\(tree)/d/f")
        try #require(chmod("\(tree)/d/f", 0o4751) == 0 && chmod("\(tree)/d", 0o1777) == 0)
        try write([], to: "\(tree)/\(Self.long)")
        try #require(symlink("d/f", "\(tree)/link") == 0 && link("\(tree)/d/f", "\(tree)/hard") == 0)
        try #require(mkfifo("\(tree)/fifo", 0o640) == 0)
        try setTime("\(tree)/d/f", 1_500_000_000, 123_456_789)
        guard hasEverything else { return }
        try makeDirectory("\(tree)/\(String(Self.longer.prefix(90)))")
        try write(Samples.noise(bytes: 512, seed: 2), to: "\(tree)/\(Self.longer)")
        try setTime("\(tree)/\(Self.longer)", -101, 500_000_000)
    }

    private func compare(_ entry: SeenEntry, with path: String, nanoseconds: Bool) throws {
        // lstat(2) follows a link if its path ends with a slash. tar writes such a slash only for directories.
        var status = stat()
        try #require(lstat(path, &status) == 0, "\(entry.name) is not in the tree")
        let kind = try #require(FileKind(mode: UInt16(truncatingIfNeeded: status.st_mode)))
        #expect(entry.kind.fileKind == kind, "\(entry.name)")
        let attributes = entry.attributes
        #expect(attributes.mode == UInt16(truncatingIfNeeded: status.st_mode & 0o7777), "\(entry.name)")
        #expect(attributes.uid == status.st_uid && attributes.gid == status.st_gid, "\(entry.name)")
        #expect(attributes.modifiedSeconds == Int64(status.st_mtim.tv_sec), "\(entry.name)")
        #expect(Int(attributes.modifiedNanoseconds) == (nanoseconds ? status.st_mtim.tv_nsec : 0), "\(entry.name)")
        if kind == .regular {
            #expect(try entry.content == [UInt8](Data(contentsOf: URL(fileURLWithPath: path))), "\(entry.name)")
        }
        if kind == .symlink { #expect(entry.target == "d/f") }
    }

    private func makeDirectory(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    private func setTime(_ path: String, _ seconds: Int, _ nanoseconds: Int) throws {
        let time = timespec(tv_sec: seconds, tv_nsec: nanoseconds)
        try #require(utimensat(AT_FDCWD, path, [time, time], 0) == 0)
    }

    /// Runs a program and returns its exit status.
    private func run(_ command: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }
}
