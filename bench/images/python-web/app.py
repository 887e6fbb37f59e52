"""A web application of a few pages, as Flask's documentation would have one write it."""

import os
import signal
import sys

from flask import Flask, render_template_string
from werkzeug.serving import make_server

app = Flask(__name__)
PAGE = """<!doctype html><title>Order {{ order.number }}</title>
<ul>{% for item in order["items"] %}<li>{{ item.name | title }}: {{ item.count }}</li>{% endfor %}</ul>"""


@app.get("/orders/<int:number>")
def order(number):
    items = [{"name": f"article {i}", "count": i} for i in range(1, 1 + number)]
    return render_template_string(PAGE, order={"number": number, "items": items})


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
make_server("127.0.0.1", int(os.environ["PORT"]), app, threaded=True).serve_forever()
