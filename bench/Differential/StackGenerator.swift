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
    }
}

/// A generator of random stacks. The same seed and number give the same stack.
struct StackGenerator {
    private let number: Int
    private var random: SeededGenerator
    private var lowers: [LayerModel] = []
    private var model = LayerModel()
    private var entries: [ArchiveEntry] = []
    private var tally: [String: Int] = [:]
    private var isBottom: Bool { lowers.isEmpty }

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
        let form = pick(Stack.Form.allCases)
        let count = Int.random(in: 1...6, using: &random)
        var layers: [Stack.Layer] = []
        for _ in 0..<count {
            layers.append(layer())
        }
        note("form \(form.rawValue)")
        return Stack(number: number, form: form, layers: layers, tally: tally, packingSeed: random.next())
    }

    private mutating func layer() -> Stack.Layer {
        (model, entries) = (LayerModel(), [])
        let packing = pick(Packing.allCases)
        note(packing.rawValue)
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
        case 1:
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
        for prefix in LayerModel.prefixes(path) {
            if let node = model[prefix] {
                guard node.isDirectory else { return false }
                continue
            }
            // A lower file in the place of a parent fails the pull from the second missing level on.
            if prefix != path, lowers.contains(where: { $0[prefix].map { !$0.isDirectory } ?? false }) { return false }
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
        }
        guard !name.isEmpty, written.count < 900 else { return nil }
        return (LayerModel.join(written, name), LayerModel.join(real, name))
    }

    // MARK: - Entries

    private mutating func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<34: addFile()
        case 34..<56: addDirectory()
        case 56..<66: addHardLink()
        case 66..<90: addWhiteout()
        default: addOpaque()
        }
    }

    private mutating func addFile() {
        guard let (written, real) = freeTarget() else { return }
        var entry = ArchiveEntry("0", written)
        entry.content = content()
        note("regular file")
        place(&entry, real, .file)
    }

    private mutating func addDirectory() {
        guard let (written, real) = freeTarget(forDirectory: true) else { return }
        var entry = ArchiveEntry("5", written)
        note("directory")
        place(&entry, real, .directory)
    }

    /// Returns a random path at which an entry can be.
    private mutating func freeTarget(forDirectory: Bool = false) -> (written: [UInt8], real: [UInt8])? {
        guard let found = target() else { return nil }
        // containerd sets the times of directories at the end of the layer, so they must still be there.
        if !forDirectory, model.hasDirectoryEntry(found.real) { return nil }
        return found
    }

    private mutating func place(_ entry: inout ArchiveEntry, _ real: [UInt8], _ node: LayerModel.Node) {
        model.imply(parent(real))
        if let old = model[real] {
            note("duplicate in a layer")
            if !(old.isDirectory && node == .directory) { model.remove(real) }
        } else if lowers.contains(where: { $0[real] != nil }) {
            note("replaced from a lower layer")
        }
        model.set(real, node)
        attributes(&entry)
        entries.append(entry)
    }

    private func parent(_ path: [UInt8]) -> [UInt8] {
        guard let slash = path.lastIndex(of: 0x2F) else { return [] }
        return Array(path[..<slash])
    }

    private mutating func addHardLink() {
        let files = model.paths { $0 == .file }
        guard !files.isEmpty, let (written, real) = target(), model[real] == nil else { return }
        let source = pick(files)
        var entry = ArchiveEntry("1", written)
        entry.link = source
        guard source != real else { return }
        note("hard link")
        place(&entry, real, .file)
    }

    private mutating func addWhiteout() {
        guard let (written, real) = target() else { return }
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
        entry.mode = pick([0o644, 0o755, 0o600, 0o700, 0o444])
        entry.uid = pick([0, 0, 0, 1000, 65534])
        entry.gid = pick([0, 0, 0, 1000, 65534])
        entry.seconds = Int64.random(in: 1_000_000_000...1_700_000_000, using: &random)
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
