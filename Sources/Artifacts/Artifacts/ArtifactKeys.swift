public import Base
import Crypto
import FoundationEssentials

/// A parser of files with Ed25519 keys (RFC 8032) in OpenSSL's format: the structures of RFC 8410 as PEM (RFC 7468).
enum KeyFile {
    /// The bytes that precede the 32 bytes of a private key (PKCS #8). The structure has no other fields.
    static let privatePrefix: [UInt8] = [
        0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]
    /// The bytes that precede the 32 bytes of a public key (SubjectPublicKeyInfo). The structure has no other fields.
    static let publicPrefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]

    /// Returns the 32 bytes of each key in `text`, in the order of the file.
    ///
    /// - Parameters:
    ///   - label: the PEM label of the keys, such as `PUBLIC KEY`.
    ///   - prefix: the bytes that precede each key.
    /// - Throws: ``ArtifactError`` if `text` has no such key or a malformed one.
    static func keys(_ text: String, label: String, prefix: [UInt8]) throws(ArtifactError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        var rest = text[...]
        while let begin = rest.firstRange(of: "-----BEGIN \(label)-----") {
            rest = rest[begin.upperBound...]
            guard let end = rest.firstRange(of: "-----END \(label)-----") else {
                throw ArtifactError(.invalid, "a \(label) does not end")
            }
            let encoded = rest[..<end.lowerBound].filter { !$0.isWhitespace }
            rest = rest[end.upperBound...]
            guard let bytes = Data(base64Encoded: String(encoded)).map(Array.init), bytes.starts(with: prefix),
                bytes.count == prefix.count + 32
            else { throw ArtifactError(.invalid, "a \(label) that is not one of Ed25519") }
            keys.append(Array(bytes.dropFirst(prefix.count)))
        }
        guard !keys.isEmpty else { throw ArtifactError(.invalid, "there is no \(label) in it") }
        return keys
    }
}

/// A signer of streaming artifacts.
public struct ArtifactSigner: Sendable {
    private let key: Curve25519.Signing.PrivateKey

    /// Creates a signer with the first private key in `pem`.
    ///
    /// - Parameter pem: the text of a key file, as `openssl genpkey -algorithm ed25519` writes it.
    public init(pem: String) throws(ArtifactError) {
        let bytes = try KeyFile.keys(pem, label: "PRIVATE KEY", prefix: KeyFile.privatePrefix)
        do {
            key = try Curve25519.Signing.PrivateKey(rawRepresentation: bytes[0])
        } catch {
            throw ArtifactError(.invalid, "a private key that cannot be used", cause: error)
        }
    }

    /// Returns `artifact` with a signature, which replaces an earlier one. The signature covers everything in the
    /// artifact's manifest except the signature itself.
    public func sign(_ artifact: StreamingArtifact) throws(ArtifactError) -> StreamingArtifact {
        var signed = artifact
        signed.signature = nil
        let bytes = try signed.encoded()
        do {
            signed.signature = Array(try key.signature(for: Data(bytes)))
        } catch {
            throw ArtifactError(.internal, "an artifact cannot be signed", cause: error)
        }
        return signed
    }
}

/// The public keys of the signers whose streaming artifacts a node trusts.
public struct ArtifactKeys: Sendable {
    private let keys: [Curve25519.Signing.PublicKey]

    /// - Parameter pem: one or more public keys as `openssl pkey -pubout` writes them.
    public init(pem: String) throws(ArtifactError) {
        let all = try KeyFile.keys(pem, label: "PUBLIC KEY", prefix: KeyFile.publicPrefix)
        do {
            keys = try all.map { try Curve25519.Signing.PublicKey(rawRepresentation: $0) }
        } catch {
            throw ArtifactError(.invalid, "a public key that cannot be used", cause: error)
        }
    }

    /// Returns true if one of the keys verifies the signature of `artifact`. Returns false if `artifact` has no
    /// signature, or was changed after it was signed.
    public func haveSigned(_ artifact: StreamingArtifact) -> Bool {
        var bare = artifact
        bare.signature = nil
        guard let signature = artifact.signature, let bytes = try? bare.encoded() else { return false }
        return keys.contains { $0.isValidSignature(Data(signature), for: Data(bytes)) }
    }
}
