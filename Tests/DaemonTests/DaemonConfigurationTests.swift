import Base
import ContentStore
import Daemon
import Logging
import Testing

struct DaemonConfigurationTests {
    private func refusal(of text: String) -> ConfigurationError? {
        do {
            _ = try DaemonConfiguration(text: text, path: "config.toml")
            return nil
        } catch {
            return error
        }
    }

    @Test("has a default for each option") func hasDefaultForEachOption() throws {
        let configuration = try DaemonConfiguration(text: "", path: "config.toml")
        #expect(configuration.root == "/var/lib/rivulet")
        #expect(configuration.address == "/run/rivulet/rivulet.sock")
        #expect(!configuration.allowsUnverifiedTOC)
    }

    @Test("reads each option") func readsEachOption() throws {
        let configuration = try DaemonConfiguration(
            text: """
                root = "/data"
                [log]
                level = "debug"
                [streaming]
                read_ahead = false
                background_fill = false
                background_fill_rate = 20
                background_fill_disk_percent = 60
                predict = false
                artifacts = false
                [cache]
                quota = 20_000
                evict_disk_percent = 70
                full_disk_percent = 85
                memory = 16
                [containerd]
                root = "/mnt/containerd"
                [registry]
                connections = 4
                background_requests = 2
                ready_connections = 0
                [trust]
                verify_layers = false
                [conversion]
                service = "https://conversion.example/"
                token_file = "/etc/token"
                [limits]
                prepare_timeout = 5
                opening_memory = 512
                open_files = 100
                [admin]
                address = ""
                """, path: "config.toml")
        #expect(configuration.root == "/data")
        #expect(configuration.logLevel == .debug)
        #expect(!configuration.readsAhead)
        #expect(!configuration.fillsInBackground)
        #expect(configuration.fillRate == 20)
        #expect(configuration.spaceLimits.quota == 20_000_000_000)
        #expect(configuration.spaceLimits.fillPercent == 60)
        #expect(configuration.spaceLimits.evictPercent == 70)
        #expect(configuration.spaceLimits.fullPercent == 85)
        #expect(configuration.cacheMemory == 16)
        #expect(!configuration.predicts)
        #expect(!configuration.usesArtifacts)
        #expect(configuration.registryConnections == 4)
        #expect(configuration.registryBackgroundRequests == 2)
        #expect(configuration.registryReadyConnections == 0)
        #expect(!configuration.verifiesLayers)
        #expect(configuration.conversionService == "https://conversion.example")
        #expect(configuration.conversionToken == "/etc/token")
        #expect(configuration.prepareTimeout == 5)
        #expect(configuration.openingMemory == 512)
        #expect(configuration.openFiles == 100)
        #expect(configuration.containerdRoot == "/mnt/containerd")
        #expect(configuration.adminAddress == nil)
    }

    @Test(
        "names an unknown key and its line",
        arguments: [
            ("rot = \"/x\"", "config.toml:1: unknown option rot (did you mean root?)"),
            ("\n\n[streaming]\nbackground_fil = true", "config.toml:4: unknown option streaming.background_fil"),
            ("[stream]\nprefetch = true", "config.toml:2: unknown option stream.prefetch"),
            ("[nothing]", "config.toml:1: unknown option nothing"),
        ])
    func namesUnknownKeyAndItsLine(_ text: String, _ message: String) throws {
        let error = try #require(refusal(of: text))
        #expect(error.code == .unknownKey)
        #expect(error.message.hasPrefix(message))
    }

    @Test(
        "names a bad value and its line",
        arguments: [
            ("root = 3", "config.toml:1: root must be a string"),
            ("root = \"var\"", "config.toml:1: root must be an absolute path"),
            ("[log]\nlevel = \"loud\"", "config.toml:2: log.level must be one of"),
            ("[fuse]\n\nthreads = -1", "config.toml:3: fuse.threads must be a whole number from 0 to 256"),
            ("[conversion]\nservice = \"conversion:7090\"", "config.toml:2: conversion.service must be a URL"),
            ("[streaming]\nprefetch = 1", "config.toml:2: streaming.prefetch must be true or false"),
            ("log = 3", "config.toml"),
        ])
    func namesBadValueAndItsLine(_ text: String, _ message: String) throws {
        let error = try #require(refusal(of: text))
        #expect(error.message.hasPrefix(message))
    }

    /// TOMLKit's parser would trap on the second text.
    @Test("names the line of a syntax error", arguments: ["root = \"/x\"\n[log\n", "root = \"/x\"\n[=log]\n"])
    func namesLineOfSyntaxError(_ text: String) throws {
        let error = try #require(refusal(of: text))
        #expect(error.code == .syntax)
        #expect(error.message.hasPrefix("config.toml:2"))
    }

    @Test("reports a missing file") func reportsMissingFile() {
        #expect(throws: ConfigurationError.self) { try DaemonConfiguration(path: "/nonexistent/config.toml") }
    }
}
