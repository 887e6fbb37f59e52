import ContainerdAPI
import NodeDatabase
import SwiftProtobuf

/// The mounts that containerd is told to make: pure, from what lies where.
///
/// Shapes are those of containerd's own overlay snapshotter, which its unpacker knows by their type: into an overlay it
/// writes directly through `upperdir`, making overlay whiteouts; anything else it mounts and applies the layer to.
struct MountPlan: Equatable, Sendable {
    var kind: SnapshotRecord.Kind
    /// The snapshot's own directories; ignored for a view of something.
    var upper: String
    var work: String
    /// Directories below, top first.
    var lowers: [String]
    /// Options for every overlay, as the kernel needs them.
    var overlayOptions: [String] = []

    var mounts: [Containerd_Types_Mount] {
        switch (kind, lowers.count) {
        case (.active, 0): [bind(upper, "rw")]
        case (.active, _):
            [overlay(["workdir=" + work, "upperdir=" + upper, "lowerdir=" + lowers.joined(separator: ":")])]
        case (_, 0): [bind(upper, "ro")]
        // An overlay of one lower directory alone is an error to the kernel.
        case (_, 1): [bind(lowers[0], "ro")]
        case (_, _): [overlay(["lowerdir=" + lowers.joined(separator: ":")])]
        }
    }

    private func bind(_ source: String, _ access: String) -> Containerd_Types_Mount {
        .with {
            $0.type = "bind"
            $0.source = source
            $0.options = [access, "rbind"]
        }
    }

    private func overlay(_ options: [String]) -> Containerd_Types_Mount {
        .with {
            $0.type = "overlay"
            $0.source = "overlay"
            $0.options = overlayOptions + options
        }
    }
}
