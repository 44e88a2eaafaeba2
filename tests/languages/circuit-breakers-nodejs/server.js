// The quotes service on Node.js, written from the lab's README alone. It does not notice customers who go away.
"use strict";

const http = require("node:http");
const { Partner, Failed, Rejected } = require("./partner");

const fares = new Partner(process.env.FARES_URL, Number(process.env.BULKHEAD_FARES ?? 8));
const reviews = new Partner(process.env.REVIEWS_URL, Number(process.env.BULKHEAD_REVIEWS ?? 4));
const MAX_AGE = Number(process.env.STALE_MAX_AGE_S ?? 300) * 1000;
const memory = new Map();

const unavailable = (error, sources) => ({
  status: 503,
  json: { error: "unavailable", ...(sources && { sources }) },
  headers: { "Retry-After": String(Math.max(1, Math.ceil((error.wait ?? 0) / 1000))) },
});
const expected = (error) => error instanceof Failed || error instanceof Rejected;

async function reviewsOf(route) {
  const reply = await reviews.ask(`/reviews/${encodeURIComponent(route)}`, (json) => Array.isArray(json.reviews));
  return reply.status === 200 ? reply.json.reviews : [];
}

async function quote(route) {
  const asked = reviewsOf(route).catch((error) => {
    if (!expected(error)) throw error;
    return null;
  });
  let fare = null;
  let source = "live";
  let problem;
  try {
    const reply = await fares.ask(
      `/fares/${encodeURIComponent(route)}`,
      (json) => Number.isInteger(json.price_cents) && typeof json.as_of === "string",
    );
    if (reply.status !== 200) {
      if (reply.status === 404) memory.delete(route);
      return { status: reply.status, body: reply.body, type: reply.type };
    }
    fare = { price_cents: reply.json.price_cents, as_of: reply.json.as_of };
    memory.set(route, { fare, at: performance.now() });
  } catch (error) {
    if (!expected(error)) throw error;
    problem = error;
    const known = memory.get(route);
    if (known && performance.now() - known.at <= MAX_AGE) fare = known.fare;
    source = fare ? "stale" : "none";
  }
  const said = await asked;
  const sources = { fares: source, reviews: said === null ? "none" : "live" };
  if (!fare) return unavailable(problem, sources);
  return { status: 200, json: { route, fare, reviews: said, degraded: source !== "live" || said === null, sources } };
}

async function book(body) {
  const { route, booking_id: id } = body ?? {};
  if (!route || !id || typeof route !== "string" || typeof id !== "string") return { status: 400, json: { error: "bad_request" } };
  try {
    const reply = await fares.call("POST", "/bookings", (json) => "booking_id" in json, { route, booking_id: id });
    return { status: reply.status, body: reply.body, type: reply.type };
  } catch (error) {
    if (error instanceof Rejected) return unavailable(error);
    if (!(error instanceof Failed)) throw error;
    return { status: error.code === "timeout" ? 504 : 502, json: { error: error.code } };
  }
}

async function answer(request) {
  const path = new URL(request.url, "http://quotes").pathname;
  const [, kind, route] = path.split("/");
  const name = route && decodeURIComponent(route);
  if (request.method === "POST" && path === "/bookings") {
    const parts = [];
    for await (const part of request) parts.push(part);
    let body = null;
    try {
      body = JSON.parse(Buffer.concat(parts).toString());
    } catch {
      // refused by book()
    }
    return book(body);
  }
  if (request.method !== "GET") return { status: 405, json: { error: "method_not_allowed" } };
  if (path === "/healthz" || path === "/readyz") return { status: 200, json: { status: "ok" } };
  if (path === "/breakers") {
    const shown = ({ state, rejected, taken }) => ({ state, rejected, calls_in_progress: taken });
    return { status: 200, json: { fares: shown(fares), reviews: shown(reviews) } };
  }
  if (kind === "quotes" && name) return quote(name);
  if (kind === "reviews" && name) {
    try {
      return { status: 200, json: { route: name, reviews: await reviewsOf(name) } };
    } catch (error) {
      if (!expected(error)) throw error;
      return unavailable(error);
    }
  }
  return { status: 404, json: { error: "not_found" } };
}

const server = http.createServer(async (request, response) => {
  let found;
  try {
    found = await answer(request);
  } catch (error) {
    console.error(error);
    found = { status: 500, json: { error: "internal" } };
  }
  const body = found.body ?? JSON.stringify(found.json);
  response.writeHead(found.status, { "Content-Type": found.type ?? "application/json", ...found.headers });
  response.end(body);
});
server.listen(Number(process.env.PORT), "0.0.0.0");
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
