import Base
import FUSEServer
import Glibc
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux

/// Compares warm reads, stat and readdir through a mount with the same files on the store's file system.
///
/// Each is measured directly and below an overlay. MountBench also measures the daemon's cost of a request.
///
/// `MountBench [DIRECTORY]`: DIRECTORY (on ext4, xfs or btrfs; default /var/tmp) receives about 600 MiB during the run.
/// Needs root.
enum MountBench {
    static let directories = 200
    static let filesPerDirectory = 100
    static let bigBytes = 128 << 20

    static func main(_ arguments: [String]) -> Int32 {
        let parent = arguments.count > 1 ? arguments[1] : "/var/tmp"
        let outcome = Guarded<Int32?>(nil)
        do {
            let thread = try NamedThread(name: "client", stackBytes: 4 << 20) {
                do {
                    try withTemporaryDirectory(in: parent, prefix: "rivulet-bench-") { try run(in: $0) }
                    outcome.withLock { $0 = 0 }
                } catch {
                    print("failed: \(error)")
                    outcome.withLock { $0 = 1 }
                }
            }
            thread.join()
        } catch {
            print("failed: \(error)")
        }
        return outcome.withLock { $0 } ?? 1
    }

    private static func run(in directory: String) throws {
        print("making \(directories * filesPerDirectory) files of 4 KiB and one of \(bigBytes >> 20) MiB")
        var layer = LayerFixture()
        let plain = directory + "/plain"
        try Sys.makeDirectory(plain)
        let big = (0..<bigBytes).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        layer.file("big", big)
        try Sys.writeFile(plain + "/big", big)
        for index in 0..<directories {
            try Sys.makeDirectory("\(plain)/d\(index)")
            for file in 0..<filesPerDirectory {
                let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: file), count: 4096)
                layer.file("d\(index)/file-\(file)", bytes)
                try Sys.writeFile("\(plain)/d\(index)/file-\(file)", bytes)
            }
        }
        let fixture = try StoreFixture(root: directory)
        let (id, layers) = try fixture.mount([layer])
        try fixture.complete(layers)
        let mount = directory + "/mnt"
        try Sys.makeDirectory(mount)
        let server = FUSEServer(
            fileSystem: fixture.fileSystem, mountPoint: mount, options: FUSEOptions(log: { print($0) }))
        try server.start()
        defer { server.stop() }
        let chain = "\(mount)/\(id.hex)"
        try overlay(plain, on: "\(directory)/over-plain", work: "\(directory)/w1")
        defer { try? Sys.unmount("\(directory)/over-plain", .detach) }
        try overlay(chain, on: "\(directory)/over-chain", work: "\(directory)/w2")
        defer { try? Sys.unmount("\(directory)/over-chain", .detach) }
        let places = [
            ("plain", plain), ("rivulet", chain), ("overlay on plain", "\(directory)/over-plain"),
            ("overlay on rivulet", "\(directory)/over-chain"),
        ]
        try measure(places, server.statistics)
    }

    private static func overlay(_ lower: String, on merged: String, work: String) throws {
        for path in [merged, work, work + "/upper", work + "/work"] { try Sys.makeDirectory(path) }
        try Sys.mount(
            "overlay", on: merged, type: "overlay",
            options: "lowerdir=\(lower),upperdir=\(work)/upper,workdir=\(work)/work")
    }

    private static func measure(_ places: [(name: String, path: String)], _ statistics: FUSEStatistics) throws {
        try dropCaches()
        var table = Table(places.map(\.name))
        let names = (0..<directories).flatMap { d in (0..<filesPerDirectory).map { "d\(d)/file-\($0)" } }
        table.row(
            "stat, first (µs)",
            try places.map { try cost(names.count) { try statAll($0, names) }($0.path) }, scale: 1000)
        table.row(
            "stat, again (µs)",
            try places.map { try cost(names.count, rounds: 5) { try statAll($0, names) }($0.path) }, scale: 1000)
        try dropCaches()
        for (title, rounds) in [("readdir of 100, first (µs)", 1), ("readdir of 100, again (µs)", 5)] {
            table.row(
                title, try places.map { try cost(directories, rounds: rounds) { try listAll($0) }($0.path) },
                scale: 1000)
        }
        table.row(
            "open, read 4 KiB, close; first (µs)",
            try places.map { try cost(names.count) { try readAll($0, names) }($0.path) }, scale: 1000)
        table.row(
            "open, read 4 KiB, close; again (µs)",
            try places.map { try cost(names.count, rounds: 3) { try readAll($0, names) }($0.path) }, scale: 1000)
        for size in [4096, 128 << 10] {
            let count = bigBytes / size
            table.row(
                "pread \(size >> 10) KiB, cached (µs)",
                try places.map { place in
                    try cost(count, rounds: 5, warm: true) { try readBig($0, size: size) }(place.path)
                }, scale: 1000)
        }
        table.row(
            "sequential, page cache dropped (MiB/s)",
            try places.map { place in
                try dropPages(place.path + "/big")
                let nanoseconds = try cost(1) { try readBig($0, size: 128 << 10) }(place.path)
                return Double(bigBytes >> 20) / (nanoseconds / 1e9)
            }, scale: 1)
        table.print()

        print("\nthrough the daemon, one request each (content in the page cache of the store):")
        let chain = places[1].path
        for size in [4096, 128 << 10, 1 << 20] {
            let count = min(4096, bigBytes / size)
            try daemonCost("direct read of \(size >> 10) KiB", count, statistics.reads) {
                try readDirect(chain + "/big", size: size, count: count)
            }
        }
        try dropCaches()
        try daemonCost("lookup", names.count, statistics.lookups) { try statAll(chain, names) }
    }

    /// Returns a function that measures the nanoseconds of one of `count` operations, in the best of `rounds` runs.
    private static func cost(
        _ count: Int, rounds: Int = 1, warm: Bool = false, _ body: @escaping (String) throws -> Void
    ) -> (String) throws -> Double {
        { path in
            var best = Double.infinity
            if warm { try body(path) }
            for _ in 0..<rounds {
                let start = MonotonicTime.now()
                try body(path)
                best = min(best, Double(MonotonicTime.now().since(start)) / Double(count))
            }
            return best
        }
    }

    /// Runs `body`, which makes `count` requests. Prints the time of each request, and the share of the daemon's
    /// threads.
    private static func daemonCost(_ title: String, _ count: Int, _ counter: Counter, _ body: () throws -> Void) throws
    {
        let requests = counter.value
        let processor = processorTime()
        let start = MonotonicTime.now()
        try body()
        let elapsed = Double(MonotonicTime.now().since(start)) / 1000
        let used = Double(processorTime() - processor) / 1000
        let made = Double(counter.value - requests)
        print(
            "  \(title): \(text(elapsed / Double(count))) µs each, \(text(used / max(made, 1))) µs of the daemon's processor a",
            "request (\(Int(made)) requests for \(count))")
    }

    /// Returns the CPU time of all threads of this process except this one, in nanoseconds. This is the daemon's share.
    private static func processorTime() -> Int {
        var whole = timespec()
        var own = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &whole)
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own)
        return (whole.tv_sec - own.tv_sec) * 1_000_000_000 + whole.tv_nsec - own.tv_nsec
    }

    static func text(_ value: Double) -> String {
        let tenths = Int((value * 100).rounded())
        return "\(tenths / 100).\(tenths % 100 / 10)\(tenths % 10)"
    }
}
