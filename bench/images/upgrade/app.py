"""A web application that reads every fifth file of its data before it answers."""

import os
import signal
import sys
import zlib

import flask
import sqlalchemy
from werkzeug.serving import make_server

directories = [path for path in ("/srv/data", "/srv/assets") if os.path.isdir(path)]
files = sorted((name, os.path.join(path, name)) for path in directories for name in os.listdir(path))
engine = sqlalchemy.create_engine("sqlite://")
table = sqlalchemy.Table(
    "files", sqlalchemy.MetaData(), sqlalchemy.Column("name", sqlalchemy.String), sqlalchemy.Column("sum", sqlalchemy.Integer)
)
app = flask.Flask(__name__)

with engine.begin() as connection:
    table.metadata.create_all(connection)
    for name, path in files[::5]:
        with open(path, "rb") as file:
            connection.execute(table.insert().values(name=name, sum=zlib.crc32(file.read())))
    rows = connection.execute(sqlalchemy.select(table)).all()


@app.get("/")
def index():
    return {name: value for name, value in rows}


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
make_server("127.0.0.1", int(os.environ["PORT"]), app, threaded=True).serve_forever()
