public import Base
public import Lab

/// The mode of Rivulet on a node that has run the image before and has all of it.
///
/// The daemon and the content store are kept, but the page cache is cold.
public struct RivuletWarmMode: Mode {
    public let name = "rivulet-warm"
    public let form = ImageForm.estargz

    public init() {}

    public func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter { .rivulet(options: "") }

    public func prepare(_ setting: Setting) async throws {
        try await setting.runPod()
        guard try await RivuletMode.complete(setting) != nil else {
            throw LabError(.timedOut, "the image did not become local within \(setting.seconds) s")
        }
    }
}
