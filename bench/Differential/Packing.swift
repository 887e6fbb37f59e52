import Base
import CZlib
import CZstd
import Lab
import TestSupport

/// The compression of one layer.
enum Packing: String, Sendable, CaseIterable {
    case plain = "uncompressed"
    case gzip = "gzip, one member"
    case gzipMembers = "gzip, many members"
    case zstd = "zstd"
    case zstdFrames = "zstd, many frames"
    case zstdLong = "zstd, long window"

    /// The media type of the layer.
    var mediaType: String {
        switch self {
        case .plain: "application/vnd.oci.image.layer.v1.tar"
        case .gzip, .gzipMembers: "application/vnd.oci.image.layer.v1.tar+gzip"
        case .zstd, .zstdFrames, .zstdLong: "application/vnd.oci.image.layer.v1.tar+zstd"
        }
    }

    /// Returns `archive` in this compression. Levels, sizes of members and windows come from `random`.
    func pack(_ archive: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        switch self {
        case .plain: return archive
        case .gzip: return Compressed.gzip(archive, level: Int32.random(in: 0...9, using: &random))
        case .gzipMembers:
            let level = Int32.random(in: 0...9, using: &random)
            return Self.pieces(archive, &random).flatMap { Compressed.gzip($0, level: level) }
        case .zstd: return Compressed.zstd(archive, level: Self.level(&random))
        case .zstdFrames:
            let level = Self.level(&random)
            return Self.pieces(archive, &random).flatMap { Compressed.zstd($0, level: level) }
        case .zstdLong:
            return Compressed.zstd(
                archive, level: Int32.random(in: 1...6, using: &random),
                windowLog: Int32.random(in: 24...29, using: &random))
        }
    }

    /// Every level counts the same, but the slow ones are only for the small archives of this tool.
    private static func level(_ random: inout SeededGenerator) -> Int32 {
        Int32.random(in: -5...22, using: &random)
    }

    private static func pieces(_ archive: [UInt8], _ random: inout SeededGenerator) -> [[UInt8]] {
        let sizes = [1, 100, 512, 4096, 70_000]
        var (pieces, start): ([[UInt8]], Int) = ([], 0)
        let size = (sizes.randomElement(using: &random) ?? 512) + Int.random(in: 0...2000, using: &random)
        while start < archive.count {
            let end = min(archive.count, start + size)
            pieces.append(Array(archive[start..<end]))
            start = end
        }
        return pieces
    }
}
