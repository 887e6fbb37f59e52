import Base

/// A tree in which ``RootPath`` resolves paths.
protocol PathTree {
    associatedtype Node

    var rootNode: Node { get }

    /// Returns the entry called `name` in the directory `parent`.
    func find(_ name: [UInt8], in parent: Node) throws(LayerIndexError) -> PathEntry<Node>
}

/// The file that a name in a directory refers to.
enum PathEntry<Node> {
    case absent
    case directory(Node)
    case symbolicLink([UInt8])
    case other
}

/// The resolution of a path's symbolic links inside a root, as in containerd's unpacking (continuity, `fs.RootPath`).
///
/// The resolution makes passes over the path until a pass finds no link. Each pass replaces the links that it finds
/// with their targets. A `..` in a link's target removes the name before it, even if that name is a symbolic link or
/// does not exist. A missing component is no error.
struct RootPath {
    /// The maximum number of symbolic links in one path, as in continuity.
    static let maximumLinks = 255

    /// The components of the result, which has no symbolic links.
    private(set) var names: [[UInt8]] = []
    /// The maximum ``work`` of all paths of a layer or a chain together: tens of millions of look-ups.
    static let maximumTotalWork: UInt64 = 256 << 20

    /// The work of the resolution. Each pass adds 8 for each component of the path. Each link that is followed adds
    /// the length of its target in bytes, and 8 for each component from the root to the link's target.
    private(set) var work: UInt64 = 0

    /// Resolves a path. Components `.` and `..` are allowed.
    ///
    /// - Parameter budget: the maximum of ``work``. The work is subtracted, also if the resolution fails. More work
    ///   throws ``LayerIndexErrorCode/limit``.
    init<Tree: PathTree>(
        _ path: [[UInt8]], in tree: Tree, limits: IndexLimits, budget: inout UInt64
    ) throws(LayerIndexError) {
        names = path
        let maximumWork = budget
        var links = 0
        while true {
            let before = links
            do throws(LayerIndexError) {
                try pass(tree, limits, &links, maximumWork)
            } catch {
                budget -= min(work, maximumWork)
                throw error
            }
            if links == before { break }
        }
        budget -= min(work, maximumWork)
    }

    private mutating func pass<Tree: PathTree>(
        _ tree: Tree, _ limits: IndexLimits, _ links: inout Int, _ maximumWork: UInt64
    ) throws(LayerIndexError) {
        work += UInt64(names.count) * 8
        guard work <= maximumWork else { throw Self.tooMuchWork }
        var current: [[UInt8]] = []
        // The directory at `current`; `nil` if there is none without following links.
        var node: Tree.Node? = tree.rootNode
        for name in names {
            if name == [0x2E] { continue }
            if name == [0x2E, 0x2E] {
                _ = current.popLast()
                node = try Self.walk(current, tree)
                continue
            }
            guard name.count <= IndexLimits.nameLength else {
                throw LayerIndexError(.invalidPath, "a name of \(name.count) bytes")
            }
            var entry = PathEntry<Tree.Node>.absent
            if let parent = node { entry = try tree.find(name, in: parent) }
            switch entry {
            case .absent, .other:
                current.append(name)
                node = nil
            case .directory(let next):
                current.append(name)
                node = next
            case .symbolicLink(let target):
                links += 1
                guard links <= Self.maximumLinks else {
                    throw LayerIndexError(.invalidPath, "an entry below more than \(Self.maximumLinks) symbolic links")
                }
                current = Self.clean(target, from: target.first == 0x2F ? [] : current)
                work += UInt64(target.count) + UInt64(current.count) * 8
                guard work <= maximumWork else { throw Self.tooMuchWork }
                guard current.count <= limits.depth else {
                    throw LayerIndexError(.limit, "a path of more than \(limits.depth) names")
                }
                node = try Self.walk(current, tree)
            }
        }
        names = current
    }

    private static var tooMuchWork: LayerIndexError {
        LayerIndexError(.limit, "too many entries below symbolic links")
    }

    /// Returns the directory at `path` without following links; `nil` if there is none.
    private static func walk<Tree: PathTree>(_ path: [[UInt8]], _ tree: Tree) throws(LayerIndexError) -> Tree.Node? {
        var node = tree.rootNode
        for name in path {
            guard name.count <= IndexLimits.nameLength, case .directory(let next) = try tree.find(name, in: node) else {
                return nil
            }
            node = next
        }
        return node
    }

    private static func clean(_ target: [UInt8], from start: [[UInt8]]) -> [[UInt8]] {
        var names = start
        for name in target.split(separator: 0x2F) where name != [0x2E] {
            if name == [0x2E, 0x2E] { _ = names.popLast() } else { names.append(Array(name)) }
        }
        return names
    }
}
