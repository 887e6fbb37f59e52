/// The modules of Node.js applications in an image, resolved by the rules of Node.js (Node.js documentation, "Modules:
/// CommonJS modules", "All together"; "Modules: Packages").
struct NodeModules {
    /// The result of resolving a module name.
    enum Found {
        case module(ImageFile)
        /// A package, or a file in a package. Only the package's `package.json` tells which file Node.js loads.
        case package(NodePackage)
    }

    /// The modules that are built into Node.js. They take precedence over modules in `node_modules`.
    private static let builtIn: Set<Substring> = [
        "assert", "async_hooks", "buffer", "child_process", "cluster", "console", "constants", "crypto", "dgram",
        "diagnostics_channel", "dns", "domain", "events", "fs", "http", "http2", "https", "inspector", "module", "net",
        "os", "path", "perf_hooks", "process", "punycode", "querystring", "readline", "repl", "stream",
        "string_decoder", "sys", "timers", "tls", "trace_events", "tty", "url", "util", "v8", "vm", "wasi",
        "worker_threads", "zlib",
    ]

    private let files: ImageFiles
    /// The directories of shared packages, which belong to no application: those in `NODE_PATH`, then Debian's.
    private let shared: [String]
    /// The packages whose `package.json` the prediction has requested. Each element is the package's directory, a
    /// slash, and the path in the package that a module name refers to (``NodePackage/rest``). Packages may refer to
    /// each other, so without this set the prediction could run in circles.
    private var described: Set<String> = []

    /// - Parameter path: the value of `NODE_PATH`; `nil` if it is not set.
    init(_ files: ImageFiles, path: Substring?) {
        self.files = files
        shared =
            (path?.split(separator: ":", maxSplits: 16).prefix(16).map(String.init) ?? [])
            + [
                "/usr/share/nodejs", "/usr/lib/nodejs", "/usr/lib/x86_64-linux-gnu/nodejs",
                "/usr/lib/aarch64-linux-gnu/nodejs",
            ]
    }

    /// Returns the module or package that a file in `directory` refers to as `name`; `nil` if there is none, or if the
    /// module is built into Node.js.
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

    /// Returns the file to which `package` resolves; `nil` if there is none. If `package` resolves to a directory that
    /// has its own `package.json`, returns that directory as a package.
    ///
    /// - Parameters:
    ///   - bytes: the `package.json` of `package`.
    ///   - isImport: true if `import` loads the module, false if `require` does.
    func module(_ package: NodePackage, describedBy bytes: [UInt8], isImport: Bool) -> Found? {
        let target =
            PackageManifest(bytes)?.target(of: package.rest, isImport: isImport)
            ?? (package.rest.isEmpty ? "index" : package.rest)
        return module(at: ImagePath.joined(package.directory, target), orIndexOf: package.directory)
    }

    /// Returns the directories in which Node.js looks for the packages that a file in `directory` names, the nearest
    /// first.
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

    /// Returns the module or package that Node.js loads for `path`; `nil` if there is none.
    ///
    /// The function tries these candidates, and uses the first one that exists:
    /// - the file at `path`, or at `path` with the ending `.js`, `.json` or `.node`
    /// - the directory at `path`, as a package, unless this directory is `other`
    /// - the file `index` in the directory `other`, without an ending or with one of the same three endings
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

    /// Records a request for the `package.json` of `package`.
    ///
    /// Returns true if the prediction should make the request. Returns false if an earlier call recorded the same
    /// request, or if ``StartPrediction/maximumFiles`` requests are already recorded.
    mutating func describe(_ package: NodePackage) -> Bool {
        described.count < StartPrediction.maximumFiles
            && described.insert("\(package.directory)/\(package.rest)").inserted
    }

    /// Returns the package's `index.js`, which Node.js loads if `package.json` names no other file. Returns `nil` if
    /// there is no such file, or if the module name contains a path in the package (``NodePackage/rest``).
    func index(of package: NodePackage) -> ImageFile? {
        package.rest.isEmpty ? files.file(package.directory + "/index.js") : nil
    }
}

/// The target of a module name: a package, or a certain file in a package.
struct NodePackage: Sendable {
    let directory: String
    /// The package's `package.json`.
    let description: ImageFile
    /// The part of the module name after the package's name; empty for the package itself.
    let rest: String
}
