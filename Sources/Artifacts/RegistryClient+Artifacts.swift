import Base
import Registry

extension RegistryClient {
    /// So many artifacts are looked at before an image is taken to have none.
    private static var maximumArtifacts: Int { 4 }

    /// The streaming artifact of an image: of several the one with the smallest digest that can be used. They differ at most in
    /// how good they are.
    ///
    /// - Parameters:
    ///   - keys: only what one of them has signed can be used; `nil` for whatever the registry has.
    ///   - refused: told why one cannot be used.
    func artifact(
        _ repository: Repository, of image: Digest, signedBy keys: ArtifactKeys? = nil,
        refused: (ArtifactError) -> Void = { _ in }
    ) async throws(RegistryError) -> (digest: Digest, artifact: StreamingArtifact)? {
        let found = try await referrers(repository, of: image, artifactType: StreamingArtifact.artifactType)
        for descriptor in found.sorted(by: { $0.digest.hex < $1.digest.hex }).prefix(Self.maximumArtifacts) {
            let document = try await manifest(repository, digest: descriptor.digest)
            do throws(ArtifactError) {
                let artifact = try StreamingArtifact(document, subject: image)
                guard keys?.haveSigned(artifact) != false else {
                    throw ArtifactError(
                        .untrusted, "artifact \(descriptor.digest) is not signed by a key of [trust] artifact_keys")
                }
                return (descriptor.digest, artifact)
            } catch {
                refused(error)
            }
        }
        return nil
    }
}
