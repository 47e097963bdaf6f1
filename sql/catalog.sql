-- Categories stay a tree, under raw SQL too.
SET search_path = rental, public;
\set VERBOSITY terse
INSERT INTO categories (id, parent_id, name, slug) VALUES
	('00000000-0000-7000-8000-0000000000a2', '00000000-0000-7000-8000-0000000000a1', 'Drills', 'drills'),
	('00000000-0000-7000-8000-0000000000a1', NULL, 'Tools', 'tools'),
	('00000000-0000-7000-8000-0000000000a3', '00000000-0000-7000-8000-0000000000a2', 'Hammer drills', 'hammer-drills');
INSERT INTO categories (parent_id, name, slug) VALUES ('00000000-0000-7000-8000-0000000000ff', 'Orphan', 'orphan');
UPDATE categories SET parent_id = id WHERE slug = 'tools';
UPDATE categories SET parent_id = '00000000-0000-7000-8000-0000000000a3' WHERE slug = 'tools';
DELETE FROM categories WHERE slug = 'drills';
DELETE FROM categories WHERE slug IN ('drills', 'hammer-drills');
SELECT slug FROM categories ORDER BY slug;
SELECT name, slug FROM category_create('Party & Events');
SELECT category_create('Party  Events!');
SELECT category_create('X', slug => 'Not A Slug');
SELECT category_create('X', '00000000-0000-7000-8000-0000000000ff');
-- products: who may, and what is wrong
INSERT INTO vendors (id, name, slug, currency) VALUES ('00000000-0000-7000-8000-0000000000c1', 'V', 'cat-v', 'JPY');
INSERT INTO locations (vendor_id, name) VALUES ('00000000-0000-7000-8000-0000000000c1', 'Main');
\set v '''00000000-0000-7000-8000-0000000000c1'''
SELECT product_create('P', vendor_id => :v, day_rate => 12.5);
SELECT product_create('P', vendor_id => :v, tracking => 'herd');
SELECT product_create('P', vendor_id => :v, category_id => :v);
SELECT product_create('P');
SELECT product_create('P', vendor_id => '00000000-0000-7000-8000-0000000000ff');
SELECT product_create(repeat('x', 201), vendor_id => :v);
SELECT id AS p, currency, rate FROM product_create(' Lens ', vendor_id => :v, tracking => 'serialised', day_rate => 1200) \gset
\echo :currency :rate
SELECT stock_set(:'p', 1);
SELECT code FROM unit_create(:'p', 'L-1');
SELECT unit_create(:'p', 'L-1');
SELECT code FROM unit_create(:'p', 'L-2');
SELECT count, cardinality(results), next IS NULL AS last FROM unit_list(:'p', count => 'exact');
SELECT availability(:'p', '[2026-01-01Z,2026-02-01Z)');
-- lists: pages forth and back
SELECT (product_create('Page ' || n, vendor_id => :v)).id IS NOT NULL AS made FROM generate_series(1, 5) n;
SELECT (SELECT array_agg(r.name) FROM unnest(results) r) AS names, next IS NOT NULL AS more, previous FROM product_list(vendor => :v, search => 'page', page_size => 2, count => 'exact');
SELECT next AS c FROM product_list(vendor => :v, search => 'page', page_size => 2) \gset
SELECT (SELECT array_agg(r.name) FROM unnest(results) r) AS names, next IS NOT NULL AS more, previous IS NOT NULL AS back FROM product_list(vendor => :v, search => 'page', page_size => 2, cursor => :'c');
SELECT next AS c FROM product_list(vendor => :v, search => 'page', page_size => 2, cursor => :'c') \gset
SELECT (SELECT array_agg(r.name) FROM unnest(results) r) AS names, next IS NOT NULL AS more, previous IS NOT NULL AS back FROM product_list(vendor => :v, search => 'page', page_size => 2, cursor => :'c');
SELECT previous AS c FROM product_list(vendor => :v, search => 'page', page_size => 2, cursor => :'c') \gset
SELECT (SELECT array_agg(r.name) FROM unnest(results) r) AS names, next IS NOT NULL AS more, previous IS NOT NULL AS back FROM product_list(vendor => :v, search => 'page', page_size => 2, cursor => :'c');
SELECT count FROM product_list(search => '100%', count => 'exact');
SELECT product_list(page_size => 101);
SELECT product_list(cursor => 'after.xyz');
SELECT product_list(count => 'about');
