import Base
import Lab

/// Who unpacks the image.
enum DemoMode: String, CaseIterable {
    /// containerd's own pull.
    case overlayfs
    case stargz
    case rivulet

    /// Which form of the image it pulls.
    var form: ImageForm {
        switch self {
        case .overlayfs: .plain
        case .stargz, .rivulet: .estargz
        }
    }
}

/// What one start of the pod gave. Times in seconds from asking for the pod, or of one call.
struct DemoSample {
    var sandbox: Double
    var pull: Double
    var create: Double
    var start: Double
    /// From asking for the pod to the line `ready`.
    var ready: Double
    /// What the node had received by then, and asked for.
    var bytes: UInt64
    var requests: Int
    /// When the pod was asked for.
    var began: MonotonicTime
    var record: RelayRecord
    var daemon: ProcessUsage?
}
