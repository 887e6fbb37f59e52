import Base

/// The counts of what the verification of layers found.
struct VerificationCounters: Sendable {
    let verified = Counter()
    let refused = Counter()
    let failed = Counter()
    let undecidable = Counter()
    let wrongChains = Counter()

    /// Returns the counts as metrics.
    ///
    /// - Parameter unverified: the number of layers in use that are not verified.
    func metrics(unverified: Int) -> [MetricFamily] {
        [
            .counter(
                "verified_layers_total", verified.value, help: "Layers whose archive has the files of their index."),
            .counter(
                "refused_layers_total", refused.value,
                help: "Layers whose archive has other files. Containers that run from them must be stopped."),
            .counter(
                "failed_verifications_total", failed.value,
                help: "Attempts to verify a layer that a registry or the disk made impossible."),
            .counter(
                "undecidable_layers_total", undecidable.value,
                help: "Layers whose archive the verification does not support. They stay unverified."),
            .counter(
                "wrong_chains_total", wrongChains.value,
                help: "Snapshots under the chain ID of other layers. Their containers must be stopped."),
            .gauge("unverified_layers", unverified, help: "Layers in use that are not verified."),
        ]
    }
}
