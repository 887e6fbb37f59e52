public import Base

/// The file analyzer of the Node.js program. The prediction analyzes JavaScript files only after this file analyzer has
/// recognized the program.
public struct NodeRuntimeAnalyzer: FileAnalyzer {
    public init() {}

    public func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction) {
        guard start.node == nil, file.name == "node" || file.name == "nodejs" else { return }
        start.node = NodeModules(start.files, path: start.configuration.variable("NODE_PATH"))
    }

    public func note(argument: String, in start: inout StartPrediction) -> Bool {
        guard start.node != nil else { return false }
        let directory = start.configuration.workingDirectory
        start.loadModule(NodeImport(name: ImagePath.joined(directory, argument)), from: "/")
        return true
    }

    public func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? { nil }

    public func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {}
}

/// The file analyzer of JavaScript files. It reports the packages and files that a JavaScript file loads at its top
/// level.
public struct NodeSourceAnalyzer: FileAnalyzer {
    /// The size in bytes of the largest file to analyze. A larger file is data, not a program.
    static let largest: UInt64 = 1 << 20

    public init() {}

    static func isNamed(_ name: Substring) -> Bool {
        name.hasSuffix(".js") || name.hasSuffix(".cjs") || name.hasSuffix(".mjs")
    }

    public func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? {
        start.node != nil && Self.isNamed(file.name) && file.size <= Self.largest ? file.whole : nil
    }

    public func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        start.loadModules(NodeImports.imports(inSource: bytes), from: file)
    }
}

/// The file analyzer of a package's `package.json`. It reports the file that Node.js loads for a module name.
///
/// A module name may continue with a path after the package's name. If so, this file analyzer reports the file for that
/// path. Otherwise, it reports the package's entry point.
private struct NodePackageAnalyzer: FileAnalyzer {
    let package: NodePackage
    let isImport: Bool

    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? { nil }

    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        start.take(start.node?.module(package, describedBy: bytes, isImport: isImport), isImport: isImport)
    }
}

extension StartPrediction {
    /// The image's JavaScript modules; `nil` until the prediction has found the Node.js program.
    var node: NodeModules? {
        get { self[NodeModules.self] }
        _modify { yield &self[NodeModules.self] }
    }

    /// Reports the modules that a JavaScript file loads.
    mutating func loadModules(_ imports: [NodeImport], from file: ImageFile) {
        // Node.js reads the `package.json` beside the file, which says whether the file is an ECMAScript module.
        if let description = files.file(file.directory + "/package.json") { want(description) }
        for item in imports { loadModule(item, from: file.directory) }
    }

    /// Reports the module that `item` names in a JavaScript file in `directory`.
    mutating func loadModule(_ item: NodeImport, from directory: String) {
        take(node?.find(item.name, from: directory), isImport: item.isImport)
    }

    fileprivate mutating func take(_ found: NodeModules.Found?, isImport: Bool) {
        switch found {
        case .module(let file): want(file)
        case .package(let package):
            want(package.description)
            // Most packages use the default file, so report that file without waiting for the description.
            if let index = node?.index(of: package) { want(index) }
            guard package.description.size <= NodeSourceAnalyzer.largest, node?.describe(package) == true else {
                return
            }
            wait(
                for: package.description.whole, of: package.description,
                then: NodePackageAnalyzer(package: package, isImport: isImport))
        case nil: break
        }
    }
}
