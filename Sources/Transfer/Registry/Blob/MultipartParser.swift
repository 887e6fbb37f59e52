public import Base
public import NIOCore

/// An incremental parser of multipart/byteranges bodies (RFC 9110 §14.6, RFC 2046 §5.1).
///
/// Each part's Content-Range header states its length, so the parser counts bytes and never searches a part for the
/// boundary.
public struct MultipartParser {
    public enum Event: Equatable {
        /// A part begins. It contains this range of the blob. `size` is the size of the blob; `nil` if the part does
        /// not state it.
        case part(ByteRange, size: UInt64?)
        /// More bytes of the current part.
        case bytes(ByteBuffer)
        /// The parser has found the closing delimiter.
        case end
        /// The parser needs more bytes.
        case needMore
    }

    private enum State {
        case delimiter
        case headers(ContentRange?)
        case body(remaining: UInt64)
        case ended
    }

    /// The maximum length in bytes of a line that is not content of a part: a delimiter, a header, or text before the
    /// first delimiter. The length includes the line break. Real lines are shorter than 200 bytes.
    private static let maximumLine = 1024
    /// The maximum number of lines before the content of the first part, and between the contents of two parts. The
    /// number includes delimiters and headers.
    private static let maximumLines = 32

    private let delimiter: [UInt8]
    private var state = State.delimiter
    private var pending = ByteBuffer()
    private var lines = 0

    public init(boundary: String) {
        delimiter = Array("--\(boundary)".utf8)
    }

    /// Appends received bytes of the body.
    public mutating func receive(_ buffer: ByteBuffer) {
        var buffer = buffer
        if pending.readableBytes == 0 {
            pending = buffer
        } else {
            pending.discardReadBytes()
            pending.writeBuffer(&buffer)
        }
    }

    /// Returns the next event. After each call of ``receive(_:)``, call this method until it returns ``Event/needMore``
    /// or ``Event/end``.
    ///
    /// - Throws: `malformedAnswer` if the body violates the format.
    public mutating func next() throws(RegistryError) -> Event {
        while true {
            switch state {
            case .ended:
                return .end
            case .body(let remaining):
                if remaining == 0 {
                    state = .delimiter
                    lines = 0
                    continue
                }
                let count = Int(min(UInt64(pending.readableBytes), remaining))
                guard count > 0, let slice = pending.readSlice(length: count) else { return .needMore }
                state = .body(remaining: remaining - UInt64(count))
                return .bytes(slice)
            case .delimiter:
                guard let line = try readLine() else { return .needMore }
                // Skip other lines: text before the first delimiter is preamble, and the line break before a delimiter
                // belongs to the delimiter.
                guard line.starts(with: delimiter) else { continue }
                let rest = line.dropFirst(delimiter.count)
                if rest.starts(with: [0x2d, 0x2d]) {
                    state = .ended
                } else if rest.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) {
                    state = .headers(nil)
                }
            case .headers(let found):
                guard let line = try readLine() else { return .needMore }
                if line.isEmpty {
                    guard let found, let range = found.range else {
                        throw RegistryError(.malformedAnswer, "part of a multipart answer without Content-Range")
                    }
                    state = .body(remaining: range.count)
                    return .part(range, size: found.size)
                }
                let text = String(decoding: line, as: UTF8.self)
                let pair = text.split(separator: ":", maxSplits: 1)
                if pair.count == 2, pair[0].lowercased() == "content-range" {
                    guard let value = ContentRange(pair[1].trimmed) else {
                        throw RegistryError(.malformedAnswer, "bad Content-Range in a multipart answer")
                    }
                    state = .headers(value)
                }
            }
        }
    }

    /// Returns the next line without its line break, or `nil` if the end of the line has not arrived yet.
    private mutating func readLine() throws(RegistryError) -> [UInt8]? {
        let view = pending.readableBytesView
        guard let newline = view.prefix(Self.maximumLine).firstIndex(of: 0x0a) else {
            guard view.count < Self.maximumLine else {
                throw RegistryError(.malformedAnswer, "line too long in a multipart answer")
            }
            return nil
        }
        lines += 1
        guard lines <= Self.maximumLines else {
            throw RegistryError(.malformedAnswer, "too many lines in a multipart answer")
        }
        var line = Array(view[view.startIndex..<newline])
        pending.moveReaderIndex(forwardBy: line.count + 1)
        if line.last == 0x0d { line.removeLast() }
        return line
    }
}
