import Daemon
import Prediction

Analyzer.runIfRequested()
await runDaemon()
