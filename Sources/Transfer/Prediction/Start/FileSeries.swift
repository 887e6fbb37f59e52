import Base

/// A detector of file series: files that a process reads one after the other in the order of their names.
///
/// The files of a series lie in one directory (`conf.d/*.conf`), or have the same name in neighboring directories
/// (`plugins/*/plugin.json`). In the sorted list of these files, the process advances by a constant number of
/// positions, the stride.
///
/// A file of a series does not contain the name of the next file. So no file analyzer finds the next file, and each
/// file costs a round trip.
///
/// The detector recognizes a series after three reads with equal strides, or after five reads for files of code
/// (``code``). The number of predicted files doubles with each further read, as in read-ahead.
struct FileSeries {
    /// The number of path components, from the file name up, in which the detector looks for the difference between the
    /// paths of a series.
    private static let depth = 3
    /// The maximum number of names that the detector reads from one directory.
    private static let maximumNames = 4096
    /// The maximum number of directories that the detector reads for one container start.
    private static let maximumDirectories = 256
    /// The maximum number of names that the detector keeps in memory for one container start.
    private static let maximumKept = 1 << 16
    /// The maximum number of files that the detector predicts at once.
    private static let maximumAhead = 32
    /// The maximum total size in bytes of the files that the detector predicts at once. The detector predicts the first
    /// of these files even if that file alone is larger.
    private static let maximumBytesAhead: UInt64 = 2 << 20

    /// The file name endings of code. Programs find code through the names in other files, so such a file rarely
    /// belongs to a series.
    private static let code = [".py", ".pyc", ".so", ".js", ".mjs", ".cjs"]

    /// The parts of a path that all files of a series share.
    private struct Key: Hashable {
        /// The directory that contains the names in which the paths differ: `plugins` for `plugins/*/plugin.json`.
        let directory: Substring
        /// The part of the path after the name in which the paths differ: `/plugin.json` for `plugins/*/plugin.json`.
        /// If the files lie in one directory, this is their file name extension with its dot: `.conf` for
        /// `conf.d/*.conf`. It is then empty if the file names contain no dot.
        let rest: Substring
    }

    fileprivate struct Series {
        /// The names that the process has read so far, at most three. The third name causes ``members`` to be filled.
        var names: [Substring] = []
        /// The index in ``members`` of each name; empty until the process has read three names.
        var places: [Substring: Int] = [:]
        /// All names that belong to the series, sorted; empty until the process has read three names.
        var members: [Substring] = []
        /// The index in ``members`` of the file that the process read last.
        var last: Int?
        /// The distance in ``members`` from one file to the next that the process reads.
        var stride = 0
        /// The number of successive reads that advanced by ``stride``.
        var steps = 0
        /// The index in ``members`` after the last predicted file.
        var end = 0
    }

    private let files: ImageFiles
    private var series: [Key: Series] = [:]
    private var directoriesLeft = maximumDirectories
    private var namesLeft = maximumKept

    init(_ files: ImageFiles) {
        self.files = files
    }

    /// Returns the files that the process will probably read next, after it has read `path`. Returns an empty list if
    /// `path` does not continue a series.
    mutating func foreseen(after path: String) -> [ImageFile] {
        // A program that loads code follows the names in that code. It can read three files in order by chance, so code
        // needs more steps.
        let isCode = Self.code.contains { path.hasSuffix($0) } || path.contains(".so.")
        var directory = path[...]
        for depth in 0..<Self.depth {
            guard let (parent, name) = ImagePath.split(directory) else { break }
            directory = parent
            // Files with the same ending belong together, such as `a.json` and `b.json`, but not `a` and `a.json`.
            let rest = depth == 0 ? name.lastIndex(of: ".").map { name[$0...] } ?? "" : path[name.endIndex...]
            let found = step(Key(directory: directory, rest: rest), to: name, isFile: depth == 0, isCode: isCode)
            if !found.isEmpty { return found }
        }
        return []
    }

    private mutating func step(_ key: Key, to name: Substring, isFile: Bool, isCode: Bool) -> [ImageFile] {
        var series = series[key, default: Series()]
        defer { self.series[key] = series }
        if series.members.isEmpty {
            guard series.names.count < 3, series.names.last != name else { return [] }
            series.names.append(name)
            guard series.names.count == 3, directoriesLeft > 0, namesLeft > 0 else { return [] }
            directoriesLeft -= 1
            series.members = members(key, isFile: isFile)
            namesLeft -= min(namesLeft, series.members.count)
            series.places = Dictionary(zip(series.members, series.members.indices)) { first, _ in first }
            for name in series.names { series.move(to: series.places[name]) }
        } else {
            series.move(to: series.places[name])
        }
        // `stride(from:to:by:)` traps on a stride of 0.
        guard series.steps >= (isCode ? 4 : 2), series.stride > 0, let last = series.last else { return [] }
        var found: [ImageFile] = []
        var bytes: UInt64 = 0
        let ahead = min(1 << min(series.steps - 1, 8), Self.maximumAhead)
        for place in stride(from: last + series.stride, to: series.members.count, by: series.stride).prefix(ahead) {
            let path = "\(key.directory)/\(series.members[place])\(isFile ? "" : key.rest)"
            guard let file = files.file(path) else { continue }
            bytes &+= file.range.count
            if bytes > Self.maximumBytesAhead, !found.isEmpty { break }
            guard place >= series.end else { continue }
            found.append(file)
            series.end = place + 1
        }
        return found
    }

    private func members(_ key: Key, isFile: Bool) -> [Substring] {
        let names = files.names(in: String(key.directory), beginningWith: "", limit: min(Self.maximumNames, namesLeft))
        let isMember: (String) -> Bool =
            if !isFile {
                { files.holdsFile("\(key.directory)/\($0)\(key.rest)") }
            } else if key.rest.isEmpty {
                { !$0.contains(".") }
            } else {
                { $0.hasSuffix(key.rest) }
            }
        return names.filter(isMember).sorted().map { $0[...] }
    }
}

extension FileSeries.Series {
    fileprivate mutating func move(to place: Int?) {
        guard let place, place != last else { return }
        defer { last = place }
        guard let last else { return }
        let step = place - last
        // Some reads are not reported: those of empty files, and those of files that arrived with a neighbor. So a step
        // within the predicted part may be a multiple of the stride.
        let isNext = step == stride || steps >= 2 && step > 0 && step.isMultiple(of: stride) && place < end + stride
        if steps > 0, isNext {
            steps += 1
        } else {
            // Programs do not read lists of files backwards, so a step backwards begins no series.
            (stride, steps, end) = (step, step > 0 ? 1 : 0, 0)
        }
    }
}
