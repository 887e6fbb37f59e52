import ContainerRuntime
public import Lab

/// The mode with a local image, which containerd has unpacked into overlayfs. Only the page cache is cold.
///
/// No other way of getting an image to a node can start it sooner.
public struct LocalMode: Mode {
    public let name = "local"
    public let form = ImageForm.plain

    public init() {}

    public func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter { .overlayfs }

    public func prepare(_ setting: Setting) async throws {
        _ = try await setting.node.client.pull(setting.image.recipe.reference(form), seconds: Int64(setting.seconds))
    }
}
