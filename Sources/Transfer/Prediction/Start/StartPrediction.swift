public import Base
public import LayerIndex

/// The files that one container reads until it is ready, found out while it starts: from the image's configuration and
/// tree, and from the files that have come so far, since each names the next ones.
///
/// Without a profile, a starting process reads its files one after the other, a round trip each, since only the file
/// that it has just read tells it the next. A ``FileAnalyzer`` follows the same names as soon as the bytes are on the
/// node, before the process gets to them. ``FileSeries`` continues files that are read in the order of their names.
///
/// It is a guess. The work, files and memory of one start are bounded here; the bytes where chunks are fetched.
public struct StartPrediction {
    /// The most files that are followed for one start.
    static let maximumFiles = 4096
    /// A file up to this size is fetched whole, of a larger one only what is sure to be read. numpy's start reads four
    /// fifths and more of the libraries of 4 to 5 MB that it loads, and a twentieth of one of 7 MB.
    static let wholeFile: UInt64 = 6 << 20
    /// The same for the program itself: Python's start reads nine tenths of its 6.8 MB.
    static let wholeProgram: UInt64 = 16 << 20
    /// The start of a larger file.
    private static let startOfFile: UInt64 = 256 << 10
    /// The end of a larger jar, with its directory: some 100 bytes a class.
    private static let endOfJar: UInt64 = 512 << 10
    /// Directories of `PATH` and of `LD_LIBRARY_PATH`.
    private static let maximumDirectories = 64
    /// Mentions of files that are kept for their order.
    private static let maximumMentions = 1 << 18
    /// Parts that are waited for at the same time, and runs of one turn.
    private static let maximumPending = 1 << 14

    /// The paths of the loader and the C library in common distributions.
    private static let commonLibraries = [
        "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6",
        "/lib/ld-linux-aarch64.so.1", "/lib/aarch64-linux-gnu/libc.so.6", "/lib/ld-musl-x86_64.so.1",
        "/lib/ld-musl-aarch64.so.1",
    ]

    /// The files that the runtime reads before it starts the process, then those that the C library reads.
    private static let commonFiles = [
        "/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/localtime",
    ]

    /// A range of a layer's content space that the start is likely to read.
    public struct Run: Sendable, Equatable {
        /// The layer's place in the image.
        public let layer: Int
        public let content: ByteRange
        /// The file's number in the image's tree.
        public let inode: UInt64

        public init(layer: Int, content: ByteRange, inode: UInt64) {
            self.layer = layer
            self.content = content
            self.inode = inode
        }
    }

    /// A range of a layer's content space that an analyzer waits for.
    public struct Wait: Sendable, Equatable {
        /// Names it in ``StartPrediction/present(_:)``.
        public let token: UInt32
        public let layer: Int
        public let content: ByteRange

        public init(token: UInt32, layer: Int, content: ByteRange) {
            self.token = token
            self.layer = layer
            self.content = content
        }
    }

    private struct Pending {
        let file: ImageFile
        let part: ByteRange
        let analyzer: any FileAnalyzer
    }

    /// The files that a file names, in its order.
    private struct Names {
        var libraries: [UInt64] = []
        var others: [UInt64] = []
    }

    /// The image's files.
    public let files: ImageFiles
    /// Guess also at what no file names: common libraries, and the neighbors of a Python module. Not where every chunk
    /// is at hand, so that the names can be followed instead.
    public let speculates: Bool
    /// `NAME=value` of the process.
    public private(set) var configuration = ContainerStart()
    /// Findings that analyzers keep for later files: one of a type.
    private var facts: [ObjectIdentifier: Any] = [:]

    private let layers: [ImageContent]
    private let analyzers: [any FileAnalyzer]
    private var libraryPath: [String] = []
    private var names: ImageFileNames?
    private var series: FileSeries
    private var seen: Set<UInt64> = []
    /// The files that the process has read from.
    private var touched: Set<UInt64> = []

    private var pending: [UInt32: Pending] = [:]
    private var lastToken: UInt32 = 0
    /// Parts of files that are present, by inode.
    private var known: [UInt64: [ByteRange]] = [:]
    /// Findings of this turn.
    private var runs: [Run] = []
    private var waits: [Wait] = []
    /// Files that come after ``runs``.
    private var later: [ImageFile] = []

    /// By the file that names; `nil` is the image's configuration.
    private var named: [UInt64?: Names] = [:]
    private var mentionsLeft = maximumMentions
    /// The file that names what is found now; `nil` is the image's configuration.
    private var namedBy: UInt64?
    /// True while it names libraries.
    private var isLinking = false

    /// - Parameters:
    ///   - tree: the image's merged tree.
    ///   - layers: the content of its layers, by device number of the tree.
    ///   - speculates: see ``speculates``.
    public init(tree: TreeImage, layers: [ImageContent], speculates: Bool, analyzers: [any FileAnalyzer]) {
        self.layers = layers
        self.speculates = speculates
        self.analyzers = analyzers
        files = ImageFiles(tree: tree, layerCount: layers.count)
        series = FileSeries(files)
    }

    // MARK: - Events

    /// Starts a turn: work has a bound of its own in each.
    public mutating func beginTurn() {
        files.budget.beginTurn()
    }

    /// Follows what the image's configuration runs.
    public mutating func start(_ start: ContainerStart) {
        configuration = start
        libraryPath = start.variable("LD_LIBRARY_PATH").map(Self.directories) ?? []
        guard let command = start.arguments.first else { return }
        let directories = start.variable("PATH").map(Self.directories) ?? ["/usr/local/bin", "/usr/bin", "/bin"]
        for path in Self.commonFiles { if let file = files.file(path) { want(file) } }
        for place in command.contains("/") ? [start.workingDirectory] : directories {
            if run(ImagePath.joined(place, command)) { break }
        }
        // Nearly every program is linked with these.
        if speculates { for path in Self.commonLibraries { _ = load(path) } }
        for argument in start.arguments.dropFirst().prefix(64) {
            if let file = files.file(ImagePath.joined(start.workingDirectory, argument)) {
                want(file)
                continue
            }
            for analyzer in analyzers where analyzer.note(argument: argument, in: &self) { break }
        }
    }

    /// Follows a file that the process has read from.
    public mutating func touched(_ inode: UInt64) {
        guard touched.count < Self.maximumFiles, touched.insert(inode).inserted else { return }
        if names == nil { names = ImageFileNames(files) }
        guard let path = names?.path(of: inode), let file = files.file(inode, at: path) else { return }
        for next in series.foreseen(after: path) { want(next) }
        // The file is on its way already: only what follows from it is of use.
        guard seen.count < Self.maximumFiles, seen.insert(inode).inserted else { return }
        follow(file, calledAs: path)
    }

    /// Analyzes the part with this token, after all of it has come.
    public mutating func present(_ token: UInt32) {
        guard let item = pending.removeValue(forKey: token) else { return }
        known[item.file.inode, default: []].append(item.part)
        guard let bytes = bytes(of: item.file, item.part) else { return }
        namedBy = item.file.inode
        defer { namedBy = nil }
        files.budget.spend(1 + bytes.count / WorkBudget.bytesPerStep)
        item.analyzer.analyze(bytes, of: item.file, in: &self)
    }

    /// Returns what has been found since the last call: what is likely to be read, in the order of its expected use,
    /// and what the analyzers wait for.
    public mutating func takeFindings() -> (runs: [Run], waits: [Wait]) {
        for file in later { fetch(file, file.whole) }
        defer { (runs, waits, later) = ([], [], []) }
        return (runs, waits)
    }

    /// Returns the files in the order in which they are read, as far as can be told: a file when it is first named,
    /// with its libraries before anything that it does, then what else it names, one after the other, each with all
    /// that follows from it.
    public func order() -> [UInt64] {
        var order: [UInt64] = []
        var visited: Set<UInt64> = []
        // Files still to be visited, the next one last.
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

    // MARK: - Findings of analyzers

    /// The finding of this type that an analyzer keeps for later files.
    public subscript<Fact>(_ type: Fact.Type) -> Fact? {
        get { facts[ObjectIdentifier(type)] as? Fact }
        _modify {
            // Taken out meanwhile, so that it is changed in place.
            var fact = facts.removeValue(forKey: ObjectIdentifier(type)) as? Fact
            defer { facts[ObjectIdentifier(type)] = fact }
            yield &fact
        }
    }

    /// Reports that the program at `path` will run, and returns whether there is one.
    @discardableResult
    public mutating func run(_ path: String) -> Bool {
        guard let file = files.file(path) else { return false }
        want(file, calledAs: path, whole: Self.wholeProgram)
        return true
    }

    /// Reports that the library at `path` will be loaded, and returns whether there is one.
    @discardableResult
    public mutating func load(_ path: String) -> Bool {
        guard let file = files.file(path) else { return false }
        want(file, calledAs: path)
        return true
    }

    /// Reports that `file` will be read: it is fetched and analyzed.
    public mutating func want(_ file: ImageFile, calledAs path: String? = nil) {
        want(file, calledAs: path, whole: Self.wholeFile)
    }

    /// Reports that `part` of `file` will be read: it is fetched and the file analyzed.
    mutating func want(_ file: ImageFile, part: ByteRange) {
        guard seen.count < Self.maximumFiles, seen.insert(file.inode).inserted else { return }
        note(file)
        fetch(file, part)
        follow(file, calledAs: file.path)
    }

    /// Reports that `file` will probably be read some time after what has been found so far. It is fetched but not
    /// analyzed.
    mutating func wantLater(_ file: ImageFile) {
        guard later.count < Self.maximumPending else { return }
        later.append(file)
    }

    /// Reports that `part` of `file` will be read.
    public mutating func fetch(_ file: ImageFile, _ part: ByteRange) {
        let content = file.content(of: part)
        guard !content.isEmpty, runs.count < Self.maximumPending else { return }
        runs.append(Run(layer: file.layer, content: content, inode: file.inode))
    }

    /// Runs `analyzer` on `part` of `file` once it has come.
    public mutating func wait(for part: ByteRange, of file: ImageFile, then analyzer: any FileAnalyzer) {
        let content = file.content(of: part)
        guard !content.isEmpty, pending.count < Self.maximumPending else { return }
        lastToken &+= 1
        pending[lastToken] = Pending(file: file, part: part, analyzer: analyzer)
        waits.append(Wait(token: lastToken, layer: file.layer, content: content))
    }

    /// Returns the bytes of `part`, cut at the end of the file; `nil` when they have not come as far as is known.
    public func bytes(of file: ImageFile, _ part: ByteRange) -> [UInt8]? {
        let part = ByteRange(offset: part.offset, end: min(part.end, file.size))
        guard part.offset < file.size, known[file.inode]?.contains(where: { $0.contains(part) }) == true else {
            return nil
        }
        return layers[file.layer].bytes(file.content(of: part))
    }

    /// Runs `body`, whose findings are the libraries of the file at hand.
    mutating func linking(_ body: (inout StartPrediction) -> Void) {
        isLinking = true
        body(&self)
        isLinking = false
    }

    /// Returns the directories in which the loader looks for a library, apart from its own.
    var libraryDirectories: [String] { libraryPath }

    /// Returns whether `file` has not been found before.
    func isNew(_ file: ImageFile) -> Bool { !seen.contains(file.inode) }

    /// Returns whether parts of many files of the layer that `file` lies in share an extent.
    func sharesExtents(_ file: ImageFile) -> Bool { layers[file.layer].extentsSpanFiles }

    // MARK: -

    private mutating func want(_ file: ImageFile, calledAs path: String?, whole: UInt64) {
        note(file)
        guard seen.count < Self.maximumFiles, seen.insert(file.inode).inserted else { return }
        fetch(file, file.size <= whole ? file.whole : file.start(Self.startOfFile))
        if file.size > whole, file.name.hasSuffix(".jar") {
            fetch(file, ByteRange(offset: file.size - min(file.size, Self.endOfJar), end: file.size))
        }
        follow(file, calledAs: path ?? file.path)
    }

    /// Notes that the file is named, for the first time or again.
    private mutating func note(_ file: ImageFile) {
        guard mentionsLeft > 0 else { return }
        mentionsLeft -= 1
        if isLinking {
            named[namedBy, default: Names()].libraries.append(file.inode)
        } else {
            named[namedBy, default: Names()].others.append(file.inode)
        }
    }

    private mutating func follow(_ file: ImageFile, calledAs path: String) {
        let before = (namedBy, isLinking)
        (namedBy, isLinking) = (file.inode, false)
        defer { (namedBy, isLinking) = before }
        for analyzer in analyzers {
            analyzer.note(file, calledAs: path, in: &self)
            guard let part = analyzer.part(of: file, in: self) else { continue }
            wait(for: part, of: file, then: analyzer)
        }
    }

    /// Splits a list of directories as in `PATH`.
    private static func directories(_ list: Substring) -> [String] {
        list.split(separator: ":", maxSplits: maximumDirectories).prefix(maximumDirectories).map(String.init)
    }
}
