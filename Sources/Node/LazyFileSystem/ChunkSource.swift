public import ContentStore

/// Brings missing chunks: the transfer engine, or a fake in tests.
public protocol ChunkSource: AnyObject, Sendable {
    /// Asks for `chunks` of `layer` because a reader is blocked on them; those that are already present cost nothing.
    ///
    /// `completion` runs exactly once, on any thread, possibly before this returns. It may copy a mebibyte and make a
    /// system call, but it never waits.
    func demand(
        _ layer: StoredLayer, chunks: Range<Int>, completion: @escaping @Sendable (ChunkOutcome) -> Void
    ) -> DemandID

    /// The reader of `demand` went away. Its completion then runs with ``ChunkOutcome/cancelled`` if it has not run yet;
    /// a demand that has ended is ignored.
    func cancel(_ demand: DemandID)

    /// A reader was served `chunks` of `layer` from the store: how sequential reading is detected. Called when the
    /// chunks differ from those that the same reader had before, not for each read. Must be quick and must not wait.
    func noteRead(_ layer: StoredLayer, chunks: Range<Int>)
}
