import Base
import Glibc
import LayerFormats
import LayerIndex
import TestSupport

/// Measures the speed of opening a layer and decoding its members:
///
///     LayerBench scan [entries]       the TOC scanner alone
///     LayerBench open [entries]       compressed TOC to layer index
///     LayerBench tree [entries]       building, looking up and merging trees
///     LayerBench hostile [entries [shape]]   layers made to be slow or large, with n and 4n entries
///     LayerBench decode [file …]      gzip members and zstd frames of 4 KiB to 4 MiB, made of the files
enum LayerBench {
    static func run(_ arguments: [String]) {
        let count = arguments.dropFirst().first.flatMap { Int($0) } ?? 100_000
        do {
            switch arguments.first {
            case "scan": try scan(count)
            case "open": try open(count)
            case "tree": try TreeBench.run(entries: count)
            case "hostile": HostileBench.run(entries: count, only: arguments.dropFirst(2).first)
            case "decode": try DecodeBench.run(Array(arguments.dropFirst()))
            default:
                print("usage: LayerBench scan|open|tree [entries] | hostile [entries [shape]] | decode [file ...]")
                exit(2)
            }
        } catch {
            print("failed: \(error)")
            exit(1)
        }
    }

    /// Returns the best and the median time of `runs` runs, in seconds.
    static func measure(_ runs: Int, _ body: () throws -> Void) rethrows -> (best: Double, median: Double) {
        var times: [Double] = []
        for _ in 0..<runs {
            let start = MonotonicTime.now()
            try body()
            times.append(Double(MonotonicTime.now().since(start)) / 1e9)
        }
        times.sort()
        return (times.first ?? 0, times[times.count / 2])
    }

    /// Returns the peak memory of the process since ``resetPeak()``, in KiB.
    static func peakMemory() -> Int {
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, 256, file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.hasPrefix("VmHWM:") { return Int(text.filter(\.isNumber)) ?? 0 }
        }
        return 0
    }

    static func resetPeak() {
        guard let file = fopen("/proc/self/clear_refs", "w") else { return }
        fputs("5", file)
        fclose(file)
    }

    private static func scan(_ count: Int) throws {
        let json = SampleTOC.json(entries: count)
        let time = try measure(9) {
            let found = try TableOfContents.entryCount(of: json)
            precondition(found == count)
        }
        let size = Double(json.count) / 1e6
        print("\(count) entries, \(json.count) bytes of JSON")
        print("scanned at \(Int(size / time.best)) MB/s best, \(Int(size / time.median)) MB/s median")
    }

    private static func open(_ count: Int) throws {
        let layer = SampleTOC.layer(entries: count)
        print("\(count) entries, TOC \(layer.tail.count) bytes compressed, \(layer.jsonSize) of JSON")
        resetPeak()
        let before = peakMemory()
        var opener = EstargzFormat().opener(for: layer.description)
        _ = try opener.next()
        try opener.receive(layer.tail, range: layer.range, blobSize: layer.range.end)
        guard case .done(let index) = try opener.next() else { preconditionFailure("one request holds it all") }
        print(
            "peak memory \((peakMemory() - before) / 1024) MiB over \(before / 1024) MiB, what is left: tree "
                + "\(index.tree.count) bytes, tables \(index.chunks.count) bytes")
        let time = try measure(7) {
            var opener = EstargzFormat().opener(for: layer.description)
            _ = try opener.next()
            try opener.receive(layer.tail, range: layer.range, blobSize: layer.range.end)
            _ = try opener.next()
        }
        print("opened in \(Int(time.best * 1e3)) ms best, \(Int(time.median * 1e3)) ms median")
        let reopened = try measure(7) {
            _ = try TreeImage(bytes: index.tree)
            _ = try ChunkTable(bytes: index.chunks)
        }
        print("opened again in \(reopened.best * 1e3) ms best, \(reopened.median * 1e3) ms median")
    }
}
