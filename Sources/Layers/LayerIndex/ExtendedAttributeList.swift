import Base

/// The extended attributes of one node under construction, and their EROFS encoding.
///
/// An encoded entry is `{name length u8, namespace u8, value length u16, name, value}`, padded to a multiple of 4
/// bytes. Entries are sorted by namespace and name, so that the same attributes always have the same encoding.
struct ExtendedAttributeList {
    struct Entry {
        var index: UInt8
        var name: [UInt8]
        var value: [UInt8]
    }

    private(set) var entries: [Entry] = []

    init() {}

    /// Decodes the result of `encode(to:)`.
    init(encoded: UnsafeRawBufferPointer) {
        var position = 0
        while let nameLength = encoded.littleEndian(UInt8.self, at: position),
            let index = encoded.littleEndian(UInt8.self, at: position + 1),
            let valueLength = encoded.littleEndian(UInt16.self, at: position + 2)
        {
            let name = position + EROFS.xattrEntrySize
            let value = name + Int(nameLength)
            let end = value + Int(valueLength)
            guard end <= encoded.count else { return }
            entries.append(Entry(index: index, name: Array(encoded[name..<value]), value: Array(encoded[value..<end])))
            position = EROFS.align(end, to: 4)
        }
    }

    /// Adds an attribute. `index` is the number of the name's namespace (``ExtendedAttributeName/prefixes``), and
    /// `name` is the rest of the name. If several attributes have the same name, ``normalize()`` keeps the last one.
    mutating func set(index: UInt8, name: [UInt8], value: [UInt8]) {
        entries.append(Entry(index: index, name: name, value: value))
    }

    /// Adds the attributes of `other`, which replace those of the same name.
    mutating func merge(_ other: ExtendedAttributeList) {
        entries += other.entries
        normalize()
    }

    /// Sorts the attributes and keeps the last one of each name.
    mutating func normalize() {
        let isOrdered = entries.indices.dropLast().allSatisfy { Self.order(entries[$0], entries[$0 + 1]) < 0 }
        if isOrdered { return }
        var ordered = entries.enumerated().map { (position: $0.offset, entry: $0.element) }
        ordered.sort { left, right in
            let order = Self.order(left.entry, right.entry)
            return order != 0 ? order < 0 : left.position < right.position
        }
        entries.removeAll(keepingCapacity: true)
        for (_, entry) in ordered {
            if let last = entries.last, last.index == entry.index, last.name == entry.name { entries.removeLast() }
            entries.append(entry)
        }
    }

    /// Returns a negative number if `left` comes before `right`, and 0 if both have the same name.
    private static func order(_ left: Entry, _ right: Entry) -> Int {
        if left.index != right.index { return Int(left.index) - Int(right.index) }
        return left.name.withUnsafeBytes { name in right.name.withUnsafeBytes { Bytes.compare(name, $0) } }
    }

    /// Returns the value of an attribute; `nil` if there is no such attribute. Call ``normalize()`` first.
    func value(index: UInt8, name: [UInt8] = []) -> [UInt8]? {
        entries.first { $0.index == index && $0.name == name }?.value
    }

    /// Removes an attribute.
    mutating func remove(index: UInt8, name: [UInt8] = []) {
        entries.removeAll { $0.index == index && $0.name == name }
    }

    /// Changes the access control list as chmod(2) does when it sets `mode`. If `mode` then contains all permissions of
    /// the list, removes the list. Call ``normalize()`` first.
    mutating func setMode(_ mode: UInt16) {
        guard let value = value(index: ExtendedAttributeName.aclAccessIndex), var list = AccessControlList(value) else {
            return
        }
        list.setMode(mode)
        remove(index: ExtendedAttributeName.aclAccessIndex)
        if !list.isEqualToMode { set(index: ExtendedAttributeName.aclAccessIndex, name: [], value: list.value) }
    }

    /// Removes access control lists without entries, because the kernel does not store such lists.
    mutating func dropEmptyLists() {
        let lists = [ExtendedAttributeName.aclAccessIndex, ExtendedAttributeName.aclDefaultIndex]
        entries.removeAll { entry in
            lists.contains(entry.index) && (AccessControlList(entry.value)?.isEmpty ?? false)
        }
    }

    /// Adds the access control lists that a new file or directory inherits from its parent directory. `list` is the
    /// parent's default access control list. A new directory also gets `list` as its own default list.
    mutating func inherit(_ list: [UInt8], isDirectory: Bool) {
        set(index: ExtendedAttributeName.aclAccessIndex, name: [], value: list)
        if isDirectory { set(index: ExtendedAttributeName.aclDefaultIndex, name: [], value: list) }
    }

    mutating func setOpaque() {
        set(index: ExtendedAttributeName.trustedIndex, name: ExtendedAttributeName.opaqueSuffix, value: [0x79])
    }

    mutating func setImplied() {
        set(index: ExtendedAttributeName.trustedIndex, name: ExtendedAttributeName.impliedSuffix, value: [0x79])
    }

    mutating func setInherits() {
        set(index: ExtendedAttributeName.trustedIndex, name: ExtendedAttributeName.impliedSuffix, value: [0x78])
    }

    /// Removes overlayfs's own attributes (`trusted.overlay.*`). The merged tree becomes a lower directory of an
    /// overlay mount, where overlayfs would obey these attributes.
    mutating func removeOverlayNames() {
        entries.removeAll {
            $0.index == ExtendedAttributeName.trustedIndex && $0.name.starts(with: ExtendedAttributeName.overlaySuffix)
        }
    }

    /// Appends the encoding to `bytes`. Call ``normalize()`` first.
    func encode(to bytes: inout [UInt8]) {
        for entry in entries {
            bytes.append(UInt8(entry.name.count))
            bytes.append(entry.index)
            bytes.appendLittleEndian(UInt16(entry.value.count))
            bytes.append(contentsOf: entry.name)
            bytes.append(contentsOf: entry.value)
            while bytes.count % 4 != 0 { bytes.append(0) }
        }
    }
}
