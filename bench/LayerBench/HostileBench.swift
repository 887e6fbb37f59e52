import Base
import LayerFormats
import LayerIndex
import Linux
import TestSupport

/// Opens layers that were made to be slow or large, and shows how time and memory grow with their size.
///
/// Each shape is measured with `n` and with `4n` entries. Near-linear work takes about four times as long for the
/// second.
enum HostileBench {
    private struct Shape {
        let name: String
        let json: (Int) -> [UInt8]
    }

    private struct Measure {
        var seconds: Double
        var memory: Int
        var size: Int
        var stored: Int
        var outcome: String
    }

    static func run(entries count: Int, only: String?) {
        print("shape: entries, seconds and peak memory of n and of 4n, and the memory per byte of JSON text")
        for shape in shapes where only == nil || shape.name == only {
            let (small, large) = (measure(shape.json(count)), measure(shape.json(4 * count)))
            report(shape.name, small, large)
        }
        if only == nil || only == "index" {
            report("index", measureIndex(size: count * 40), measureIndex(size: 4 * count * 40))
        }
    }

    private static func report(_ name: String, _ small: Measure, _ large: Measure) {
        let growth = large.seconds / max(small.seconds, 0.001)
        print(
            "\(name): \(hundredths(small.seconds)) s, \(hundredths(large.seconds)) s (x\(hundredths(growth)));",
            "\(small.memory >> 20) MiB, \(large.memory >> 20) MiB of \(large.size >> 10) KiB,",
            "\(large.stored >> 10) KiB stored: x\(hundredths(Double(large.memory) / Double(large.size)));",
            "\(small.outcome), \(large.outcome)")
    }

    private static func hundredths(_ value: Double) -> Double { (value * 100).rounded() / 100 }

    // MARK: - Measuring

    private static func measure(_ json: [UInt8]) -> Measure {
        let tail = Compressed.gzip(TarWriter.archive([.file("stargz.index.json", json)]), level: 6)
        let offset: UInt64 = 1 << 33
        let blob = tail + EstargzBlob.footer(tocOffset: offset)
        let range = ByteRange(offset: offset, end: offset + UInt64(blob.count))
        let description = LayerDescription(
            digest: .of(blob), size: range.end, mediaType: "",
            annotations: [TOCOpener.digestAnnotation: Digest.of(json).description])
        return measure(size: json.count, stored: blob.count) {
            var opener = EstargzFormat().opener(for: description)
            _ = try opener.next()
            try opener.receive(blob, range: range, blobSize: range.end)
            guard case .done(let index) = try opener.next() else { preconditionFailure("one request holds it all") }
            let tree = try TreeImage(bytes: index.tree)
            _ = try ChainMerger.merge([(tree, description.digest), (tree, description.digest)])
        }
    }

    /// Opens an artifact index of zeros that claims a tree of `size` bytes.
    private static func measureIndex(size: Int) -> Measure {
        let zeros = [UInt8](repeating: 0, count: size)
        guard
            let blob = try? LayerIndexBlob.encode(
                LayerIndexBytes(tree: zeros, chunks: zeros), blobDigest: .of([1]), diffID: .of([2]))
        else { preconditionFailure("zeros can be compressed") }
        // The compressed zeros are padded, as bytes after the frame are.
        let padded = blob + [UInt8](repeating: 0, count: size / 256)
        let description = LayerDescription(
            digest: .of([1]), size: 100, mediaType: "", annotations: [:],
            index: LayerDescription.Index(
                digest: .of(padded), diffID: .of([2]), source: (.of([1]), 100), windows: nil))
        return measure(size: padded.count, stored: padded.count) {
            var opener = IndexedFormat().opener(for: description)
            _ = try opener.next()
            try opener.receiveCompanion(padded)
            _ = try opener.next()
        }
    }

    private static func measure(size: Int, stored: Int, _ body: () throws -> Void) -> Measure {
        Sys.releaseFreedMemory()
        LayerBench.resetPeak()
        let before = LayerBench.peakMemory()
        let start = MonotonicTime.now()
        var outcome = "done"
        do {
            try body()
        } catch let error as LayerFormatError {
            outcome = "\(error.code)"
        } catch let error as LayerIndexError {
            outcome = "merge: \(error.code)"
        } catch {
            outcome = "\(error)"
        }
        return Measure(
            seconds: Double(MonotonicTime.now().since(start)) / 1e9, memory: (LayerBench.peakMemory() - before) << 10,
            size: size, stored: stored, outcome: outcome)
    }

    // MARK: - Shapes

    private static let digest = "sha256:" + String(repeating: "0", count: 64)

    private static var shapes: [Shape] {
        [
            Shape(name: "flat") { count in
                toc(count) { #"{"name":"d/f\#($0)","type":"symlink","linkName":"x"}"# }
            },
            Shape(name: "directories") { count in toc(count) { #"{"name":"d\#($0)","type":"dir"}"# } },
            Shape(name: "long-names") { count in
                let prefix = String(repeating: "n", count: 240)
                return toc(count / 2) { #"{"name":"d/\#(prefix)\#($0 &* 7_919 % 10_000_019)","type":"fifo"}"# }
            },
            Shape(name: "deep") { count in
                let paths = ["a", "b"].map { letter in (0..<1000).map { _ in letter + "/" }.joined() }
                return toc(count / 20) { #"{"name":"\#(paths[$0 % 2])","type":"dir"}"# }
            },
            Shape(name: "duplicates") { count in
                toc(count) { _ in #"{"name":"d/f","type":"reg","size":1,"offset":1,"digest":"\#(digest)"}"# }
            },
            Shape(name: "kinds") { count in
                toc(count) { #"{"name":"d/f","type":"\#($0 % 2 == 0 ? "dir" : "fifo")"}"# }
            },
            Shape(name: "whiteouts") { count in toc(count) { #"{"name":"d\#($0)/.wh.f","type":"reg"}"# } },
            Shape(name: "implied") { count in toc(count) { #"{"name":"d\#($0)/e/f","type":"fifo"}"# } },
            Shape(name: "chunks") { count in
                let size = 4 * count
                return toc(count) { number in
                    number == 0
                        ? #"{"name":"f","type":"reg","size":\#(size),"offset":1,"chunkSize":4,"chunkDigest":"\#(digest)"}"#
                        : #"{"type":"chunk","offset":\#(number + 1),"chunkOffset":\#(4 * number),"#
                            + #""chunkSize":4,"chunkDigest":"\#(digest)"}"#
                }
            },
            Shape(name: "attributes") { count in
                // As many attributes as an entry may have, whose names differ at the end.
                let prefix = "user." + String(repeating: "x", count: 200)
                let list = (0..<512).map { #""\#(prefix)\#($0)":"""# }.joined(separator: ",")
                return toc(count / 2000) { #"{"name":"f\#($0)","type":"reg","xattrs":{\#(list)}}"# }
            },
            Shape(name: "same-attributes") { count in
                let list = (0..<512).map { #""user.\#($0)":"""# }.joined(separator: ",")
                return toc(count / 200) { _ in #"{"name":"f","type":"reg","xattrs":{\#(list)}}"# }
            },
            Shape(name: "more-attributes") { count in
                toc(count / 20) { #"{"name":"d","type":"dir","xattrs":{"user.\#($0 % 20_000)":""}}"# }
            },
            Shape(name: "children-of-attributes") { count in
                let list = (0..<512).map { #""user.\#($0)":"""# }.joined(separator: ",")
                return toc(count) { number in
                    number == 0
                        ? #"{"name":"d","type":"dir","xattrs":{\#(list)}}"# : #"{"name":"d/f\#(number)","type":"fifo"}"#
                }
            },
            Shape(name: "links") { count in
                let list = (0..<512).map { #""user.\#($0)":"""# }.joined(separator: ",")
                return toc(count) { number in
                    number == 0
                        ? #"{"name":"f","type":"reg","xattrs":{\#(list)}}"#
                        : #"{"name":"l\#(number)","type":"hardlink","linkName":"f"}"#
                }
            },
            Shape(name: "forward-links") { count in
                toc(count) { number in
                    number == count - 1
                        ? #"{"name":"f","type":"reg"}"# : #"{"name":"l\#(number)","type":"hardlink","linkName":"f"}"#
                }
            },
            Shape(name: "link-chain") { count in
                // A path whose first name is a chain of links, followed by many names.
                let names = (0..<1000).map { _ in "a/" }.joined()
                return toc(count / 50) { number in
                    let target = number == 199 ? "t" : "l\(number + 1)"
                    return number < 200
                        ? #"{"name":"l\#(number)","type":"symlink","linkName":"\#(target)"}"#
                        : #"{"name":"l0/\#(names)f\#(number)","type":"fifo"}"#
                }
            },
        ]
    }

    private static func toc(_ count: Int, _ entry: (Int) -> String) -> [UInt8] {
        var text = Array(#"{"version":1,"entries":["#.utf8)
        for number in 0..<count {
            if number > 0 { text.append(0x2C) }
            text += entry(number).utf8
        }
        return text + "]}".utf8
    }
}
