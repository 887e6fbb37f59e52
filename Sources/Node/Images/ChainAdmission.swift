import Base
import Concurrency
import ContainerRuntime
import ContentStore
import LayerFormats
import Logging
import NIOPosix

/// The decision if a container may be created on a chain.
///
/// containerd shares the snapshots of a chain among all images that state the chain's ID, and the author of an image
/// chooses that ID. So the first image with an ID determines the files of all others. A container is therefore created
/// on a chain only in two cases:
///
/// - The chain is verified: its ID follows from the archives of its layers.
/// - All images that claim the chain name just these layers in their manifests. It is then the right chain for each of
///   them.
///
/// In any other case, the layers are verified first, while the caller waits for a bounded time.
struct ChainAdmission: Sendable {
    enum Decision: Sendable {
        case admitted
        /// containerd knows the chain under an ID that does not follow from the chain's layers. The value lists the
        /// images that claim this wrong ID.
        case wrong([ImageClaim])
    }

    /// The time between looks at layers that are being verified.
    private static let pollInterval = Duration.milliseconds(200)

    let register: ChainRegister
    /// The verifier of layers; `nil` if verification is switched off.
    let verifier: LayerVerifier?
    /// The finder of claims; `nil` if containerd's socket is not configured.
    let claims: ImageClaims?
    let formats: LayerFormatRegistry
    /// The maximum time for which a caller waits until layers are verified.
    let patience: Duration
    let clock: any TimeSource
    let logger: Logger

    /// Decides if a container may be created on the chain of `request`.
    ///
    /// - Throws: a ``FallbackReason`` if that cannot be decided now, for example because the layers are not verified in
    ///   time.
    func decide(_ request: AdmissionRequest) async throws(FallbackReason) -> Decision {
        let stack = try await stack(of: request.chain)
        let isRight = Self.isRight(stack, request.chainID)
        if isRight == true { return .admitted }
        guard let claims, let namespace = request.namespace, let top = request.topChainID else {
            return isRight == false ? .wrong([]) : .admitted
        }
        let (images, isComplete): ([ImageClaim], Bool)
        do {
            (images, isComplete) = try await claims.images(claiming: top, namespace: namespace)
        } catch {
            throw FallbackReason(.busy, "containerd does not tell which images claim chain \(top): \(error)")
        }
        if isRight == false { return .wrong(images) }
        if images.isEmpty, isComplete {
            logger.warning(
                "no image in containerd claims the chain of a new container: set containerd.snapshotter to the name in [proxy_plugins.<name>]",
                metadata: ["chain_id": "\(top)", "snapshotter": "\(claims.snapshotter)"])
            return .admitted
        }
        if isComplete, images.allSatisfy({ isNamed(stack, by: $0) }) { return .admitted }
        logger.notice(
            "images claim the same chain with different layers: verifying the layers first",
            metadata: ["chain_id": "\(top)", "images": "\(images.map(\.manifest))"])
        guard let chainID = request.chainID ?? images.first?.chainID(of: stack.count) else { return .wrong(images) }
        return try await isVerified(request.chain, as: chainID) ? .admitted : .wrong(images)
    }

    /// Returns true if the chain has the ID `chainID`. Verifies its layers first, and waits for that.
    func isVerified(_ chain: ChainKey, as chainID: Digest) async throws(FallbackReason) -> Bool {
        guard let verifier else {
            throw FallbackReason(
                .busy, "images claim the chain \(chain) with different layers, and trust.verify_layers is off")
        }
        let end = clock.now.advanced(by: patience)
        while true {
            let stack = try await stack(of: chain)
            if let isRight = Self.isRight(stack, chainID) { return isRight }
            for layer in stack where layer.diffID == nil { verifier.verifyNow(layer.key) }
            guard clock.now < end, (try? await clock.sleep(for: Self.pollInterval)) != nil else {
                throw FallbackReason(
                    .busy,
                    "\(stack.count { $0.diffID != nil }) of \(stack.count) layers are verified so far, try again later")
            }
        }
    }

    /// Returns true if the chain has the ID `chainID`, false if it has another ID or a refused layer, and `nil` if not
    /// all of its layers are verified, or if `chainID` is `nil`.
    private static func isRight(_ stack: [ChainRegister.Layer], _ chainID: Digest?) -> Bool? {
        if stack.contains(where: \.isRefused) { return false }
        guard let chainID else { return nil }
        return ChainRegister.chainID(of: stack).map { $0 == chainID }
    }

    /// Returns the number of layers of a chain.
    func depth(of chain: ChainKey) async throws(FallbackReason) -> Int { try await stack(of: chain).count }

    private func isNamed(_ stack: [ChainRegister.Layer], by image: ImageClaim) -> Bool {
        stack.enumerated().allSatisfy { image.names($1.key, at: $0, verified: $1.diffID, formats) }
    }

    private func stack(of chain: ChainKey) async throws(FallbackReason) -> [ChainRegister.Layer] {
        do {
            return try await register.workers.runIfActive { [register] in try register.layers(of: chain) }
        } catch {
            throw FallbackReason(.storage, "chain \(chain): \(error)")
        }
    }
}
