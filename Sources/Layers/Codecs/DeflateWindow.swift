/// Which of the 32 KiB before a restart point what follows refers to.
///
/// Most of a window is never referred to, and what is not need not be kept: zeros in its place compress to nothing. What is
/// referred to shows by decoding the first 32 KiB behind the point (what comes later refers to them at the furthest) with
/// windows that do not hold what was there, but say of each byte where it came from.
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

    /// `window` with zeros for what `input`, decoded from `restart` on, does not refer to, and without those at its
    /// beginning.
    mutating func reduced(
        _ window: [UInt8], _ restart: DeflateRestart, followedBy input: [UInt8]
    ) throws(CodecError) -> [UInt8] {
        let count = window.count
        let made = [
            try decode(input, restart, Array(low.prefix(count)), into: 0),
            try decode(input, restart, Array(inverse.prefix(count)), into: 1),
            try decode(input, restart, Array(high.prefix(count)), into: 2),
        ]
        guard made[0] == made[1], made[0] == made[2] else {
            throw CodecError(.corrupt, "the same data decodes to different lengths")
        }
        var used = [UInt8](repeating: 0, count: count)
        var first = count
        for index in 0..<made[0] where outputs[0][index] != outputs[1][index] {
            let place = Int(outputs[2][index]) << 8 | Int(outputs[0][index])
            guard place < count else { throw CodecError(.corrupt, "a reference to before the window") }
            used[place] = window[place]
            first = min(first, place)
        }
        return Array(used[first...])
    }

    private mutating func decode(
        _ input: [UInt8], _ restart: DeflateRestart, _ window: [UInt8], into index: Int
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
