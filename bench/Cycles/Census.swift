import Base
import GRDB
import Glibc
import Lab
import Linux

/// Everything that a daemon holds and that must not grow: counts by group and name.
struct Census: Sendable, CustomStringConvertible {
    /// The groups of counts. The order is the ledger's.
    enum Group: String, Sendable, CaseIterable {
        /// Open descriptors by kind.
        case descriptors
        /// Mapped files below the data directory.
        case mappings
        case threads
        /// Anonymous resident memory, in MiB.
        case memory = "MiB"
        /// Entries below the data directory, by its subdirectory, and the blobs in containerd's content store.
        case files
        /// Rows by table of state.db.
        case rows
        case mounts
    }

    struct Key: Hashable, Sendable, Comparable {
        let group: Group
        let name: String

        static func < (left: Key, right: Key) -> Bool {
            (left.group.rawValue, left.name) < (right.group.rawValue, right.name)
        }
    }

    private(set) var counts: [Key: Int] = [:]

    /// Counts what `daemon` holds now. Blocks.
    init(of daemon: RivuletDaemon, containerd: Containerd, in lab: Lab) throws {
        let process = "/proc/\(daemon.process.pid)"
        for entry in try Sys.list("\(process)/fd") {
            // A descriptor may close in between.
            guard let target = try? Sys.readLink("\(process)/fd/\(entry.text)") else { continue }
            add(.descriptors, Self.kind(String(decoding: target, as: UTF8.self), root: daemon.root))
        }
        for line in try Files.text("\(process)/maps").split(separator: "\n") where line.contains(daemon.root) {
            add(.mappings, line.hasSuffix("(deleted)") ? "deleted" : "files")
        }
        counts[Key(group: .threads, name: "threads")] = try Sys.list("\(process)/task").count
        let status = try Files.text("\(process)/status").split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
        let kibibytes = status?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
        counts[Key(group: .memory, name: "anonymous")] = (kibibytes ?? 0) >> 10
        for entry in try Sys.list(daemon.root) where entry.text != "fuse" {
            // SQLite keeps these two or not.
            if entry.text == "state.db-wal" || entry.text == "state.db-shm" { continue }
            add(.files, entry.text, Self.entries(below: "\(daemon.root)/\(entry.text)"))
        }
        add(.files, "content of containerd", Self.entries(below: "\(containerd.root)/io.containerd.content.v1.content"))
        for mount in try Sys.mounts() where mount.mountPoint.hasPrefix("\(lab.directory)/") {
            add(.mounts, mount.fileSystem)
        }
        try countRows(of: "\(daemon.root)/state.db")
    }

    private mutating func add(_ group: Group, _ name: String, _ count: Int = 1) {
        counts[Key(group: group, name: name), default: 0] += count
    }

    private mutating func countRows(of path: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        let database = try DatabaseQueue(path: path, configuration: configuration)
        let rows = try database.read { database in
            try String.fetchAll(database, sql: "SELECT name FROM sqlite_schema WHERE type = 'table'").map { table in
                (table, try Int.fetchOne(database, sql: "SELECT count(*) FROM \"\(table)\"") ?? 0)
            }
        }
        try database.close()
        for (table, count) in rows { add(.rows, table, count) }
    }

    /// Returns the kind of the descriptor that /proc shows as `target`.
    private static func kind(_ target: String, root: String) -> String {
        if target.hasPrefix("\(root)/") {
            let name = target.dropFirst(root.utf8.count + 1).split(separator: "/").first.map(String.init) ?? ""
            return target.hasSuffix(" (deleted)") ? "deleted in \(name)" : name
        }
        if target.hasPrefix("/") { return target == "/dev/fuse" || target == "/dev/null" ? target : "other files" }
        // `socket:[1234]`, `pipe:[1234]`, `anon_inode:[eventfd]` and `anon_inode:inotify`.
        let parts = target.split { ":[]".contains($0) }
        return String((parts.first == "anon_inode" ? parts.last : parts.first) ?? "unknown")
    }

    /// Returns the number of entries at and below `path`, without following links or crossing into other directories.
    private static func entries(below path: String) -> Int {
        guard let entries = try? Sys.list(path) else { return 1 }
        return 1 + entries.reduce(0) { $0 + ($1.kind == .directory ? Self.entries(below: "\(path)/\($1.text)") : 1) }
    }

    /// True if the daemon has removed snapshots, chains or layers that it has not deleted yet.
    var awaitsDeletions: Bool {
        counts.contains { $0.key.group == .rows && $0.key.name.hasPrefix("removed_") && $0.value > 0 }
    }

    // MARK: - Comparing

    func total(_ group: Group) -> Int {
        counts.reduce(0) { $1.key.group == group ? $0 + $1.value : $0 }
    }

    /// Returns the counts that are larger than at `start` by more than their tolerance.
    func growth(since start: Census) -> [String] {
        counts.keys.sorted().compactMap { key in
            let (before, now) = (start.counts[key] ?? 0, counts[key] ?? 0)
            guard now > before + Self.tolerance(key, before) else { return nil }
            return "\(key.group.rawValue), \(key.name): \(now), \(before) at the start"
        }
    }

    /// Returns the most by which a count may exceed the one at the start.
    private static func tolerance(_ key: Key, _ before: Int) -> Int {
        switch key.group {
        // Pools of connections grow and shrink; each stays below its own limit.
        case .descriptors: key.name == "socket" ? 48 : 0
        case .threads: 4
        // Arenas of the allocator, which threads pick at random.
        case .memory: max(32, before / 4)
        // A profile outlives its image on purpose; the daemon keeps a bounded number (`ProfileRecords`).
        case .rows: key.name == "profiles" ? 1024 : 0
        case .mappings, .files, .mounts: 0
        }
    }

    var description: String {
        Group.allCases.map { "\(total($0)) \($0.rawValue)" }.joined(separator: ", ")
    }

    /// All counts, one in a line.
    var listing: String {
        counts.sorted { $0.key < $1.key }.map { "  \($0.key.group.rawValue), \($0.key.name): \($0.value)" }
            .joined(separator: "\n")
    }
}
