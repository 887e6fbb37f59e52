/// The parts that perform the actions of an ``ImageOpening``.
struct OpeningParts: Sendable {
    let documents: ImageDocuments
    let artifacts: ArtifactLookup
    let layers: LayerFetcher
    let profiles: KnownProfiles
    let streaming: LayerStreaming
}
