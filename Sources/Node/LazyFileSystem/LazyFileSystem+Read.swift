import Base
public import ContentStore
import LayerIndex

/// Reads of content.
extension LazyFileSystem {
    /// Reads the bytes of `node` from `offset` on into `buffer`, until the buffer is full or the file ends.
    ///
    /// If some of these bytes are missing in the store, the whole read is a miss, even if other bytes are present. The
    /// reason is that the kernel treats a short read as the end of the file.
    ///
    /// - Parameter previous: the miss of the previous try if this call retries a read; otherwise `nil`.
    public func read(
        _ node: NodeID, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer, after previous: Miss? = nil
    ) -> ReadResult {
        do {
            guard
                let (layer, range) = try place(
                    node, offset: offset, count: UInt64(buffer.count), isFirst: previous == nil)
            else { return .bytes(0) }
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(range.count)])
            return read(layer, range: range, into: target, file: node.nid, after: previous)
        } catch {
            return .failed(error)
        }
    }

    /// Requests the missing chunks of `miss`, as ``ChunkSource/demand(_:chunks:completion:)`` does. Read again when
    /// `completion` reports that the chunks are available.
    public func demand(_ miss: Miss, completion: @escaping @Sendable (ChunkOutcome) -> Void) -> DemandID {
        source.demand(miss.layer, chunks: miss.chunks, completion: completion)
    }

    /// Cancels the request that ``demand(_:completion:)`` started, as ``ChunkSource/cancel(_:)`` does.
    public func cancel(_ demand: DemandID) {
        source.cancel(demand)
    }

    /// Returns the layer that contains `count` bytes of `node` from `offset` on, and the range of these bytes in the
    /// layer's content space. Cuts the range at the end of the file, and returns `nil` if nothing is left.
    ///
    /// Records the read in the chain's touch log if `isFirst` is true and `node` belongs to a chain.
    ///
    /// - Parameter isFirst: true for the first try of a read, false for a retry after a miss.
    private func place(
        _ node: NodeID, offset: UInt64, count: UInt64, isFirst: Bool
    ) throws(LazyFileSystemError) -> (ReadLayer, ByteRange)? {
        guard node.slot != 0 else {
            if node == .root || node == .content { throw .isDirectory }
            guard let entry = table.withLock({ $0.content.entry(node.nid) }) else { throw .stale }
            let whole = ByteRange(offset: 0, end: entry.layer.content.chunks.contentSize)
            return cut(whole, offset: offset, count: count).map { (entry.layer, $0) }
        }
        let chain = try chain(of: node)
        guard try chain.status(node.nid).isRegularFile else { throw .isDirectory }
        let content: (device: Int, range: ByteRange)?
        do {
            content = try chain.tree.content(node.nid)
        } catch {
            throw chain.corrupt(error)
        }
        guard let content, let range = cut(content.range, offset: offset, count: count) else { return nil }
        guard chain.layers.indices.contains(content.device) else {
            throw LazyFileSystemError(.corrupt, "a file of chain \(chain.id) lies in layer \(content.device)")
        }
        let layer = chain.layers[content.device]
        guard range.end <= layer.content.chunks.contentSize else {
            throw LazyFileSystemError(
                .corrupt, "a file of chain \(chain.id) ends after the content of layer \(layer.content.digest)")
        }
        if isFirst {
            chain.touches.note(
                device: content.device, layer.content, range: range, inode: node.nid, file: content.range)
        }
        return (layer, range)
    }

    private func cut(_ file: ByteRange, offset: UInt64, count: UInt64) -> ByteRange? {
        guard offset < file.count, count > 0 else { return nil }
        return ByteRange(offset: file.offset + offset, count: min(count, file.count - offset))
    }

    private func read(
        _ layer: ReadLayer, range: ByteRange, into buffer: UnsafeMutableRawBufferPointer, file: UInt64,
        after previous: Miss?
    ) -> ReadResult {
        let content = layer.content
        let chunks = content.chunks.chunks(overlapping: range)
        do throws(ContentStoreError) {
            if let missing = try content.read(chunks, at: range.offset, into: buffer) {
                return .missing(
                    Miss(layer: content, chunks: missing, afterReadError: previous?.afterReadError ?? false))
            }
        } catch {
            // Fetching again helps only if the disk lost the bytes. Try it only once.
            guard error.code == .damaged, previous?.afterReadError != true else {
                return .failed(
                    LazyFileSystemError(
                        .unreadable, "failed to read the content of layer \(content.digest)", cause: error))
            }
            let lost = drop(chunks, of: content, buffer: buffer)
            return .missing(Miss(layer: content, chunks: lost, afterReadError: true))
        }
        if layer.changes(chunks, file: file) { source.noteRead(content, chunks: chunks) }
        return .bytes(buffer.count)
    }

    /// Removes the damaged chunks from the store after a failed read of `chunks`, so that they are fetched again. Tests
    /// each chunk by reading it. If every chunk passes this test, removes all of `chunks`.
    ///
    /// - Parameter buffer: scratch memory.
    /// - Returns: the range from the first to the last removed chunk.
    private func drop(
        _ chunks: Range<Int>, of content: StoredLayer, buffer: UnsafeMutableRawBufferPointer
    ) -> Range<Int> {
        let lost = chunks.filter { !isReadable($0, of: content, buffer: buffer) }
        for chunk in lost.isEmpty ? Array(chunks) : lost { content.drop(chunk) }
        guard let first = lost.first, let last = lost.last else { return chunks }
        return first..<last + 1
    }

    private func isReadable(
        _ chunk: Int, of content: StoredLayer, buffer: UnsafeMutableRawBufferPointer
    ) -> Bool {
        let range = content.chunks.chunk(chunk).content
        var offset = range.offset
        while offset < range.end {
            let count = Int(min(range.end - offset, UInt64(buffer.count)))
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            guard (try? content.read(at: offset, into: part)) == count else { return false }
            offset += UInt64(count)
        }
        return true
    }
}
