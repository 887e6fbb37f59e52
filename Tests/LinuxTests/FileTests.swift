import Linux
import SystemPackage
import Testing

@Suite struct FileTests {
    @Test("rejects paths with NUL") func rejectsPathsWithNUL() {
        #expect(throws: Errno.invalidArgument) { try Sys.stat("/dev/null\0/more") }
        #expect(throws: Errno.invalidArgument) { try Sys.stat(Array("/dev/null\0".utf8)) }
        #expect(throws: Errno.invalidArgument) { try Sys.rename("/tmp/a\0", to: "/tmp/b") }
        #expect(throws: Errno.invalidArgument) { try Sys.makeTemporaryDirectory(prefix: "a\0") }
    }

    @Test("reads and writes at offsets") func readsAndWritesAtOffsets() throws {
        try withTemporaryDirectory { directory in
            let file = try Sys.open(directory + "/f", [.readWrite, .create])
            try Sys.ftruncate(file.raw, size: 1 << 20)
            try Sys.pwriteAll(file.raw, [1, 2, 3], at: 500_000)
            #expect(try Sys.pread(file.raw, count: 5, at: 499_999) == [0, 1, 2, 3, 0])
            #expect(throws: Errno.noData) { try Sys.pread(file.raw, count: 2, at: (1 << 20) - 1) }
            #expect(throws: Errno.invalidArgument) { try Sys.pread(file.raw, count: 1, at: .max) }
            #expect(throws: Errno.invalidArgument) { try Sys.ftruncate(file.raw, size: .max) }
            try Sys.fdatasync(file.raw)
            let status = try Sys.fstat(file.raw)
            #expect(status.size == 1 << 20)
            #expect(status.allocatedBytes > 0 && status.allocatedBytes < 1 << 19)
            try Sys.punchHole(file.raw, at: 0, count: 1 << 20)
            #expect(try Sys.pread(file.raw, count: 3, at: 500_000) == [0, 0, 0])
            #expect(try Sys.fstat(file.raw).allocatedBytes < status.allocatedBytes)
            #expect(try Sys.birthTime(file.raw) > 1_600_000_000_000_000_000)
        }
    }

    @Test("bounds reads of whole files") func boundsReadsOfWholeFiles() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/f"
            let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
            try Sys.writeFile(path, bytes)
            #expect(try Sys.readFile(path, limit: 10_000) == bytes)
            #expect(throws: Errno.fileTooLarge) { try Sys.readFile(path, limit: 9_999) }
            // Files of /proc report a size of 0.
            #expect(try Sys.readFile("/proc/self/mountinfo", limit: 1 << 20).count > 10)
            #expect(throws: Errno.fileTooLarge) { try Sys.readFile("/proc/self/mountinfo", limit: 10) }
        }
    }

    @Test("maps whole files") func mapsWholeFiles() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/f"
            let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            try Sys.writeFile(path, bytes)
            let map = try MappedFile(path: path)
            #expect(Array(map.bytes) == bytes)
            // The mapping needs neither the name nor a descriptor.
            try Sys.unlink(path)
            #expect(map.bytes.last == bytes.last)

            try Sys.writeFile(path, [])
            #expect(try MappedFile(path: path).bytes.isEmpty)
            try Sys.symlink(path, path: directory + "/link")
            #expect(throws: Errno.tooManySymbolicLinkLevels) { try MappedFile(path: directory + "/link") }
            try Sys.makeNode(directory + "/fifo", mode: 0o010600)
            #expect(throws: Errno.invalidArgument) { try MappedFile(path: directory + "/fifo") }
            #expect(throws: Errno.invalidArgument) { try MappedFile(path: directory) }
            #expect(throws: Errno.noSuchFileOrDirectory) { try MappedFile(path: directory + "/none") }
        }
    }

    @Test("reads and changes metadata") func readsAndChangesMetadata() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/f"
            try Sys.writeFile(path, [1], permissions: 0o644)
            try Sys.chmod(path, 0o4711)
            try Sys.setModificationTime(path, seconds: -5, nanoseconds: 123)
            let status = try Sys.stat(path)
            #expect(status.mode & 0o7777 == 0o4711)
            #expect(status.kind == .regular)
            #expect(status.modifiedSeconds == -5 && status.modifiedNanoseconds == 123)
            try Sys.symlink("f", path: directory + "/l")
            #expect(try Sys.stat(directory + "/l") == status)
            #expect(try Sys.lstat(directory + "/l").kind == .symlink)
            #expect(try Sys.readLink(directory + "/l") == Array("f".utf8))
            try Sys.link(path, path: directory + "/second")
            #expect(try Sys.stat(path).linkCount == 2)
            try Sys.symlink("nowhere", path: directory + "/dangling")
            #expect(try Sys.exists(directory + "/dangling"))
            #expect(try !Sys.exists(directory + "/none"))
            #expect(try !Sys.exists(path + "/below"))
            #expect(throws: Errno.fileExists) { try Sys.rename(path, to: directory + "/l", replacing: false) }
            let space = try Sys.statfs(directory)
            #expect(space.totalBytes > space.availableBytes && space.blockSize > 0 && space.nameLength >= 255)
        }
    }

    @Test("names are bytes") func namesAreBytes() throws {
        try withTemporaryDirectory { directory in
            let names: Set<[UInt8]> = [[0xFF, 0xFE], Array("ä".utf8), [0x0A], Array(repeating: 0x78, count: 255)]
            let prefix = Array((directory + "/").utf8)
            for name in names { try Sys.writeFile(prefix + name, [1]) }
            let entries = try Sys.list(directory)
            #expect(Set(entries.map(\.name)) == names)
            #expect(entries.allSatisfy { $0.kind == .regular })
            #expect(throws: Errno.fileNameTooLong) {
                try Sys.writeFile(prefix + Array(repeating: 0x78, count: 256), [1])
            }
        }
    }

    @Test("reads and changes extended attributes") func readsAndChangesExtendedAttributes() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/f"
            try Sys.writeFile(path, [])
            #expect(try Sys.extendedAttribute(path, "user.a") == nil)
            let long = [UInt8](repeating: 7, count: 3000)
            try Sys.setExtendedAttribute(path, named: "user.a", to: long)
            try Sys.setExtendedAttribute(path, named: "user.empty", to: [])
            #expect(try Sys.extendedAttribute(path, "user.a") == long)
            #expect(try Sys.extendedAttribute(path, "user.empty") == [])
            let names = try Sys.extendedAttributeNames(path).map { String(decoding: $0, as: UTF8.self) }
            #expect(Set(names).isSuperset(of: ["user.a", "user.empty"]))
            try Sys.removeExtendedAttribute(path, "user.a")
            #expect(try Sys.extendedAttribute(path, "user.a") == nil)
            #expect(throws: Errno.noData) { try Sys.removeExtendedAttribute(path, "user.a") }
            // The call applies to the link, not to its target: Linux refuses user attributes on links.
            try Sys.symlink("f", path: directory + "/l")
            #expect(throws: Errno.notPermitted) {
                try Sys.setExtendedAttribute(directory + "/l", named: "user.a", to: [1])
            }
        }
    }

    @Test("the boot identifier is stable") func bootIdentifierIsStable() throws {
        let boot = try bootIdentifier()
        #expect(boot.utf8.count == 36)
        #expect(try bootIdentifier() == boot)
    }

    @Test("reads the mount table") func readsMountTable() throws {
        let mounts = try Sys.mounts()
        #expect(mounts.contains { $0.mountPoint == "/proc" && $0.fileSystem == "proc" })
        #expect(try Sys.isMountPoint("/proc"))
        #expect(try !Sys.isMountPoint("/proc/self"))
    }

    @Test("parses mount lines") func parsesMountLines() throws {
        let line = #"36 35 98:0 /a\040b /mnt\134x\011y rw,noatime shared:1 master:2 - fuse.x src\040name rw,user_id=0"#
        let entry = try #require(MountEntry(line: line))
        #expect(entry.id == 36 && entry.parent == 35 && entry.device == "98:0")
        #expect(entry.root == "/a b" && entry.mountPoint == "/mnt\\x\ty")
        #expect(entry.fileSystem == "fuse.x" && entry.source == "src name" && entry.superOptions == "rw,user_id=0")
        for bad in ["", "36 35", "a b c d e f - g h i", "36 35 98:0 / /m rw shared:1 fuse src rw"] {
            #expect(MountEntry(line: bad) == nil, "\(bad)")
        }
    }

    @Test("removes temporary directories") func removesTemporaryDirectories() throws {
        struct Stop: Error {}
        var path = ""
        #expect(throws: Stop.self) {
            try withTemporaryDirectory { directory in
                path = directory
                try Sys.makeDirectories(directory + "/a/b")
                throw Stop()
            }
        }
        #expect(!path.isEmpty)
        #expect(try !Sys.exists(path))
    }
}
