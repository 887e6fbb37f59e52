import Artifacts
import Base
import Registry
import Testing

@Suite struct ArtifactFormatTests {
    private static let privateKey = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
        -----END PRIVATE KEY-----
        """

    @Test(
        "ignores malformed contents",
        arguments: [
            "", " ", "x", "+", "/", "00+1", "\(Digest.of([1]).hex)+", "\(Digest.of([1]).hex)+-1",
            "\(Digest.of([1]).hex)/\(Digest.of([2]).hex)/", "\(Digest.of([1]).hex)+1 \(Digest.of([1]).hex)+1",
            String(repeating: "\(Digest.of([1]).hex)/\(Digest.of([2]).hex) ", count: 40),
        ])
    func ignoresMalformedContents(_ text: String) {
        #expect(ArtifactContents(text: text) == nil, "\(text)")
    }

    @Test("rejects a wrong index in the manifest") func rejectsWrongIndexInManifest() throws {
        let subject = Descriptor(mediaType: MediaType.ociManifest, digest: Digest.of([9]), size: 1)
        let index: [UInt8] = [1, 2, 3]
        let layer = StreamingArtifact.Layer(
            blob: Digest.of([1]), diffID: Digest.of([2]),
            index: Descriptor(
                mediaType: "application/vnd.rivulet.layer-index.v1", digest: Digest.of(index),
                size: UInt64(index.count)), indexBytes: index)
        let artifact = StreamingArtifact(subject: subject, layers: [layer])
        let text = String(decoding: try artifact.encoded(), as: UTF8.self)
        for (data, isGood) in [("AQID", true), ("AQIE", false), ("!", false), ("", false)] {
            let bytes = Array(text.replacing("\"AQID\"", with: "\"\(data)\"").utf8)
            let document = try ManifestDocument(
                bytes: bytes, digest: Digest.of(bytes), contentType: MediaType.ociManifest)
            guard case .image(let manifest) = document else { throw ArtifactError(.invalid, "an index") }
            let read = try? StreamingArtifact(manifest, subject: subject.digest)
            #expect((read == artifact) == isGood, "\(data)")
        }
    }

    @Test(
        "rejects malformed keys",
        arguments: ["", "text", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", privateKey])
    func rejectsMalformedKeys(_ text: String) {
        #expect(throws: ArtifactError.self) { try ArtifactKeys(pem: text) }
        if text != Self.privateKey { #expect(throws: ArtifactError.self) { try ArtifactSigner(pem: text) } }
    }
}
