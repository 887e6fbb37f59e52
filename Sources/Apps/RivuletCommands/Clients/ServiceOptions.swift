import ArgumentParser

/// The options of every subcommand that sends requests to the conversion service.
struct ServiceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The conversion service.", discussion: "Default: $RIVULET_SERVICE, or \(ServiceClient.defaultURL).",
            valueName: "url"))
    var service: String?

    @Option(help: ArgumentHelp("A file with the service's bearer token. Default: no token.", valueName: "file"))
    var tokenFile: String?

    @Option(help: "Format of the result.")
    var output = OutputFormat.table

    /// A client with these options.
    var client: ServiceClient { ServiceClient(url: service, tokenFile: tokenFile) }
}
