import FuzzSupport
import LayerIndex

/// A chunk table that somebody else wrote, or that a disk damaged. Its checksum is made right.
@c(LLVMFuzzerTestOneInput)
public func fuzzChunks(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var bytes = FuzzSupport.bytes(UnsafeBufferPointer(start: data, count: count), damaging: FuzzSupport.sample.chunks)
    FuzzSupport.fixChecksum(&bytes, from: 0, to: bytes.count, at: 12)
    guard let table = try? ChunkTable(bytes: bytes) else { return 0 }
    FuzzSupport.walk(table)
    return 0
}
