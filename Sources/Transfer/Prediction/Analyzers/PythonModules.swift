import Base

/// The modules of a Python installation in an image, looked up by name as Python does (Lib/importlib, "PathFinder"; PEP
/// 3147 for the locations of compiled files).
struct PythonModules {
    /// The directories of modules, in the order in which Python searches them.
    private(set) var roots: [String] = []
    /// The minor version: 11 for Python 3.11.
    private let minor: Int
    private let files: ImageFiles
    /// A cache of the names in each directory, keyed by the directory's path. Each name is cut at its first dot.
    ///
    /// Python looks for an imported name in one directory after the other, and most imported names are not modules. So
    /// the cache avoids many reads of directories.
    private var stems: [String: Set<String>] = [:]
    /// The number of names in ``stems``, plus one for each directory in ``stems``.
    private var stemCount = 0

    /// The directories for which ``takePackage(_:)`` has returned true.
    private var packagesTaken: Set<String> = []

    /// The modules that are built into the interpreter since Python 3.11 (Python/frozen.c). Python never reads these
    /// modules from the disk.
    private static let frozen: Set<String> = [
        "_collections_abc", "_sitebuiltins", "abc", "codecs", "genericpath", "importlib._bootstrap",
        "importlib._bootstrap_external", "importlib.machinery", "importlib.util", "io", "ntpath", "os", "posixpath",
        "runpy", "site", "stat", "zipimport",
    ]

    /// Finds the installation that the interpreter `executable` belongs to; `nil` if there is none.
    ///
    /// - Parameter path: the path by which the process runs the interpreter. It may be a link in a virtual environment.
    init?(executable: ImageFile, calledAs path: String, in files: ImageFiles) {
        let prefix = ImagePath.parent(of: executable.directory)
        let found = Self.standardLibrary(of: executable.name, below: prefix, in: files)
        guard let (library, minor) = found else { return nil }
        self.files = files
        self.minor = minor
        add(root: library)
        add(root: library + "/lib-dynload")
        for prefix in [ImagePath.parent(of: ImagePath.parent(of: path)), prefix, "/usr/local"] {
            for packages in ["site-packages", "dist-packages"] {
                add(root: "\(prefix)/lib/python3.\(minor)/\(packages)")
            }
        }
        // Debian's directory, which all its Python versions share.
        add(root: prefix + "/lib/python3/dist-packages")
    }

    private static func standardLibrary(
        of name: Substring, below prefix: String, in files: ImageFiles
    ) -> (path: String, minor: Int)? {
        let versions =
            name.hasPrefix("python3.") && Int(name.dropFirst(8)) != nil
            ? [String(name)] : files.names(in: prefix + "/lib", beginningWith: "python3.")
        for version in versions {
            guard let minor = Int(version.dropFirst(8)), files.file("\(prefix)/lib/\(version)/os.py") != nil else {
                continue
            }
            return ("\(prefix)/lib/\(version)", minor)
        }
        return nil
    }

    /// Adds a directory of modules, if it exists. Does nothing if ``roots`` already has 64 directories.
    mutating func add(root: String) {
        guard roots.count < 64, !roots.contains(root), let path = files.directory(root), !roots.contains(path) else {
            return
        }
        roots.append(path)
    }

    /// Returns the files that every start of Python reads before the program's first line (Python/pylifecycle.c,
    /// Lib/site.py). Since 3.11, most of the modules that a start needs are built into the interpreter.
    mutating func startup() -> [ImageFile] {
        var names = ["encodings", "encodings.aliases", "encodings.utf_8", "sitecustomize"]
        if minor < 11 {
            names += [
                "codecs", "io", "abc", "site", "os", "stat", "posixpath", "genericpath", "_collections_abc",
                "_sitebuiltins",
            ]
        }
        // PEP 538: the locale is C.UTF-8 if the container sets none.
        var result = [
            "/usr/lib/locale/C.utf8/LC_CTYPE", "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache",
            "/usr/lib/aarch64-linux-gnu/gconv/gconv-modules.cache",
        ].compactMap { files.file($0) }
        for name in names { result += modules(PythonImport(level: 0, module: name), from: nil) }
        for root in roots.dropFirst(2) {
            for name in files.names(in: root, beginningWith: "", limit: Self.maximumNames) where name.hasSuffix(".pth")
            {
                if let file = files.file(root + "/" + name) { result.append(file) }
            }
        }
        return result
    }

    /// Records an attempt to fetch all modules in `directory` together.
    ///
    /// Returns true if the caller should make the attempt. Returns false if an earlier call recorded the same
    /// directory, or if ``maximumPackages`` directories are already recorded.
    mutating func takePackage(_ directory: String) -> Bool {
        packagesTaken.count < Self.maximumPackages && packagesTaken.insert(directory).inserted
    }

    /// Returns the files that an import may read. The packages that contain a module come before the module.
    ///
    /// - Parameter package: the directory of the package that contains the importing file; `nil` if there is none.
    mutating func modules(_ item: PythonImport, from package: String?) -> [ImageFile] {
        var result: [ImageFile] = []
        // One dot, or an unknown number of dots, means the package itself. Each further dot goes up one directory.
        if item.level != 0, var package {
            for _ in 1..<max(1, min(item.level ?? 1, 8)) { package = ImagePath.parent(of: package) }
            result += modules(item.module, and: item.names, in: package)
        }
        if item.level ?? 0 > 0 || minor >= 11 && Self.frozen.contains(item.module) { return result }
        for root in roots {
            let found = modules(item.module, and: item.names, in: root)
            if !found.isEmpty { return result + found }
        }
        return result
    }

    /// Returns the files of the module `name` in `directory`. If that module is a package, also returns the files of
    /// those `names` that are modules in the package.
    private mutating func modules(_ name: String, and names: [String], in directory: String) -> [ImageFile] {
        guard let parts = Self.parts(name) else { return [] }
        let result = chain(parts, in: directory)
        guard !names.isEmpty, parts.isEmpty || !result.isEmpty else { return result }
        let package = parts.reduce(directory) { "\($0)/\($1)" }
        guard files.directory(package) != nil else { return result }
        return result
            + names.prefix(64).flatMap { name -> [ImageFile] in
                Self.parts(name)?.count == 1 ? chain([name], in: package) : []
            }
    }

    /// Returns the parts of a dotted name; `nil` if it cannot name a module.
    private static func parts(_ name: String) -> [String]? {
        guard name.utf8.count <= 128, name.utf8.allSatisfy(isNamePart) else { return nil }
        let parts = name.split(separator: ".").map(String.init)
        return parts.count <= 8 ? parts : nil
    }

    /// Returns the directory of the package that contains the module `file`; `nil` if no package contains it.
    mutating func package(of file: ImageFile) -> String? {
        let directory = Self.moduleDirectory(of: file)
        return has("__init__", in: directory) ? directory : nil
    }

    /// Returns the directory in which Python searches to import the module `file`.
    ///
    /// If packages contain the module, this is the parent of the outermost package. Otherwise, it is the module's own
    /// directory.
    mutating func root(of file: ImageFile) -> String {
        var directory = Self.moduleDirectory(of: file)
        while directory != "/", has("__init__", in: directory) {
            directory = ImagePath.parent(of: directory)
        }
        return directory
    }

    private static func moduleDirectory(of file: ImageFile) -> String {
        let directory = file.directory
        return ImagePath.name(of: directory) == "__pycache__" ? ImagePath.parent(of: directory) : directory
    }

    /// The maximum number of directories for which ``takePackage(_:)`` returns true.
    private static let maximumPackages = 512
    /// The maximum number of names that this type reads from one directory.
    private static let maximumNames = 65_536
    /// The limit of ``stemCount``. If another directory would reach the limit, this type first empties ``stems``.
    private static let maximumKept = 1 << 18

    /// Returns true if `directory` has an entry whose name up to its first dot is `stem`.
    private mutating func has(_ stem: String, in directory: String) -> Bool {
        if let known = stems[directory] { return known.contains(stem) }
        let found = Set(
            files.names(in: directory, beginningWith: "", limit: Self.maximumNames).map {
                String($0.prefix { $0 != "." })
            })
        if stemCount + found.count >= Self.maximumKept { (stems, stemCount) = ([:], 0) }
        stems[directory] = found
        stemCount += found.count + 1
        return found.contains(stem)
    }

    private mutating func chain(_ parts: [String], in directory: String) -> [ImageFile] {
        var result: [ImageFile] = []
        var directory = directory
        for part in parts {
            guard has(part, in: directory) else { break }
            if let package = files.directory("\(directory)/\(part)"), has("__init__", in: package) {
                if let file = module("__init__", in: package) { result.append(file) }
                directory = package
                continue
            }
            if let file = module(part, in: directory) { result.append(file) }
            // The remaining parts are names in the module.
            break
        }
        return result
    }

    private func module(_ name: String, in directory: String) -> ImageFile? {
        // Ask for any source file, even an empty one, since its compiled file is not empty. Most packages begin with an
        // empty `__init__.py`.
        if files.holdsFile("\(directory)/\(name).py") {
            return files.file("\(directory)/__pycache__/\(name).cpython-3\(minor).pyc")
                ?? files.file("\(directory)/\(name).py")
        }
        for suffix in ["cpython-3\(minor)-x86_64-linux-gnu", "cpython-3\(minor)-aarch64-linux-gnu", "abi3"] {
            if let file = files.file("\(directory)/\(name).\(suffix).so") { return file }
        }
        return files.file("\(directory)/\(name).so")
    }

    private static func isNamePart(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
}
