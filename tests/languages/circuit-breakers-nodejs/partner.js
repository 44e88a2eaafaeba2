// One partner: time limit, breaker, bulkhead, retries. Written from the lab's README alone.
"use strict";

const http = require("node:http");

const number = (name, value) => Number(process.env[name] ?? value);
const LIMIT = number("CALL_TIMEOUT_MS", 800);
const WINDOW = number("BREAKER_WINDOW", 20);
const MIN_CALLS = number("BREAKER_MIN_CALLS", 10);
const RATIO = number("BREAKER_FAILURE_RATIO", 0.5);
const OPEN = number("BREAKER_OPEN_MS", 3000);
const PROBES = number("BREAKER_HALF_OPEN_PROBES", 1);
const RETRIES = number("RETRY_MAX", 2);
const BASE = number("RETRY_BASE_MS", 200);
const SHARE = number("RETRY_BUDGET_RATIO", 0.2);
const FLOOR = number("RETRY_BUDGET_MIN", 3);

class Failed extends Error {
  constructor(code, repeat = true) {
    super(code);
    this.code = code;
    this.repeat = repeat;
  }
}

class Rejected extends Error {
  constructor(wait) {
    super("rejected");
    this.wait = wait;
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const now = () => performance.now();

class Partner {
  constructor(url, places) {
    this.url = url;
    this.places = places;
    this.taken = 0;
    this.state = "closed";
    this.rejected = 0;
    this.ends = [];
    this.era = 0; // grows with each change of state
    this.probes = this.proven = 0;
    this.until = 0;
    this.firsts = [];
    this.again = [];
    this.agent = new http.Agent({ keepAlive: true });
  }

  change(state) {
    this.state = state;
    this.era += 1;
    this.ends = [];
    this.probes = this.proven = 0;
    if (state === "open") this.until = now() + OPEN;
  }

  enter() {
    if (this.state === "open" && now() >= this.until) this.change("half_open");
    const free = this.state === "closed" || (this.state === "half_open" && this.probes < PROBES);
    if (!free) {
      this.rejected += 1;
      throw new Rejected(Math.max(0, this.until - now()));
    }
    if (this.state === "half_open") this.probes += 1;
    return this.era;
  }

  leave(era, good) {
    if (era !== this.era) return;
    if (this.state === "half_open") {
      if (!good) this.change("open");
      else if (++this.proven >= PROBES) this.change("closed");
      return;
    }
    this.ends.push(good);
    if (this.ends.length > WINDOW) this.ends.shift();
    const failed = this.ends.filter((one) => !one).length;
    if (this.ends.length >= MIN_CALLS && failed >= RATIO * this.ends.length) this.change("open");
  }

  async call(method, path, sound, body) {
    if (this.taken >= this.places) throw new Rejected(0);
    const era = this.enter();
    this.taken += 1;
    let good = false;
    try {
      const reply = await this.exchange(method, path, sound, body);
      good = true;
      return reply;
    } finally {
      this.taken -= 1;
      this.leave(era, good);
    }
  }

  async ask(path, sound) {
    this.firsts.push(now());
    for (let retry = 0; ; retry += 1) {
      try {
        return await this.call("GET", path, sound);
      } catch (error) {
        if (!(error instanceof Failed) || !error.repeat || retry === RETRIES || !this.afford()) throw error;
        await sleep(Math.random() * BASE * 2 ** retry);
      }
    }
  }

  afford() {
    const young = (when) => when > now() - 60000;
    this.firsts = this.firsts.filter(young);
    this.again = this.again.filter(young);
    if (this.again.length + 1 > FLOOR + SHARE * this.firsts.length) return false;
    this.again.push(now());
    return true;
  }

  exchange(method, path, sound, body) {
    return new Promise((resolve, reject) => {
      const sent = body === undefined ? "" : JSON.stringify(body);
      const headers = sent ? { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(sent) } : {};
      const request = http.request(this.url + path, { method, headers, agent: this.agent });
      const limit = setTimeout(() => {
        reject(new Failed("timeout"));
        request.destroy();
      }, LIMIT);
      const broken = () => {
        clearTimeout(limit);
        reject(new Failed("bad_gateway"));
      };
      request.on("error", broken);
      request.on("response", (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("error", broken);
        response.on("aborted", broken);
        response.on("end", () => {
          clearTimeout(limit);
          if (!response.complete) return broken();
          try {
            resolve(usable(response, Buffer.concat(parts), sound));
          } catch (error) {
            reject(error);
          }
        });
      });
      request.end(sent);
    });
  }
}

function usable(response, body, sound) {
  const status = response.statusCode;
  if (status >= 400 && status < 500) return { status, body, type: response.headers["content-type"] };
  if (status < 200 || status >= 300) throw new Failed("bad_gateway", response.headers["retry-after"] === undefined);
  let json = null;
  try {
    json = JSON.parse(body.toString());
  } catch {
    // judged below, like JSON of another shape
  }
  if (!json || !sound(json)) throw new Failed("bad_gateway");
  return { status, json, body, type: "application/json" };
}

module.exports = { Partner, Failed, Rejected };
