/// The standard file analyzers. Each file passes them in this order.
enum FileAnalyzers {
    static let standard: [any FileAnalyzer] = [
        PythonSourceAnalyzer(), PythonCompiledAnalyzer(), NodeSourceAnalyzer(), SettingsAnalyzer(),
        PythonRuntimeAnalyzer(), NodeRuntimeAnalyzer(), JavaRuntimeAnalyzer(), ProgramAnalyzer(),
        PythonExtensionAnalyzer(),
    ]
}
