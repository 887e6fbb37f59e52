public import Base
public import LayerIndex

/// A prediction of the files that one container reads until it is ready.
///
/// The prediction runs while the container starts. It begins with the image's configuration and tree. When the bytes of
/// a file arrive, the prediction looks in them for the names of further files. It then predicts these files, too.
///
/// A starting process reads its files one after the other, because it finds the name of the next file in the file that
/// it has just read. Without a profile or a prediction, each file costs a round trip. A ``FileAnalyzer`` finds the same
/// names before the process does, as soon as the bytes are on the node. ``FileSeries`` predicts files that a process
/// reads in the order of their names.
///
/// The prediction is a guess. This type limits the work, the files and the memory for one container start. The
/// ``Predictor`` limits the bytes to fetch.
public struct StartPrediction {
    /// The maximum number of files that one prediction analyzes.
    static let maximumFiles = 4096
    /// The maximum size in bytes of a file that the prediction fetches completely. For a larger file, the prediction
    /// fetches only certain parts, such as the first ``startOfFile`` bytes.
    ///
    /// The value comes from measurements. numpy reads at least four fifths of each of its libraries of 4 to 5 MB, but
    /// only a twentieth of a library of 7 MB.
    static let wholeFile: UInt64 = 6 << 20
    /// The maximum size in bytes of a program file that the prediction fetches completely. For program files, this
    /// limit replaces ``wholeFile``. Python's program file, for example, has 6.8 MB, and a start of Python reads nine
    /// tenths of it.
    static let wholeProgram: UInt64 = 16 << 20
    /// The number of bytes that the prediction fetches from the start of a file that is too large to fetch completely
    /// (``wholeFile``).
    private static let startOfFile: UInt64 = 256 << 10
    /// The number of bytes that the prediction fetches from the end of a jar that is too large to fetch completely
    /// (``wholeFile``). These bytes hold the jar's directory, which takes some 100 bytes for each class.
    private static let endOfJar: UInt64 = 512 << 10
    /// The maximum number of directories that the prediction takes from each of `PATH` and `LD_LIBRARY_PATH`.
    private static let maximumDirectories = 64
    /// The maximum number of references from one file to another that ``order()`` considers.
    private static let maximumMentions = 1 << 18
    /// The maximum number of file parts that file analyzers wait for at the same time. Also the maximum number of
    /// entries in each of ``runs`` and ``later`` in one turn.
    private static let maximumPending = 1 << 14

    /// The paths of the dynamic loader and the C library in common distributions.
    private static let commonLibraries = [
        "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6",
        "/lib/ld-linux-aarch64.so.1", "/lib/aarch64-linux-gnu/libc.so.6", "/lib/ld-musl-x86_64.so.1",
        "/lib/ld-musl-aarch64.so.1",
    ]

    /// The files that the container runtime reads before it starts the process, then those that the C library reads.
    private static let commonFiles = [
        "/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/localtime",
    ]

    /// A range of a layer's content space that the container start is likely to read.
    public struct Run: Sendable, Equatable {
        /// The layer's position in the image. The bottom layer has position 0.
        public let layer: Int
        public let content: ByteRange
        /// The file's inode number in the image's merged tree.
        public let inode: UInt64

        public init(layer: Int, content: ByteRange, inode: UInt64) {
            self.layer = layer
            self.content = content
            self.inode = inode
        }
    }

    /// A range of a layer's content space that a file analyzer waits for.
    public struct Wait: Sendable, Equatable {
        /// The number that identifies the wait in ``StartPrediction/present(_:)``.
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

    /// The files that one file names, in the order in which it names them.
    private struct Names {
        var libraries: [UInt64] = []
        var others: [UInt64] = []
    }

    /// The image's files.
    public let files: ImageFiles
    /// True if the prediction also guesses files before it has found their names: common libraries, and the other
    /// modules of a Python package. False for a startup pack, because its prediction has the time to wait for every
    /// file and to find all names.
    public let speculates: Bool
    /// The configuration of the process that the container runs.
    public private(set) var configuration = ContainerStart()
    /// The state that file analyzers keep from one file to the next, keyed by the Swift type of the stored value.
    private var facts: [ObjectIdentifier: Any] = [:]

    private let layers: [ImageContent]
    private let analyzers: [any FileAnalyzer]
    private var libraryPath: [String] = []
    private var names: ImageFileNames?
    private var series: FileSeries
    /// The inode numbers of the files that were added to the prediction or that the process has read.
    private var seen: Set<UInt64> = []
    /// The inode numbers of files that the process has read.
    private var touched: Set<UInt64> = []

    private var pending: [UInt32: Pending] = [:]
    private var lastToken: UInt32 = 0
    /// The parts of files that have arrived according to ``present(_:)``, by inode number.
    private var known: [UInt64: [ByteRange]] = [:]
    /// The ranges to fetch that were found in this turn.
    private var runs: [Run] = []
    private var waits: [Wait] = []
    /// The files to fetch completely, after the ranges in ``runs``.
    private var later: [ImageFile] = []

    /// The files that each file names. The key is the inode number of the naming file; `nil` stands for the image's
    /// configuration.
    private var named: [UInt64?: Names] = [:]
    private var mentionsLeft = maximumMentions
    /// The inode number of the file that the file analyzers currently examine. The number is `nil` if they examine no
    /// file, for example while the prediction handles the image's configuration. In ``named``, this number is the key
    /// for the files that the file analyzers report.
    private var namedBy: UInt64?
    /// True while the reported files are libraries with which the file ``namedBy`` is linked.
    private var isLinking = false

    /// - Parameters:
    ///   - tree: the image's merged tree.
    ///   - layers: the content of the image's layers, in the order of the tree's devices (bottom first).
    ///   - speculates: true to also guess files before the prediction has found their names; see ``speculates``.
    ///   - analyzers: the file analyzers, in the order in which each file passes through them.
    public init(tree: TreeImage, layers: [ImageContent], speculates: Bool, analyzers: [any FileAnalyzer]) {
        self.layers = layers
        self.speculates = speculates
        self.analyzers = analyzers
        files = ImageFiles(tree: tree, layerCount: layers.count)
        series = FileSeries(files)
    }

    // MARK: - Events

    /// Starts a turn, the handling of one client command. Each turn has its own work limit.
    public mutating func beginTurn() {
        files.budget.beginTurn()
    }

    /// Predicts the first reads of the process that the image's configuration names.
    public mutating func start(_ start: ContainerStart) {
        configuration = start
        libraryPath = start.variable("LD_LIBRARY_PATH").map(Self.directories) ?? []
        guard let command = start.arguments.first else { return }
        let directories = start.variable("PATH").map(Self.directories) ?? ["/usr/local/bin", "/usr/bin", "/bin"]
        for path in Self.commonFiles { if let file = files.file(path) { want(file) } }
        for place in command.contains("/") ? [start.workingDirectory] : directories {
            if run(ImagePath.joined(place, command)) { break }
        }
        // Nearly every program is linked with these libraries.
        if speculates { for path in Self.commonLibraries { _ = load(path) } }
        for argument in start.arguments.dropFirst().prefix(64) {
            if let file = files.file(ImagePath.joined(start.workingDirectory, argument)) {
                want(file)
                continue
            }
            for analyzer in analyzers where analyzer.note(argument: argument, in: &self) { break }
        }
    }

    /// Records that the process has read from the file with the inode number `inode`. Predicts the next files if this
    /// file continues a series (``FileSeries``), and passes the file to the file analyzers.
    public mutating func touched(_ inode: UInt64) {
        guard touched.count < Self.maximumFiles, touched.insert(inode).inserted else { return }
        if names == nil { names = ImageFileNames(files) }
        guard let path = names?.path(of: inode), let file = files.file(inode, at: path) else { return }
        for next in series.foreseen(after: path) { want(next) }
        // The process itself causes the fetch of this file, so only the names in the file matter.
        guard seen.count < Self.maximumFiles, seen.insert(inode).inserted else { return }
        follow(file, calledAs: path)
    }

    /// Handles the arrival of the range with the token `token` (``Wait/token``), and runs the file analyzer that waits
    /// for this range. The caller guarantees that the whole range has arrived.
    public mutating func present(_ token: UInt32) {
        guard let item = pending.removeValue(forKey: token) else { return }
        known[item.file.inode, default: []].append(item.part)
        guard let bytes = bytes(of: item.file, item.part) else { return }
        namedBy = item.file.inode
        defer { namedBy = nil }
        files.budget.spend(1 + bytes.count / WorkBudget.bytesPerStep)
        item.analyzer.analyze(bytes, of: item.file, in: &self)
    }

    /// Returns the findings since the last call: the ranges that the start is likely to read, and the ranges that file
    /// analyzers wait for. The runs are in the order of their expected use.
    public mutating func takeFindings() -> (runs: [Run], waits: [Wait]) {
        for file in later { fetch(file, file.whole) }
        defer { (runs, waits, later) = ([], [], []) }
        return (runs, waits)
    }

    /// Returns the inode numbers of the predicted files, in the order in which the process will probably read the
    /// files.
    ///
    /// The order is a depth-first walk of the references between files, beginning with the references in the image's
    /// configuration. Each file appears once. Directly after a file come its linked libraries, because the dynamic
    /// loader reads them before the program runs. The other files to which the file refers come after the libraries.
    public func order() -> [UInt64] {
        var order: [UInt64] = []
        var visited: Set<UInt64> = []
        // The files still to be visited, the next one last.
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

    /// The state of type `Fact` that file analyzers keep from one file to the next; `nil` if no file analyzer has
    /// stored such a value.
    public subscript<Fact>(_ type: Fact.Type) -> Fact? {
        get { facts[ObjectIdentifier(type)] as? Fact }
        _modify {
            // Remove the fact from the dictionary during the change, so that Swift changes it in place and does not
            // copy it.
            var fact = facts.removeValue(forKey: ObjectIdentifier(type)) as? Fact
            defer { facts[ObjectIdentifier(type)] = fact }
            yield &fact
        }
    }

    /// Adds the program at `path` to the prediction, like ``want(_:calledAs:)`` but with the size limit
    /// ``wholeProgram``. Returns true if `path` is a regular file that is not empty.
    @discardableResult
    public mutating func run(_ path: String) -> Bool {
        guard let file = files.file(path) else { return false }
        want(file, calledAs: path, whole: Self.wholeProgram)
        return true
    }

    /// Adds the library at `path` to the prediction, like ``want(_:calledAs:)``. Returns true if `path` is a regular
    /// file that is not empty.
    @discardableResult
    public mutating func load(_ path: String) -> Bool {
        guard let file = files.file(path) else { return false }
        want(file, calledAs: path)
        return true
    }

    /// Adds `file` to the prediction, which fetches and analyzes the file. If the file is larger than ``wholeFile``,
    /// the prediction fetches only certain parts of it.
    ///
    /// If the file was added or read before, or if the prediction has ``maximumFiles`` files already, this call only
    /// records the reference to the file for ``order()``.
    ///
    /// - Parameter path: the path by which the file was referred to; `nil` for the file's own path.
    public mutating func want(_ file: ImageFile, calledAs path: String? = nil) {
        want(file, calledAs: path, whole: Self.wholeFile)
    }

    /// Adds `file` to the prediction, which fetches only `part` of the file and analyzes the file. Does nothing if the
    /// file was added or read before, or if the prediction has ``maximumFiles`` files already.
    mutating func want(_ file: ImageFile, part: ByteRange) {
        guard seen.count < Self.maximumFiles, seen.insert(file.inode).inserted else { return }
        note(file)
        fetch(file, part)
        follow(file, calledAs: file.path)
    }

    /// Adds `file` to the files that are fetched completely after all other ranges of this turn. The prediction does
    /// not analyze the file. Does nothing if ``later`` is full (``maximumPending``).
    mutating func wantLater(_ file: ImageFile) {
        guard later.count < Self.maximumPending else { return }
        later.append(file)
    }

    /// Adds `part` of `file` to the ranges to fetch, without analyzing the file. Does nothing if the part is empty, or
    /// if ``runs`` is full (``maximumPending``).
    public mutating func fetch(_ file: ImageFile, _ part: ByteRange) {
        let content = file.content(of: part)
        guard !content.isEmpty, runs.count < Self.maximumPending else { return }
        runs.append(Run(layer: file.layer, content: content, inode: file.inode))
    }

    /// Runs `analyzer` on `part` of `file` once the part has arrived.
    public mutating func wait(for part: ByteRange, of file: ImageFile, then analyzer: any FileAnalyzer) {
        let content = file.content(of: part)
        guard !content.isEmpty, pending.count < Self.maximumPending else { return }
        lastToken &+= 1
        pending[lastToken] = Pending(file: file, part: part, analyzer: analyzer)
        waits.append(Wait(token: lastToken, layer: file.layer, content: content))
    }

    /// Returns the bytes of `part`, cut at the end of the file. Returns `nil` if ``present(_:)`` has not reported all
    /// of the part, or if the part cannot be read.
    public func bytes(of file: ImageFile, _ part: ByteRange) -> [UInt8]? {
        let part = ByteRange(offset: part.offset, end: min(part.end, file.size))
        guard part.offset < file.size, known[file.inode]?.contains(where: { $0.contains(part) }) == true else {
            return nil
        }
        return layers[file.layer].bytes(file.content(of: part))
    }

    /// Runs `body`. For ``order()``, each file that `body` reports counts as a library with which the file ``namedBy``
    /// is linked.
    mutating func linking(_ body: (inout StartPrediction) -> Void) {
        isLinking = true
        body(&self)
        isLinking = false
    }

    /// The directories in `LD_LIBRARY_PATH`, in which the dynamic loader looks for libraries before its standard
    /// directories.
    var libraryDirectories: [String] { libraryPath }

    /// Returns true if `file` was not added to the prediction and the process has not read it.
    func isNew(_ file: ImageFile) -> Bool { !seen.contains(file.inode) }

    /// Returns true if one extent (the smallest decodable part of a blob) can hold parts of many files in the layer
    /// that contains `file`.
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

    /// Records for ``order()`` that the file ``namedBy`` names `file`. A file may name `file` more than once.
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

    /// Splits a list of directories in the format of `PATH`.
    private static func directories(_ list: Substring) -> [String] {
        list.split(separator: ":", maxSplits: maximumDirectories).prefix(maximumDirectories).map(String.init)
    }
}
