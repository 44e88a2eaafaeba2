-- About three thousand products, the same in every build. Their ids have gaps; product 7 is the one in the examples.
SET ROLE shop_owner;

INSERT INTO shop.currency_rate VALUES ('EUR', 1), ('USD', 1.0837), ('GBP', 0.8461);
INSERT INTO shop.category VALUES
    (1, 'Küche'), (2, 'Licht'), (3, 'Schreibtisch'), (4, 'Garten'), (5, 'Bad'), (6, 'Reise');
INSERT INTO shop.price_rule VALUES
    (0, 'EUR', 0.01), (0, 'USD', 0.01), (0, 'GBP', 0.01),
    (2, 'USD', 0.05), (4, 'USD', 0.10), (4, 'GBP', 0.05), (6, 'GBP', 0.10);
INSERT INTO shop.brand VALUES
    (1, 'Lumen'), (2, 'Björk & Ås'), (3, 'Atelier Noël'), (4, 'Žižka'), (5, 'Ørsted'), (6, '茶壺堂'), (7, 'Peña');

WITH item AS (
    SELECT i, 7 + coalesce(sum(1 + (i * 7919) % 5) OVER (ORDER BY i ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW), 0) AS id
      FROM generate_series(1, 3000) AS i
), word AS (
    SELECT ARRAY['Große', 'Kleine', 'Grüne', 'Weiße', 'Stille', 'Zweite', 'Crème', 'Älteste', 'Hübsche', 'Süße', 'Rundere'] AS kind,
           ARRAY['Teekanne', 'Lampe', 'Schublade', 'Gießkanne', 'Bürste', 'Tasche', 'Café-Mühle ☕', 'Brosche „Öl“',
                 'Kette <fein>', 'Schüssel & Deckel', 'Æbleskive-Pfanne', '急須 Kanne', 'Smörgås-Platte'] AS thing
)
INSERT INTO shop.product (id, sku, name, description, price_cents, stock, version)
SELECT id,
       'LM-' || lpad(id::text, 6, '0'),
       kind[1 + (i * 31) % 11] || ' ' || thing[1 + (i * 17) % 13] || ' ' || i,
       CASE WHEN i % 6 = 5 THEN NULL
            ELSE 'Modell ' || i || E', geprüft in Köln.\nMaße: ' || (10 + i % 90) || ' × ' || (5 + i % 40) || ' cm, "handgemacht"' END,
       150 + ((i * 7919) % 400) * 25,
       (i * 53) % 250,
       1 + (i * 13) % 9
  FROM item, word;

INSERT INTO shop.placement (product_id, brand_id, category_id)
SELECT id, 1 + id % 7, 1 + id % 6 FROM shop.product;

UPDATE shop.product
   SET name = 'Teekanne »Mücke« aus Gußeisen', description = 'Für zwei. Hält warm bis Mitternacht.',
       price_cents = 1250, stock = 42, version = 1
 WHERE id = 7;
RESET ROLE;
