/// The modules of Node.js applications in an image, found as Node.js finds them (Node.js documentation, "Modules:
/// CommonJS modules", "All together"; "Modules: Packages").
struct NodeModules {
    /// The meaning of a name.
    enum Found {
        case module(ImageFile)
        /// A package, or a name in it: its description says which file that is.
        case package(NodePackage)
    }

    /// Modules in the program itself, which hide those in `node_modules`.
    private static let builtIn: Set<Substring> = [
        "assert", "async_hooks", "buffer", "child_process", "cluster", "console", "constants", "crypto", "dgram",
        "diagnostics_channel", "dns", "domain", "events", "fs", "http", "http2", "https", "inspector", "module", "net",
        "os", "path", "perf_hooks", "process", "punycode", "querystring", "readline", "repl", "stream",
        "string_decoder", "sys", "timers", "tls", "trace_events", "tty", "url", "util", "v8", "vm", "wasi",
        "worker_threads", "zlib",
    ]

    private let files: ImageFiles
    /// Directories of packages that lie beside no application: `NODE_PATH`, then Debian's.
    private let shared: [String]
    /// Packages whose descriptions have been asked for, with the names in them: they may name each other.
    private var described: Set<String> = []

    /// - Parameter path: the value of `NODE_PATH`.
    init(_ files: ImageFiles, path: Substring?) {
        self.files = files
        shared =
            (path?.split(separator: ":", maxSplits: 16).prefix(16).map(String.init) ?? [])
            + [
                "/usr/share/nodejs", "/usr/lib/nodejs", "/usr/lib/x86_64-linux-gnu/nodejs",
                "/usr/lib/aarch64-linux-gnu/nodejs",
            ]
    }

    /// Returns the module or package that a file in `directory` means by `name`; `nil` when there is none.
    func find(_ name: String, from directory: String) -> Found? {
        if name.hasPrefix("/") || name.hasPrefix("./") || name.hasPrefix("../") || name == "." || name == ".." {
            return module(at: ImagePath.joined(directory, name))
        }
        let parts = name.split(separator: "/", maxSplits: name.hasPrefix("@") ? 2 : 1)
        let count = name.hasPrefix("@") ? 2 : 1
        guard parts.count >= count, !name.hasPrefix("node:"), !name.hasPrefix("#"), !Self.builtIn.contains(parts[0])
        else { return nil }
        let package = parts.prefix(count).joined(separator: "/")
        let rest = parts.count > count ? String(parts[count]) : ""
        for place in places(from: directory) {
            let path = ImagePath.joined(place, package)
            if let found = files.directory(path) { return self.package(in: found, rest) }
            if rest.isEmpty, let file = plain(path) { return .module(file) }
        }
        return nil
    }

    /// Returns the file that a package's description names for it.
    func module(_ package: NodePackage, describedBy bytes: [UInt8], isImport: Bool) -> Found? {
        let target =
            PackageManifest(bytes)?.target(of: package.rest, isImport: isImport)
            ?? (package.rest.isEmpty ? "index" : package.rest)
        return module(at: ImagePath.joined(package.directory, target), orIndexOf: package.directory)
    }

    /// Returns the directories of the packages that a file in `directory` may name, the nearest first.
    private func places(from directory: String) -> [String] {
        var places: [String] = []
        var directory = directory
        for _ in 0..<32 {
            if ImagePath.name(of: directory) != "node_modules" { places.append(directory + "/node_modules") }
            guard directory != "/" else { break }
            directory = ImagePath.parent(of: directory)
        }
        return places + shared
    }

    /// Returns the file at `path` or with one of the endings that may be left out, or the meaning of the directory
    /// there.
    private func module(at path: String, orIndexOf other: String? = nil) -> Found? {
        if let file = plain(path) { return .module(file) }
        if let directory = files.directory(path), directory != other { return package(in: directory, "") }
        return other.flatMap { plain($0 + "/index") }.map { .module($0) }
    }

    private func package(in directory: String, _ rest: String) -> Found? {
        if let description = files.file(directory + "/package.json") {
            return .package(NodePackage(directory: directory, description: description, rest: rest))
        }
        return plain("\(directory)/\(rest.isEmpty ? "index" : rest)").map { .module($0) }
    }

    private func plain(_ path: String) -> ImageFile? {
        for ending in ["", ".js", ".json", ".node"] {
            if let file = files.file(path + ending) { return file }
        }
        return nil
    }

    /// Notes that the description of `package` is asked for, and returns whether it has not been asked for before.
    mutating func describe(_ package: NodePackage) -> Bool {
        described.count < StartPrediction.maximumFiles
            && described.insert("\(package.directory)/\(package.rest)").inserted
    }

    /// Returns the file that a package is when its description says nothing.
    func index(of package: NodePackage) -> ImageFile? {
        package.rest.isEmpty ? files.file(package.directory + "/index.js") : nil
    }
}

/// A package, or a name in it.
struct NodePackage: Sendable {
    let directory: String
    /// Its `package.json`.
    let description: ImageFile
    /// The name behind the package's; empty for the package itself.
    let rest: String
}
