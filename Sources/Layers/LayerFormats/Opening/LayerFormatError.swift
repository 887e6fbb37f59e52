public import Base
package import Codecs
import LayerIndex

/// An error while reading a blob or creating a layer index from it.
public typealias LayerFormatError = Failure<LayerFormatErrorCode>

/// The kinds of ``LayerFormatError``.
public enum LayerFormatErrorCode: Hashable, Sendable {
    /// A blob without the footer of the expected format. It is most likely an ordinary layer.
    case otherFormat
    /// A footer that contradicts itself or the blob's size.
    case badFooter
    /// A table of contents, or an index from a streaming artifact, that is invalid or contradicts itself.
    case badTOC
    /// A table of contents whose digest differs from the digest in the layer's annotations.
    case tocDigestMismatch
    /// A table of contents or a piece of data that no trusted digest covers.
    case unverified
    /// A size or a count that exceeds its limit.
    case limit
    /// Work that did not end by its deadline.
    case deadline
    /// Valid data that this module does not support, such as GNU tar's old format for sparse files, or a newer index
    /// version.
    case unsupported
    /// A valid blob with a long zstd frame. A read of a few bytes would have to decode most of that frame. Only a copy
    /// of the layer, recompressed in small frames, can be streamed.
    case undivided
    /// A tar archive or a compressed stream that is invalid or damaged, or a blob with an unexpected digest or size.
    case badArchive
    /// A failed allocation of a decoder. It says nothing about the data.
    case outOfMemory
    /// A mistake of the caller: bytes that were not requested, or calls in the wrong order.
    case badResponse
}

extension LayerFormatError {
    /// Creates the error for an archive that cannot be decoded.
    package init(codec error: CodecError) {
        let code: Code =
            switch error.code {
            case .unsupported: .unsupported
            case .undivided: .undivided
            case .corrupt, .truncated: .badArchive
            case .outOfMemory: .outOfMemory
            }
        self.init(code, error.message, cause: error)
    }

    /// Creates the error for an archive whose entries do not form a valid index.
    init(index error: LayerIndexError, _ path: [UInt8]? = nil) {
        let place = path.map { "\(Self.printable($0)): " } ?? ""
        self.init(Self.code(error) ?? .badArchive, place + error.message, cause: error)
    }

    /// Returns the code for an error that does not depend on the kind of the input; `nil` for any other error.
    static func code(_ error: LayerIndexError) -> Code? {
        switch error.code {
        case .limit: .limit
        case .deadline: .deadline
        default: nil
        }
    }

    /// Returns the first 300 bytes of a path as text for a message.
    static func printable(_ path: [UInt8]) -> String {
        String(decoding: path.prefix(300), as: UTF8.self)
    }
}
