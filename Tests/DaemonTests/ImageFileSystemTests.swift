import Daemon
import Linux
import Logging
import TestSupport
import Testing

@Suite struct ImageFileSystemTests {
    private static func link(_ root: String, name: String = "rivulet") {
        ImageFileSystem.link(
            to: "\(root)/data", in: "\(root)/containerd", snapshotter: name, logger: Logger(label: "test"))
    }

    /// Returns the target of the link in containerd's root; `nil` if there is no link.
    private static func target(_ root: String) -> String? {
        (try? Sys.readLink("\(root)/containerd/io.containerd.snapshotter.v1.rivulet")).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    @Test("links the data directory once containerd's root exists") func links() throws {
        try withTemporaryDirectory { root in
            Self.link(root)
            #expect(Self.target(root) == nil)
            try Sys.makeDirectories("\(root)/containerd")
            Self.link(root, name: "../rivulet")
            #expect(try Sys.list("\(root)/containerd").isEmpty)
            for _ in 0..<2 {
                Self.link(root)
                #expect(Self.target(root) == "\(root)/data")
            }
        }
    }

    @Test("replaces a link to nothing, and nothing else") func replacesOldLink() throws {
        try withTemporaryDirectory { root in
            let path = "\(root)/containerd/io.containerd.snapshotter.v1.rivulet"
            try Sys.makeDirectories("\(root)/containerd")
            try Sys.symlink("\(root)/gone", path: path)
            Self.link(root)
            #expect(Self.target(root) == "\(root)/data")
            try Sys.unlink(path)
            try Sys.symlink("\(root)/containerd", path: path)
            Self.link(root)
            #expect(Self.target(root) == "\(root)/containerd")
            try Sys.unlink(path)
            try Sys.makeDirectories(path)
            Self.link(root)
            #expect(try Sys.lstat(path).kind == .directory)
        }
    }
}
