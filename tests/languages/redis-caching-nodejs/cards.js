// Cards through Redis: a lock lets one request rebuild; a generation keeps out what was read before a write.
"use strict";

const { randomUUID } = require("node:crypto");
const { setImmediate: turn, setTimeout: pause } = require("node:timers/promises");
const { createClient } = require("redis");
const { CURRENCIES } = require("./contract");

const number = (name, fallback) => Number(process.env[name] ?? fallback);
const PREFIX = process.env.CACHE_PREFIX ?? "catalog:";
const TTL = number("CACHE_TTL_SECONDS", 300) * 1000;
const JITTER = number("CACHE_TTL_JITTER", 0.2);
const NEGATIVE_TTL = number("NEGATIVE_TTL_SECONDS", 30) * 1000;
const TIMEOUT = number("REDIS_TIMEOUT_MS", 200);
const LOCK_TTL = number("LOCK_TTL_MS", 10000);
const GENERATION_TTL = 3600 * 1000;
const ABSENT = "-";

const STORE = `if (redis.call('GET', KEYS[2]) or '') == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end`;
const RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";

const redis = createClient({
  url: process.env.REDIS_URL,
  disableOfflineQueue: true,
  socket: { connectTimeout: TIMEOUT, reconnectStrategy: () => 250 },
});
redis.on("error", () => {}); // it connects again by itself
// The first requests find Redis, if it is there; nobody waits for it longer than for a command.
const settled = Promise.race([redis.connect().catch(() => {}), pause(TIMEOUT)]);

const keyOf = (kind, ...parts) => `${PREFIX}${kind}:${parts.join(":")}`;

let failures = 0;
let quietUntil = 0;

class RedisSilent extends Error {}

// One command with a time limit. After three failures in a row nobody asks for two seconds, except `always`.
async function ask(command, always = false) {
  if (!always && Date.now() < quietUntil) throw new RedisSilent();
  const limit = new AbortController();
  try {
    // The turn of the event loop after the timer: a reply that has arrived during a stall of our own still counts.
    const late = pause(TIMEOUT, null, { signal: limit.signal, ref: false }).then(() => turn()).then(() => {
      throw new RedisSilent();
    });
    late.catch(() => {});
    const reply = await Promise.race([command(), late]);
    failures = 0;
    return reply;
  } catch (problem) {
    if (problem.name === "ReplyError" || /^(WRONGTYPE|ERR|OOM|NOPERM|NOSCRIPT)/.test(problem.message)) throw problem;
    if (++failures >= 3) quietUntil = Date.now() + 2000;
    throw problem;
  } finally {
    limit.abort();
  }
}

// The entry as text, ABSENT, or null where there is nothing that can be shown.
async function look(id, currency) {
  let text;
  try {
    text = await ask(() => redis.get(keyOf("card", id, currency)));
  } catch (problem) {
    if (problem.message.startsWith("WRONGTYPE")) return null;
    throw problem;
  }
  if (text === null || text === ABSENT) return text;
  try {
    const card = JSON.parse(text);
    return card.currency === currency && card.id === Number(id) ? text : null;
  } catch {
    return null;
  }
}

async function store(id, currency, generation, card) {
  const lifetime = card === null ? NEGATIVE_TTL : TTL * (1 - JITTER + 2 * JITTER * Math.random());
  await ask(() => redis.eval(STORE, {
    keys: [keyOf("card", id, currency), keyOf("generation", id)],
    arguments: [generation, card ?? ABSENT, String(Math.max(1, Math.floor(lifetime)))],
  }));
}

async function rebuild(id, currency, load) {
  const known = await look(id, currency);
  if (known !== null) return known === ABSENT ? null : known;
  const generation = (await ask(() => redis.get(keyOf("generation", id)))) ?? "";
  const card = await load();
  await store(id, currency, generation, card).catch(() => {});
  return card;
}

// The card as JSON text or null, and where it came from. `load` asks PostgreSQL and is called at most once.
async function read(id, currency, query) {
  let loading = null;
  const load = () => (loading ??= query());
  const lock = keyOf("lock", id, currency);
  const token = randomUUID();
  const patience = Date.now() + 2 * LOCK_TTL;
  try {
    for (let wait = 10; Date.now() < patience; wait = Math.min(wait * 1.5, 100)) {
      const text = await look(id, currency);
      if (text !== null) return [text === ABSENT ? null : text, "HIT"];
      if (await ask(() => redis.set(lock, token, { NX: true, PX: LOCK_TTL }))) {
        try {
          return [await rebuild(id, currency, load), "MISS"];
        } finally {
          await ask(() => redis.eval(RELEASE, { keys: [lock], arguments: [token] })).catch(() => {});
        }
      }
      await pause(wait);
    }
  } catch (problem) {
    if (loading !== null) return [await loading, "MISS"]; // PostgreSQL failed: the same problem again
  }
  return [await load(), "BYPASS"];
}

// After this no reader that began earlier can store its card. Fails if Redis does not confirm it.
async function forget(id) {
  await ask(() => redis.multi()
    .set(keyOf("generation", id), randomUUID(), { PX: GENERATION_TTL })
    .del(CURRENCIES.map((currency) => keyOf("card", id, currency)))
    .exec(), true);
}

// A write is refused while it could not be made known; nothing has been written then.
async function writing(id, write) {
  await forget(id);
  try {
    return await write();
  } finally {
    await forget(id);
  }
}

module.exports = { read, settled, writing };
