public import Base
public import Streaming

/// A report of what one container start of an image read.
public struct ReportedProfile: Sendable {
    /// The digest of the image's manifest.
    public let manifest: Digest
    public let file: ProfileFile
}
