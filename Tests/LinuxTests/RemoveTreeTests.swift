import Linux
import SystemPackage
import Testing

@Suite struct RemoveTreeTests {
    @Test("removes everything") func removesEverything() throws {
        try withTemporaryDirectory { directory in
            let top = directory + "/top"
            try Sys.makeDirectories(top + "/a/b/c")
            for number in 0..<500 { try Sys.writeFile("\(top)/a/file-\(number)", [1]) }
            try Sys.writeFile(Array((top + "/a/b/").utf8) + [0xFF, 0x0A], [1])
            try Sys.makeNode(top + "/fifo", mode: 0o010600)
            try removeTree(top)
            #expect(try Sys.list(directory).isEmpty)
            // Remove again: a missing path is not an error, neither at the top nor below a missing parent.
            try removeTree(top)
            try removeTree(top + "/x/y")
        }
    }

    @Test("follows no links") func followsNoLinks() throws {
        try withTemporaryDirectory { directory in
            try Sys.makeDirectories(directory + "/outside/kept")
            try Sys.makeDirectories(directory + "/top/a")
            try Sys.symlink(directory + "/outside", path: directory + "/top/a/link")
            try Sys.symlink("../../outside", path: directory + "/top/a/relative")
            try Sys.symlink(directory + "/outside", path: directory + "/itself")
            try removeTree(directory + "/top")
            try removeTree(directory + "/itself")
            #expect(try Sys.list(directory).map(\.text) == ["outside"])
            #expect(try Sys.exists(directory + "/outside/kept"))
        }
    }

    @Test("removes a single file") func removesSingleFile() throws {
        try withTemporaryDirectory { directory in
            try Sys.writeFile(directory + "/f", [1])
            try removeTree(directory + "/f")
            #expect(try Sys.list(directory).isEmpty)
            for path in ["", "/", ".", "..", directory + "/.", directory + "/.."] {
                #expect(throws: Errno.invalidArgument) { try removeTree(path) }
            }
            #expect(try Sys.exists(directory))
        }
    }

    /// Removes a tree that is deeper than the longest path, in a process that may open few descriptors.
    @Test("removes a tree of any depth") func removesTreeOfAnyDepth() throws {
        try withTemporaryDirectory { directory in
            let top = directory + "/top"
            try Sys.makeDirectory(top)
            // A file occupies the first name that the remover would choose.
            try Sys.writeFile(top + "/.deep-1", [1])
            var here = try Sys.open(top, [.readOnly, .directory])
            let name = String(repeating: "d", count: 100)
            for level in 0..<600 {
                try Sys.makeDirectory(name, at: here.raw)
                if level % 100 == 0 { try Sys.writeFile("file", [1], at: here.raw) }
                here = try Sys.open(name, [.readOnly, .directory], at: here.raw)
            }
            try removeTree(top)
            #expect(try Sys.list(directory).isEmpty)
        }
    }
}

/// Tests with real mounts. They need CAP_SYS_ADMIN.
@Suite(.serialized) struct PrivilegedMountTests {
    @Test("crosses no mount", arguments: [false, true]) func crossesNoMount(bind: Bool) throws {
        try withTemporaryDirectory { directory in
            let kept = directory + "/kept"
            let point = directory + "/top/a/point"
            try Sys.makeDirectories(kept)
            try Sys.makeDirectories(point)
            try Sys.writeFile(kept + "/file", [1])
            if bind {
                // A bind mount has the same device number, so the remover cannot tell by that.
                try Sys.mount(kept, on: point, flags: .bind)
            } else {
                try Sys.mount("none", on: point, type: "tmpfs")
                try Sys.writeFile(point + "/file", [1])
            }
            defer { try? Sys.unmount(point, [.detach, .noFollow]) }
            #expect(try Sys.isMountPoint(point))
            #expect(throws: Errno.resourceBusy) { try removeTree(directory + "/top") }
            #expect(throws: Errno.resourceBusy) { try removeTree(point) }
            #expect(try Sys.exists(point + "/file"))
            try Sys.unmount(point)
            try removeTree(directory + "/top")
            #expect(try Sys.exists(kept + "/file"))
        }
    }

    @Test("removes devices and files of other owners") func removesDevicesAndFilesOfOtherOwners() throws {
        try withTemporaryDirectory { directory in
            try Sys.makeNode(directory + "/whiteout", mode: 0o020600)
            try Sys.makeNode(directory + "/device", mode: 0o060600, major: 259, minor: 70_000)
            try Sys.chown(directory + "/device", uid: 70_000, gid: 4_000_000_000)
            #expect(try Sys.lstat(directory + "/whiteout").kind == .character)
            let device = try Sys.lstat(directory + "/device")
            #expect(device.kind == .block && device.deviceMajor == 259 && device.deviceMinor == 70_000)
            #expect(device.uid == 70_000 && device.gid == 4_000_000_000)
        }
    }
}
