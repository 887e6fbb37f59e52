public import Base
import Codecs
public import LayerIndex

/// A part of a tar archive. The parts come in the archive's order.
public enum TarEvent {
    /// The start of an entry, whose ``LayerEntry/pieces`` are empty. `size` is the number of payload bytes that follow
    /// in the archive: 0 unless the entry is a regular file. The payload of a sparse file lacks the holes and may begin
    /// with a map.
    case entry(LayerEntry, size: UInt64)
    /// The next bytes of the entry's content, never empty. The buffer points into the pushed bytes and is valid only
    /// during the call that passes this event.
    case content(UnsafeRawBufferPointer)
    /// The next bytes of a sparse file's content: this many zeros that the archive does not contain, at least one.
    case hole(UInt64)
    /// The end of an entry, also of an entry without content.
    case end
}

/// A streaming reader of a layer's tar archive. It reads V7, ustar and pax (POSIX.1-2017, pax, "ustar Interchange
/// Format" and "pax Interchange Format"), and GNU tar's long names and base-256 numbers.
///
/// The reader follows Go's archive/tar and containerd. It interprets entries as containerd unpacks them, and refuses
/// those that containerd refuses. It expands sparse files of GNU tar's pax formats.
///
///     var reader = TarReader()
///     try reader.push(bytes) { (event, offset) throws(LayerFormatError) in … }    // in pieces of any size
///     try reader.finish()
///
/// The reader passes content through without a copy, and keeps only one entry's metadata in memory.
public struct TarReader {
    private enum State {
        /// The position before a header, or before the two zero blocks that end the archive.
        case header
        /// The state after one block of zeros. If another block follows, it must be zeros too.
        case zeroBlock
        /// The payload of an extension header of this type, which describes a later entry.
        case extended(UInt8)
        case content
        /// The padding that fills the last block of a payload.
        case padding
        case over
    }

    private let limits: TarLimits
    private var state = State.header
    /// The beginning of an incomplete block: a header that spans several pushes, or a block of a sparse file's map.
    private var block: [UInt8] = []
    private var payload: [UInt8] = []
    /// The number of payload bytes still to come.
    private var left: UInt64 = 0
    /// The number of padding bytes still to come after the payload.
    private var padding: UInt64 = 0
    /// The offset of the next byte in the archive.
    private var offset: UInt64 = 0
    private var entryCount = 0
    private var extensions = TarExtensions()
    /// The sparse file whose payload is being read.
    private var sparse: SparseFile?
    /// The name of the last entry or extension header, for error messages.
    private var name: [UInt8] = []
    private var failure: LayerFormatError?

    public init(limits: TarLimits = .standard) {
        self.limits = limits
        block.reserveCapacity(TarHeader.blockSize)
    }

    /// Reads the next bytes of the archive, in pieces of any size. The reader ignores bytes after the archive's end.
    ///
    /// - Parameter sink: a closure that receives each event and an offset in the archive. For an entry, this is the
    ///   offset of the entry's own header, after any extension headers. For content or a hole, it is the offset of the
    ///   next byte of the payload. For an end, it is the offset after the last byte of content. The closure must not
    ///   use the reader.
    /// - Throws: ``LayerFormatErrorCode/badArchive``, ``LayerFormatErrorCode/limit`` or
    ///   ``LayerFormatErrorCode/unsupported``, or any error that `sink` throws. All later calls throw the same error.
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

    /// Verifies that the archive is complete. It may lack its end marker (two blocks of zeros) and the padding of its
    /// last entry.
    ///
    /// - Throws: ``LayerFormatErrorCode/badArchive`` if the archive ends within a header or an entry, or between an
    ///   extension header and its entry.
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
                // `block` is swapped out while the header is read, so that the array is not copied.
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
                if sparse != nil {
                    try readSparse(&rest, sink)
                    continue
                }
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

    /// Removes the first `count` bytes of `rest`, or all of them if there are fewer, and returns them.
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
        let (entry, size, sparse) = try extensions.entry(header, limits: limits)
        name = entry.path
        extensions = TarExtensions()
        guard entryCount < limits.entryCount else {
            throw LayerFormatError(
                .limit,
                "\(LayerFormatError.printable(name)): the tar archive has more than \(limits.entryCount) entries")
        }
        entryCount += 1
        begin(.content, size)
        self.sparse = sparse
        try sink(.entry(entry, size: size), start)
        if left == 0 { try endContent(sink) }
    }

    // MARK: - Sparse files

    /// Reads some payload of a sparse file: a part of the map in front of the data, or a part of the data.
    private mutating func readSparse(
        _ rest: inout UnsafeRawBufferPointer, _ sink: (TarEvent, UInt64) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        guard var file = sparse else { return }
        if file.segments == nil {
            let wanted = TarHeader.blockSize - block.count
            let taken = take(min(left, UInt64(wanted)), of: &rest)
            left -= UInt64(taken.count)
            block.append(contentsOf: taken)
            guard block.count == TarHeader.blockSize || left == 0 else { return }
            // The array in `sparse` is freed first, so that the text is not copied for each block.
            sparse = nil
            try block.withUnsafeBufferPointer { (bytes) throws(LayerFormatError) in
                try file.readMap(UnsafeRawBufferPointer(bytes))
            }
            block.removeAll(keepingCapacity: true)
        } else {
            try skipHoles(&file, sink)
            guard case .data(let wanted) = file.next() else {
                throw damaged("has more data than its map says, of \(LayerFormatError.printable(name))")
            }
            let start = offset
            let taken = take(min(left, wanted), of: &rest)
            left -= UInt64(taken.count)
            file.advance(UInt64(taken.count))
            if !taken.isEmpty { try sink(.content(taken), start) }
        }
        sparse = file
        if left == 0 { try endContent(sink) }
    }

    private func skipHoles(
        _ file: inout SparseFile, _ sink: (TarEvent, UInt64) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        while case .hole(let count) = file.next() {
            try sink(.hole(count), offset)
            file.advance(count)
        }
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
        if var file = sparse {
            sparse = nil
            guard file.segments != nil else {
                throw damaged("ends within the map of \(LayerFormatError.printable(name))")
            }
            // An empty part at the end has no payload.
            while true {
                try skipHoles(&file, sink)
                guard case .data(0) = file.next() else { break }
                file.advance(0)
            }
            guard file.next() == .end else {
                throw damaged("has less data than its map says, of \(LayerFormatError.printable(name))")
            }
        }
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
