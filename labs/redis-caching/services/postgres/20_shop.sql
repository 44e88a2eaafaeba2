-- The shop: products as the service knows them, and what the card query joins to them.
SET ROLE shop_owner;

CREATE TABLE shop.product (
    id          bigint  PRIMARY KEY,
    sku         text    NOT NULL UNIQUE,
    name        text    NOT NULL,
    description text,
    price_cents integer NOT NULL,
    stock       integer NOT NULL,
    version     integer NOT NULL DEFAULT 1
);

CREATE TABLE shop.brand    (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE shop.category (id integer PRIMARY KEY, name text NOT NULL);

-- A product that was just created has no place in the catalogue yet: brand and category are joined loosely.
CREATE TABLE shop.placement (
    product_id  bigint  PRIMARY KEY REFERENCES shop.product ON DELETE CASCADE,
    brand_id    integer NOT NULL REFERENCES shop.brand,
    category_id integer NOT NULL REFERENCES shop.category
);

CREATE TABLE shop.currency_rate (currency text PRIMARY KEY, rate numeric NOT NULL);

-- Prices in a currency are rounded to a step; category 0 stands for every category without a rule of its own.
CREATE TABLE shop.price_rule (
    category_id integer NOT NULL,
    currency    text    NOT NULL REFERENCES shop.currency_rate,
    step        numeric NOT NULL,
    PRIMARY KEY (category_id, currency)
);

RESET ROLE;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.product TO catalog;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop TO checker;
