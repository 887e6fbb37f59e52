import Base
import LayerIndex
import TestSupport
import Testing

/// Layers of random entries. There are few names, so that they collide, and some are hard to sort or to write.
struct RandomLayer {
    var random: SeededRandom
    /// Candidates for targets of hard links. Some have become directories or are gone.
    private var linkable: [[UInt8]] = []
    /// True toward the end of a layer, when targets are rarely replaced.
    private var allowsLinks = false
    private static let names: [[UInt8]] =
        ["a", "b", "c", "dd", "!", "-", "+x", ".a", "..b", ".wh", "a.b", "aaaaaaaa", "aaaaaaaab", "aaaaaaaaa"].map {
            Array($0.utf8)
        } + [[0xFF, 0xFE, 0x20], [0x0A, 0xC3, 0x28], [UInt8](repeating: 0x7A, count: 255)]
    private static let attributeNames = [
        "user.a", "user.long.name.with.many.parts", "security.capability", "security.selinux", "trusted.x",
        "system.posix_acl_access",
    ]

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &random)]
    }

    mutating func path(_ depth: Int) -> [UInt8] {
        var path: [UInt8] = []
        for _ in 0..<depth { path += [UInt8(ascii: "/")] + pick(Self.names) }
        return path
    }

    /// An access ACL in the kernel's format: version 2, then tag, permissions and ID of each entry.
    static let accessList: [UInt8] = [
        2, 0, 0, 0, 1, 0, 6, 0, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 4, 0, 0xE8, 3, 0, 0, 4, 0, 4, 0, 0xFF, 0xFF, 0xFF, 0xFF,
        0x10, 0, 4, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x20, 0, 4, 0, 0xFF, 0xFF, 0xFF, 0xFF,
    ]

    /// `cap_net_raw+ep` in the kernel's format: `VFS_CAP_REVISION_2` with the effective bit, permitted, inheritable.
    static let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0] + [UInt8](repeating: 0, count: 12)

    mutating func attributes() -> NodeAttributes {
        var result = NodeAttributes()
        result.mode = UInt16.random(in: 0...0o7777, using: &random)
        result.uid = pick([0, 0, 1000, 65_535, 65_536, 4_000_000_000])
        result.gid = pick([0, 0, 33, 70_000])
        result.modifiedSeconds = pick([0, 1_700_000_000, 1_700_000_000, 1_700_000_000, -1, -62_135_596_800, 1 << 33])
        result.modifiedNanoseconds = pick([0, 0, 0, 999_999_999])
        return result
    }

    mutating func xattrs(_ kind: EntryKind) -> [(name: [UInt8], value: [UInt8])] {
        var result: [(name: [UInt8], value: [UInt8])] = []
        guard Int.random(in: 0..<4, using: &random) == 0 else { return [] }
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let name = pick(Self.attributeNames)
            let length = pick([0, 1, 4, 20, 300, 3900, 9000])
            // The kernel shows user attributes of regular files and directories, and ACLs of all but links.
            if name.hasPrefix("user."), kind != .regular, kind != .directory { continue }
            if name.hasPrefix("system."), kind == .symlink { continue }
            var value = [UInt8](repeating: UInt8(length & 255), count: length)
            // The kernel interprets these two.
            if name.hasPrefix("system.") { value = Self.accessList }
            if name == "security.capability" { value = Self.capability }
            result.append((Array(name.utf8), value))
        }
        return result
    }

    /// Returns an entry. A file with bytes gets one extent, from `addExtent`.
    mutating func entry(_ addExtent: (UInt64) throws -> UInt32) rethrows -> LayerEntry {
        var entry = LayerEntry(path: path(Int.random(in: 1...4, using: &random)))
        entry.attributes = attributes()
        switch Int.random(in: 0..<40, using: &random) {
        case 0..<12: entry.kind = .directory
        case 12..<24:
            entry.kind = .regular
            entry.attributes.size = pick([0, 1, 4095, 4096, 4097, 70_000])
            var offset: UInt64 = 0
            let step = pick([entry.attributes.size, 4096, 5000])
            var extent: UInt32 = 0
            while offset < entry.attributes.size {
                let length = min(step, entry.attributes.size - offset)
                if offset == 0 { extent = try addExtent(entry.attributes.size) }
                let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: extent), count: 4) + Array(entry.path)
                entry.pieces.append(
                    ContentPiece(
                        fileOffset: offset, length: length, digest: .of(bytes + [UInt8(truncatingIfNeeded: offset)]),
                        extent: extent, innerOffset: offset))
                offset += length
            }
        case 24..<28:
            entry.kind = .symlink
            let length = pick([1, 7, 60, 4000, 4095])
            entry.linkTarget = (0..<length).map { _ in UInt8.random(in: 1...255, using: &random) }
            // Often a place in the layer: later entries may lie below the link.
            if Bool.random(using: &random) {
                entry.linkTarget =
                    pick([[], Array("../".utf8), Array("./".utf8)]) + path(Int.random(in: 1...3, using: &random))
            }
        case 28..<31 where allowsLinks:
            entry.kind = .hardlink
            // A unique name; the target may come later or not exist.
            entry.path += Array("/link\(Int.random(in: 0..<10_000, using: &random))".utf8)
            entry.linkTarget = linkable.isEmpty ? path(1) : pick(linkable)
        case 31:
            entry.kind = pick([.character, .block])
            entry.attributes.deviceMajor = pick([1, 8, 4095])
            entry.attributes.deviceMinor = pick([0, 3, 255, 256, 1_048_575])
        case 32: entry.kind = pick([.fifo, .socket])
        case 33..<37:
            entry.kind = .regular
            entry.path = path(Int.random(in: 0...2, using: &random)) + Array("/.wh.".utf8) + pick(Self.names)
        case 37:
            entry.kind = .regular
            entry.path = path(Int.random(in: 0...2, using: &random)) + Array("/.wh..wh..opq".utf8)
        case 38:
            // A directory of many names: several blocks.
            entry.kind = .directory
            entry.path = Array("/many/".utf8) + [UInt8](repeating: 0x62, count: Int.random(in: 1...240, using: &random))
        default:
            entry.kind = .directory
            entry.path = Array("./".utf8)
        }
        if entry.kind != .hardlink { entry.xattrs = xattrs(entry.kind) }
        return entry
    }

    /// Builds a layer of `count` entries with both the builder and the reference; `nil` if both refuse it.
    ///
    /// An entry that the reference refuses is left out of both; the builder must refuse it, too.
    mutating func layer(_ count: Int, salt: UInt8) throws -> BuiltLayer? {
        let digest = Digest.of([salt])
        var builder = LayerIndexBuilder(blobDigest: digest, blobSize: 1 << 40)
        var reference = ReferenceTree()
        var blob: UInt64 = 100
        linkable = []
        for number in 0..<count {
            allowsLinks = number * 5 > count * 4
            let entry = try self.entry { size in
                defer { blob += size + 7 }
                return try builder.addExtent(ByteRange(offset: blob, end: blob + size), codec: .gzip)
            }
            let expected = Result { try reference.add(entry) }
            let result = Result { try builder.add(entry) }
            if case .success = expected {
                let names = ReferenceTree.clean(entry.path)
                linkable.removeAll { ReferenceTree.clean($0).starts(with: names) }
                if entry.kind != .directory, !entry.path.contains(sequence: ".wh.") { linkable.append(entry.path) }
            }
            if case .success = result, case .failure = expected { throw Mismatch(what: "the builder took", entry) }
            if case .failure(let error) = result, case .success = expected {
                throw Mismatch(what: "the builder refused, \(error),", entry)
            }
        }
        let settled = Result { try reference.settle() }
        do {
            let index = try builder.finish()
            guard case .success = settled else { throw Mismatch(what: "the builder resolved a bad link", nil) }
            return BuiltLayer(digest: digest, index: index, reference: reference)
        } catch let error as LayerIndexError {
            guard case .failure = settled else { throw error }
            // The target of a hard link may lie below too many symbolic links.
            #expect([.badHardLink, .invalidPath].contains(error.code))
            return nil
        }
    }
}

/// A layer that both the builder and the reference built.
struct BuiltLayer {
    var digest: Digest
    var index: LayerIndexBytes
    var reference: ReferenceTree
}

/// A disagreement between the builder and the reference.
struct Mismatch: Error, CustomStringConvertible {
    var description: String

    init(what: String, _ entry: LayerEntry?) {
        let path = entry.map { String(decoding: $0.path.prefix(100), as: UTF8.self) } ?? ""
        description = "\(what) \(path)"
    }
}

extension [UInt8] {
    /// Returns true if the bytes contain `text`.
    func contains(sequence text: String) -> Bool {
        let text = Array(text.utf8)
        return indices.contains { self[$0...].starts(with: text) }
    }
}
