import Base
import CISAL

/// A decoder of gzip members, and of DEFLATE data from a restart point. It uses ISA-L, the fastest library that can
/// stop and continue at any byte.
///
/// We measured the decoding of an executable file on one busy core. The file was compressed at level 9, in members of
/// 64 KiB to 4 MiB. ISA-L decodes 340 to 540 MB/s, and zlib decodes 130 to 210 MB/s. libdeflate decodes 370 to 650
/// MB/s, but it needs a complete member and a buffer for the member's whole output. An eStargz member arrives in
/// pieces, and unwanted bytes follow its chunk, so libdeflate is not suitable.
final class GzipDecoder {
    /// The maximum number of input bytes, and of output bytes, in one call of ISA-L. The library counts in 32 bits.
    private static let callLimit = 1 << 30

    private let state: UnsafeMutablePointer<inflate_state>
    private var finished = false
    /// True for DEFLATE data without a gzip wrapper. Decoding then stops at the end of the DEFLATE stream, and the
    /// decoder consumes no more input.
    private var isBare = false

    init() {
        // The state has 88 KiB with large arrays, so it is never copied into a Swift value, only used through its
        // pointer.
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: MemoryLayout<inflate_state>.size, alignment: MemoryLayout<inflate_state>.alignment)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<inflate_state>.size)
        state = memory.bindMemory(to: inflate_state.self, capacity: 1)
        isal_inflate_init(state)
        state.pointee.crc_flag = UInt32(ISAL_GZIP)
    }

    deinit {
        UnsafeMutableRawPointer(state).deallocate()
    }

    func reset() {
        isal_inflate_reset(state)
        state.pointee.crc_flag = UInt32(ISAL_GZIP)
        finished = false
        isBare = false
    }

    /// Resets the decoder for data from a restart point. Only the last 32 KiB of `window` matter.
    func reset(_ restart: DeflateRestart, window: [UInt8]) {
        isal_inflate_reset(state)
        state.pointee.crc_flag = UInt32(ISAL_DEFLATE)
        finished = false
        isBare = true
        state.pointee.read_in = UInt64(restart.bits)
        state.pointee.read_in_length = Int32(restart.bitCount)
        window.withUnsafeBufferPointer { window in
            let last = UnsafeBufferPointer(rebasing: window.suffix(DeflateRestart.windowSize))
            guard let start = last.baseAddress, !last.isEmpty else { return }
            // The library copies the dictionary and does not write to it. It refuses a dictionary only in the middle of
            // a stream.
            _ = isal_inflate_set_dict(state, UnsafeMutablePointer(mutating: start), UInt32(last.count))
        }
    }

    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CodecError) -> (consumed: Int, produced: Int, finished: Bool) {
        guard let outputStart = output.baseAddress else { return (0, 0, finished) }
        // Without input the library still returns bytes that it held back, and does not read through the pointer.
        let inputStart = input.baseAddress ?? UnsafeRawPointer(outputStart)
        var consumed = 0
        var produced = 0
        // The library may have held decoded bytes back when the output was full, so the loop calls it even without
        // input.
        while produced < output.count {
            let offered = min(input.count - consumed, Self.callLimit)
            let room = min(output.count - produced, Self.callLimit)
            if finished {
                guard offered > 0, !isBare else { break }
                // Zeros after a member are padding (GNU gzip, "Output may be padded").
                let padding = input[consumed...].prefix { $0 == 0 }.count
                guard padding == 0 else {
                    consumed += padding
                    continue
                }
                reset()
            }
            // The library only reads through `next_in`.
            state.pointee.next_in = UnsafeMutableRawPointer(mutating: inputStart + consumed)
                .assumingMemoryBound(to: UInt8.self)
            state.pointee.avail_in = UInt32(offered)
            state.pointee.next_out = (outputStart + produced).assumingMemoryBound(to: UInt8.self)
            state.pointee.avail_out = UInt32(room)
            let result = isal_inflate(state)
            let used = offered - Int(state.pointee.avail_in)
            let made = room - Int(state.pointee.avail_out)
            state.pointee.next_in = nil
            state.pointee.next_out = nil
            guard result >= ISAL_DECOMP_OK else { throw Self.error(result) }
            guard result != ISAL_NEED_DICT else {
                throw CodecError(.unsupported, "gzip data requires a preset dictionary")
            }
            consumed += used
            produced += made
            finished = state.pointee.block_state == ISAL_BLOCK_FINISH
            if used == 0, made == 0, !finished { break }
        }
        return (consumed, produced, finished)
    }

    private static func error(_ result: Int32) -> CodecError {
        let reason =
            switch result {
            case ISAL_INVALID_BLOCK: "invalid block"
            case ISAL_INVALID_SYMBOL: "invalid symbol"
            case ISAL_INVALID_LOOKBACK: "distance before the start of the data"
            case ISAL_INVALID_WRAPPER: "not a gzip member"
            case ISAL_UNSUPPORTED_METHOD: "unknown compression method"
            case ISAL_INCORRECT_CHECKSUM: "checksum mismatch"
            default: "error \(result)"
            }
        return CodecError(.corrupt, "gzip data is corrupt: \(reason)")
    }
}
