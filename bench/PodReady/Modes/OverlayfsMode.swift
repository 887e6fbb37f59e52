public import Base
public import Lab

/// The mode of an ordinary pull: containerd downloads all layers, unpacks them into overlayfs, and then starts the
/// container.
public struct OverlayfsMode: Mode {
    public let name = "overlayfs"
    public let form = ImageForm.plain

    public init() {}

    public func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter { .overlayfs }

    public func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime? { marks.pulled }
}
