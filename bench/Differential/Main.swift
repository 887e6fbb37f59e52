import ArgumentParser
import Lab

@main
enum Main {
    static func main() {
        SignalGuard.run { await Differential.main() }
    }
}
