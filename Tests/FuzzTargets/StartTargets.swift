import Base
import Streaming

extension FuzzTarget {
    /// The tables of a startup pack: frames and pieces of an opened pack are contiguous and complete.
    static let startupPack = FuzzTarget("FuzzStartupPack") { input in
        let tables = FuzzSupport.bytes(input, damaging: samplePack)
        guard let end = try? StartupPack.tableEnd(Array(tables.prefix(StartupPack.headSize))) else { return }
        precondition(end >= StartupPack.headSize && end < 1 << 30)
        // A pack is accepted only if its size matches its frames, so the target tries the likely sizes.
        guard end <= tables.count else { return }
        for size in [UInt64(tables.count), UInt64(samplePack.count)] {
            guard let pack = try? StartupPack(tables: Array(tables[..<end]), size: size) else { continue }
            var (offset, piece) = (UInt64(end), 0)
            for frame in pack.frames {
                precondition(frame.range.offset == offset && frame.pieces.lowerBound == piece && !frame.pieces.isEmpty)
                precondition(pack.pieces[frame.pieces].reduce(0) { $0 + $1.length } == frame.decodedLength)
                (offset, piece) = (frame.range.end, frame.pieces.upperBound)
            }
            precondition(offset == size && piece == pack.pieces.count)
            precondition(pack.pieces.allSatisfy { pack.layers.indices.contains($0.layer) })
        }
    }

    private static let samplePack = StartupPack.encode(
        layers: [.of([1]), .of([2])],
        pieces: [
            StartupPack.Piece(layer: 0, chunk: 3, length: 100), StartupPack.Piece(layer: 1, chunk: 0, length: 28),
            StartupPack.Piece(layer: 0, chunk: 4, length: 5),
        ],
        frames: [
            (bytes: [UInt8](repeating: 1, count: 40), decodedLength: 128, pieces: 2),
            (bytes: [UInt8](repeating: 2, count: 9), decodedLength: 5, pieces: 1),
        ])

    /// A profile file: an accepted one survives a round trip.
    static let profileFile = FuzzTarget("FuzzProfileFile") { input in
        guard let file = try? ProfileFile(bytes: Array(input)) else { return }
        guard let bytes = try? file.encoded() else { preconditionFailure("an accepted profile that cannot be written") }
        precondition((try? ProfileFile(bytes: bytes)) == file)
        _ = file.profile.merged(with: file.profile)
        _ = file.profile.byteCount
    }
}
