import Base

/// Files that a process reads one after the other in the order of their names: those of one directory
/// (`conf.d/*.conf`), or the same file of neighboring directories (`plugins/*/plugin.json`), at a fixed distance.
///
/// Nothing in the files names the next one, so no analyzer finds it, and each costs a round trip. Three files at equal
/// distances make a series. The predicted part doubles with each further file, as read-ahead does.
struct FileSeries {
    /// The number of directories up in which the names may differ.
    private static let depth = 3
    /// The most names that are read from one directory.
    private static let maximumNames = 4096
    /// The most directories that are read for one start.
    private static let maximumDirectories = 256
    /// The most names that are kept for one start.
    private static let maximumKept = 1 << 16
    /// The most files that are predicted at once, and their bytes.
    private static let maximumAhead = 32
    private static let maximumBytesAhead: UInt64 = 2 << 20

    /// Endings of files that other files name.
    private static let code = [".py", ".pyc", ".so", ".js", ".mjs", ".cjs"]

    /// The common parts of the paths of a series.
    private struct Key: Hashable {
        /// The directory of the names that differ.
        let directory: Substring
        /// The part behind them in the paths: for the files of one directory, their ending.
        let rest: Substring
    }

    fileprivate struct Series {
        /// The last names, before there were three.
        var names: [Substring] = []
        /// The place of every name in the order of names; empty before there were three.
        var places: [Substring: Int] = [:]
        var members: [Substring] = []
        /// The place of the last file that was read.
        var last: Int?
        /// The distance from one file that was read to the next.
        var stride = 0
        /// The number of steps of that stride.
        var steps = 0
        /// The end of the predicted part.
        var end = 0
    }

    private let files: ImageFiles
    private var series: [Key: Series] = [:]
    private var directoriesLeft = maximumDirectories
    private var namesLeft = maximumKept

    init(_ files: ImageFiles) {
        self.files = files
    }

    /// Returns the files that are read next if `path` and the files before it are the beginning of a series.
    mutating func foreseen(after path: String) -> [ImageFile] {
        // A program that loads code follows the names in it, and meets three in a row by chance.
        let isCode = Self.code.contains { path.hasSuffix($0) } || path.contains(".so.")
        var directory = path[...]
        for depth in 0..<Self.depth {
            guard let (parent, name) = ImagePath.split(directory) else { break }
            directory = parent
            // `name.json` and its like belong together, `name` and `name.json` do not.
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
        // A range with a stride of 0 has no end.
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
        // Some reads are not reported: of an empty file, or of one that came with its neighbor.
        let isNext = step == stride || steps >= 2 && step > 0 && step.isMultiple(of: stride) && place < end + stride
        if steps > 0, isNext {
            steps += 1
        } else {
            // Nothing lists files backwards.
            (stride, steps, end) = (step, step > 0 ? 1 : 0, 0)
        }
    }
}
