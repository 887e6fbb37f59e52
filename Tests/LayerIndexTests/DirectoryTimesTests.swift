import LayerIndex
import Testing

/// The rules of containerd's unpacking, which sets the times of directories again when all entries are unpacked.
@Suite("times of directories") struct DirectoryTimesTests {
    private static func at(_ seconds: Int64, _ entry: LayerEntry) -> LayerEntry {
        var entry = entry
        entry.attributes.modifiedSeconds = seconds
        return entry
    }

    private static func time(_ path: String, _ entries: [LayerEntry]) throws -> Int64 {
        let tree = try Layers.tree(entries)
        var inode = tree.rootInode
        for name in path.split(separator: "/") {
            inode = try #require(try Array(name.utf8).withUnsafeBytes { try tree.lookup(inode, $0) })
        }
        return try tree.attributes(inode).modifiedSeconds
    }

    @Test("a file that replaces a directory gets the directory's time") func replacedByFile() throws {
        #expect(try Self.time("d", [Self.at(1, .directory("d")), Self.at(2, .file("d"))]) == 1)
        #expect(try Self.time("d", [Self.at(2, .file("d")), Self.at(1, .directory("d"))]) == 1)
    }

    @Test("the target of a link that replaces a directory gets the directory's time") func replacedByLink() throws {
        let entries = [Self.at(1, .directory("d")), Self.at(2, .file("f")), Self.at(3, .symlink("d", to: "f"))]
        #expect(try Self.time("f", entries) == 1)
        #expect(try Self.time("d", entries) == 3)
    }

    @Test("a path behind a link that leads elsewhere in the end sets the time there") func linkLeadsElsewhere() throws {
        let entries = [
            Self.at(1, .symlink("a", to: "/lib")), Self.at(2, .directory("e/c")), Self.at(3, .directory("a/etc")),
            Self.at(4, .symlink("a", to: "e/c")), Self.at(5, .file("e/c/etc")),
        ]
        #expect(try Self.time("e/c/etc", entries) == 3)
        #expect(try Self.time("lib/etc", entries) == 3)
        #expect(try Self.time("e/c", entries) == 2)
    }

    @Test("the last entry that leads to a directory decides") func lastDecides() throws {
        let entries = [
            Self.at(1, .directory("x")), Self.at(2, .directory("y")), Self.at(3, .directory("old")),
            Self.at(4, .symlink("old", to: "y")), Self.at(5, .directory("x")),
        ]
        #expect(try Self.time("y", entries) == 3)
        #expect(try Self.time("x", entries) == 5)
        #expect(try Self.time("y", entries + [Self.at(6, .directory("y"))]) == 6)
    }

    @Test("a hard link that replaces a directory passes the time on to its file") func replacedByHardLink() throws {
        let entries = [Self.at(1, .directory("d")), Self.at(2, .file("f")), Self.at(3, .link("d", to: "f"))]
        #expect(try Self.time("f", entries) == 1)
    }
}
