import FoundationEssentials

/// The tags of a repository (OCI distribution-spec 1.1, "Listing Tags").
extension RegistryClient {
    private struct TagPage: Decodable {
        var tags: [String]?
    }

    /// Lists the tags of a repository in the registry's order.
    ///
    /// - Throws: `tooLarge` if there are more than `limit` tags. `notFound` if the registry does not have the
    ///   repository, or does not list tags.
    public func tags(_ repository: Repository, limit: Int) async throws(RegistryError) -> [String] {
        let call = RegistryCall(repository: repository, path: "/tags/list?n=1000")
        let what = "the tags of \(repository)"
        let tags = try await pages(call, capability: .resolve, what: what, limit: limit) { bytes in
            (try? JSONDecoder().decode(TagPage.self, from: Data(bytes))).map { $0.tags ?? [] }
        }
        guard let tags else { throw RegistryError(.notFound, "repository \(repository) not found") }
        return tags
    }
}
