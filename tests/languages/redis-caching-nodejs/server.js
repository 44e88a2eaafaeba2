// The catalog service on Node.js, written from the lab's README alone.
"use strict";

const http = require("node:http");
const { Pool, types } = require("pg");
const cards = require("./cards");
const { Refusal, badRequest, changeOf, currencyOf, idOf, newProductOf } = require("./contract");

types.setTypeParser(3802, (text) => text); // jsonb stays text: numbers keep their digits
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 50, connectionTimeoutMillis: 10000 });
pool.on("error", () => {}); // an idle connection was cut; the next query opens another

const first = async (statement, values) => (await pool.query(statement, values)).rows[0];
const cardQuery = (id, currency) => async () =>
  (await first("SELECT lab.product_card($1, $2) AS card", [id, currency])).card;

const CHANGE = `UPDATE shop.product SET price_cents = coalesce($2, price_cents), name = coalesce($3, name),
  stock = coalesce($4, stock), version = version + 1 WHERE id = $1 RETURNING version`;
const CREATE = `INSERT INTO shop.product (id, sku, name, price_cents, stock) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT DO NOTHING RETURNING version`;
const DELETE = "DELETE FROM shop.product WHERE id = $1 RETURNING id";

async function bodyText(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > 1e6) throw badRequest();
    parts.push(part);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    throw badRequest();
  }
}

async function readProduct(id, query) {
  const currency = currencyOf(query.get("currency"));
  const [card, source] = await cards.read(id, currency, cardQuery(id, currency));
  const headers = { "X-Cache": source };
  return card === null ? [404, '{"error":"not_found"}', headers] : [200, card, headers];
}

async function changeProduct(id, request) {
  const { price_cents, name, stock } = changeOf(await bodyText(request));
  const row = await cards.writing(id, () => first(CHANGE, [id, price_cents, name, stock]));
  if (!row) throw new Refusal(404, "not_found");
  return [200, `{"id":${id},"version":${row.version}}`];
}

async function createProduct(request) {
  const product = newProductOf(await bodyText(request));
  const id = String(product.id);
  const row = await cards.writing(id, () =>
    first(CREATE, [id, product.sku, product.name, product.price_cents, product.stock]));
  if (!row) throw new Refusal(409, "conflict");
  return [201, `{"id":${id},"version":${row.version}}`];
}

async function deleteProduct(id) {
  if (!(await cards.writing(id, () => first(DELETE, [id])))) throw new Refusal(404, "not_found");
  return [204, null];
}

async function answer(request) {
  const [path, query = ""] = request.url.split("?", 2);
  const route = `${request.method} ${path}`;
  if (route === "GET /healthz") return [200, '{"status":"ok"}'];
  if (route === "GET /readyz") {
    await pool.query("SELECT 1");
    return [200, '{"status":"ready"}'];
  }
  if (route === "POST /products") return createProduct(request);
  const match = /^\/products\/([^/]+)$/.exec(path);
  if (!match) throw new Refusal(404, "not_found");
  const id = idOf(match[1]);
  if (request.method === "GET") return readProduct(id, new URLSearchParams(query));
  if (request.method === "PUT") return changeProduct(id, request);
  if (request.method === "DELETE") return deleteProduct(id);
  throw new Refusal(405, "method_not_allowed");
}

const server = http.createServer(async (request, response) => {
  let reply;
  try {
    reply = await answer(request);
  } catch (problem) {
    const known = problem instanceof Refusal;
    if (!known) console.error(String(problem));
    reply = known ? [problem.status, `{"error":"${problem.code}"}`] : [503, '{"error":"unavailable"}'];
  }
  const [status, body, headers = {}] = reply;
  response.writeHead(status, body === null ? headers : { "Content-Type": "application/json", ...headers });
  response.end(body ?? undefined);
});

process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
cards.settled.then(() => server.listen(Number(process.env.PORT ?? 8000), "0.0.0.0"));
