// What a request must look like. Knows nothing of PostgreSQL and Redis.
"use strict";

class Refusal extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
    this.code = code;
  }
}
const badRequest = () => new Refusal(400, "bad_request");

const LARGEST_ID = 9223372036854775807n;
const CURRENCIES = ["EUR", "USD", "GBP"];

// A number of JavaScript is exact up to 2^53 only; longer integers of a body come as BigInt.
function parseExactly(text) {
  const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  const marked = text.replace(token, (part) => (/^-?\d{16,}$/.test(part) ? `{"\\u0000integer":"${part}"}` : part));
  JSON.parse(text); // refuses what the marks might have hidden
  return JSON.parse(marked, (_key, value) =>
    value && typeof value === "object" && "\u0000integer" in value ? BigInt(value["\u0000integer"]) : value);
}

function idOf(text) {
  if (!/^[1-9][0-9]{0,18}$/.test(text) || BigInt(text) > LARGEST_ID) throw badRequest();
  return text;
}

function currencyOf(value) {
  const currency = value ?? "EUR";
  if (!CURRENCIES.includes(currency)) throw badRequest();
  return currency;
}

const isAmount = (value) => Number.isInteger(value) && value >= 0 && value <= 2147483647;
const isText = (value) => typeof value === "string" && value.length > 0 && !value.includes("\0") && value.isWellFormed();
const isId = (value) =>
  (typeof value === "bigint" || Number.isInteger(value)) && BigInt(value) >= 1n && BigInt(value) <= LARGEST_ID;
const FIELDS = { id: isId, sku: isText, name: isText, price_cents: isAmount, stock: isAmount };

function bodyOf(text, names, all) {
  let body;
  try {
    body = parseExactly(text);
  } catch {
    throw badRequest();
  }
  if (body === null || typeof body !== "object" || Array.isArray(body)) throw badRequest();
  const given = names.filter((name) => Object.hasOwn(body, name));
  if (given.length < (all ? names.length : 1) || !given.every((name) => FIELDS[name](body[name]))) throw badRequest();
  return Object.fromEntries(given.map((name) => [name, body[name]]));
}

const changeOf = (text) => bodyOf(text, ["price_cents", "name", "stock"], false);
const newProductOf = (text) => bodyOf(text, ["id", "sku", "name", "price_cents", "stock"], true);

module.exports = { CURRENCIES, Refusal, badRequest, changeOf, currencyOf, idOf, newProductOf };
