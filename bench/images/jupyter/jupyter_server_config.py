# A server for nobody but the probe, whose port is in ImageRecipe.jupyter.
c = get_config()  # noqa: F821
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = 18003
c.ServerApp.port_retries = 0
c.ServerApp.allow_root = True
c.ServerApp.open_browser = False
c.ServerApp.root_dir = "/"
c.IdentityProvider.token = ""
