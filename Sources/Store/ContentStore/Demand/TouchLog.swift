public import Base
import LayerIndex
import Synchronization

/// A log of the first read of each chunk of a mounted chain, in order. The node makes profiles from this log.
///
/// Each mount of a chain has its own log. The kernel caches no page of a chain that was just mounted, so every first
/// read reaches the log. A read of chunks that are already in the log costs one atomic load per 64 chunks. In memory,
/// the log needs one bit per chunk of the chain, and one ``Touch`` per chunk that was read, up to ``maximumTouches``.
public final class TouchLog: Sendable {
    /// The first read of one chunk.
    public struct Touch: Sendable, Equatable {
        /// The file's inode number in the chain's tree.
        public var inode: UInt64
        /// The part of the file that lies in the chunk, as byte offsets in the file.
        public var range: ByteRange
        /// Nanoseconds since the log's first touch.
        public var time: UInt64
    }

    /// The maximum number of touches in one log. A full log ignores further reads.
    public static let maximumTouches = 1 << 16

    private struct State {
        var touches: [Touch] = []
        var observer: (@Sendable () -> Void)?
        var began = MonotonicTime(nanoseconds: 0)
    }

    private let touched: [AtomicBits]
    private let isOpen = Atomic(true)
    private let last = Atomic<UInt64>(0)
    private let state = Guarded(State())

    /// Creates an empty log for a chain with `layers`, in the order of the device numbers in the chain's tree.
    public init(_ layers: [StoredLayer]) {
        touched = layers.map { AtomicBits(count: $0.chunks.chunkCount) }
    }

    /// Records a read of `range` in a layer's content space.
    ///
    /// - Parameters:
    ///   - device: the index of the layer in the array given to ``init(_:)``.
    ///   - content: the layer.
    ///   - inode: the inode number of the file that was read.
    ///   - file: the range of the whole file in the content space.
    public func note(device: Int, _ content: StoredLayer, range: ByteRange, inode: UInt64, file: ByteRange) {
        guard isOpen.load(ordering: .relaxed) else { return }
        let chunks = content.chunks.chunks(overlapping: range)
        guard touched[device].first(in: chunks, where: false) != nil else { return }
        append(device: device, content, chunks: chunks, inode: inode, file: file)
    }

    @inline(never)
    private func append(device: Int, _ content: StoredLayer, chunks: Range<Int>, inode: UInt64, file: ByteRange) {
        let now = MonotonicTime.now()
        last.store(now.nanoseconds, ordering: .relaxed)
        for chunk in chunks where touched[device].set(chunk) {
            let bytes = content.chunks.chunk(chunk).content
            let start = max(bytes.offset, file.offset)
            let range = ByteRange(offset: start - file.offset, end: max(start, min(bytes.end, file.end)) - file.offset)
            state.withLock { state in
                guard state.touches.count < Self.maximumTouches else { return }
                if state.touches.isEmpty { state.began = now }
                let time = now >= state.began ? now.since(state.began) : 0
                state.touches.append(Touch(inode: inode, range: range, time: time))
                if state.touches.count >= Self.maximumTouches { isOpen.store(false, ordering: .relaxed) }
            }
        }
        state.withLock { $0.observer }?()
    }

    /// Sets the only observer; `nil` removes it. The observer runs on the reader's thread after each read that added
    /// touches, so it must not wait.
    public func onTouch(_ observer: (@Sendable () -> Void)?) {
        state.withLock { $0.observer = observer }
    }

    /// Returns the touches from index `first` on, in order; an empty array after ``close()``.
    public func touches(from first: Int) -> [Touch] {
        state.withLock { first < $0.touches.count ? Array($0.touches[first...]) : [] }
    }

    /// The time of the latest touch; `nil` before the first read.
    public var lastTouch: MonotonicTime? {
        let time = last.load(ordering: .relaxed)
        return time == 0 ? nil : MonotonicTime(nanoseconds: time)
    }

    /// Closes the log and returns its touches in order. Later reads are not recorded.
    public func close() -> [Touch] {
        isOpen.store(false, ordering: .relaxed)
        return state.withLock { state in
            defer { state.touches = [] }
            return state.touches
        }
    }
}
