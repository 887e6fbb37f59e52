import CZlib
import Codecs
import Glibc
import TestSupport

/// Decodes gzip members of eStargz and zstd frames of zstd:chunked with the decoder of `Codecs` on one core.
///
/// It also decodes gzip with zlib for comparison.
enum DecodeBench {
    private struct Member {
        var stored: [UInt8]
        var length: Int
    }

    static func run(_ paths: [String]) throws {
        let files = paths.isEmpty ? [Samples.text(bytes: 32 << 20, seed: 1)] : paths.map(read)
        for size in [4 << 10, 64 << 10, 1 << 20, 4 << 20] {
            let gzip = members(of: files, size: size) {
                // A chunk's member also has padding and a tar header. These zeros stand for them.
                Compressed.gzip($0 + [UInt8](repeating: 0, count: 1024), level: 9)
            }
            var output = [UInt8](repeating: 0, count: size)
            let zlib = LayerBench.measure(5) {
                for member in gzip { inflateWithZlib(member.stored, &output, member.length) }
            }
            try report(.gzip, size, gzip, also: ", zlib itself \(rate(gzip, zlib.best)) MB/s")
            try report(.zstd, size, members(of: files, size: size) { Compressed.zstd($0, level: 3) })
        }
    }

    /// Returns pieces of `files`, at most 64 MiB in total. Each piece is compressed separately.
    private static func members(of files: [[UInt8]], size: Int, _ compress: ([UInt8]) -> [UInt8]) -> [Member] {
        var members: [Member] = []
        var total = 0
        for file in files {
            for start in stride(from: 0, to: file.count, by: size) where total < 64 << 20 {
                let chunk = Array(file[start..<min(start + size, file.count)])
                members.append(Member(stored: compress(chunk), length: chunk.count))
                total += chunk.count
            }
        }
        return members
    }

    private static func report(_ codec: Codec, _ size: Int, _ members: [Member], also: String = "") throws {
        var output = [UInt8](repeating: 0, count: size)
        let decoder = ExtentDecoder()
        let time = try LayerBench.measure(5) {
            for member in members {
                decoder.reset(codec)
                let produced = try member.stored.withUnsafeBytes { input in
                    try output.withUnsafeMutableBytes {
                        try decoder.decode(input, into: .init(rebasing: $0[..<member.length])).produced
                    }
                }
                precondition(produced == member.length)
            }
        }
        let stored = members.reduce(0) { $0 + $1.stored.count }
        let tenths = members.reduce(0) { $0 + $1.length } * 10 / max(stored, 1)
        print(
            "\(codec), \(members.count) of \(size >> 10) KiB, \(tenths / 10).\(tenths % 10) times as small:",
            "\(rate(members, time.best)) MB/s\(also)")
    }

    private static func rate(_ members: [Member], _ seconds: Double) -> Int {
        Int(Double(members.reduce(0) { $0 + $1.length }) / 1e6 / seconds)
    }

    private static func read(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else {
            print("cannot read \(path)")
            exit(1)
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 64 << 20)
        let count = bytes.withUnsafeMutableBytes { fread($0.baseAddress, 1, $0.count, file) }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    private static func inflateWithZlib(_ stored: [UInt8], _ output: inout [UInt8], _ length: Int) {
        var stream = z_stream()
        inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        stored.withUnsafeBytes { input in
            output.withUnsafeMutableBytes { out in
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
                stream.avail_in = UInt32(input.count)
                stream.next_out = out.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.avail_out = UInt32(length)
                inflate(&stream, Z_NO_FLUSH)
                precondition(stream.avail_out == 0)
            }
        }
        inflateEnd(&stream)
    }
}
