import Base

/// A search for the needed bytes of a restart point's window. The window is the last 32 KiB of decoded data before the
/// point. A byte is needed if the data after the point refers to it.
///
/// Usually only a small part of the window is needed. The search replaces the other bytes with zeros, which compress to
/// almost nothing.
///
/// A back-reference spans at most 32 KiB, so only the first 32 KiB of data after the point can refer to the window. The
/// search decodes this data three times, each time with a different substitute in place of the window. The bytes of a
/// substitute encode their own positions in the window:
///
/// - `low`: the low byte of the position.
/// - `inverse`: the complement of `low`.
/// - `high`: the high byte of the position.
///
/// A decoded byte was copied from the window if the outputs with `low` and `inverse` differ at that place. The outputs
/// with `low` and `high` then give the position in the window from which the byte was copied.
struct DeflateWindow {
    private let decoder = ExtentDecoder()
    private var low = [UInt8](repeating: 0, count: DeflateRestart.windowSize)
    private var inverse = [UInt8](repeating: 0, count: DeflateRestart.windowSize)
    private var high = [UInt8](repeating: 0, count: DeflateRestart.windowSize)
    private var outputs = [[UInt8]](repeating: [UInt8](repeating: 0, count: DeflateRestart.windowSize), count: 3)

    init() {
        for place in 0..<DeflateRestart.windowSize {
            low[place] = UInt8(truncatingIfNeeded: place)
            inverse[place] = ~low[place]
            high[place] = UInt8(truncatingIfNeeded: place >> 8)
        }
    }

    /// Returns `window` with zeros in place of the bytes to which the data after the restart point does not refer.
    /// Leaves out such bytes at the start of the window.
    ///
    /// - Parameter input: the compressed bytes from the restart point on. They must decode to at least 32 KiB, or to
    ///   the end of the stream.
    mutating func reduced(
        _ window: [UInt8], at restart: DeflateRestart, followedBy input: [UInt8]
    ) throws(CodecError) -> [UInt8] {
        let count = window.count
        let made = [
            try decode(input, at: restart, window: Array(low.prefix(count)), into: 0),
            try decode(input, at: restart, window: Array(inverse.prefix(count)), into: 1),
            try decode(input, at: restart, window: Array(high.prefix(count)), into: 2),
        ]
        guard made[0] == made[1], made[0] == made[2] else {
            throw CodecError(.corrupt, "the same data decoded to different lengths")
        }
        var used = [UInt8](repeating: 0, count: count)
        var first = count
        for index in 0..<made[0] where outputs[0][index] != outputs[1][index] {
            let place = Int(outputs[2][index]) << 8 | Int(outputs[0][index])
            guard place < count else { throw CodecError(.corrupt, "a reference before the window") }
            used[place] = window[place]
            first = min(first, place)
        }
        return Array(used[first...])
    }

    private mutating func decode(
        _ input: [UInt8], at restart: DeflateRestart, window: [UInt8], into index: Int
    ) throws(CodecError) -> Int {
        var output = outputs[index]
        outputs[index] = []
        defer { outputs[index] = output }
        decoder.reset(restart, window: window)
        return try output.withUnsafeMutableBufferPointer { (output) throws(CodecError) -> Int in
            try input.withUnsafeBufferPointer { (input) throws(CodecError) -> Int in
                var (consumed, produced) = (0, 0)
                while produced < output.count {
                    let step = try decoder.decode(
                        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(input)[consumed...]),
                        into: UnsafeMutableRawBufferPointer(
                            rebasing: UnsafeMutableRawBufferPointer(output)[produced...]))
                    consumed += step.consumed
                    produced += step.produced
                    if step.finished || step.consumed == 0 && step.produced == 0 { break }
                }
                return produced
            }
        }
    }
}
