import Base

/// Files that a process reads one after the other in the order of their names. They lie in one directory
/// (`conf.d/*.conf`), or are the same file of neighboring directories (`plugins/*/plugin.json`). The distance from one
/// to the next is constant.
///
/// Nothing in such a file names the next one, so no analyzer finds it, and each file costs a round trip. Three files at
/// equal distances make a series. The predicted part doubles with each further file, as read-ahead does.
struct FileSeries {
    /// The number of path levels, from the file name up, at which the names of a series may differ.
    private static let depth = 3
    /// The most names that are read from one directory.
    private static let maximumNames = 4096
    /// The most directories that are read for one start.
    private static let maximumDirectories = 256
    /// The most names that are kept in memory for one start.
    private static let maximumKept = 1 << 16
    /// The most files that are predicted at once.
    private static let maximumAhead = 32
    /// The most bytes of files that are predicted at once.
    private static let maximumBytesAhead: UInt64 = 2 << 20

    /// The endings of files that other files name.
    private static let code = [".py", ".pyc", ".so", ".js", ".mjs", ".cjs"]

    /// The parts of the paths that all files of a series share.
    private struct Key: Hashable {
        /// The directory that contains the differing names.
        let directory: Substring
        /// The part of the paths after the differing name. For files in one directory, it is their ending.
        let rest: Substring
    }

    fileprivate struct Series {
        /// The names that the process has read so far, at most three. With the third, ``members`` is filled.
        var names: [Substring] = []
        /// The position of each member in the order of names; empty until the process has read three names.
        var places: [Substring: Int] = [:]
        /// All names that belong to the series, in their order; empty until the process has read three names.
        var members: [Substring] = []
        /// The position of the file that the process read last.
        var last: Int?
        /// The distance from one file to the next that the process reads.
        var stride = 0
        /// The number of steps with that stride.
        var steps = 0
        /// The position where the predicted part ends.
        var end = 0
    }

    private let files: ImageFiles
    private var series: [Key: Series] = [:]
    private var directoriesLeft = maximumDirectories
    private var namesLeft = maximumKept

    init(_ files: ImageFiles) {
        self.files = files
    }

    /// Returns the files that the process reads next, if `path` and the files before it are the beginning of a series.
    mutating func foreseen(after path: String) -> [ImageFile] {
        // A program that loads code follows names in that code, and can read three files in order by chance.
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
        // Some reads are not reported: those of empty files, and those of files that arrived with a neighbor.
        let isNext = step == stride || steps >= 2 && step > 0 && step.isMultiple(of: stride) && place < end + stride
        if steps > 0, isNext {
            steps += 1
        } else {
            // Programs do not read lists of files backwards.
            (stride, steps, end) = (step, step > 0 ? 1 : 0, 0)
        }
    }
}
