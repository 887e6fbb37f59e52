import Lab
import Linux
import TestSupport

/// Files of every kind that a layer can contain, with extreme values.
enum AwkwardTree {
    /// Creates the tree at `root`. Times are whole seconds: eStargz has no fractions.
    static func make(at root: String) throws {
        try Files.makeDirectory("\(root)/odd/gone/deep")
        try Files.makeDirectory("\(root)/odd/opaque/below")
        try Files.makeDirectory("\(root)/odd/becomes-file/inner")
        func file(_ name: String, _ text: String, mode: UInt32 = 0o644) throws {
            try Files.write("\(root)/odd/\(name)", text)
            try Sys.chmod("\(root)/odd/\(name)", mode)
        }
        try file("empty", "")
        try file("small", "small\n")
        try file("setuid", "#!/bin/busybox sh\n", mode: 0o4755)
        try file("setgid", "x", mode: 0o2755)
        try file("secret", "x", mode: 0)
        try file("gone/deep/file", "hidden by a whiteout of its directory\n")
        try file("whited-out", "hidden\n")
        try file("opaque/old", "hidden by an opaque directory\n")
        try file("opaque/below/old", "hidden too\n")
        try file("becomes-file/inner/file", "x")
        try file("becomes-directory", "x")
        try file("replaced", "the lower one\n", mode: 0o600)
        try file(String(repeating: "n", count: 255), "a name as long as a name can be\n")
        try file("größe-漢字", "a name in UTF-8\n")
        try file("space and \"quotes\"\\", "x")
        // More than one chunk of four megabytes, with compressible runs and runs of zeros.
        try Sys.writeFile("\(root)/odd/large", large(), permissions: 0o644)
        try Sys.makeDirectory("\(root)/odd/sticky", permissions: 0o777)
        try Sys.chmod("\(root)/odd/sticky", 0o1777)

        try Sys.link("\(root)/odd/small", path: "\(root)/odd/hard-link")
        try Sys.link("\(root)/odd/small", path: "\(root)/odd/sticky/another")
        try Sys.symlink("small", path: "\(root)/odd/link")
        try Sys.symlink("/nowhere/at/all", path: "\(root)/odd/dangling")
        try Sys.symlink(String(repeating: "a/", count: 1000) + "b", path: "\(root)/odd/long-link")

        try Sys.makeNode("\(root)/odd/fifo", mode: 0o010_640)
        try Sys.makeNode("\(root)/odd/null", mode: 0o020_666, major: 1, minor: 3)
        try Sys.makeNode("\(root)/odd/block", mode: 0o060_600, major: 7, minor: 260)

        try file("attributes", "x")
        let attributes = "\(root)/odd/attributes"
        try Sys.setExtendedAttribute(attributes, named: "user.empty", to: [])
        try Sys.setExtendedAttribute(attributes, named: "user.bytes", to: [0, 1, 255, 10])
        try Sys.setExtendedAttribute(attributes, named: "user.long", to: Array(repeating: 7, count: 1000))
        // cap_net_raw+ep, version 2 (linux/capability.h).
        try Sys.setExtendedAttribute(
            attributes, named: "security.capability", to: [1, 0, 0, 2, 0, 32, 0, 0] + Array(repeating: 0, count: 12))
        // user::rw-, user:1000:rwx, group::r--, mask::rwx, other::r-- (acl(5), version 2).
        let none: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
        let access: [UInt8] =
            [2, 0, 0, 0] + [1, 0, 6, 0] + none + [2, 0, 7, 0, 0xE8, 3, 0, 0] + [4, 0, 4, 0] + none
            + [16, 0, 7, 0] + none + [32, 0, 4, 0] + none
        try Sys.setExtendedAttribute(attributes, named: "system.posix_acl_access", to: access)

        try file("owned", "x")
        try Sys.chown("\(root)/odd/owned", uid: 4_000_000, gid: 65_536)
        try file("old", "x")
        try Sys.setModificationTime("\(root)/odd/old", seconds: -86_400, nanoseconds: 0)
        try file("far", "x")
        try Sys.setModificationTime("\(root)/odd/far", seconds: 5_000_000_000, nanoseconds: 0)
        try wholeSeconds(below: root)
    }

    /// Creates the next layer at `root`: whiteouts (OCI image-spec, layer.md), an opaque directory, replaced types.
    static func makeWhiteouts(at root: String) throws {
        try Files.makeDirectory("\(root)/odd/opaque")
        try Files.makeDirectory("\(root)/odd/becomes-directory")
        try Files.write("\(root)/odd/.wh.gone", "")
        try Files.write("\(root)/odd/.wh.whited-out", "")
        try Files.write("\(root)/odd/opaque/.wh..wh..opq", "")
        try Files.write("\(root)/odd/opaque/new", "new\n")
        try Files.write("\(root)/odd/becomes-file", "a file now\n")
        try Files.write("\(root)/odd/becomes-directory/file", "in a directory now\n")
        try Files.write("\(root)/odd/replaced", "the upper one\n")
        try wholeSeconds(below: root)
    }

    private static func large() -> [UInt8] {
        var bytes: [UInt8] = []
        var generator = SeededRandom(seed: 7)
        for _ in 0..<3 {
            for _ in 0..<(1 << 17) { withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) } }
            bytes += repeatElement(0, count: 2 << 20)
        }
        return bytes + [1, 2, 3]
    }

    private static func wholeSeconds(below path: String) throws {
        for entry in try Sys.list(path) where entry.kind == .directory {
            try wholeSeconds(below: "\(path)/\(entry.text)")
        }
        for entry in try Sys.list(path) {
            let name = "\(path)/\(entry.text)"
            let seconds = try Sys.lstat(name).modifiedSeconds
            try Sys.setModificationTime(name, seconds: seconds, nanoseconds: 0)
        }
        try Sys.setModificationTime(path, seconds: try Sys.lstat(path).modifiedSeconds, nanoseconds: 0)
    }
}
