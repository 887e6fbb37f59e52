import Base
import Lab

/// A random stack of layers.
struct Stack: Sendable {
    struct Layer: Sendable {
        var entries: [ArchiveEntry]
        var packing: Packing
        /// True if the archive ends with its two blocks of zeros.
        var isTerminated = true
    }

    let number: Int
    let form: Form
    let layers: [Layer]
    /// The number of entries of each kind.
    let tally: [String: Int]
    /// The seed of everything that is random after the entries: sizes of members, levels, windows.
    let packingSeed: UInt64

    /// The way in which Rivulet streams the image.
    enum Form: String, Sendable, CaseIterable {
        case artifact
        case estargz = "eStargz"
        case zstdChunked = "zstd:chunked of stargz-snapshotter"
        case podman = "zstd:chunked of containers/storage"
        case toEstargz = "converted to eStargz"
        case toZstdChunked = "converted to zstd:chunked"

        /// True if the layers have a table of contents, which their producer makes of valid archives only.
        var hasTable: Bool { self != .artifact }
        /// True if Rivulet converts ordinary layers.
        var isConverted: Bool { self == .toEstargz || self == .toZstdChunked }
    }
}

/// A generator of random stacks. The same seed and number give the same stack.
struct StackGenerator {
    private let number: Int
    private var form = Stack.Form.artifact
    private var random: SeededGenerator
    private var lowers: [LayerModel] = []
    private var model = LayerModel()
    private var entries: [ArchiveEntry] = []
    private var tally: [String: Int] = [:]
    /// The directories of lower layers from which new files inherit a group.
    private var heritable: Set<[UInt8]> = []
    /// The same of the current layer.
    private var newlyHeritable: Set<[UInt8]> = []
    private var isBottom: Bool { lowers.isEmpty }
    /// True for the last layer. Only it has default access control lists: an exception in docs/testing.md.
    private var isTop = false

    static func stack(_ number: Int, seed: UInt64) -> Stack {
        var mixer = SeededGenerator(seed: seed)
        let base = mixer.next()
        var generator = StackGenerator(number, SeededGenerator(seed: base ^ (UInt64(number) &* 0x9E37_79B9_7F4A_7C15)))
        return generator.make()
    }

    private init(_ number: Int, _ random: SeededGenerator) {
        self.number = number
        self.random = random
    }

    private mutating func make() -> Stack {
        form = chance(55) ? .artifact : pick(Stack.Form.allCases)
        let count = Int.random(in: 1...6, using: &random)
        var layers: [Stack.Layer] = []
        for number in 0..<count {
            isTop = number == count - 1
            layers.append(layer())
        }
        note("form \(form.rawValue)")
        return Stack(number: number, form: form, layers: layers, tally: tally, packingSeed: random.next())
    }

    private mutating func layer() -> Stack.Layer {
        (model, entries) = (LayerModel(), [])
        let packing = pick(Packing.allCases)
        if !form.hasTable || form.isConverted { note(packing.rawValue) }
        if chance(4) {
            note("empty layer")
        } else {
            let wanted = Int.random(in: 1...30, using: &random)
            var tries = 0
            while entries.count < wanted, tries < wanted * 4 {
                tries += 1
                step()
            }
        }
        lowers.append(model)
        heritable.formUnion(newlyHeritable)
        return Stack.Layer(entries: entries, packing: packing, isTerminated: !chance(5))
    }

    // MARK: - Choices

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func pick<Element>(_ all: [Element]) -> Element {
        all[Int.random(in: 0..<all.count, using: &random)]
    }

    private mutating func note(_ kind: String) { tally[kind, default: 0] += 1 }

    private static let names: [[UInt8]] =
        ["a", "b", "c", "d", "e", "etc", "bin", "lib", "usr", "var", "x", "y"].map { Array($0.utf8) }

    private mutating func name() -> [UInt8] {
        guard chance(12) else { return pick(Self.names) }
        switch Int.random(in: 0..<9, using: &random) {
        case 0:
            note("name of 255 bytes")
            return [UInt8](repeating: pick([0x6E, 0x6D]), count: 255)
        case 1 where !form.hasTable:
            note("name that is not UTF-8")
            return pick([[0xFF, 0xFE], [0x66, 0xC3], [0x80]])
        case 2:
            note("name in UTF-8")
            return Array("größe-漢字".utf8)
        case 3:
            note("name with odd characters")
            return pick(["a b", "\"q\"", "back\\slash", "new\nline", "tab\t", "*?", "%2F", "'"].map { Array($0.utf8) })
        case 4:
            note("name with dots")
            return pick(["...", ".hidden", "..x", "a.", ".wh", ".whx", "x.wh.y"].map { Array($0.utf8) })
        case 5:
            note("name over 100 bytes")
            return [UInt8](repeating: 0x6C, count: Int.random(in: 99...160, using: &random))
        default:
            return Array("n\(Int.random(in: 0..<30, using: &random))".utf8)
        }
    }

    /// Returns true if the topmost lower layer that has `path` has it as a directory.
    private func lowerIsDirectory(_ path: [UInt8]) -> Bool {
        for lower in lowers.reversed() {
            if let node = lower[path] { return node.isDirectory }
        }
        return false
    }

    /// Returns true if containerd can create the missing parents of `path`.
    private func canImply(_ path: [UInt8]) -> Bool {
        let prefixes = LayerModel.prefixes(path)
        for (depth, prefix) in prefixes.enumerated() {
            if let node = model[prefix] {
                guard node.isDirectory else { return false }
                continue
            }
            // containerd looks the missing directory up in each lower layer, and fails at a file in front of it.
            for parent in prefixes[..<depth] {
                let hasFile = lowers.contains { lower in
                    switch lower[parent] {
                    case .file, .whiteout, .link(nil): true
                    default: false
                    }
                }
                if hasFile { return false }
            }
        }
        return true
    }

    /// Returns a directory for a new entry: as written in the archive, and as it really is.
    private mutating func directory() -> (written: [UInt8], real: [UInt8])? {
        let roll = Int.random(in: 0..<100, using: &random)
        if roll < 25 { return ([], []) }
        if roll < 60 {
            let own = model.paths { $0.isDirectory }
            if !own.isEmpty {
                let path = pick(own)
                return (path, path)
            }
        }
        if roll < 82 {
            let all = lowers.flatMap { $0.paths { $0.isDirectory } }
            guard !all.isEmpty else { return nil }
            let path = pick(all)
            guard canImply(path) else { return nil }
            if lowerIsDirectory(path), model[path] == nil { note("parent from a lower layer") }
            return (path, path)
        }
        if roll < 90 {
            let links = model.order.filter { path in
                if case .link(.some) = model[path] { true } else { false }
            }
            guard !links.isEmpty else { return nil }
            let link = pick(links)
            guard case .link(.some(let real)) = model[link], real.isEmpty || model[real]?.isDirectory ?? false
            else { return nil }
            note("parent behind a symbolic link")
            return (link, real)
        }
        var path = pick([[]] + model.paths { $0.isDirectory })
        for _ in 0..<Int.random(in: 1...2, using: &random) { path = LayerModel.join(path, name()) }
        guard path.count < 900, canImply(path) else { return nil }
        if model[path] == nil { note("missing parent") }
        return (path, path)
    }

    /// Returns the path of a new entry, often one that a layer has already.
    private mutating func target() -> (written: [UInt8], real: [UInt8])? {
        guard let (written, real) = directory() else { return nil }
        var name = name()
        if chance(40) {
            let known = ([model] + lowers).flatMap { layer in
                layer.order.filter { LayerModel.isBelow($0, real) && !$0.dropFirst(real.count + 1).contains(0x2F) }
            }
            if !known.isEmpty { name = Array(pick(known).split(separator: 0x2F).last ?? []) }
            // As the name of an entry, a name of AUFS is a whiteout.
            if name.starts(with: ".wh.".utf8) { return nil }
        }
        guard !name.isEmpty, written.count < 900 else { return nil }
        return (LayerModel.join(written, name), LayerModel.join(real, name))
    }

    // MARK: - Entries

    private mutating func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<28: addFile()
        case 28..<47: addDirectory()
        case 47..<56: addSymbolicLink()
        case 56..<65: addHardLink()
        case 65..<70: addSpecial()
        case 70..<85: addWhiteout()
        case 85..<92: addOpaque()
        default: addOddity()
        }
    }

    private mutating func addFile() {
        guard let (written, real) = freeTarget() else { return }
        var entry = ArchiveEntry("0", written)
        entry.content = content()
        note("regular file")
        if form == .artifact, chance(8) {
            entry.content = sparseContent()
            let style = pick(ArchiveEntry.SparseStyle.allCases)
            entry.sparse = style
            note("sparse file, \(style.rawValue)")
        }
        place(&entry, real, .file)
    }

    private mutating func addDirectory() {
        guard let (written, real) = freeTarget(forDirectory: true) else { return }
        // What comes after the entry does not inherit what came before it did: an exception in docs/testing.md.
        if model[real] == .implied, !heritable.isEmpty { return }
        var entry = ArchiveEntry("5", written)
        note("directory")
        place(&entry, real, .directory)
    }

    /// Returns a random path at which an entry can be.
    private mutating func freeTarget(forDirectory: Bool = false) -> (written: [UInt8], real: [UInt8])? {
        guard let found = target() else { return nil }
        // containerd sets the times of directories at the end of the layer, so they must still be there.
        if !forDirectory, model.hasDirectoryEntry(found.real) { return nil }
        // A producer of tables of contents writes each name once.
        if form.hasTable, model[found.real] != nil, model[found.real] != .implied { return nil }
        return found
    }

    private mutating func place(_ entry: inout ArchiveEntry, _ real: [UInt8], _ node: LayerModel.Node) {
        model.imply(parent(real))
        entry.path = spell(entry.path, entry.isDirectory)
        if let old = model[real] {
            note("duplicate in a layer")
            if !(old.isDirectory && node == .directory) { model.remove(real) }
        } else if lowers.contains(where: { $0[real] != nil }) {
            note("replaced from a lower layer")
        }
        model.set(real, node)
        attributes(&entry)
        if entry.isDirectory, entry.mode & 0o2000 != 0 || entry.xattrs.contains(where: { $0.name.hasSuffix("default") })
        {
            newlyHeritable.insert(real)
        }
        entries.append(entry)
    }

    private func parent(_ path: [UInt8]) -> [UInt8] {
        guard let slash = path.lastIndex(of: 0x2F) else { return [] }
        return Array(path[..<slash])
    }

    private mutating func addHardLink() {
        let files = model.paths { node in
            if case .link = node { return true }
            return node == .file
        }
        guard !files.isEmpty, let (written, real) = target(), model[real] == nil else { return }
        let source = pick(files)
        guard source != real else { return }
        var entry = ArchiveEntry("1", written)
        entry.link = chance(15) ? Array("./".utf8) + source : chance(15) ? [0x2F] + source : source
        note(model[source] == .file ? "hard link" : "hard link to a symbolic link")
        place(&entry, real, model[source] ?? .file)
    }

    private mutating func addSymbolicLink() {
        guard let (written, real) = freeTarget() else { return }
        var entry = ArchiveEntry("2", written)
        var node = LayerModel.Node.link(to: nil)
        let directories = model.paths { $0.isDirectory }.filter { $0 != real && !LayerModel.isBelow($0, real) }
        switch Int.random(in: 0..<5, using: &random) {
        case 0..<3 where !directories.isEmpty:
            let directory = pick(directories)
            let isAbsolute = chance(40)
            let up = real.count { $0 == 0x2F }
            let relative = Array(String(repeating: "../", count: up).utf8) + directory
            entry.link = isAbsolute ? [0x2F] + directory : relative
            if written == real || isAbsolute { node = .link(to: directory) }
            note(isAbsolute ? "absolute link to a directory" : "relative link to a directory")
        case 3:
            entry.link = Array(String(repeating: "../", count: 3).utf8) + Self.names[0]
            note("link out of the root")
        case 4 where chance(40):
            entry.link = Array(repeating: 0x74, count: Int.random(in: 98...2000, using: &random))
            note("long link target")
        default:
            entry.link = chance(20) && !form.hasTable ? [0xFF, 0x2F, 0x80] : Array("nowhere/at all".utf8)
            note("dangling link")
        }
        place(&entry, real, node)
    }

    private mutating func addSpecial() {
        guard let (written, real) = freeTarget() else { return }
        let type: Character = pick(["3", "4", "6"])
        var entry = ArchiveEntry(type, written)
        var node = LayerModel.Node.file
        if type != "6" {
            (entry.major, entry.minor) = pick([(1, 3), (7, 260), (259, 70_000), (4095, 1_048_575), (8, 0)])
            if type == "3", chance(10) {
                (entry.major, entry.minor) = (0, 0)
                node = .whiteout
                note("device 0:0")
            }
        }
        note(type == "3" ? "character device" : type == "4" ? "block device" : "FIFO")
        place(&entry, real, node)
    }

    /// Adds an entry that containerd ignores or takes for something else.
    private mutating func addOddity() {
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            var entry = ArchiveEntry("5", Array(pick(["./", "/", ".", "../", ""]).utf8))
            attributes(&entry)
            note("entry of the root")
            entries.append(entry)
        case 1 where !form.hasTable:
            var entry = ArchiveEntry("g", Array("pax_global_header".utf8))
            entry.style = .ustar
            entry.content = ArchiveWriter.record("comment", Array("0123456789".utf8))
            if chance(50) { entry.content += ArchiveWriter.record("mtime", Array("1.5".utf8)) }
            note("global header")
            if model[entry.path] == nil { entries.append(entry) }
        case 2 where !form.hasTable:
            let path = LayerModel.join(Array(".wh..wh.plnk".utf8), Array("\(entries.count).1".utf8))
            guard model[Array(".wh..wh.plnk".utf8)] == nil else { return }
            var entry = ArchiveEntry("0", path)
            note("file below a name of AUFS")
            place(&entry, path, .file)
        case 3:
            // The mark of the root has no effect, except that the bottom layer loses directories without an entry.
            if isBottom, model.order.contains(where: { model[$0] == .implied }) { return }
            note("opaque root")
            entries.append(ArchiveEntry("0", Array(".wh..wh..opq".utf8)))
        default: break
        }
    }

    /// Returns another spelling of a path.
    private mutating func spell(_ path: [UInt8], _ isDirectory: Bool) -> [UInt8] {
        var path = path
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<3:
            path = Array("./".utf8) + path
            note("name with ./")
        case 3:
            path = [0x2F] + path
            note("name with /")
        case 4:
            path = Array("../".utf8) + path
            note("name with ../")
        case 5:
            path = path.flatMap { $0 == 0x2F ? [0x2F, 0x2F] : [$0] }
        default: break
        }
        if isDirectory, chance(60) { path.append(0x2F) }
        return path
    }

    private mutating func addWhiteout() {
        guard let (written, real) = target() else { return }
        if form.hasTable, model[real] != nil { return }
        if isBottom {
            if model.hasDirectoryEntry(real) { return }
            model.imply(parent(real))
            if model[real] != nil { note("whiteout of an own entry") }
            model.remove(real)
        } else {
            guard model[real] == nil else { return }
            model.imply(parent(real))
            model.set(real, .whiteout)
        }
        let name = real.split(separator: 0x2F).last ?? []
        note(name.count > 251 ? "whiteout of a long name" : "whiteout")
        let directory = written.dropLast(name.count)
        var entry = ArchiveEntry("0", Array(directory) + Array(".wh.".utf8) + name)
        // The file system cannot hold a longer name, and containerd needs none.
        entry.mode = 0
        entries.append(entry)
    }

    private mutating func addOpaque() {
        guard let (written, real) = directory(), !real.isEmpty else { return }
        if isBottom {
            // containerd removes directories without an entry from the bottom layer.
            for path in model.order where LayerModel.isBelow(path, real) && model[path] == .implied { return }
        }
        model.imply(real)
        note("opaque directory")
        entries.append(ArchiveEntry("0", LayerModel.join(written, Array(".wh..wh..opq".utf8))))
    }

    // MARK: - Attributes and content

    private mutating func attributes(_ entry: inout ArchiveEntry) {
        entry.style = pick(ArchiveEntry.Style.allCases)
        entry.mode = pick([0o644, 0o755, 0o600, 0o700, 0o444, 0o777, 0, 0o4755, 0o2755, 0o1777, 0o6711, 0o7777])
        if entry.mode & 0o7000 != 0 { note("set-ID or sticky bit") }
        entry.uid = pick([0, 0, 0, 1000, 65534, 65535, 65536, 2_097_151, 2_097_152, 4_000_000_000])
        entry.gid = pick([0, 0, 0, 1000, 65534, 65535, 65536, 2_097_151, 2_097_152, 4_000_000_000])
        if entry.uid > 65535 || entry.gid > 65535 { note("large owner") }
        entry.seconds = Int64.random(in: 1_000_000_000...1_700_000_000, using: &random)
        switch Int.random(in: 0..<20, using: &random) {
        case 0: entry.seconds = 0
        case 1:
            entry.seconds = pick([-1, -86_400, -2_000_000_000, -5_000_000_000])
            note("time before 1970")
        case 2:
            entry.seconds = pick([2_147_483_648, 4_294_967_296, 8_589_934_592, 9_223_372_036])
            note("time after 2038")
        case 3:
            entry.seconds = pick([9_223_372_037, 16_000_000_000, 70_000_000_000])
            note("time after 2262")
        default: break
        }
        if form == .artifact || form == .podman, chance(20) {
            entry.nanoseconds = pick([1, 500_000_000, 999_999_999, 123_456_789])
            note("fraction of a second")
        }
        if chance(10) { entry.hasSpareRecords = true }
        if chance(18) { extendedAttributes(&entry) }
        note("header of \(entry.style.rawValue)")
    }

    private mutating func extendedAttributes(_ entry: inout ArchiveEntry) {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            switch Int.random(in: 0..<8, using: &random) {
            case 0: entry.xattrs.append(("user.empty", []))
            case 1: entry.xattrs.append(("user.\(entries.count % 7)", [0, 1, 255, 10, 61]))
            case 2: entry.xattrs.append(("user.long", Array(repeating: 7, count: 1000)))
            case 3:
                guard !entry.isSymbolicLink else { continue }
                // cap_net_raw+ep, version 2 (linux/capability.h).
                entry.xattrs.append(
                    ("security.capability", [1, 0, 0, 2, 0, 32, 0, 0] + Array(repeating: 0, count: 12)))
                note("capability")
            case 4: entry.xattrs.append(("trusted.\(pick(["x", "overlay.opaque", "overlay.redirect"]))", [0x79]))
            case 5: entry.xattrs.append(("com.apple.provenance", [1]))
            case 6 where !entry.isSymbolicLink:
                entry.xattrs.append(("system.posix_acl_access", accessList()))
                note("access control list")
            case 7 where entry.isDirectory && isTop:
                entry.xattrs.append(("system.posix_acl_default", accessList()))
                note("default access control list")
            default: continue
            }
            note("extended attribute")
        }
        // A header has each name once.
        var names: Set<String> = []
        entry.xattrs = entry.xattrs.filter { names.insert($0.name).inserted }
    }

    private mutating func accessList() -> [UInt8] {
        var bytes: [UInt8] = [2, 0, 0, 0]
        func add(_ tag: UInt8, _ permissions: UInt8, _ id: UInt32) {
            bytes += [tag, 0, permissions, 0]
            withUnsafeBytes(of: id.littleEndian) { bytes += $0 }
        }
        add(1, 7, .max)
        let isNamed = chance(60)
        if isNamed { add(2, UInt8.random(in: 0...7, using: &random), 1000) }
        add(4, 5, .max)
        if isNamed, chance(50) { add(8, 4, 2000) }
        if isNamed || chance(30) { add(16, UInt8.random(in: 0...7, using: &random), .max) }
        add(32, UInt8.random(in: 0...7, using: &random), .max)
        return bytes
    }

    private mutating func sparseContent() -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            bytes += [UInt8](repeating: chance(60) ? 0 : 7, count: Int.random(in: 1...40_000, using: &random))
        }
        return bytes
    }

    private mutating func content() -> [UInt8] {
        let sizes = [0, 1, 100, 511, 512, 513, 4095, 4096, 4097, 20_000]
        var size = pick(sizes)
        if chance(3) { size = pick([131_071, 131_072, 131_073, 300_000]) }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return [UInt8](repeating: 0, count: size)
        case 1: return (0..<size).map { UInt8(truncatingIfNeeded: $0 / 7) }
        default:
            var bytes: [UInt8] = []
            bytes.reserveCapacity(size + 8)
            while bytes.count < size { withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) } }
            return Array(bytes.prefix(size))
        }
    }
}
