public import Base
public import Lab

/// A way to run an image. To add a mode, add a file in `Modes` and a line in ``Modes``.
///
/// A sample has these steps. A node starts with ``snapshotter(_:)``. ``prepare(_:)`` runs on an unshaped link. Then the
/// page cache is dropped, every connection is closed, and the link is shaped. The clock starts, ``lead(_:)`` runs, and
/// then the pod.
public protocol Mode: Sendable {
    /// The mode's name on the command line and in the results.
    var name: String { get }
    /// The form of the image that the node pulls.
    var form: ImageForm { get }
    /// Returns the snapshotter of the mode's node.
    func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter
    /// Prepares the node before the clock starts. A cold mode does nothing here.
    ///
    /// This may start other nodes and transfer their results to this node.
    func prepare(_ setting: Setting) async throws
    /// Runs after the clock starts and before the pod is requested.
    func lead(_ setting: Setting) async throws
    /// Waits until every byte of the image is local, and returns that time; `nil` if it cannot be determined.
    func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime?
}

extension Mode {
    public func prepare(_ setting: Setting) async throws {}
    public func lead(_ setting: Setting) async throws {}
    public func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime? { nil }
}

/// The paths of external programs that have no fixed path.
public struct Programs: Sendable {
    /// The path of stargz-snapshotter's daemon, built by `bench/peers/stargz`; `nil` if it is not available.
    public var stargz: String?

    public init(stargz: String? = nil) {
        self.stargz = stargz
    }
}

/// The environment in which a mode runs: one node, one image, one link.
public struct Setting: Sendable {
    public let lab: Lab
    public let node: Node
    public let image: ServedImage
    public let form: ImageForm
    public let link: Link
    /// The application's reads until it is ready; `nil` if they are not known.
    public let needs: Needs?
    /// The time limit for each step, in seconds.
    public let seconds: UInt64

    /// Runs a pod of the image until it is ready, and removes it. Returns the seconds until ready.
    @discardableResult
    public func runPod() async throws -> Double {
        let pod = try await startPod()
        let ready = try await pod.waitUntilReady(image.recipe.probe, seconds: seconds)
        try await pod.remove()
        return Double(ready.since(pod.marks.asked)) / 1e9
    }

    /// Polls until `isThere` returns true, and returns that time; `nil` after the time limit.
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
