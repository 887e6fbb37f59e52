import Lab
import Linux

/// The expected root file system of an image, made without a snapshotter: GNU tar unpacks one layer after another, and
/// the whiteouts of each remove entries of those below (OCI image-spec, layer.md).
enum ReferenceTree {
    static func unpack(_ layers: [String], to root: String, in lab: Lab) async throws {
        try Files.makeDirectory(root)
        for layer in layers {
            let names = try await Command.run(["tar", "--list", "--quoting-style=literal", "--file", layer], in: lab)
            for name in names.split(separator: "\n") {
                let path = name.hasPrefix("./") ? name.dropFirst(2) : name
                let parts = path.split(separator: "/")
                guard let last = parts.last else { continue }
                guard last.hasPrefix(".wh.") else {
                    // A file replaces a whole directory, which tar does not do on its own.
                    let existing = "\(root)/\(parts.joined(separator: "/"))"
                    if !name.hasSuffix("/"), try Sys.exists(existing), try Sys.lstat(existing).kind == .directory {
                        try removeTree(existing)
                    }
                    continue
                }
                let directory = ([root] + parts.dropLast().map(String.init)).joined(separator: "/")
                if last == ".wh..wh..opq" {
                    for entry in try Sys.list(directory) { try remove("\(directory)/\(entry.text)") }
                } else {
                    try remove("\(directory)/\(last.dropFirst(4))")
                }
            }
            try await Command.run(
                [
                    "tar", "--extract", "--file", layer, "--directory", root, "--preserve-permissions",
                    "--same-owner", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--delay-directory-restore",
                    "--exclude=.wh.*",
                ], in: lab)
        }
    }

    private static func remove(_ path: String) throws {
        if try Sys.lstat(path).kind == .directory { try removeTree(path) } else { try Sys.unlink(path) }
    }
}
