import Base
import Glibc

/// A pool of page-aligned buffers of one size.
///
/// glibc gets allocations of 128 KiB or more from mmap(2), at first all of them. Without the pool, each request would
/// map, fault in and unmap its buffer, which costs more than the read that the buffer serves.
final class BufferPool: Sendable {
    /// The memory of one buffer. This type exists because a buffer pointer is not `Sendable`.
    fileprivate struct Memory: @unchecked Sendable {
        // Safe: its only holder is a pool entry or a live Buffer.
        let address: UnsafeMutableRawPointer
    }

    /// A borrowed buffer. Its memory goes back to the pool when the owner drops the buffer.
    struct Buffer: ~Copyable {
        private let memory: Memory
        private let pool: BufferPool

        fileprivate init(_ memory: Memory, _ pool: BufferPool) {
            self.memory = memory
            self.pool = pool
        }

        /// The memory, valid while the buffer lives.
        var bytes: UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(start: memory.address, count: pool.size)
        }

        /// Returns the first `count` bytes of the buffer; the whole buffer if it has fewer bytes.
        func prefix(_ count: Int) -> UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(start: memory.address, count: min(count, pool.size))
        }

        deinit {
            pool.putBack(memory)
        }
    }

    let size: Int
    private let kept: Int
    private let free: Guarded<[Memory]>

    /// Creates an empty pool.
    ///
    /// - Parameters:
    ///   - size: the size of each buffer in bytes.
    ///   - kept: the maximum number of unused buffers to keep. The number of buffers in use is not limited.
    init(size: Int, kept: Int) {
        self.size = size
        self.kept = kept
        var memory: [Memory] = []
        memory.reserveCapacity(kept)
        free = Guarded(memory)
    }

    deinit {
        for memory in free.withLock({ $0 }) { memory.address.deallocate() }
    }

    /// Returns the most recently used free buffer, because it is still in the processor's cache. Allocates a new buffer
    /// if none is free.
    func take() -> Buffer {
        let memory = free.withLock { $0.popLast() }
        return Buffer(memory ?? Memory(address: .allocate(byteCount: size, alignment: 4096)), self)
    }

    private func putBack(_ memory: Memory) {
        let keep = free.withLock { free in
            guard free.count < kept else { return false }
            free.append(memory)
            return true
        }
        if !keep { memory.address.deallocate() }
    }
}
