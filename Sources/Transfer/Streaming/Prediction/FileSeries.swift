import Base

/// Files that a process reads one after the other in the order of their names: those of one directory (`conf.d/*.conf`), or the same
/// one of directories that lie side by side (`plugins/*/plugin.json`); each of them, or every so many.
///
/// Nothing in the files names the next one, so nothing else foresees them, and each costs a round trip. Three at equal distances
/// make a series; what is foreseen of it doubles with each further one, as readahead does.
struct FileSeries {
    /// How many directories up the names may differ.
    private static let depth = 3
    /// Names that are looked at in one directory.
    private static let maximumNames = 4096
    /// Directories that are looked into for one start.
    private static let maximumDirectories = 256
    /// Names that are kept for one start.
    private static let maximumKept = 1 << 16
    /// Files that are foreseen at once, and their bytes.
    private static let maximumAhead = 32
    private static let maximumBytesAhead: UInt64 = 2 << 20

    /// Endings of files whose names stand in others.
    private static let code = [".py", ".pyc", ".so", ".js", ".mjs", ".cjs"]

    /// What the files of a series have in common.
    private struct Key: Hashable {
        /// The directory of the names that differ.
        let directory: Substring
        /// What follows them in the paths: for the files of one directory, their ending.
        let rest: Substring
    }

    fileprivate struct Series {
        /// The last names, before there were three.
        var names: [Substring] = []
        /// Every name there is, in the order of names; empty before there were three.
        var places: [Substring: Int] = [:]
        var members: [Substring] = []
        /// The place of the last one that was read.
        var last: Int?
        /// From one that was read to the next.
        var stride = 0
        /// How many steps there were of that stride.
        var steps = 0
        /// What has been foreseen lies before it.
        var end = 0
    }

    private let files: ImageFiles
    private var series: [Key: Series] = [:]
    private var directoriesLeft = maximumDirectories
    private var namesLeft = maximumKept

    init(_ files: ImageFiles) {
        self.files = files
    }

    /// What is read next if the files that have been read, `path` the last of them, are the beginning of a series.
    mutating func foreseen(after path: String) -> [ImageFile] {
        // What loads code goes by the names in it, and meets three in a row by chance.
        let isCode = Self.code.contains { path.hasSuffix($0) } || path.contains(".so.")
        var directory = path[...]
        for depth in 0..<Self.depth {
            guard let (parent, name) = ImagePath.split(directory) else { break }
            directory = parent
            // `name.json` and its like belong together, `name` and `name.json` do not.
            let rest = depth == 0 ? name.lastIndex(of: ".").map { name[$0...] } ?? "" : path[name.endIndex...]
            let found = step(Key(directory: directory, rest: rest), name, isFile: depth == 0, isCode: isCode)
            if !found.isEmpty { return found }
        }
        return []
    }

    private mutating func step(_ key: Key, _ name: Substring, isFile: Bool, isCode: Bool) -> [ImageFile] {
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
        // Of those that have come, not each is heard of: an empty file, or one that came with its neighbour.
        let isNext = step == stride || steps >= 2 && step > 0 && step.isMultiple(of: stride) && place < end + stride
        if steps > 0, isNext {
            steps += 1
        } else {
            // Backwards it is no order that anything is listed in.
            (stride, steps, end) = (step, step > 0 ? 1 : 0, 0)
        }
    }
}
