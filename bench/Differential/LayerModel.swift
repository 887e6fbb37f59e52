/// A model of the directory into which containerd unpacks one layer. It keeps the generator from making archives that
/// containerd refuses.
struct LayerModel {
    enum Node: Equatable {
        case directory
        case implied
        case file
        case whiteout
        /// A symbolic link, with the real path of the directory that it names; `nil` if it names none.
        case link(to: [UInt8]?)

        var isDirectory: Bool { self == .directory || self == .implied }
    }

    static let slash: UInt8 = 0x2F

    private(set) var nodes: [[UInt8]: Node] = [:]
    /// The paths in the order of their first appearance, so that choices depend only on the seed.
    private(set) var order: [[UInt8]] = []

    subscript(path: [UInt8]) -> Node? { nodes[path] }

    mutating func set(_ path: [UInt8], _ node: Node) {
        if nodes.updateValue(node, forKey: path) == nil { order.append(path) }
    }

    /// Removes `path` with everything below it.
    mutating func remove(_ path: [UInt8]) {
        for other in order where other == path || Self.isBelow(other, path) { nodes[other] = nil }
        order.removeAll { nodes[$0] == nil }
    }

    mutating func imply(_ path: [UInt8]) {
        for parent in Self.prefixes(path) where nodes[parent] == nil { set(parent, .implied) }
    }

    /// Returns true if an entry of a directory is at `path` or below it.
    func hasDirectoryEntry(_ path: [UInt8]) -> Bool {
        order.contains { ($0 == path || Self.isBelow($0, path)) && nodes[$0] == .directory }
    }

    func paths(_ include: (Node) -> Bool) -> [[UInt8]] {
        order.filter { path in nodes[path].map(include) ?? false }
    }

    static func isBelow(_ path: [UInt8], _ directory: [UInt8]) -> Bool {
        directory.isEmpty
            ? !path.isEmpty
            : path.count > directory.count && path[directory.count] == slash && path.starts(with: directory)
    }

    /// Returns the parents of `path` from the top down, and `path` itself.
    static func prefixes(_ path: [UInt8]) -> [[UInt8]] {
        var found = path.indices.filter { path[$0] == slash }.map { Array(path[..<$0]) }
        if !path.isEmpty { found.append(path) }
        return found
    }

    static func join(_ directory: [UInt8], _ name: [UInt8]) -> [UInt8] {
        directory.isEmpty ? name : directory + [slash] + name
    }
}
