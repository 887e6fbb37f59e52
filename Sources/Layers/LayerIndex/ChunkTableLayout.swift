/// The chunk table file, version 2. All numbers are little-endian. All sizes and lengths are in bytes, and a digest
/// has 32 bytes.
///
/// ```
/// header   0  magic "RIVCHNKS"     8  version u32       12  checksum of the file u32
///         16  blob digest         48  blob size u64     56  content space's size u64
///         64  chunk count u32     68  extent count u32  72  prefetch kind u32    76  0 (4 bytes)
///         80  prefetch end u64    88  windows blob's size u64                    96  windows blob's digest
/// extents  0  blob offset u64      8  length in the blob u32                     12  decoded length u32
///         16  first chunk u32     20  codec u8          21  bit count u8         22  bits u8    23  0 (1 byte)
///         24  window offset u64   32  window size u32   36  window's CRC-32C u32
/// chunks   0  content offset u64   8  length u32 (bit 31: all zeros)
///         12  extent u32          16  offset in the decoded extent u32
/// digests  the digest of each chunk
/// ```
///
/// The prefetch kind is 0 for ``PrefetchHint/unknown``, 1 for ``PrefetchHint/nothing``, and 2 for
/// ``PrefetchHint/blobPrefix(end:)``.
///
/// The checksum is a CRC-32C of the whole file, in which the checksum's own field counts as 0. As in EROFS, the
/// checksum is not inverted at the end.
///
/// Chunks are in the order of the content space. They are contiguous within a file, and files start on 4 KiB
/// boundaries. Extents are in the order of the blob and do not overlap. The chunks of an extent are adjacent in the
/// table, in the order of their offsets in the decoded extent. Only chunks of zeros break this order, because their
/// offset is always 0.
///
/// Every chunk names an extent, although no extent contains a chunk of zeros. A chunk of zeros names the extent of the
/// chunk before it. Chunks of zeros at the start of the table name the first extent.
///
/// Bytes 21 and later of an extent are its restart data (``ExtentRestart``) if its codec is `deflate`, and 0 otherwise.
/// If the layer has no windows blob, the header's fields for that blob's size and digest are 0.
enum ChunkTableLayout {
    static let magic: UInt64 = 0x534B_4E48_4356_4952  // "RIVCHNKS"
    static let version: UInt32 = 2
    static let headerSize = 128
    static let extentSize = 40
    static let chunkSize = 20
    static let digestSize = 32
    static let zerosBit: UInt32 = 1 << 31
}
