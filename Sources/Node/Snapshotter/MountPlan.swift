import ContainerdAPI
import NodeDatabase
import SwiftProtobuf

/// The mounts that containerd performs for a snapshot.
///
/// The mounts have the same form as those of containerd's overlay snapshotter, because containerd's unpacker depends on
/// the type of the mount. If the type is `overlay`, the unpacker mounts nothing and writes directly into `upperdir`,
/// with overlay whiteouts. For any other type, the unpacker performs the mount and unpacks the layer into the mounted
/// directory.
struct MountPlan: Equatable, Sendable {
    var kind: SnapshotRecord.Kind
    /// The snapshot's own directory of files. A view with lower directories does not use it.
    var upper: String
    var work: String
    /// The lower directories, top first.
    var lowers: [String]
    /// The options to add to every overlay mount, from ``KernelOverlay/mountOptions()``.
    var overlayOptions: [String] = []

    var mounts: [Containerd_Types_Mount] {
        switch (kind, lowers.count) {
        case (.active, 0): [bind(upper, "rw")]
        case (.active, _):
            [overlay(["workdir=" + work, "upperdir=" + upper, "lowerdir=" + lowers.joined(separator: ":")])]
        case (_, 0): [bind(upper, "ro")]
        // The kernel refuses an overlay of a single lower directory.
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
