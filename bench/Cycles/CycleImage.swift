import Base
import Lab
import TestSupport

/// An image of one cycle: its name, and what a container of it must see.
struct CycleImage: Sendable {
    /// The part of an image that the snapshotter streams.
    enum Streaming: Sendable {
        case whole, part, none
    }

    let reference: String
    let repository: String
    let streaming: Streaming
    /// The files to read with their content; `nil` for a path that must not exist.
    let files: [String: [UInt8]?]
}

/// The kinds of images. Their order is that of the cycles.
enum CycleKind: String, Sendable, CaseIterable {
    case estargz = "eStargz"
    case artifact
    case zstdChunked = "zstd:chunked"
    /// An artifact with a startup pack that its creator predicted.
    case pack
    /// eStargz below, an ordinary layer on top.
    case partial = "partly streamable"
    case plain
    /// An ordinary layer below eStargz: the top layer is opened, but cannot be streamed.
    case unused = "eStargz on an ordinary layer"
    /// Two eStargz images with two layers in common, in two repositories.
    case together = "shared layers"
    /// eStargz whose top layer is not what its manifest says, so that containerd pulls it.
    case damaged
}
