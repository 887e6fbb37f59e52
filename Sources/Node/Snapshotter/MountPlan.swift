import ContainerdAPI
import NodeDatabase
import SwiftProtobuf

/// The mounts that containerd is to perform for a snapshot. Pure.
///
/// The shapes are those of containerd's overlay snapshotter, which its unpacker recognizes by type: it writes into the
/// `upperdir` of an overlay directly, with overlay whiteouts; anything else it mounts and applies the layer to.
struct MountPlan: Equatable, Sendable {
    var kind: SnapshotRecord.Kind
    /// The snapshot's own directories; ignored for a view of another snapshot.
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
