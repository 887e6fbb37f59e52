/// The images of the bench.
extension ImageRecipe {
    /// All images. The ones that build quickly come first.
    public static func all(_ edition: ImageEdition) -> [ImageRecipe] {
        [
            nginx(edition), numpy, pythonSci(edition), pythonWeb(edition), postgres(edition), jupyter(edition),
            smallFiles(edition), bigFile(edition), manyLayers(edition), jvm(edition), upgrade(1, edition),
            upgrade(2, edition), node(edition),
        ]
    }

    /// The image of the demonstration: Debian, Python, numpy, and an application that imports numpy and writes `ready`.
    ///
    /// It is the same in both editions.
    public static let numpy = ImageRecipe(
        "numpy", .full, repository: "demo/numpy",
        stages: [.packages("python3"), .packages("python3-numpy"), .application("numpy")],
        command: ["python3", "/app/app.py"], probe: .line("ready"))

    /// A web server whose configuration contains the port.
    static func nginx(_ edition: ImageEdition) -> ImageRecipe {
        ImageRecipe(
            "nginx", edition, stages: [.packages("nginx-light"), .application("nginx")],
            command: ["nginx", "-e", "stderr", "-c", "/app/nginx.conf"], probe: .http(port: 18001, path: "/"))
    }

    /// The usual imports of data science, from PyPI.
    static func pythonSci(_ edition: ImageEdition) -> ImageRecipe {
        ImageRecipe(
            "python-sci", edition,
            stages: [
                .packages("python3"), .script("pip.sh", ["python-sci/\(edition.rawValue).txt"]),
                .application("python-sci"),
            ],
            command: ["python3", "/app/\(edition.rawValue).py"], probe: .line("ready"))
    }

    /// A web application that uses Debian's Flask.
    static func pythonWeb(_ edition: ImageEdition) -> ImageRecipe {
        var recipe = ImageRecipe(
            "python-web", edition,
            stages: [.packages("python3"), .packages("python3-flask"), .application("python-web")],
            command: ["python3", "/app/app.py"], probe: .http(port: 18002, path: "/orders/7"))
        recipe.environment = ["PORT=18002"]
        return recipe
    }

    /// A database with its data directory in the image.
    static func postgres(_ edition: ImageEdition) -> ImageRecipe {
        ImageRecipe(
            "postgres", edition,
            stages: [
                .script("postgres/install.sh"),
                .script("postgres/setup.sh", [edition == .full ? "200000" : "1000"]),
            ],
            command: [
                "setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups",
                "/usr/lib/postgresql/15/bin/postgres", "-D", "/data",
            ],
            // The port is already open before the server can answer a query.
            probe: .line("LOG:  database system is ready to accept connections"))
    }

    /// A Jupyter server from PyPI: JupyterLab with some libraries that its users need, or the bare server.
    static func jupyter(_ edition: ImageEdition) -> ImageRecipe {
        var recipe = ImageRecipe(
            "jupyter", edition,
            stages: [
                .packages("python3"), .script("pip.sh", ["jupyter/\(edition.rawValue).txt"]), .application("jupyter"),
            ],
            command: ["python3", "-m", edition == .full ? "jupyterlab" : "jupyter_server"],
            probe: .http(port: 18003, path: edition == .full ? "/lab" : "/api"))
        recipe.environment = ["JUPYTER_CONFIG_DIR=/app", "HOME=/root"]
        return recipe
    }

    /// Many small files. The application reads some hundreds of them.
    static func smallFiles(_ edition: ImageEdition) -> ImageRecipe {
        ImageRecipe(
            "small-files", edition,
            stages: [
                .packages("python3-minimal"),
                .script("small-files/make.py", [edition == .full ? "60000" : "3000"]), .application("small-files"),
            ],
            command: ["python3", "/app/app.py"], probe: .line("ready"))
    }

    /// One incompressible file that is read from start to end.
    static func bigFile(_ edition: ImageEdition) -> ImageRecipe {
        ImageRecipe(
            "big-file", edition, base: .files("busybox-static"),
            stages: [.script("big-file/make.py", [edition == .full ? "2000" : "64"])],
            command: ["/bin/busybox", "dd", "if=/data/weights", "of=/dev/null", "bs=1M"], probe: .exit)
    }

    /// Thirty layers. The application reads something from each.
    static func manyLayers(_ edition: ImageEdition) -> ImageRecipe {
        let packages = [Stage.packages("python3-minimal")]
        let made = (1...27).map { number in
            Stage.script("layers-30/make.py", ["\(number)", edition == .full ? "200" : "4"])
        }
        var recipe = ImageRecipe(
            "layers-30", edition, stages: packages + made + [.application("layers-30")],
            command: ["python3", "/app/app.py"], probe: .tcp(port: 18005))
        recipe.environment = ["PORT=18005"]
        return recipe
    }

    /// A server on the Java virtual machine.
    static func jvm(_ edition: ImageEdition) -> ImageRecipe {
        var recipe = ImageRecipe(
            "jvm", edition,
            stages: [.packages("openjdk-17-jre-headless"), .script("jvm/setup.sh")],
            command: ["java", "-Xmx256m", "-cp", "/app", "Server"], probe: .http(port: 18004, path: "/"))
        recipe.environment = ["PORT=18004"]
        return recipe
    }

    /// A web application that uses Debian's Express.
    static func node(_ edition: ImageEdition) -> ImageRecipe {
        var recipe = ImageRecipe(
            "node", edition,
            stages: [.packages("nodejs"), .packages("node-express"), .application("node")],
            command: ["node", "/app/server.js"], probe: .http(port: 18008, path: "/orders/7"))
        recipe.environment = ["PORT=18008"]
        return recipe
    }

    /// One of two versions of an application. The second version has newer packages, and moved and changed files.
    static func upgrade(_ version: Int, _ edition: ImageEdition) -> ImageRecipe {
        var recipe = ImageRecipe(
            "upgrade-v\(version)", edition, repository: "bench/upgrade" + (edition == .small ? "-small" : ""),
            stages: [
                .packages("python3"), .script("pip.sh", ["upgrade/v\(version).txt"]),
                .script("upgrade/make.py", ["\(version)", edition == .full ? "400" : "40"]), .application("upgrade"),
            ],
            command: ["python3", "/app/app.py"], probe: .http(port: 18006, path: "/"))
        recipe.tagPrefix = "v\(version)-"
        recipe.environment = ["PORT=18006"]
        if version > 1 { recipe.predecessors = [upgrade(version - 1, edition)] }
        return recipe
    }
}
