/// The modules of Node.js applications in an image, found as Node finds them (Node.js documentation, "Modules: CommonJS
/// modules", "All together"; "Modules: Packages").
struct NodeModules {
    /// What a name stands for.
    enum Found {
        case module(ImageFile)
        /// A package, or something in it: its description says which file that is.
        case package(NodePackage)
    }

    /// Held in the program itself, whatever lies in `node_modules`.
    private static let builtIn: Set<Substring> = [
        "assert", "async_hooks", "buffer", "child_process", "cluster", "console", "constants", "crypto", "dgram",
        "diagnostics_channel", "dns", "domain", "events", "fs", "http", "http2", "https", "inspector", "module", "net",
        "os", "path", "perf_hooks", "process", "punycode", "querystring", "readline", "repl", "stream",
        "string_decoder", "sys", "timers", "tls", "trace_events", "tty", "url", "util", "v8", "vm", "wasi",
        "worker_threads", "zlib",
    ]

    private let files: ImageFiles
    /// Where packages are that lie beside no application: `NODE_PATH`, then Debian's places.
    private let shared: [String]

    /// - Parameter environment: `NAME=value`.
    init(_ files: ImageFiles, environment: [String]) {
        self.files = files
        let path = environment.first { $0.hasPrefix("NODE_PATH=") }?.dropFirst(10)
        shared =
            (path?.split(separator: ":").prefix(16).map(String.init) ?? [])
            + [
                "/usr/share/nodejs", "/usr/lib/nodejs", "/usr/lib/x86_64-linux-gnu/nodejs",
                "/usr/lib/aarch64-linux-gnu/nodejs",
            ]
    }

    /// What a file in `directory` means by `name`; `nil` for what is not there.
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

    /// What a package's description says that a name in it stands for.
    func module(_ package: NodePackage, describedBy bytes: [UInt8], isImport: Bool) -> Found? {
        let target =
            PackageManifest(bytes)?.target(of: package.rest, isImport: isImport)
            ?? (package.rest.isEmpty ? "index" : package.rest)
        return module(at: ImagePath.joined(package.directory, target), orIndexOf: package.directory)
    }

    /// Where packages may be that a file in `directory` names, the nearest first.
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

    /// The file at `path` or with one of the endings that may be left out, or what the directory there is.
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

    /// The file that a package is, if its description says nothing.
    func index(of package: NodePackage) -> ImageFile? {
        package.rest.isEmpty ? files.file(package.directory + "/index.js") : nil
    }
}

/// A package, or a name in it.
struct NodePackage {
    let directory: String
    /// Its `package.json`.
    let description: ImageFile
    /// What is behind the package's name; empty for the package itself.
    let rest: String
}
