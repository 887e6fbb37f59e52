public import Base
public import Lab

/// The mode of stargz-snapshotter on an image that `ctr-remote images optimize` has optimized.
public struct StargzOptimisedMode: Mode {
    public let name = "stargz-optimised"
    public let form = ImageForm.estargzOptimised

    public init() {}

    public func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter {
        try StargzMode().snapshotter(programs)
    }

    public func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime? {
        try await StargzMode.complete(setting)
    }
}
