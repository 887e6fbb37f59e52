public import Base
public import Streaming

/// The chunks that one start of an image has read.
public struct ReportedProfile: Sendable {
    /// The image's.
    public let manifest: Digest
    public let file: ProfileFile
}
