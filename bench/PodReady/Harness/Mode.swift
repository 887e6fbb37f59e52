public import Base
public import Lab

/// One way to run an image. To add one: a file in `Modes`, and its line in ``Modes``.
///
/// A sample goes so: a node is started with ``snapshotter(_:)``; ``prepare(_:)`` runs on an unshaped link; the page cache is
/// dropped, every connection closed and the link shaped; the clock starts; ``lead(_:)`` runs, and then the pod.
public protocol Mode: Sendable {
    /// As on the command line and in the results.
    var name: String { get }
    /// Which form of the image it pulls.
    var form: ImageForm { get }
    /// What unpacks images on its node.
    func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter
    /// What is to have happened before the clock starts; nothing for a mode that starts cold. Further nodes may be
    /// started here, and what they give be carried to this one.
    func prepare(_ setting: Setting) async throws
    /// What the time counts before the pod is asked for.
    func lead(_ setting: Setting) async throws
    /// Waits until every byte of the image is local and gives the moment; `nil` where that cannot be told.
    func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime?
}

extension Mode {
    public func prepare(_ setting: Setting) async throws {}
    public func lead(_ setting: Setting) async throws {}
    public func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime? { nil }
}

/// Programs that are not ours and lie nowhere in particular.
public struct Programs: Sendable {
    /// stargz-snapshotter's daemon, as `bench/peers/stargz` builds it.
    public var stargz: String?

    public init(stargz: String? = nil) {
        self.stargz = stargz
    }
}

/// Where a mode runs: one node, one image, one link.
public struct Setting: Sendable {
    public let lab: Lab
    public let node: Node
    public let image: ServedImage
    public let form: ImageForm
    public let link: Link
    /// What the application reads until it is ready, where that is known.
    public let needs: Needs?
    /// How long anything may take.
    public let seconds: UInt64

    /// Runs a pod of the image until it is ready, and removes it again.
    @discardableResult
    public func runPod() async throws -> Double {
        let pod = try await startPod()
        let ready = try await pod.waitUntilReady(image.recipe.probe, seconds: seconds)
        try await pod.remove()
        return Double(ready.since(pod.marks.asked)) / 1e9
    }

    /// Looks until `isThere` or everything has taken as long as it may, and gives the moment; `nil` for the latter.
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
