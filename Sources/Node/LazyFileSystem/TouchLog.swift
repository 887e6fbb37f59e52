public import Base
import ContentStore
import LayerIndex
import Synchronization

/// Which pieces of a mounted chain were read for the first time, in order: what a profile is made of.
///
/// One for each time that a chain is brought up. The kernel holds no page of a chain that has just been mounted, so every
/// first touch comes by here. A read whose chunks have all been touched costs a load for each 64 of them; memory is a bit a
/// chunk and ``Touch`` for each one touched, up to ``maximumTouches``.
public final class TouchLog: Sendable {
    /// One chunk's first read.
    public struct Touch: Sendable, Equatable {
        /// The file's inode number in the chain's tree.
        public var inode: UInt64
        /// The part of the file that lies in the chunk, in bytes of the file.
        public var range: ByteRange
        /// Nanoseconds since the first touch of all.
        public var time: UInt64
    }

    /// More than this many are not written down: the log then ends.
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

    /// A log of reads from `layers`, by device number of the chain's tree.
    init(_ layers: [StoredLayer]) {
        touched = layers.map { AtomicBits(count: $0.chunks.chunkCount) }
    }

    /// Bytes were asked for that lie at `range` of a layer's content space; the whole file lies at `file` of it.
    func note(device: Int, _ content: StoredLayer, _ range: ByteRange, inode: UInt64, file: ByteRange) {
        guard isOpen.load(ordering: .relaxed) else { return }
        let chunks = content.chunks.chunks(overlapping: range)
        guard touched[device].first(in: chunks, where: false) != nil else { return }
        append(device, content, chunks, inode, file)
    }

    @inline(never)
    private func append(
        _ device: Int, _ content: StoredLayer, _ chunks: Range<Int>, _ inode: UInt64, _ file: ByteRange
    ) {
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

    /// `observer` is told of each first touch, after it has been written down and on the reader's way: it must not wait. There
    /// is one.
    public func onTouch(_ observer: (@Sendable () -> Void)?) {
        state.withLock { $0.observer = observer }
    }

    /// The touches from number `first` on, in their order; none when the log has been closed.
    public func touches(from first: Int) -> [Touch] {
        state.withLock { first < $0.touches.count ? Array($0.touches[first...]) : [] }
    }

    /// When a chunk was last touched for the first time; `nil` when nothing has been read yet.
    public var lastTouch: MonotonicTime? {
        let time = last.load(ordering: .relaxed)
        return time == 0 ? nil : MonotonicTime(nanoseconds: time)
    }

    /// Ends the log and gives what is in it, in the order of the touches. Nothing is noted from now on.
    public func close() -> [Touch] {
        isOpen.store(false, ordering: .relaxed)
        return state.withLock { state in
            defer { state.touches = [] }
            return state.touches
        }
    }
}
