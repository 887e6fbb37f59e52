/// The standard file analyzers, in the order in which each file passes through them.
enum FileAnalyzers {
    static let standard: [any FileAnalyzer] = [
        PythonSourceAnalyzer(), PythonCompiledAnalyzer(), NodeSourceAnalyzer(), SettingsAnalyzer(),
        PythonRuntimeAnalyzer(), NodeRuntimeAnalyzer(), JavaRuntimeAnalyzer(), ProgramAnalyzer(),
        PythonExtensionAnalyzer(),
    ]
}
