import Artifacts
import Base

/// The streaming artifact of one image: looked for when the first layer needs it, once for all of them.
final class ImageArtifact: Sendable {
    private let looking = Guarded<Task<StreamingArtifact?, Never>?>(nil)
    private let find: @Sendable () async -> StreamingArtifact?

    init(_ find: @escaping @Sendable () async -> StreamingArtifact?) {
        self.find = find
    }

    /// What it has for the layer whose blob is `digest`; `nil` when that is nothing, or there is no artifact.
    func layer(_ digest: Digest) async -> StreamingArtifact.Layer? {
        await value?.layer(digest)
    }

    /// All of it; `nil` when there is none.
    var value: StreamingArtifact? {
        get async { await look().value }
    }

    private func look() -> Task<StreamingArtifact?, Never> {
        looking.withLock { looking in
            if let looking { return looking }
            let task = Task { [find] in await find() }
            looking = task
            return task
        }
    }

    /// Whether one was needed, and is there.
    var isFound: Bool {
        get async { await looking.withLock { $0 }?.value != nil }
    }
}
