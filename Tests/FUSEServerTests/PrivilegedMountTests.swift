import Base
import ContentStore
import FUSEServer
import Glibc
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import SystemPackage
import Testing

/// Tests of real mounts. They need root and /dev/fuse.
@Suite(.serialized) struct PrivilegedMountTests {
    @Test("serves the layer's tree") func servesLayersTree() throws {
        let capability: [UInt8] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        var layer = LayerFixture()
        layer.directory("bin", mode: 0o1777)
        layer.file("bin/tool", pattern(300_000), mode: 0o4755, uid: 70_000, gid: 80_000)
        layer.file("bin/ping", pattern(10), mode: 0o755, xattrs: [("security.capability", capability)])
        layer.add("bin/hard", .hardlink, mode: 0o4755, uid: 70_000, gid: 80_000, link: "bin/tool")
        layer.add("link", .symlink, mode: 0o777, link: String(repeating: "x/", count: 2047) + "y")
        layer.add("null", .character, mode: 0o666, device: (1, 3))
        layer.add("disk", .block, mode: 0o660, device: (259, 300_000))
        layer.add("pipe", .fifo, mode: 0o600)
        layer.add("old", .directory, mode: 0o700, modified: (5, 123_456_789))
        try MountFixture.with([layer]) { mount, path in
            let tool = try Sys.stat(path + "/bin/tool")
            #expect(tool.mode == 0o104755 && tool.uid == 70_000 && tool.gid == 80_000 && tool.size == 300_000)
            #expect(tool.linkCount == 2 && tool.modifiedSeconds == 1_700_000_000)
            #expect(try Sys.stat(path + "/bin/hard").inode == tool.inode)
            #expect(try Sys.stat(path + "/bin").mode == 0o041777)
            let disk = try Sys.stat(path + "/disk")
            #expect(disk.kind == .block && disk.deviceMajor == 259 && disk.deviceMinor == 300_000)
            let old = try Sys.stat(path + "/old")
            #expect(old.modifiedSeconds == 5 && old.modifiedNanoseconds == 123_456_789)
            #expect(try Sys.stat(path + "/pipe").kind == .fifo)
            for name in ["bin", "bin/tool"] {
                // FS_IOC_GETFLAGS is _IOR('f', 1, long) (linux/fs.h).
                let file = try Sys.open("\(path)/\(name)", .readOnly)
                var flags = -1
                #expect(ioctl(file.raw, 0x8008_6601, &flags) == 0 && flags & 0xFFFF_FFFF == 0)
                #expect(ioctl(file.raw, 0x8008_6602, &flags) == -1 && errno == ENOTTY)
            }
            #expect(try Sys.readLink(path + "/link").count == 4095)
            #expect(try Sys.extendedAttribute(path + "/bin/ping", "security.capability") == capability)
            #expect(try Sys.extendedAttribute(path + "/bin/ping", "user.none") == nil)
            #expect(try Sys.extendedAttributeNames(path + "/bin/ping") == [Array("security.capability".utf8)])
            #expect(try Sys.extendedAttributeNames(path + "/bin/tool").isEmpty)
            #expect(try Sys.readFile(path + "/bin/hard", limit: 1 << 20) == pattern(300_000))
            #expect(
                Set(try Sys.list(path).map(\.text)) == ["bin", "link", "null", "disk", "pipe", "old"])
            // A listing returns the inode number of stat(2), and the parent of a chain is the mount's root.
            let listed = try Sys.list(path + "/bin").first { $0.text == "tool" }
            #expect(listed?.inode == tool.inode && listed?.kind == .regular)
            #expect(try Sys.stat(path + "/..").inode == 1)
        }
    }

    @Test("a merged chain hides whiteouts") func mergedChainHidesWhiteouts() throws {
        var lower = LayerFixture()
        lower.file("etc/gone", [1])
        lower.file("etc/kept", [2])
        lower.file("var/log/old", [3])
        lower.add("etc/alias", .hardlink, mode: 0o644, link: "etc/kept")
        var upper = LayerFixture()
        upper.file("etc/.wh.gone")
        upper.file("var/log/.wh..wh..opq")
        upper.file("var/log/new", pattern(9000))
        try MountFixture.with([lower, upper]) { _, path in
            let found = try Child.run(["/usr/bin/find", path, "-mindepth", "1", "-printf", "%P %y %n\\n"])
            #expect(
                Set(found.text.split(separator: "\n").map(String.init)) == [
                    "etc d 2", "etc/kept f 2", "etc/alias f 2", "var d 3", "var/log d 2", "var/log/new f 1",
                ])
            #expect(try Sys.readFile(path + "/var/log/new", limit: 1 << 20) == pattern(9000))
        }
    }

    @Test("lists 100,000 entries with stable cookies") func lists100000EntriesWithStableCookies() throws {
        var layer = LayerFixture()
        for index in 0..<100_000 { layer.file("d/entry-\(index)") }
        try MountFixture.with([layer]) { mount, path in
            // List without attributes, with attributes, and from the kernel's own cache of the listing.
            for command in ["ls -f \(path)/d | wc -l", "find \(path)/d -type f -size 0 | wc -l"] {
                let count = Int(try Child.shell(command).text.filter(\.isNumber))
                #expect(count == (command.hasPrefix("ls") ? 100_002 : 100_000))
            }
            // Call seekdir(3) with positions of an earlier listing.
            let script = """
                import ctypes, os, sys
                c = ctypes.CDLL(None, use_errno=True)
                c.opendir.restype = ctypes.c_void_p
                c.readdir.restype = ctypes.c_void_p
                c.readdir.argtypes = c.telldir.argtypes = [ctypes.c_void_p]
                c.telldir.restype = ctypes.c_long
                c.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
                d = c.opendir(sys.argv[1].encode())
                def name():
                    p = c.readdir(d)
                    return ctypes.string_at(p + 19) if p else None
                seen = []
                while True:
                    at = c.telldir(d)
                    n = name()
                    if n is None: break
                    seen.append((at, n))
                for at, n in seen[::997]:
                    c.seekdir(d, at)
                    assert name() == n, (at, n)
                print(len(seen))
                """
            let result = try Child.run(["/usr/bin/python3", "-c", script, path + "/d"])
            #expect(result.text == "100002\n" && result.exitCode == 0)
        }
    }

    @Test("the kernel does not repeat cached requests") func kernelDoesNotRepeatCachedRequests() throws {
        var layer = LayerFixture()
        layer.directory("d")
        layer.file("d/file", pattern(1 << 20), chunk: 1 << 18)
        layer.add("d/link", .symlink, mode: 0o777, link: "file")
        try MountFixture.with([layer]) { mount, path in
            let script = """
                cat \(path)/d/link | sha256sum; ls -l \(path)/d; stat \(path)/d/none; ls \(path)/d; echo
                """
            let first = try Child.shell(script)
            let before = Activity(mount.server.statistics)
            let second = try Child.shell(script)
            let after = Activity(mount.server.statistics)
            #expect(first.output == second.output)
            #expect(first.text.contains(Digest.of(pattern(1 << 20)).hex))
            #expect(after.reads == before.reads && after.lookups == before.lookups)
            #expect(after.attributes == before.attributes && after.listings == before.listings)
            #expect(after.links == before.links)
        }
    }

    struct Activity: Equatable {
        let reads, lookups, attributes, listings, links: UInt64

        init(_ statistics: FUSEStatistics) {
            reads = statistics.reads.value
            lookups = statistics.lookups.value
            attributes = statistics.attributes.value
            listings = statistics.listings.value
            links = statistics.links.value
        }
    }

    @Test("all kinds of reads return the same bytes") func allKindsOfReadsReturnSameBytes() throws {
        let bytes = pattern(3_000_001)
        var layer = LayerFixture()
        layer.file("file", bytes, chunk: 1 << 20)
        try MountFixture.with([layer], source: FakeSource(.later)) { mount, path in
            let digest = Digest.of(bytes).hex
            let file = path + "/file"
            // Read directly, through a mapping, past the end, and in odd pieces.
            let direct = try Child.shell("dd if=\(file) iflag=direct bs=65536 status=none | sha256sum")
            #expect(direct.text.hasPrefix(digest))
            let mapped = try Child.run([
                "/usr/bin/python3", "-c",
                """
                import mmap, hashlib, sys
                with open(sys.argv[1], 'rb') as f:
                    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
                    print(hashlib.sha256(m).hexdigest())
                    f.seek(0, 2); assert f.read(10) == b''
                    f.seek(5_000_000); assert f.read(10) == b''
                    f.seek(3_000_000); assert len(f.read(4096)) == 1
                """, file,
            ])
            #expect(mapped.text.hasPrefix(digest) && mapped.exitCode == 0)
            let odd = try Child.shell("dd if=\(file) bs=777 status=none | sha256sum")
            #expect(odd.text.hasPrefix(digest))
        }
    }

    @Test("runs a cold program") func runsColdProgram() throws {
        var layer = LayerFixture()
        let program = try Sys.readFile("/bin/true", limit: 1 << 24)
        layer.file("bin/true", program, chunk: 4096, mode: 0o755)
        try MountFixture.with([layer], source: FakeSource(.later)) { mount, path in
            let result = try Child.run([path + "/bin/true"])
            #expect(result.exitCode == 0)
            #expect(mount.source.publishedCount > 0)
        }
    }

    @Test("the kernel checks access") func kernelChecksAccess() throws {
        var layer = LayerFixture()
        layer.file("secret", [1], mode: 0o600)
        layer.file("public", [2], mode: 0o644)
        try MountFixture.with([layer]) { mount, path in
            // Only root can enter the mount's root. A container enters through an overlay or a bind mount.
            let outside = try Child.run(["/usr/bin/setpriv", "--reuid=1234", "--clear-groups", "cat", path + "/public"])
            #expect(outside.exitCode == 1)
            let bound = mount.directory + "/bound"
            try Sys.makeDirectory(bound)
            try Sys.chmod(mount.directory, 0o755)
            try Sys.mount(path, on: bound, flags: .bind)
            defer { try? Sys.unmount(bound, .detach) }
            for (name, code) in [("public", Int32(0)), ("secret", 1)] {
                let inside = try Child.run([
                    "/usr/bin/setpriv", "--reuid=1234", "--clear-groups", "cat", "\(bound)/\(name)",
                ])
                #expect(inside.exitCode == code, "\(name)")
            }
            #expect(try Child.shell("echo x > \(path)/public").exitCode != 0)
        }
    }

    @Test("statfs reports the store's capacity") func statfsReportsStoresCapacity() throws {
        var layer = LayerFixture()
        layer.file("f", [1])
        try MountFixture.with([layer]) { mount, path in
            let here = try Sys.statfs(path)
            let store = try Sys.statfs(mount.directory)
            #expect(here.blocks == store.blocks && here.blockSize == store.blockSize && here.files > 0)
            #expect(here.freeBlocks > 0 && here.availableBlocks > 0)
        }
    }

    @Test("chains appear and disappear while mounted") func chainsAppearAndDisappearWhileMounted() throws {
        var layer = LayerFixture()
        layer.file("f", Array("hello".utf8))
        try MountFixture.with { mount, _ in
            let contents = try mount.fixture.install([layer])
            _ = contents
            let id = Digest.of(contents.flatMap { Array($0.digest.description.utf8) })
            let path = "\(mount.mountPoint)/\(id.hex)"
            let content = "\(mount.mountPoint)/content/\(layer.key.id.hex)"
            // The kernel learns that the path is absent, and must not cache that.
            #expect(try !Sys.exists(path))
            #expect(try !Sys.exists(content))
            #expect(try Sys.list(mount.mountPoint).map(\.text) == ["content"])
            for round in UInt32(1)...3 {
                try mount.fixture.mount([layer], slot: 7)
                #expect(try Sys.readFile(path + "/f", limit: 100) == Array("hello".utf8), "round \(round)")
                #expect(try Set(Sys.list(mount.mountPoint).map(\.text)) == ["content", id.hex])
                #expect(try Sys.stat(mount.mountPoint).linkCount == 4)
                #expect(try Array(Sys.readFile(content, limit: 8192).prefix(5)) == Array("hello".utf8))
                let held = try Sys.open(path + "/f", .readOnly)
                mount.fixture.fileSystem.removeChain(id)
                #expect(try !Sys.exists(path))
                #expect(try !Sys.exists(content))
                #expect(try Sys.list(mount.mountPoint).map(\.text) == ["content"])
                #expect(try Sys.stat(mount.mountPoint).linkCount == 3)
                _ = held.raw
            }
        }
    }

    @Test("removed nodes are stale") func removedNodesAreStale() throws {
        var layer = LayerFixture()
        layer.file("f", pattern(100_000))
        try MountFixture.with([layer]) { mount, path in
            let file = try Sys.open(path + "/f", .readOnly)
            let id = try #require(Digest(hex: Array(path.utf8.suffix(64))))
            mount.fixture.fileSystem.removeChain(id)
            var buffer = [UInt8](repeating: 0, count: 4096)
            #expect(throws: Errno.staleNFSFileHandle) {
                _ = try buffer.withUnsafeMutableBytes { try Sys.preadAll(file.raw, into: $0, at: 8192) }
            }
            #expect(mount.server.isMounted)
        }
    }
}
