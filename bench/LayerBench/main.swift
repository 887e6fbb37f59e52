LayerBench.run(Array(CommandLine.arguments.dropFirst()))
