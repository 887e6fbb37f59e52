public import Base
public import Lab

/// stargz-snapshotter on an image optimized by `ctr-remote images optimize`.
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
