import Daemon

await runDaemon()
