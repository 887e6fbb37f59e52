import Base
public import ContentStore
public import LayerIndex
public import Registry

/// What an image's configuration says of the process that a container of it runs (OCI image-spec, config.md).
public struct ContainerStart: Sendable, Equatable {
    /// The entrypoint, then the command: what is run, if the pod does not say otherwise.
    public var arguments: [String]
    /// `NAME=value`.
    public var environment: [String]
    public var workingDirectory: String

    public init(arguments: [String] = [], environment: [String] = [], workingDirectory: String = "/") {
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
    }

    public init(_ configuration: ImageConfiguration) {
        self.init(
            arguments: configuration.entrypoint + configuration.command, environment: configuration.environment,
            workingDirectory: configuration.workingDirectory.isEmpty ? "/" : configuration.workingDirectory)
    }
}

/// Chunks that a start is likely to read.
public struct PredictedPiece: Sendable {
    public let piece: ChunkRun
    /// The number of the file in the image's tree.
    public let inode: UInt64
}

/// What one container will read until it is ready, found out while it starts: from the image's configuration and its tree, and
/// from the files that have come so far, each of which names the next ones.
///
/// Without a profile, a starting process reads its files one after the other, a round trip each, since only the file that it
/// has just read tells it the next. All that is told there can be followed here as soon as the bytes are on the node, before
/// the process gets to it:
/// - a program: its interpreter (`#!`, or the ELF loader) and the libraries that it is linked with, and theirs;
/// - a Python interpreter: what every start of it reads; a Python file: the modules that its top level names;
/// - Node.js: the packages and files that a script's top level names, by what their descriptions say;
/// - a Java launcher: the virtual machine, its archive of classes and its first libraries; a jar: the directory at its end;
/// - settings: the files that they name (``SettingsFile``);
/// - files that are read in the order of their names: those that come next (``FileSeries``).
///
/// It is a guess. It is bounded in bytes and files, and what it brings is counted apart (``PlannerStatistics``).
public struct StartPrediction {
    /// The most that is fetched for one start, in bytes of the blobs.
    static let maximumBytes: UInt64 = 128 << 20
    /// The most files that are looked at for one start.
    static let maximumFiles = 4096
    /// A file that is fetched whole; of a larger one only what is sure to be read. numpy's start reads four fifths and more of
    /// the libraries of 4 to 5 MB that it loads, and a twentieth of one of 7 MB.
    private static let wholeFile: UInt64 = 6 << 20
    /// The same for the program itself: Python's start reads nine tenths of its 6.8 MB.
    private static let wholeProgram: UInt64 = 16 << 20
    /// What is fetched of the start of a larger one.
    private static let startOfFile: UInt64 = 256 << 10
    /// What is fetched of the end of a larger jar, where its directory is: some 100 bytes a class.
    private static let endOfJar: UInt64 = 512 << 10
    /// A Python or JavaScript file larger than this is data, not a program.
    private static let largestModule: UInt64 = 1 << 20

    /// Where distributions have the loader and the C library.
    private static let commonLibraries = [
        "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6",
        "/lib/ld-linux-aarch64.so.1", "/lib/aarch64-linux-gnu/libc.so.6", "/lib/ld-musl-x86_64.so.1",
        "/lib/ld-musl-aarch64.so.1",
    ]

    /// What the runtime looks up before it starts the process, then what the C library does.
    private static let commonFiles = [
        "/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/localtime",
    ]

    /// Modules of a package that come along with the first of them, in bytes.
    private static let smallPackage: UInt64 = 1 << 20
    /// The most packages that are looked into for that.
    private static let maximumPackages = 512
    /// Directories of `PATH` and of `LD_LIBRARY_PATH`, and bytes of an argument with a program in it.
    private static let maximumDirectories = 64
    private static let longestArgument = 64 << 10
    /// Mentions of files that are kept for their order.
    private static let maximumMentions = 1 << 18

    /// A file that will tell more once `part` of it is here.
    private struct Pending {
        let file: ImageFile
        let part: ByteRange
        let step: Step
    }

    private enum Step {
        /// Its first bytes say what it is.
        case head
        case elf(ELFImage)
        case pythonSource
        case pythonCompiled
        case pythonExtension
        case nodeSource
        case nodePackage(NodePackage, isImport: Bool)
        case settings
    }

    /// What a file names, in its order.
    private struct Names {
        var libraries: [UInt64] = []
        var others: [UInt64] = []
    }

    private let files: ImageFiles
    private let givesPresent: Bool
    private var names: ImageFileNames?
    private var series: FileSeries
    private var python: PythonModules?
    private var node: NodeModules?
    /// Packages whose descriptions have been looked at, with what was looked for: they may name each other.
    private var packages: Set<String> = []
    private var environment: [String] = []
    private var libraryPath: [String] = []
    private var seen: Set<UInt64> = []
    /// What the process has read from.
    private var touched: Set<UInt64> = []
    private var pending: [Pending] = []
    private var bytesLeft = maximumBytes
    /// What has been found since ``takeWave()`` was called last.
    private var wave: [PredictedPiece] = []
    /// Modules that lie beside those, and come after them.
    private var beside: [ImageFile] = []
    /// Directories whose modules have been taken along.
    private var packagesTaken: Set<String> = []
    /// By the file that names; `nil` is the image's configuration.
    private var named: [UInt64?: Names] = [:]
    private var mentionsLeft = maximumMentions
    /// What names the files that are found now.
    private var namedBy: UInt64?
    /// Whether they are libraries.
    private var isLinking = false

    /// - Parameter givesPresent: give also what is on the node already.
    public init(tree: TreeImage, layers: [StoredLayer], givesPresent: Bool = false) {
        self.givesPresent = givesPresent
        files = ImageFiles(tree: tree, layers: layers)
        series = FileSeries(files)
    }

    /// Chunks that are likely to be read soon, are not on the node and were not given before, in the order of their expected use.
    public mutating func takeWave() -> [PredictedPiece] {
        for file in beside { fetch(file, ByteRange(offset: 0, end: file.range.count)) }
        defer { (wave, beside) = ([], []) }
        return wave
    }

    // MARK: - What it starts from

    /// The image says what it runs.
    public mutating func start(_ start: ContainerStart) {
        environment = start.environment
        libraryPath =
            start.environment.first { $0.hasPrefix("LD_LIBRARY_PATH=") }
            .map { Self.directories($0.dropFirst(16)) } ?? []
        guard let command = start.arguments.first else { return }
        let path = start.environment.first { $0.hasPrefix("PATH=") }?.dropFirst(5)
        let directories = path.map(Self.directories) ?? ["/usr/local/bin", "/usr/bin", "/bin"]
        for path in Self.commonFiles { if let file = files.file(path) { want(file) } }
        for place in command.contains("/") ? [start.workingDirectory] : directories {
            if program(ImagePath.joined(place, command)) { break }
        }
        // What nearly every program is linked with. Where all is at hand it is found out.
        if !givesPresent { for path in Self.commonLibraries { _ = library(path) } }
        for argument in start.arguments.dropFirst().prefix(64) {
            if let file = files.file(ImagePath.joined(start.workingDirectory, argument)) {
                want(file)
            } else if argument.contains("import ") {
                modules(PythonImports.imports(inSource: Array(argument.utf8.prefix(Self.longestArgument))), from: nil)
            } else if node != nil {
                load(NodeImport(name: ImagePath.joined(start.workingDirectory, argument)), from: "/")
            } else if python != nil {
                // `-m module`.
                modules([PythonImport(level: 0, module: argument, names: ["__main__"])], from: nil)
            }
        }
    }

    /// Splits a list of directories as in `PATH`.
    private static func directories(_ list: Substring) -> [String] {
        list.split(separator: ":", maxSplits: maximumDirectories).prefix(maximumDirectories).map(String.init)
    }

    /// The process has read from the file with this number, for the first time.
    mutating func touched(_ inode: UInt64) {
        guard touched.count < Self.maximumFiles, touched.insert(inode).inserted else { return }
        if names == nil { names = ImageFileNames(files) }
        guard let path = names?.path(of: inode), let file = files.file(inode, at: path) else { return }
        for next in series.foreseen(after: path) { want(next) }
        // What is read is on its way: only what follows from it is of use.
        guard seen.count < Self.maximumFiles, seen.insert(inode).inserted else { return }
        follow(file, calledAs: path)
    }

    /// Looks at what has come.
    public mutating func proceed() {
        var index = 0
        while index < pending.count, !files.budget.isSpent {
            guard let bytes = pending[index].file.bytes(pending[index].part) else {
                index += 1
                continue
            }
            let item = pending.remove(at: index)
            files.budget.spend(1 + bytes.count / Int(WorkBudget.bytesPerStep))
            read(item, bytes)
        }
    }

    // MARK: - Following

    /// The program at `path` will be run.
    private mutating func program(_ path: String) -> Bool {
        guard let file = files.file(path) else { return false }
        want(file, calledAs: path, whole: Self.wholeProgram)
        return true
    }

    /// The library at `path` will be loaded.
    private mutating func library(_ path: String) -> Bool {
        guard let file = files.file(path) else { return false }
        want(file, calledAs: path)
        return true
    }

    /// `file` will be read: it is fetched, and what it says will be followed.
    private mutating func want(_ file: ImageFile, calledAs path: String? = nil, whole: UInt64 = wholeFile) {
        note(file)
        guard seen.count < Self.maximumFiles, seen.insert(file.inode).inserted else { return }
        fetch(file, ByteRange(offset: 0, end: file.range.count <= whole ? file.range.count : Self.startOfFile))
        if file.range.count > whole, file.name.hasSuffix(".jar") {
            let start = file.range.count - min(file.range.count, Self.endOfJar)
            fetch(file, ByteRange(offset: start, end: file.range.count))
        }
        follow(file, calledAs: path ?? file.path)
    }

    /// The file is named, for the first time or again.
    private mutating func note(_ file: ImageFile) {
        guard mentionsLeft > 0 else { return }
        mentionsLeft -= 1
        if isLinking {
            named[namedBy, default: Names()].libraries.append(file.inode)
        } else {
            named[namedBy, default: Names()].others.append(file.inode)
        }
    }

    /// The files in the order in which they are read, as far as can be told: a file when it is first named, with its libraries before
    /// anything that it does, then what else it names, one after the other, each with all that follows from it.
    public func order() -> [UInt64] {
        var order: [UInt64] = []
        var visited: Set<UInt64> = []
        // What is still to be visited, the next one last.
        var stack = Array((named[nil] ?? Names()).others.reversed())
        while let inode = stack.popLast() {
            guard visited.insert(inode).inserted else { continue }
            order.append(inode)
            guard let names = named[inode] else { continue }
            stack += names.others.reversed()
            stack += names.libraries.reversed()
        }
        return order
    }

    private mutating func follow(_ file: ImageFile, calledAs path: String) {
        let before = (namedBy, isLinking)
        (namedBy, isLinking) = (file.inode, false)
        defer { (namedBy, isLinking) = before }
        let name = file.name
        if name.hasSuffix(".pyc") {
            if file.range.count <= Self.largestModule { wait(file, .pythonCompiled, file.range.count) }
        } else if name.hasSuffix(".py") {
            if file.range.count <= Self.largestModule { wait(file, .pythonSource, file.range.count) }
        } else if node != nil, name.hasSuffix(".js") || name.hasSuffix(".cjs") || name.hasSuffix(".mjs") {
            if file.range.count <= Self.largestModule { wait(file, .nodeSource, file.range.count) }
        } else if SettingsFile.isNamed(name) {
            if file.range.count <= SettingsFile.largest { wait(file, .settings, file.range.count) }
        } else if name.hasPrefix("python3"), python == nil,
            let found = PythonModules(executable: file, calledAs: path, in: files)
        {
            python = found
            for file in python?.startup() ?? [] { want(file) }
            wait(file, .head, ELFImage.headSize)
        } else {
            if node == nil, name == "node" || name == "nodejs" {
                node = NodeModules(files, environment: environment)
            }
            for (file, part) in JavaRuntime.startup(file, in: files) where seen.insert(file.inode).inserted {
                note(file)
                fetch(file, part)
                wait(file, .head, ELFImage.headSize)
            }
            wait(file, .head, ELFImage.headSize)
            // `name.cpython-311-x86_64-linux-gnu.so`, `name.abi3.so`
            if python != nil, name.hasSuffix(".so"), name.contains(".cpython-") || name.contains(".abi3."),
                file.range.count <= Self.wholeFile
            {
                wait(file, .pythonExtension, file.range.count)
            }
        }
    }

    private mutating func wait(_ file: ImageFile, _ step: Step, _ count: UInt64) {
        pending.append(Pending(file: file, part: ByteRange(offset: 0, end: min(count, file.range.count)), step: step))
    }

    private mutating func read(_ item: Pending, _ bytes: [UInt8]) {
        namedBy = item.file.inode
        defer { namedBy = nil }
        switch item.step {
        case .head:
            if bytes.starts(with: [0x23, 0x21]) {
                script(item.file, bytes)
            } else if let elf = ELFImage(head: bytes, fileSize: item.file.range.count) {
                loaded(item.file, elf)
            }
        case .elf(let elf): linked(item.file, elf)
        case .pythonSource:
            source(item.file, bytes)
        case .pythonCompiled:
            modules(PythonImports.imports(inCompiled: bytes) ?? [], from: item.file)
        case .pythonExtension: modules(PythonImports.imports(inExtension: bytes), from: item.file)
        case .nodeSource: load(NodeImports.imports(inSource: bytes), from: item.file)
        case .nodePackage(let package, let isImport):
            take(node?.module(package, describedBy: bytes, isImport: isImport), isImport: isImport)
        case .settings:
            for file in SettingsFile.paths(in: bytes).flatMap({ files.matching($0) })
            where file.range.count <= SettingsFile.largest { want(file) }
        }
    }

    /// A script: the interpreter of its first line (execve(2), "Interpreter scripts").
    private mutating func script(_ file: ImageFile, _ head: [UInt8]) {
        let line = String(decoding: head.dropFirst(2).prefix { $0 != 0x0A }.prefix(256), as: UTF8.self)
        let words = line.split(separator: " ").map(String.init)
        guard let interpreter = words.first else { return }
        _ = program(interpreter)
        if interpreter.hasSuffix("/env"), words.count > 1 {
            for directory in ["/usr/local/bin", "/usr/bin", "/bin"] where program("\(directory)/\(words[1])") { break }
        }
        let bytes = file.bytes(ByteRange(offset: 0, end: min(file.range.count, Self.largestModule)))
        guard let bytes else { return }
        files.budget.spend(bytes.count / Int(WorkBudget.bytesPerStep))
        if words.contains(where: { $0.contains("python") }) {
            source(file, bytes)
        } else if words.contains(where: { $0.hasSuffix("node") }) {
            load(NodeImports.imports(inSource: bytes), from: file)
        }
    }

    private mutating func load(_ imports: [NodeImport], from file: ImageFile) {
        // Whether a file is a module of the newer kind is in the description of the package that it lies in.
        if let description = files.file(file.directory + "/package.json") { want(description) }
        for item in imports { load(item, from: file.directory) }
    }

    private mutating func load(_ item: NodeImport, from directory: String) {
        take(node?.find(item.name, from: directory), isImport: item.isImport)
    }

    private mutating func take(_ found: NodeModules.Found?, isImport: Bool) {
        switch found {
        case .module(let file): want(file)
        case .package(let package):
            want(package.description)
            // Most are what they are without being told, so that nothing need wait for the description.
            if let index = node?.index(of: package) { want(index) }
            guard packages.count < Self.maximumFiles, package.description.range.count <= Self.largestModule,
                packages.insert("\(package.directory)/\(package.rest)").inserted
            else { return }
            wait(package.description, .nodePackage(package, isImport: isImport), package.description.range.count)
        case nil: break
        }
    }

    private mutating func source(_ file: ImageFile, _ bytes: [UInt8]) {
        python?.add(root: file.directory)
        modules(PythonImports.imports(inSource: bytes), from: file)
    }

    private mutating func modules(_ imports: [PythonImport], from file: ImageFile?) {
        guard python != nil else { return }
        var package: String?
        if let file {
            package = python?.package(of: file)
            if let root = python?.root(of: file) { python?.add(root: root) }
        }
        for item in imports.prefix(512) {
            for module in python?.modules(item, from: package) ?? [] {
                want(module)
                if !givesPresent { takeAlong(besides: module) }
            }
        }
    }

    /// The other modules of the package that `module` is in, if they are small. Most will be imported, each by one that has to come
    /// first: so they save a round trip for each step between them.
    private mutating func takeAlong(besides module: ImageFile) {
        let directory = module.directory
        // Where an extent holds parts of many files, a reader takes along more than that (``Planner``): jupyter was a second later with both.
        guard !LayerMap(content: module.layer).extentsSpanFiles, module.name.hasSuffix(".pyc"),
            packagesTaken.count < Self.maximumPackages,
            packagesTaken.insert(directory).inserted
        else { return }
        var modules: [ImageFile] = []
        var bytes: UInt64 = 0
        for name in files.names(in: directory, beginningWith: "", limit: 512) where name.hasSuffix(".pyc") {
            guard let file = files.file("\(directory)/\(name)"), !seen.contains(file.inode) else { continue }
            bytes &+= file.range.count
            guard bytes <= Self.smallPackage else { return }
            modules.append(file)
        }
        beside += modules
    }

    /// An ELF file: what loading reads of it, and its interpreter.
    private mutating func loaded(_ file: ImageFile, _ elf: ELFImage) {
        isLinking = true
        defer { isLinking = false }
        for part in elf.readByLoader { fetch(file, part) }
        if let range = elf.interpreter, let bytes = file.bytes(range) {
            _ = library(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
        }
        // The names lie in the first part, the section in the last one.
        linked(file, elf)
    }

    private mutating func linked(_ file: ImageFile, _ elf: ELFImage) {
        isLinking = true
        defer { isLinking = false }
        var missing: ByteRange?
        let links = elf.links { range in
            guard let bytes = file.bytes(range) else {
                missing = range
                return nil
            }
            return bytes
        }
        if let missing {
            fetch(file, missing)
            pending.append(Pending(file: file, part: missing, step: .elf(elf)))
            return
        }
        let own = links.searchPath.map { path in
            for origin in ["$ORIGIN", "${ORIGIN}"] where path.hasPrefix(origin) {
                return file.directory + path.dropFirst(origin.count)
            }
            return path
        }
        let standard = Self.standardDirectories(elf.machine)
        for name in links.needed {
            if name.contains("/") {
                _ = library(name)
                continue
            }
            for directory in own + libraryPath + standard where library(ImagePath.joined(directory, name)) { break }
        }
    }

    /// The loader's own (ld.so(8)), with Debian's triplets, and what distributions put in `ld.so.conf`.
    private static func standardDirectories(_ machine: UInt16) -> [String] {
        let triplet =
            switch machine {
            case 62: "x86_64-linux-gnu"
            case 183: "aarch64-linux-gnu"
            default: ""
            }
        let multiarch = triplet.isEmpty ? [] : ["/lib/\(triplet)", "/usr/lib/\(triplet)"]
        return multiarch + ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"]
    }

    private mutating func fetch(_ file: ImageFile, _ part: ByteRange) {
        let chunks = file.chunks(part)
        guard let first = givesPresent ? chunks.first : file.layer.missing(in: chunks) else { return }
        let table = file.layer.chunks
        var extent: Int?
        var end = first
        // A part may be as large as a layer: it ends where the bytes do.
        while end < chunks.upperBound, bytesLeft > 0, files.budget.spend() {
            let next = table.chunk(end).extent
            if next != extent { bytesLeft -= min(bytesLeft, table.extent(next).blob.count) }
            extent = next
            end += 1
        }
        guard end > first else { return }
        wave.append(PredictedPiece(piece: ChunkRun(layer: file.layer, chunks: first..<end), inode: file.inode))
    }
}
