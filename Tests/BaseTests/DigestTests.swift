import Base
import Foundation
import Testing

struct DigestTests {
    private let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    @Test("hashes empty input") func hashesEmptyInput() {
        #expect(Digest.of([]).description == empty)
        #expect(Digest(empty) == Digest.of([]))
    }

    @Test("hashes input in pieces") func hashesInputInPieces() {
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
        var hasher = DigestHasher()
        for start in stride(from: 0, to: bytes.count, by: 777) {
            bytes[start..<min(start + 777, bytes.count)].withUnsafeBytes { hasher.update($0) }
        }
        #expect(hasher.finish() == Digest.of(bytes))
    }

    @Test(
        "rejects malformed digests",
        arguments: [
            "", "sha256:", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555",
            "sha256:g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ])
    func rejectsMalformedDigests(_ text: String) {
        #expect(Digest(text) == nil)
    }

    @Test("sorts like its text") func sortsLikeItsText() throws {
        var digests = (0..<50).map { Digest.of([UInt8($0)]) }
        digests.sort()
        #expect(digests.map(\.description) == digests.map(\.description).sorted())
    }

    @Test("encodes and decodes as JSON") func encodesAndDecodesAsJSON() throws {
        let coded = try JSONEncoder().encode([Digest.of([1])])
        #expect(try JSONDecoder().decode([Digest].self, from: coded) == [Digest.of([1])])
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([Digest].self, from: Data("[\"sha256:00\"]".utf8))
        }
    }
}
