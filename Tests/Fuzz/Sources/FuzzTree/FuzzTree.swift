import FuzzSupport
import LayerIndex

/// A tree.erofs that somebody else wrote, or that a disk damaged. Its superblock's checksum is made right.
@c(LLVMFuzzerTestOneInput)
public func fuzzTree(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var bytes = FuzzSupport.bytes(UnsafeBufferPointer(start: data, count: count), damaging: FuzzSupport.sample.tree)
    // EROFS: the superblock is at 1024, its checksum 4 bytes further, and it covers the rest of the block.
    FuzzSupport.fixChecksum(&bytes, from: 1024, to: 4096, at: 1028)
    guard let tree = try? TreeImage(bytes: bytes) else { return 0 }
    try? tree.verify()
    FuzzSupport.walk(tree)
    return 0
}
