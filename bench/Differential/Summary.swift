import Base

/// The result of a run.
struct Summary: Sendable {
    let seed: UInt64
    private(set) var stacks = 0
    private(set) var clean = 0
    private(set) var files = 0
    private(set) var different: [Int] = []
    private(set) var refused = 0
    private(set) var tally: [String: Int] = [:]
    /// The log lines of layers that a daemon has refused, although all layers are right.
    private(set) var refusedLayers: [String] = []
    private var unpackedTimes = 0
    private var listedWhiteouts = 0
    private let began = MonotonicTime.now()

    init(seed: UInt64) {
        self.seed = seed
    }

    /// Counts a stack, and prints its differences.
    mutating func add(_ stack: Stack, _ outcome: Rig.Outcome) {
        stacks += 1
        switch outcome {
        case .same(let tree):
            clean += 1
            files += tree.files.count
            unpackedTimes += tree.unpackedTimes
            listedWhiteouts += tree.listedWhiteouts
            tally.merge(stack.tally, uniquingKeysWith: +)
        case .refused(let why):
            refused += 1
            print("stack \(stack.number): containerd refuses it: \(why.suffix(160))")
        case .different(let differences): fail(stack, differences)
        case .notStreamed(let why): fail(stack, ["not streamed: \(why)"])
        }
    }

    /// Adds the log lines of layers that a daemon has refused, and prints them.
    mutating func add(refusedLayers lines: [String]) {
        refusedLayers += lines
        for line in lines { print("Rivulet refuses a layer: \(line)") }
    }

    private mutating func fail(_ stack: Stack, _ differences: [String]) {
        different.append(stack.number)
        print(
            """
            stack \(stack.number) (\(stack.form.rawValue)) differs; replay: \
            make differential SEED=\(seed) FIRST=\(stack.number) COUNT=1
            """)
        for line in differences.prefix(12) { print("  \(line)") }
        if differences.count > 12 { print("  and \(differences.count - 12) more") }
    }

    mutating func add(_ other: Summary) {
        stacks += other.stacks
        clean += other.clean
        files += other.files
        different += other.different
        refused += other.refused
        refusedLayers += other.refusedLayers
        unpackedTimes += other.unpackedTimes
        listedWhiteouts += other.listedWhiteouts
        tally.merge(other.tally, uniquingKeysWith: +)
    }

    /// True if no stack differs, no daemon has refused a layer and, if asked for, every kind of entry occurred.
    func isClean(checksMinimum: Bool) -> Bool {
        different.isEmpty && refusedLayers.isEmpty && (!checksMinimum || missing.isEmpty)
    }

    /// The kinds of entries that occurred too rarely in the equal stacks, with their minimum.
    private var missing: [(kind: String, minimum: Int)] {
        Self.minimum.compactMap { kind, perHundred in
            let minimum = perHundred * stacks / 100
            return tally[kind, default: 0] < minimum ? (kind, minimum) : nil
        }
    }

    /// The least number of entries of each kind in a hundred stacks.
    private static let minimum: KeyValuePairs = [
        "regular file": 300, "directory": 200, "relative link to a directory": 20, "absolute link to a directory": 10,
        "dangling link": 10, "link out of the root": 10, "long link target": 5, "hard link": 20,
        "hard link to a symbolic link": 3, "character device": 8, "block device": 8, "FIFO": 8, "device 0:0": 1,
        "whiteout": 150, "whiteout of a long name": 1, "whiteout of an own entry": 5, "opaque directory": 40,
        "opaque root": 10, "missing parent": 80, "parent from a lower layer": 60, "parent behind a symbolic link": 15,
        "duplicate in a layer": 60, "replaced from a lower layer": 80, "empty layer": 2, "entry of the root": 20,
        "global header": 8, "file below a name of AUFS": 5, "name with ./": 80, "name with /": 20, "name with ../": 20,
        "name of 255 bytes": 10, "name over 100 bytes": 10, "name that is not UTF-8": 5, "name in UTF-8": 10,
        "name with odd characters": 10, "name with dots": 10, "set-ID or sticky bit": 200, "large owner": 300,
        "time before 1970": 20, "time after 2038": 20, "time after 2262": 20, "fraction of a second": 60,
        "extended attribute": 150, "capability": 15, "access control list": 15, "default access control list": 5,
        "header of v7": 80, "header of ustar": 80, "header of gnu": 80, "header of pax": 80, "header of star": 80,
        "sparse file, pax 0.0": 3, "sparse file, pax 0.1": 3, "sparse file, pax 1.0": 3, "uncompressed": 10,
        "gzip, one member": 10, "gzip, many members": 10, "zstd": 10, "zstd, many frames": 10, "zstd, long window": 10,
        "form artifact": 25, "form eStargz": 2, "form zstd:chunked of stargz-snapshotter": 2,
        "form zstd:chunked of containers/storage": 2, "form converted to eStargz": 2,
        "form converted to zstd:chunked": 2,
    ]

    func show() {
        for (kind, count) in tally.sorted(by: { $0.key < $1.key }) { print("  \(count)\t\(kind)") }
        if stacks >= 100 {
            for (kind, minimum) in missing { print("too few: \(tally[kind, default: 0]) of \(minimum)\t\(kind)") }
        }
        let seconds = Double(MonotonicTime.now().since(began)) / 1e9
        print(
            """
            \(stacks) stacks, \(clean) the same (\(files) files), \(different.count) different, \(refused) refused by \
            containerd; left out: \(unpackedTimes) times of unpacking, \(listedWhiteouts) whiteouts that overlayfs lists; \
            \(Int(seconds)) s
            """)
    }
}
