public import Base
import Codecs
public import LayerIndex

/// The parts of a tar archive, in its order.
public enum TarEvent {
    /// An entry without its pieces, and how many bytes of content follow: 0 for all but a regular file.
    case entry(LayerEntry, size: UInt64)
    /// The next bytes of the entry's content, never none: a part of what was pushed, so good during the call only.
    case content(UnsafeRawBufferPointer)
    /// The entry is over; also one without content.
    case end
}

/// Reads a layer's tar archive as it comes (POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format";
/// GNU tar's long names and numbers; V7), as Go's archive/tar and containerd do: what containerd unpacks is understood
/// in the same way, what it refuses is refused. Of GNU tar's formats for sparse files, none is supported.
///
///     var reader = TarReader()
///     try reader.push(bytes) { (event, offset) throws(LayerFormatError) in … }    // in pieces of any size
///     try reader.finish()
///
/// Content is passed through without a copy. Memory is that of one entry's metadata.
public struct TarReader {
    private enum State {
        /// A header comes, or the end.
        case header
        /// One block of zeros has come: another one must.
        case zeroBlock
        /// The payload of an entry of this type, which says something of the next one.
        case extended(UInt8)
        case content
        /// The bytes that fill up the last block of a payload.
        case padding
        case over
    }

    private let limits: TarLimits
    private var state = State.header
    /// The beginning of a header that spans several pushes.
    private var block: [UInt8] = []
    private var payload: [UInt8] = []
    /// Bytes of the payload that are still to come.
    private var left: UInt64 = 0
    /// Bytes after the payload that are still to come.
    private var padding: UInt64 = 0
    /// The offset of the next byte in the archive.
    private var offset: UInt64 = 0
    private var entryCount = 0
    private var extensions = TarExtensions()
    /// The name in the last header.
    private var name: [UInt8] = []
    private var failure: LayerFormatError?

    public init(limits: TarLimits = .standard) {
        self.limits = limits
        block.reserveCapacity(TarHeader.blockSize)
    }

    /// Takes the next bytes of the archive, in pieces of any size. What comes after its end is ignored.
    ///
    /// - Parameter sink: Called with each event and where in the archive it is: at the entry's own header, at the first
    ///   of the bytes of content, after the last of them. It must not use the reader.
    /// - Throws: ``LayerFormatErrorCode/badArchive``, ``LayerFormatErrorCode/limit`` or
    ///   ``LayerFormatErrorCode/unsupported``, or what `sink` throws; from then on always the same.
    public mutating func push(
        _ bytes: UnsafeRawBufferPointer,
        _ sink: (_ event: TarEvent, _ archiveOffset: UInt64) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        if let failure { throw failure }
        do throws(LayerFormatError) {
            try read(bytes, sink)
        } catch {
            failure = error
            throw error
        }
    }

    /// Says that the archive is over. That its end is not marked is fine, and so is a last block that is not filled up.
    ///
    /// - Throws: ``LayerFormatErrorCode/badArchive`` when it ends within an entry or before one that was announced.
    public func finish() throws(LayerFormatError) {
        if let failure { throw failure }
        switch state {
        case .over: return
        case .header, .zeroBlock:
            guard block.isEmpty else { throw damaged("ends within the header at \(offset - UInt64(block.count))") }
        case .extended, .content:
            throw damaged("ends within \(LayerFormatError.printable(name)), \(left) bytes before its end")
        case .padding: break
        }
        if case .zeroBlock = state { return }
        guard !extensions.isPending else {
            throw damaged("ends after the header \(LayerFormatError.printable(name)), before the entry that it is for")
        }
    }

    private mutating func read(
        _ bytes: UnsafeRawBufferPointer, _ sink: (TarEvent, UInt64) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        var rest = bytes
        while !rest.isEmpty {
            switch state {
            case .over: return
            case .header, .zeroBlock:
                let taken = take(UInt64(TarHeader.blockSize - block.count), of: &rest)
                if taken.count == TarHeader.blockSize {
                    try header(taken, sink)
                    continue
                }
                block.append(contentsOf: taken)
                guard block.count == TarHeader.blockSize else { return }
                // Out of the way while it is read, so that neither is copied.
                var full: [UInt8] = []
                swap(&full, &block)
                try full.withUnsafeBufferPointer { (buffer) throws(LayerFormatError) in
                    try header(UnsafeRawBufferPointer(buffer), sink)
                }
                full.removeAll(keepingCapacity: true)
                swap(&full, &block)
            case .extended(let type):
                let taken = take(left, of: &rest)
                payload.append(contentsOf: taken)
                left -= UInt64(taken.count)
                if left == 0 { try endExtension(type) }
            case .content:
                let start = offset
                let taken = take(left, of: &rest)
                left -= UInt64(taken.count)
                try sink(.content(taken), start)
                if left == 0 { try endContent(sink) }
            case .padding:
                padding -= UInt64(take(padding, of: &rest).count)
                if padding == 0 { state = .header }
            }
        }
    }

    /// The first bytes of `rest`, as many as are wanted or as there are.
    private mutating func take(_ count: UInt64, of rest: inout UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let count = min(rest.count, Int(clamping: count))
        let taken = UnsafeRawBufferPointer(rebasing: rest[..<count])
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        offset += UInt64(count)
        return taken
    }

    private mutating func header(
        _ bytes: UnsafeRawBufferPointer, _ sink: (TarEvent, UInt64) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        let start = offset - UInt64(TarHeader.blockSize)
        if bytes[0] == 0, bytes.allSatisfy({ $0 == 0 }) {
            if case .zeroBlock = state { state = .over } else { state = .zeroBlock }
            return
        }
        if case .zeroBlock = state { throw damaged("goes on at \(start) after a block of zeros") }
        let header: TarHeader
        do throws(CodecError) {
            header = try TarHeader(bytes)
        } catch {
            let place = name.isEmpty ? "" : ", after \(LayerFormatError.printable(name))"
            throw LayerFormatError(
                .badArchive, "the tar archive is damaged, or none, at byte \(start)\(place)", cause: error)
        }
        guard !TarExtensions.isExtension(header.type) else { return try beginExtension(header) }
        let (entry, size) = try extensions.entry(header, limits: limits)
        name = entry.path
        extensions = TarExtensions()
        guard entryCount < limits.entryCount else {
            throw LayerFormatError(
                .limit,
                "\(LayerFormatError.printable(name)): the tar archive has more than \(limits.entryCount) entries")
        }
        entryCount += 1
        begin(.content, size)
        try sink(.entry(entry, size: size), start)
        if left == 0 { try endContent(sink) }
    }

    private mutating func beginExtension(_ header: TarHeader) throws(LayerFormatError) {
        name = header.name
        guard header.size <= UInt64(clamping: TarExtensions.maximumSize(header.type, limits)) else {
            throw LayerFormatError(
                .limit, "\(LayerFormatError.printable(name)): a pax header or long name of \(header.size) bytes")
        }
        begin(.extended(header.type), header.size)
        if left == 0 { try endExtension(header.type) }
    }

    private mutating func endExtension(_ type: UInt8) throws(LayerFormatError) {
        var full: [UInt8] = []
        swap(&full, &payload)
        do throws(LayerFormatError) {
            try full.withUnsafeBufferPointer { (buffer) throws(LayerFormatError) in
                try extensions.add(UnsafeRawBufferPointer(buffer), type: type, limits: limits)
            }
        } catch {
            throw LayerFormatError(error.code, "\(LayerFormatError.printable(name)): \(error.message)")
        }
        full.removeAll(keepingCapacity: true)
        swap(&full, &payload)
        pad()
    }

    private mutating func endContent(
        _ sink: (TarEvent, UInt64) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        pad()
        try sink(.end, offset)
    }

    private mutating func begin(_ next: State, _ size: UInt64) {
        let block = UInt64(TarHeader.blockSize)
        state = next
        left = size
        padding = (block - size % block) % block
    }

    private mutating func pad() {
        state = padding == 0 ? .header : .padding
    }

    private func damaged(_ what: String) -> LayerFormatError {
        LayerFormatError(.badArchive, "the tar archive \(what)")
    }
}
