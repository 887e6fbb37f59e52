import Foundation
import Registry
import TestRegistry
import Testing

/// Certificates for one test: an authority, its certificates, and another authority that has signed nothing. openssl
/// creates them in the test's directory.
struct TestCertificates {
    let directory: String

    var authority: String { path("authority.pem") }
    var otherAuthority: String { path("other.pem") }
    /// A server certificate for 127.0.0.1 and localhost.
    var server: TestTLS { TestTLS(certificate: path("server.pem"), key: path("server.key")) }
    /// The same server certificate. The server demands a client certificate from the authority.
    var choosyServer: TestTLS {
        TestTLS(certificate: path("server.pem"), key: path("server.key"), clientAuthority: authority)
    }
    /// A server certificate for another name.
    var strangeServer: TestTLS { TestTLS(certificate: path("strange.pem"), key: path("strange.key")) }
    var client: (certificate: String, key: String) { (path("client.pem"), path("client.key")) }

    init(in directory: String) throws {
        self.directory = directory
        for name in ["authority", "other"] {
            try make(name, "/CN=Rivulet test \(name)", ["basicConstraints=critical,CA:TRUE"], signed: false)
        }
        try make("server", "/CN=registry", ["subjectAltName=IP:127.0.0.1,DNS:localhost"], signed: true)
        try make("strange", "/CN=elsewhere", ["subjectAltName=IP:192.0.2.1,DNS:registry.test"], signed: true)
        try make("client", "/CN=node", ["extendedKeyUsage=clientAuth"], signed: true)
    }

    private func path(_ name: String) -> String { "\(directory)/\(name)" }

    private func make(_ name: String, _ subject: String, _ extensions: [String], signed: Bool) throws {
        var arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", subject, "-keyout", path("\(name).key"), "-out", path("\(name).pem"),
        ]
        for line in extensions { arguments += ["-addext", line] }
        if signed { arguments += ["-CA", path("authority.pem"), "-CAkey", path("authority.key")] }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        process.standardError = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl: \(text)")
    }
}
