public import Base
import Codecs
import LayerIndex

/// Why no layer index could be made from a blob.
public typealias LayerFormatError = Failure<LayerFormatErrorCode>

/// The kinds of ``LayerFormatError``.
public enum LayerFormatErrorCode: Hashable, Sendable {
    /// The blob is not of the format that was announced: an ordinary layer, most likely.
    case otherFormat
    /// The footer contradicts itself or the blob's size.
    case badFooter
    /// The table of contents is not what the format asks for, or contradicts itself.
    case badTOC
    /// The table of contents is not the one that the manifest names.
    case tocDigestMismatch
    /// Nothing trusted vouches for the table of contents, or for a piece of data.
    case unverified
    /// Larger than what is allowed.
    case limit
    /// Valid, but it cannot be represented: a name whose bytes the producer has lost.
    case unsupported
    /// Valid, but in one piece that is too large to be decoded for a part of it: it can be streamed from a copy
    /// only.
    case undivided
    /// The archive is not a tar archive, or damaged, or its compression is.
    case badArchive
    /// The bytes are not those that were requested, or the calls came out of order.
    case badResponse
}

extension LayerFormatError {
    /// Why an archive could not be decoded.
    init(codec error: CodecError) {
        let code: Code =
            switch error.code {
            case .unsupported: .unsupported
            case .undivided: .undivided
            case .corrupt, .truncated, .outOfMemory: .badArchive
            }
        self.init(code, error.message, cause: error)
    }

    /// Why an archive's entries make no index.
    init(index error: LayerIndexError, _ path: [UInt8]? = nil) {
        let place = path.map { "\(Self.printable($0)): " } ?? ""
        self.init(error.code == .limit ? .limit : .badArchive, place + error.message, cause: error)
    }

    /// Returns a path as a message shows it.
    static func printable(_ path: [UInt8]) -> String {
        String(decoding: path.prefix(300), as: UTF8.self)
    }
}
