import Base
import Codecs
import TestSupport
import Testing

@Suite struct LayerScannerTests {
    /// The results of scanning a blob.
    private struct Scan {
        var output: [UInt8] = []
        var boundaries: [(boundary: LayerScanner.Boundary, output: Int)] = []
        var windows: [UInt64: [UInt8]] = [:]
    }

    private static func scan(
        _ blob: [UInt8], inputPiece: Int = 64 << 10, outputPiece: Int = 64 << 10
    ) throws -> Scan {
        let scanner = LayerScanner()
        var scan = Scan()
        var position = 0
        var output = [UInt8](repeating: 0, count: outputPiece)
        while true {
            let end = min(position + max(inputPiece, 4), blob.count)
            let step = try blob[position..<end].withUnsafeBytes { input in
                try output.withUnsafeMutableBytes { try scanner.scan(input, into: $0) }
            }
            position += step.consumed
            scan.output += output[..<step.produced]
            if let boundary = step.boundary { scan.boundaries.append((boundary, scan.output.count)) }
            while let window = scanner.takeWindow() { scan.windows[window.offset] = window.bytes }
            if step.isIdle {
                guard position == blob.count || end == blob.count else { continue }
                break
            }
        }
        try scanner.finish()
        while let window = scanner.takeWindow() { scan.windows[window.offset] = window.bytes }
        return scan
    }

    /// Decodes every extent separately and compares it with `data`.
    private static func check(_ scan: Scan, of blob: [UInt8], is data: [UInt8]) throws {
        #expect(scan.output == data)
        #expect(scan.boundaries.first?.boundary.offset == 0)
        let decoder = ExtentDecoder()
        for (index, (boundary, start)) in scan.boundaries.enumerated() {
            let next = index + 1 < scan.boundaries.count ? scan.boundaries[index + 1] : nil
            let stored = Array(blob[Int(boundary.offset)..<Int(next?.boundary.offset ?? UInt64(blob.count))])
            let wanted = Array(data[start..<(next?.output ?? data.count)])
            if let restart = boundary.restart {
                decoder.reset(restart, window: try #require(scan.windows[boundary.offset]))
            } else {
                decoder.reset(boundary.codec)
            }
            var decoded = [UInt8](repeating: 0, count: wanted.count)
            let (consumed, produced) = try stored.withUnsafeBytes { input in
                try decoded.withUnsafeMutableBytes { output in
                    let step = try decoder.decode(input, into: output)
                    return (step.consumed, step.produced)
                }
            }
            #expect(produced == wanted.count && consumed <= stored.count && decoded == wanted, "extent \(index)")
        }
    }

    @Test("decodes every extent of a gzip member separately", arguments: [(Int32(1), 5000), (6, 1 << 20), (9, 5000)])
    func decodesEveryExtentOfGzipMemberSeparately(level: Int32, piece: Int) throws {
        let data = Samples.text(bytes: 7 << 20, seed: 3)
        let blob = Compressed.gzip(data, level: level)
        let scan = try Self.scan(blob, inputPiece: piece, outputPiece: piece)
        try Self.check(scan, of: blob, is: data)
        // A block ends somewhere after each span.
        let spans = data.count / Int(LayerScanner.span)
        #expect((spans * 2 / 3...spans + 1).contains(scan.boundaries.count), "\(scan.boundaries.count) of \(spans)")
        #expect(scan.boundaries.dropFirst().allSatisfy { $0.boundary.codec == .deflate })
    }

    /// Bytes without references are not stored.
    @Test("windows contain only referenced bytes") func windowsContainOnlyReferencedBytes() throws {
        // Nothing repeats, so no window is needed.
        let random = Samples.noise(bytes: 3 << 20, seed: 5)
        let blob = Compressed.gzip(random)
        let scan = try Self.scan(blob)
        try Self.check(scan, of: blob, is: random)
        #expect(!scan.windows.isEmpty && scan.windows.values.allSatisfy { $0.count < 1000 })
        let text = Samples.text(bytes: 3 << 20, seed: 5)
        let windows = try Self.scan(Compressed.gzip(text)).windows.values
        #expect(windows.contains { window in window.contains(0) && window.contains { $0 != 0 } })
    }

    @Test("members, frames and raw spans become extents") func membersFramesAndRawSpansBecomeExtents() throws {
        let parts = (0..<40).map { Samples.text(bytes: 20_000 + $0 * 5000, seed: UInt64($0)) }
        let data = parts.flatMap { $0 }
        for codec in [Codec.gzip, .zstd, .raw] {
            let blob = parts.flatMap { Compressed.member($0, codec: codec) }
            let scan = try Self.scan(blob, inputPiece: 10_000, outputPiece: 30_000)
            try Self.check(scan, of: blob, is: data)
            // The scanner enters a member that covers a whole span; that member then ends its extent.
            #expect(
                scan.boundaries.allSatisfy {
                    $0.boundary.codec == codec || codec == .gzip && $0.boundary.codec == .deflate
                })
            let spans = data.count / Int(LayerScanner.span)
            #expect((spans / 2...spans * 3).contains(scan.boundaries.count), "\(codec): \(scan.boundaries.count)")
        }
    }

    @Test("rejects a zstd frame over the limit") func rejectsZstdFrameOverLimit() throws {
        let short = Compressed.zstd(Samples.text(bytes: Int(LayerScanner.longestFrame), seed: 1))
        try Self.check(
            try Self.scan(short + short), of: short + short,
            is: Samples.text(bytes: Int(LayerScanner.longestFrame), seed: 1)
                + Samples.text(bytes: Int(LayerScanner.longestFrame), seed: 1))
        let long = Compressed.zstd(Samples.text(bytes: Int(LayerScanner.longestFrame) + 1 << 20, seed: 1))
        let error = #expect(throws: CodecError.self) { _ = try Self.scan(short + long) }
        #expect(error?.code == .undivided)
    }

    /// Long members among short ones. An extent that begins in the middle of a member ends where the next member
    /// begins.
    @Test("separates long and short members") func separatesLongAndShortMembers() throws {
        let parts = [100, 3 << 20, 100, 100, 3 << 20, 50].enumerated().map {
            Samples.text(bytes: $1, seed: UInt64($0))
        }
        let blob = parts.flatMap { Compressed.gzip($0) } + [UInt8](repeating: 0, count: 1000)
        let scan = try Self.scan(blob, inputPiece: 7777)
        try Self.check(scan, of: blob, is: parts.flatMap { $0 })
        #expect(scan.boundaries.contains { $0.boundary.codec == .gzip && $0.output == 100 + (3 << 20) })
    }

    @Test("rejects a truncated blob", arguments: [Codec.gzip, .zstd]) func rejectsTruncatedBlob(codec: Codec) throws {
        let blob = Compressed.member(Samples.text(bytes: 100_000, seed: 1), codec: codec)
        #expect(throws: CodecError.self) { try Self.scan(Array(blob.dropLast(12))) }
    }

    @Test("detects damage by checksum") func detectsDamageByChecksum() throws {
        let data = Samples.text(bytes: 3 << 20, seed: 9)
        let blob = Compressed.gzip(data)
        for _ in 0..<30 {
            let seed = UInt64.random(in: 0 ... .max)
            var damaged = blob
            damaged[Int(seed % UInt64(blob.count))] ^= UInt8(1 << (seed >> 60 & 7))
            // A header's time and name may change without effect; everything else has a checksum.
            if let scan = try? Self.scan(damaged) {
                #expect(scan.output == data || seed % UInt64(blob.count) < 10, "seed \(seed)")
            }
        }
    }
}
