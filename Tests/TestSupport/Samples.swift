/// Bytes for tests. The same seed gives the same bytes on every machine.
public enum Samples {
    /// Returns bytes that do not compress.
    public static func noise(bytes count: Int, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            withUnsafeBytes(of: random.next().littleEndian) { bytes.append(contentsOf: $0) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Returns bytes that compress about as well as program text, to a third.
    public static func text(bytes count: Int, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        let words = (0..<400).map { _ in
            (0..<Int.random(in: 2...9, using: &random)).map { _ in UInt8.random(in: 0x61...0x7a, using: &random) }
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 16)
        while bytes.count < count {
            bytes += words[Int.random(in: 0..<words.count, using: &random)]
            bytes.append(random.next() % 9 == 0 ? 0x0a : 0x20)
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}
