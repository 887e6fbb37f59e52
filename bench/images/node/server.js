// A web application of a few pages, as Express' documentation would have one write it.
"use strict";

const express = require("express");
const orders = require("./orders");

const app = express();
app.use(express.json());
app.get("/orders/:number", (request, response) => response.send(orders.page(Number(request.params.number))));

process.on("SIGTERM", () => process.exit(0));
app.listen(Number(process.env.PORT), "127.0.0.1");
