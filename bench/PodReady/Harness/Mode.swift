public import Base
public import Lab

/// A way to run an image. To add one, add a file in `Modes` and a line in ``Modes``.
///
/// The steps of a sample: a node starts with ``snapshotter(_:)``; ``prepare(_:)`` runs on an unshaped link; the page
/// cache is dropped, every connection closed and the link shaped; the clock starts; ``lead(_:)`` runs, and then the
/// pod.
public protocol Mode: Sendable {
    /// The name on the command line and in the results.
    var name: String { get }
    /// The form of the image that it pulls.
    var form: ImageForm { get }
    /// Returns the snapshotter of its node.
    func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter
    /// Runs before the clock starts; nothing for a cold mode. It may start further nodes and transfer their results to
    /// this one.
    func prepare(_ setting: Setting) async throws
    /// Runs after the clock starts and before the pod is requested.
    func lead(_ setting: Setting) async throws
    /// Waits until every byte of the image is local and returns the moment, or `nil` if it cannot be determined.
    func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime?
}

extension Mode {
    public func prepare(_ setting: Setting) async throws {}
    public func lead(_ setting: Setting) async throws {}
    public func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime? { nil }
}

/// External programs without a fixed path.
public struct Programs: Sendable {
    /// stargz-snapshotter's daemon, built by `bench/peers/stargz`.
    public var stargz: String?

    public init(stargz: String? = nil) {
        self.stargz = stargz
    }
}

/// The environment of a mode: one node, one image, one link.
public struct Setting: Sendable {
    public let lab: Lab
    public let node: Node
    public let image: ServedImage
    public let form: ImageForm
    public let link: Link
    /// The application's reads until it is ready, if known.
    public let needs: Needs?
    /// The time limit for each step, in seconds.
    public let seconds: UInt64

    /// Runs a pod of the image until it is ready, and removes it.
    @discardableResult
    public func runPod() async throws -> Double {
        let pod = try await startPod()
        let ready = try await pod.waitUntilReady(image.recipe.probe, seconds: seconds)
        try await pod.remove()
        return Double(ready.since(pod.marks.asked)) / 1e9
    }

    /// Polls until `isThere` or the time limit. Returns the moment, or `nil` after the limit.
    func moment(when isThere: () async throws -> Bool) async throws -> MonotonicTime? {
        let deadline = MonotonicTime.now().advanced(by: seconds * 1_000_000_000)
        while MonotonicTime.now() < deadline {
            if try await isThere() { return .now() }
            try await Task.sleep(for: .milliseconds(50))
        }
        return nil
    }

    func startPod(progress: @Sendable (String) -> Void = { _ in }) async throws(LabError) -> Pod {
        try await Pod(
            .init(name: lab.nextPodName(), image: image.recipe.reference(form)), in: lab, client: node.client,
            pullSeconds: Int64(seconds), progress: progress)
    }
}
