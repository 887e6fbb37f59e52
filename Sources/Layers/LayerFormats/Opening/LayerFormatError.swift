public import Base
import Codecs
import LayerIndex

/// An error while creating a layer index from a blob.
public typealias LayerFormatError = Failure<LayerFormatErrorCode>

/// The kinds of ``LayerFormatError``.
public enum LayerFormatErrorCode: Hashable, Sendable {
    /// The blob does not have the announced format. It is most likely an ordinary layer.
    case otherFormat
    /// The footer contradicts itself or the blob's size.
    case badFooter
    /// The table of contents violates its format or contradicts itself.
    case badTOC
    /// The table of contents does not have the digest that the manifest names.
    case tocDigestMismatch
    /// No trusted digest covers the table of contents or a piece of data.
    case unverified
    /// A size or a count is over its limit.
    case limit
    /// Valid data that an index cannot represent, such as a name whose bytes the producer has lost.
    case unsupported
    /// Valid data in one compressed piece that is too large to decode for a part of it. Only a copy can be streamed.
    case undivided
    /// The tar archive or its compression is invalid or damaged.
    case badArchive
    /// The caller passed bytes that were not requested, or called the opener out of order.
    case badResponse
}

extension LayerFormatError {
    /// Creates the error for an archive that cannot be decoded.
    init(codec error: CodecError) {
        let code: Code =
            switch error.code {
            case .unsupported: .unsupported
            case .undivided: .undivided
            case .corrupt, .truncated, .outOfMemory: .badArchive
            }
        self.init(code, error.message, cause: error)
    }

    /// Creates the error for an archive whose entries do not form a valid index.
    init(index error: LayerIndexError, _ path: [UInt8]? = nil) {
        let place = path.map { "\(Self.printable($0)): " } ?? ""
        self.init(error.code == .limit ? .limit : .badArchive, place + error.message, cause: error)
    }

    /// Returns the first 300 bytes of a path as text for a message.
    static func printable(_ path: [UInt8]) -> String {
        String(decoding: path.prefix(300), as: UTF8.self)
    }
}
