public import Base
import FoundationEssentials

/// The referrers of an image: the manifests whose `subject` is the image (OCI distribution-spec 1.1, "Listing
/// Referrers").
///
/// If a registry lacks the referrers API, clients keep the list of referrers in an index, the *fallback index*. Its
/// tag, the *fallback tag*, is derived from the subject's digest.
extension RegistryClient {
    /// The maximum number of attempts to update the fallback index. An attempt fails if another client overwrites the
    /// update.
    private static let maximumTries = 8

    /// Lists the manifests that refer to `subject`. The list may be empty.
    ///
    /// If the registry lacks the referrers API (status 400, 404, 405 or 501), the client uses the fallback index. Until
    /// the registry is known to have the API, the client calls the API and fetches the fallback index at the same time.
    /// That saves a round trip for the pod that waits for the list.
    ///
    /// - Parameter artifactType: the type of artifact to list; `nil` lists all types.
    public func referrers(
        _ repository: Repository, of subject: Digest, artifactType: String? = nil
    ) async throws(RegistryError) -> [Descriptor] {
        // Do not use a child task. Canceling it when its result is not needed would also close its connection.
        let tagged = hasReferrers(repository) ? nil : Task { await self.tagged(repository, subject) }
        let all: [Descriptor]
        if let listed = try await listed(in: repository, of: subject, artifactType: artifactType) {
            noteReferrers(repository)
            all = listed
        } else if let tagged {
            all = try await tagged.value.get()
        } else {
            all = try await self.tagged(repository, subject).get()
        }
        // Filter the list here: a registry may ignore the filter in the request (`OCI-Filters-Applied`), and the
        // fallback index offers no filter.
        return artifactType.map { type in all.filter { $0.artifactType == type } } ?? all
    }

    /// Lists the entries of the fallback index. The list is empty if there is no such index.
    private func tagged(_ repository: Repository, _ subject: Digest) async -> Result<[Descriptor], RegistryError> {
        do throws(RegistryError) {
            guard let bytes = try await fallbackIndex(repository, subject) else { return .success([]) }
            let document = try ManifestDocument(
                bytes: bytes, digest: Digest.of(bytes), contentType: MediaType.ociIndex)
            guard case .index(let index) = document else { return .success([]) }
            return .success(index.manifests)
        } catch {
            return .failure(error)
        }
    }

    /// Pushes a manifest that refers to `subject`. If the registry does not maintain the list of referrers itself, the
    /// client also adds the manifest to the fallback index.
    ///
    /// - Parameter descriptor: the manifest's entry in the list of referrers, with the digest and size of `bytes`.
    public func pushReferrer(
        to repository: Repository, bytes: [UInt8], as descriptor: Descriptor, subject: Digest
    ) async throws(RegistryError) {
        let pushed = try await pushManifest(
            repository, reference: descriptor.digest.description, mediaType: descriptor.mediaType, bytes: bytes)
        guard pushed.subject != subject else { return }
        try await changeFallback(in: repository, of: subject) { index in
            if index.contains(descriptor.digest) { return false }
            index.add(descriptor)
            return true
        }
    }

    /// Deletes a manifest that refers to `subject`. If there is a fallback index, the client also removes the
    /// manifest's entry from the index.
    public func deleteReferrer(
        _ repository: Repository, digest: Digest, subject: Digest
    ) async throws(RegistryError) {
        try await deleteManifest(repository, digest: digest)
        guard try await fallbackIndex(repository, subject) != nil else { return }
        try await changeFallback(in: repository, of: subject) { index in
            guard index.contains(digest) else { return false }
            index.remove(digest)
            return true
        }
    }

    /// Updates the fallback index. Registries have no conditional writes, so another client may overwrite the change.
    /// The method therefore repeats the update until it reads an index that has the change, at most ``maximumTries``
    /// times.
    ///
    /// - Parameter change: changes the index and returns true, or returns false if the index already has the change.
    private func changeFallback(
        in repository: Repository, of subject: Digest, _ change: (inout ReferrersIndex) -> Bool
    ) async throws(RegistryError) {
        for _ in 0..<Self.maximumTries {
            let found = try await fallbackIndex(repository, subject)
            var index =
                try found.map { bytes throws(RegistryError) in try ReferrersIndex(bytes: bytes) }
                ?? ReferrersIndex()
            guard change(&index) else { return }
            _ = try await pushManifest(
                repository, reference: ReferrersIndex.tag(subject), mediaType: MediaType.ociIndex,
                bytes: try index.encoded())
            // Another client that has read the old index may overwrite ours in a moment.
            try await requester.pause(.milliseconds(20) + .milliseconds(50) * configuration.random())
        }
        throw RegistryError(
            .unexpectedStatus,
            "the index of referrers \(repository):\(ReferrersIndex.tag(subject)) keeps changing: try again later")
    }

    /// Fetches the bytes of the fallback index, or returns `nil` if there is none.
    private func fallbackIndex(_ repository: Repository, _ subject: Digest) async throws(RegistryError) -> [UInt8]? {
        do throws(RegistryError) {
            return try await manifestBytes(repository, reference: ReferrersIndex.tag(subject), digest: nil).bytes
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    // MARK: - The API

    /// One page of the list that the referrers API returns. The decoder skips an entry that it cannot decode, such as
    /// an entry with a digest that is not SHA-256. Anybody may push such an entry, and it must not hide the others.
    private struct Page: Decodable {
        struct Entry: Decodable {
            let descriptor: Descriptor?

            init(from decoder: any Decoder) {
                descriptor = try? Descriptor(from: decoder)
            }
        }

        var manifests: [Entry]?
    }

    /// Lists the entries that the referrers API returns, or returns `nil` if the registry lacks the API.
    private func listed(
        in repository: Repository, of subject: Digest, artifactType: String?
    ) async throws(RegistryError) -> [Descriptor]? {
        var path = "/referrers/\(subject)"
        if let artifactType { path += "?artifactType=" + artifactType.percentEncoded }
        let call = RegistryCall(repository: repository, path: path, accept: [MediaType.ociIndex])
        return try await pages(
            call, capability: .referrers, what: "the referrers of \(repository)@\(subject)",
            limit: ManifestDocument.maximumEntries
        ) { bytes in
            (try? JSONDecoder().decode(Page.self, from: Data(bytes)))?.manifests?.compactMap(\.descriptor)
        }
    }
}
