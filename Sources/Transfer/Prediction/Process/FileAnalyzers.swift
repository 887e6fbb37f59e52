/// The standard analyzers, in the order in which they see a file.
enum FileAnalyzers {
    static let standard: [any FileAnalyzer] = [
        PythonSourceAnalyzer(), PythonCompiledAnalyzer(), NodeSourceAnalyzer(), SettingsAnalyzer(),
        PythonRuntimeAnalyzer(), NodeRuntimeAnalyzer(), JavaRuntimeAnalyzer(), ProgramAnalyzer(),
        PythonExtensionAnalyzer(),
    ]
}
