import Base
public import ContainerdAPI
import Linux

/// A mount that a snapshotter described.
public struct SnapshotMount: Sendable {
    public let target: String
    /// The read-only directories below, top first.
    public let lowers: [String]
    /// True if the overlay gives all files one device number although the layers are on several file systems.
    public let hasOneDevice: Bool

    /// Mounts the first of `mounts` at `target`.
    public init(_ mounts: [Containerd_Types_Mount], at target: String) throws {
        guard let mount = mounts.first, mounts.count == 1, mount.type == "overlay" else {
            throw LabError(.failed, "unexpected mounts of a snapshot: \(mounts)")
        }
        self.target = target
        hasOneDevice = mount.options.contains("xino=on")
        lowers = mount.options.filter { $0.hasPrefix("lowerdir=") }
            .flatMap { $0.dropFirst("lowerdir=".count).split(separator: ":").map(String.init) }
        try Files.makeDirectory(target)
        try Sys.mount("overlay", on: target, type: "overlay", options: mount.options.joined(separator: ","))
    }

    /// True if everything below comes from one FUSE mount: Rivulet streams the whole image.
    public var isStreamed: Bool {
        lowers.count == 1 && lowers.allSatisfy { (try? Sys.statfs($0).kind) == .fuse }
    }

    public func unmount() {
        try? Sys.unmount(target, [.noFollow, .detach])
        try? Sys.removeDirectory(target)
    }
}
