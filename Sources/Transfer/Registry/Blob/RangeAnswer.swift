package import Base

/// The body of a response to a blob request, as the head of the response describes it.
package enum RangeAnswer: Equatable {
    /// A range of the blob. `size` is the size of the blob; `nil` if the server did not send it.
    case bytes(ByteRange, size: UInt64?)
    /// A multipart/byteranges body, in which each part names its range.
    case multipart(boundary: String)
    /// The whole blob, although the client may have requested a range. `size` is `nil` if the server did not send it.
    case whole(size: UInt64?)
    /// Status 416, with the blob's size if the server sent it.
    case unsatisfiable(size: UInt64?)

    /// Parses the head of a response with status 200, 206 or 416.
    ///
    /// The initializer accepts these deviations of real servers:
    ///
    /// - a 206 without Content-Type (zot);
    /// - a response without Content-Length (front ends with chunked encoding);
    /// - a 206 in response to a request for the whole blob;
    /// - a range that ends before the requested range does.
    ///
    /// - Parameters:
    ///   - asked: the requested bytes.
    ///   - header: returns the first value of the header with the given lower-case name, or `nil` if the response lacks
    ///     the header.
    /// - Throws: `malformedAnswer` if a 206 that is not multipart lacks a valid Content-Range, or if its Content-Range
    ///   does not match `asked`.
    package init(status: Int, asked: BlobSelection, header: (String) -> String?) throws(RegistryError) {
        switch status {
        case 200:
            self = .whole(size: header("content-length").flatMap { UInt64($0) })
        case 416:
            // The registry zot (in 2023) answers 416 to kinds of ranges that it does not support. The size helps with
            // the next request.
            self = .unsatisfiable(size: header("content-range").flatMap { ContentRange($0)?.size })
        default:
            if let type = header("content-type"), let boundary = Self.boundary(type) {
                // A cache may send a multipart body even for a single range, such as a response that it stored for
                // another client.
                self = .multipart(boundary: boundary)
                return
            }
            guard let text = header("content-range"), let content = ContentRange(text),
                let range = content.range
            else {
                throw RegistryError(.malformedAnswer, "206 without a usable Content-Range", status: status)
            }
            try Self.check(range, size: content.size, asked: asked)
            self = .bytes(range, size: content.size)
        }
    }

    /// Checks that `range`, from a Content-Range header, is the requested range or the beginning of it.
    ///
    /// - Parameter size: the blob's size from the same header; `nil` if the header does not state it.
    /// - Throws: `malformedAnswer` if `range` is another range.
    static func check(_ range: ByteRange, size: UInt64?, asked: BlobSelection) throws(RegistryError) {
        let isRight =
            switch asked {
            case .range(let wanted): range.offset == wanted.offset && range.end <= wanted.end
            // A server may send only the first of several ranges, or merge them.
            case .ranges(let wanted):
                range.offset == wanted.first?.offset && range.end <= wanted.reduce(0) { max($0, $1.end) }
            case .whole: range.offset == 0
            case .suffix(let count):
                if let size {
                    range.offset == size - min(count, size) && range.end <= size
                } else {
                    // The header `bytes a-b/*` does not state the size. The range must have the requested length, or
                    // start at 0 if the whole blob is smaller.
                    range.count == count || (range.offset == 0 && range.count < count)
                }
            }
        guard isRight else {
            throw RegistryError(.malformedAnswer, "Content-Range \(range) does not answer \(asked)", status: 206)
        }
    }

    /// Returns the boundary parameter of a multipart/byteranges type, or `nil` for another type or an invalid boundary.
    /// A boundary has at most 70 bytes (RFC 2046).
    static func boundary(_ contentType: String) -> String? {
        let parts = contentType.split(separator: ";")
        guard let type = parts.first, type.lowercased().trimmed == "multipart/byteranges" else { return nil }
        for parameter in parts.dropFirst() {
            let pair = parameter.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, pair[0].lowercased().trimmed == "boundary" else { continue }
            var value = String(pair[1]).trimmed
            if value.hasPrefix("\""), value.hasSuffix("\""), value.utf8.count >= 2 {
                value = String(value.dropFirst().dropLast())
            }
            return (1...70).contains(value.utf8.count) ? value : nil
        }
        return nil
    }
}

extension BlobSelection {
    /// The value of the `Range` header; `nil` for the whole blob.
    package var header: String? {
        switch self {
        case .suffix(let count): "bytes=-\(count)"
        case .range(let range): "bytes=\(range.offset)-\(range.end - 1)"
        case .ranges(let ranges): "bytes=" + ranges.map { "\($0.offset)-\($0.end - 1)" }.joined(separator: ",")
        case .whole: nil
        }
    }
}
