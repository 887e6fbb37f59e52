import CZlib
import Codecs
import Glibc
import TestSupport

/// Gzip members as eStargz has them, decoded by the decoder of `Codecs` and by zlib.
enum InflateBench {
    static func run(_ paths: [String]) throws {
        let files = paths.isEmpty ? [Samples.text(bytes: 32 << 20, seed: 1)] : paths.map(read)
        for size in [4 << 10, 64 << 10, 1 << 20, 4 << 20] {
            var members: [(stored: [UInt8], length: Int)] = []
            var total = 0
            for file in files {
                for start in stride(from: 0, to: file.count, by: size) where total < 64 << 20 {
                    let chunk = Array(file[start..<min(start + size, file.count)])
                    // What follows a chunk in its member: padding and a tar header.
                    members.append((Compressed.gzip(chunk + [UInt8](repeating: 0, count: 1024), level: 9), chunk.count))
                    total += chunk.count
                }
            }
            var output = [UInt8](repeating: 0, count: size)
            let decoder = ExtentDecoder()
            let ours = try LayerBench.measure(5) {
                for member in members {
                    decoder.reset(.gzip)
                    let produced = try member.stored.withUnsafeBytes { input in
                        try output.withUnsafeMutableBytes {
                            try decoder.decode(input, into: .init(rebasing: $0[..<member.length])).produced
                        }
                    }
                    precondition(produced == member.length)
                }
            }
            let zlib = LayerBench.measure(5) {
                for member in members { inflateWithZlib(member.stored, &output, member.length) }
            }
            let stored = members.reduce(0) { $0 + $1.stored.count }
            let megabytes = Double(total) / 1e6
            print(
                "\(members.count) members of \(size >> 10) KiB, ratio \(Double(total) / Double(stored)):",
                "ISA-L \(Int(megabytes / ours.best)) MB/s, zlib \(Int(megabytes / zlib.best)) MB/s")
        }
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
