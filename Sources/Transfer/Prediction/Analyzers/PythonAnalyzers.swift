public import Base

/// The file analyzer of a Python interpreter. It reports the files that every start of the interpreter reads.
public struct PythonRuntimeAnalyzer: FileAnalyzer {
    public init() {}

    public func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction) {
        guard file.name.hasPrefix("python3"), start.python == nil,
            let found = PythonModules(executable: file, calledAs: path, in: start.files)
        else { return }
        start.python = found
        for file in start.python?.startup() ?? [] { start.want(file) }
    }

    public func note(argument: String, in start: inout StartPrediction) -> Bool {
        if argument.contains("import ") {
            // `-c program`.
            start.importModules(PythonImports.imports(inSource: Array(argument.utf8.prefix(1 << 16))), from: nil)
            return true
        }
        guard start.python != nil else { return false }
        // `-m module`.
        start.importModules([PythonImport(level: 0, module: argument, names: ["__main__"])], from: nil)
        return true
    }

    public func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? { nil }

    public func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {}
}

/// The file analyzer of Python source files. It reports the modules that a file imports.
public struct PythonSourceAnalyzer: FileAnalyzer {
    /// The size in bytes of the largest file to analyze. A larger file is data, not a program.
    static let largest: UInt64 = 1 << 20

    public init() {}

    static func isNamed(_ name: Substring) -> Bool { name.hasSuffix(".py") }

    public func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? {
        Self.isNamed(file.name) && file.size <= Self.largest ? file.whole : nil
    }

    public func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        start.importModules(ofSource: bytes, file)
    }
}

/// The file analyzer of compiled Python files. It reports the modules that a file's top level imports.
public struct PythonCompiledAnalyzer: FileAnalyzer {
    public init() {}

    static func isNamed(_ name: Substring) -> Bool { name.hasSuffix(".pyc") }

    public func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? {
        Self.isNamed(file.name) && file.size <= PythonSourceAnalyzer.largest ? file.whole : nil
    }

    public func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        start.importModules(PythonImports.imports(inCompiled: bytes) ?? [], from: file)
    }
}

/// The file analyzer of Python extension modules. It reports the modules whose names the file contains.
public struct PythonExtensionAnalyzer: FileAnalyzer {
    public init() {}

    public func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? {
        // `name.cpython-311-x86_64-linux-gnu.so`, `name.abi3.so`
        guard start.python != nil, file.name.hasSuffix(".so"), file.size <= StartPrediction.wholeFile,
            file.name.contains(".cpython-") || file.name.contains(".abi3.")
        else { return nil }
        return file.whole
    }

    public func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        start.importModules(PythonImports.imports(inExtension: bytes), from: file)
    }
}

extension StartPrediction {
    /// The image's Python installation; `nil` until the prediction has found the Python interpreter.
    var python: PythonModules? {
        get { self[PythonModules.self] }
        _modify { yield &self[PythonModules.self] }
    }

    /// The maximum total size in bytes of the compiled modules that one call of ``takeAlong(besides:)`` reports. The
    /// call looks at all compiled modules in one package that were neither reported nor read before. If these modules
    /// are larger in total, the call reports none of them.
    private static let smallPackage: UInt64 = 1 << 20

    /// Reports the modules that a Python source file imports.
    mutating func importModules(ofSource bytes: [UInt8], _ file: ImageFile) {
        python?.add(root: file.directory)
        importModules(PythonImports.imports(inSource: bytes), from: file)
    }

    /// Reports the modules that a Python file imports.
    ///
    /// - Parameter file: the importing file; `nil` for the command line.
    mutating func importModules(_ imports: [PythonImport], from file: ImageFile?) {
        guard python != nil else { return }
        var package: String?
        if let file {
            package = python?.package(of: file)
            if let root = python?.root(of: file) { python?.add(root: root) }
        }
        for item in imports.prefix(PythonImports.maximumImports) {
            for module in python?.modules(item, from: package) ?? [] {
                want(module)
                if speculates { takeAlong(besides: module) }
            }
        }
    }

    /// Reports all other compiled modules in the directory (the package) of `module`. Skips modules that were reported
    /// or read before. If the total size of the modules to report exceeds ``smallPackage``, reports none of them.
    ///
    /// The process will probably import most of these modules. Without this function, the prediction would find a
    /// module only after the importing module has arrived. So this function saves a round trip for each module.
    private mutating func takeAlong(besides module: ImageFile) {
        // If an extent holds parts of many files, each read already fetches more neighbors than this function does
        // (``Planner``). With both, jupyter started a second later.
        guard !sharesExtents(module), module.name.hasSuffix(".pyc"),
            python?.takePackage(module.directory) == true
        else { return }
        let directory = module.directory
        var modules: [ImageFile] = []
        var bytes: UInt64 = 0
        for name in files.names(in: directory, beginningWith: "", limit: 512) where name.hasSuffix(".pyc") {
            guard let file = files.file("\(directory)/\(name)"), isNew(file) else { continue }
            bytes &+= file.size
            guard bytes <= Self.smallPackage else { return }
            modules.append(file)
        }
        for module in modules { wantLater(module) }
    }
}
